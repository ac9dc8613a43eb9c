//! The command line of ShieldX and the place where its rooms are put together.
//!
//! Only this crate reads arguments and the environment (invariant 1). It turns them into a
//! validated request, hands a plain `Spec` to a runner and a recording to the verdict, and shows
//! the result. It knows no system call to block and no detector: those live in `sandbox` and
//! `verdict`.

pub mod args;
pub mod client;
pub mod commands;
pub mod config;
pub mod decoys;
pub mod engine;
pub mod environment;
pub mod executor;
pub mod exit;
pub mod failure;
#[cfg(feature = "sandbox-microvm")]
pub mod guest;
pub mod judge;
pub mod matching;
pub mod output;
pub mod package;
pub mod place;
pub mod preflight;
pub mod progress;
pub mod quantity;
pub mod report;
pub mod request;
pub mod runners;
pub mod up;
pub mod view;
pub mod worker;
