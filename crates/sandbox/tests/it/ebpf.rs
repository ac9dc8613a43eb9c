//! The eBPF monitor on the running kernel: real commands in a cgroup of their own, the events they
//! make, and books that balance. Needs root and eBPF; says SKIP where there is none.

mod calls;
mod capture;
mod durations;
mod flood;
mod guard;
mod job;
mod kernels;
mod races;
mod reuse;
