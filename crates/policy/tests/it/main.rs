//! Policies as their authors meet them: the built-in one by its decisions, folders by what is said
//! about them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod builtin;
mod folders;
mod support;
