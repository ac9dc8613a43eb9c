//! The verdict from the outside: synthetic recordings in, assessments out.

#![expect(clippy::unwrap_used, reason = "a builder of test data that fails should fail the test")]

mod anomaly;
mod benign;
mod evidence;
mod features;
mod hostile;
mod properties;
mod rules;
mod trace;
