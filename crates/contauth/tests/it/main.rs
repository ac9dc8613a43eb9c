//! contauth through its router and its port, over a store that can be made to fail.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod bad_input;
mod desk;
mod durable;
mod story;
mod typist;
