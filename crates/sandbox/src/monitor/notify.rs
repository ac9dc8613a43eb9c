//! Tier C.
