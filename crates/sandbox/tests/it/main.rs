//! The walls and monitors of this crate, tried on the running kernel.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and say SKIP"
)]

mod child;
mod ebpf;
mod landlock;
mod memory;
mod net;
mod notify;
mod process;
mod seccomp;
