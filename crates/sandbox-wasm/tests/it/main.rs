//! The runner as its callers use it: modules and components go in, recordings come out.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod books;
mod components;
mod files;
mod kit;
mod limits;
mod mutations;
mod programs;
mod refusals;
mod signatures;
