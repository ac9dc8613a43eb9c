//! seccomp policy.
