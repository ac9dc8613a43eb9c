//! Tests that start the real `shieldx`: one binary, one module per question.

mod abuse;
mod cli;
mod documents;
mod everyday;
mod formats;
mod hostile;
mod lab;
mod lifetime;
mod ordinary_user;
mod preflight;
mod replay;
mod report;
mod slo_words;
mod span_names;
mod stack;
mod worker;
mod workspace;
