//! Tests of the rooms that need no guest: one binary, one module per question.

mod firecracker;
mod image;
