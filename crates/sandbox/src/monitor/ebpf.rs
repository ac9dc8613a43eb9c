//! Tier B.
