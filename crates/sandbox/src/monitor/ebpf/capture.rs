//! Tier A: what the kernel resolved, captured where it asks its security modules about a call, where
//! programs may hang on the end of its own functions (fexit).
//!
//! A path that a call was given is the word of the task's memory, which another thread can change, and
//! links lead elsewhere. What is captured is where the kernel went. What is made of it is `decode`'s
//! business.

use std::os::fd::OwnedFd;

use ::ebpf::CAPTURE;

use super::bpf;
use super::loader::{Maps, load_program, sharing};
use super::object::{Globals, KernelTypes};
use crate::monitor::Unavailable;

/// A program, and the function at whose end it hangs, without the prefix.
const HOOKS: [(&str, &str); 11] = [
    ("capture_open", "file_open"),
    ("capture_unlink", "path_unlink"),
    ("capture_rmdir", "path_rmdir"),
    ("capture_rename", "path_rename"),
    ("capture_mkdir", "path_mkdir"),
    ("capture_mknod", "path_mknod"),
    ("capture_link", "path_link"),
    ("capture_symlink", "path_symlink"),
    ("capture_truncate", "path_truncate"),
    ("capture_chmod", "path_chmod"),
    ("capture_chown", "path_chown"),
];

/// What the kernel's functions that ask its security modules are called, before the question's name.
pub(super) const PREFIX: &str = "security_";

/// The programs and what they hang on.
pub(super) fn hooks() -> impl Iterator<Item = (&'static str, &'static str)> {
    HOOKS.into_iter()
}

/// Loads all programs, in the order of `hooks`; they use the maps of the monitor. Where the kernel does
/// not take the simplest of them, that is all that is tried.
pub(super) fn load(
    globals: &Globals,
    kernel: &KernelTypes,
    shared: &Maps,
) -> Result<Vec<OwnedFd>, Unavailable> {
    let function = |hook: &str| {
        kernel.functions.get(&format!("{PREFIX}{hook}")).copied().ok_or_else(|| Unavailable {
            reason: format!(
                "the kernel has no function {PREFIX}{hook} (CONFIG_SECURITY_PATH, \
                 CONFIG_DEBUG_INFO_BTF)"
            ),
        })
    };
    let functions = hooks().map(|(_, hook)| function(hook)).collect::<Result<Vec<_>, _>>()?;
    if let Some(first) = functions.first() {
        bpf::try_end(*first).map_err(|error| {
            super::unavailable("the kernel refuses programs at the end of its functions", &error)
        })?;
    }
    let (object, types, _maps) = sharing(CAPTURE, globals, kernel, shared)?;
    let load = |((name, _), function): ((&str, &str), u32)| {
        load_program(&object, name, &types, bpf::Kind::End(function))
    };
    hooks().zip(functions).map(load).collect()
}
