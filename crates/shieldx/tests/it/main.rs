//! Tests that start the real `shieldx`: one binary, one module per question.

mod abuse;
mod cli;
mod documents;
mod everyday;
mod everyday_more;
mod formats;
mod hostile;
mod lab;
mod lifetime;
#[cfg(feature = "sandbox-microvm")]
mod microvm;
mod flood;
mod ordinary_user;
mod packages;
mod preflight;
mod replay;
mod report;
mod rules;
mod slo_words;
mod span_names;
mod stack;
mod worker;
mod workspace;
