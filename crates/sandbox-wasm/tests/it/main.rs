//! The runner as its callers use it: modules and components go in, recordings come out.

mod books;
mod components;
mod files;
mod kit;
mod limits;
mod mutations;
mod programs;
mod refusals;
mod signatures;
