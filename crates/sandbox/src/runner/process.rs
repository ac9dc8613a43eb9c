//! The `process` runner.
