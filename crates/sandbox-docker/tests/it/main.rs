//! Runs commands in containers of a daemon of the tests' own.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod daemon;
mod ends;
mod lab;
mod lifetime;
mod limits;
mod roots;
mod walls;
mod watched;
