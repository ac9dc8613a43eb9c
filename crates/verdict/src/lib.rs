//! Detectors, score, verdict and replay.
