//! Tests that start the real `shieldx`: one binary, one module per question.
#![expect(missing_debug_implementations, reason = "test fixtures are not printed")]

mod abuse;
mod everyday;
mod hostile;
mod lab;
mod lifetime;
mod ordinary_user;
mod workspace;
