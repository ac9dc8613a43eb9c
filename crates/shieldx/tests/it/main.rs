//! Tests that start the real `shieldx`: one binary, one module per question.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod abuse;
mod cli;
mod conformance;
#[cfg(feature = "sandbox-docker")]
#[expect(dead_code, reason = "the docker runner's own tests use more of it")]
#[path = "../../../sandbox-docker/tests/it/daemon.rs"]
mod daemon;
mod documents;
mod escape;
mod everyday;
mod everyday_more;
mod flood;
mod formats;
mod hostile;
mod lab;
mod lifetime;
#[cfg(feature = "sandbox-microvm")]
mod microvm;
mod ordinary_user;
mod packages;
mod preflight;
mod replay;
mod report;
mod roots;
mod rules;
mod slo_words;
mod span_names;
mod stack;
mod ways;
mod worker;
mod workspace;
