//! Roots that come from outside: a folder, a tar file, an OCI image layout, and layers over any of
//! them.
//!
//! Everything in here reads bytes that nobody trusts. Names are resolved by the kernel inside the
//! tree that is being filled (`openat2(2)`, `RESOLVE_IN_ROOT`), never by us on the host; every
//! count and size has a bound, and reaching one refuses the root as a whole, because half a root
//! proves nothing about the command in it. Where the tree lies and who sees it is not known here.

mod names;
pub mod oci;
pub mod program;
mod sources;
pub(crate) mod tar;
mod tree;
mod unpack;

use std::fmt;
use std::io;

pub(crate) use sources::{Blob, layers, sources};
pub(crate) use tree::{OPAQUE, Whiteout, is_opaque, look_up, resolve};
pub(crate) use unpack::{Owners, Report, Unpacker, Whiteouts};

/// Names unpacked from one root, folders that no entry names included. A desktop system has about
/// 300,000.
pub const ENTRIES_MAX: u64 = 500_000;
/// Layers of one root.
pub const LAYERS_MAX: usize = 128;
/// A name and a whole path, in bytes (`NAME_MAX`, `PATH_MAX` less its NUL).
pub(crate) const NAME_MAX: usize = 255;
pub(crate) const PATH_MAX: usize = 4095;
/// Folders in each other, at most: what removes a tree goes down into it.
pub(crate) const DEPTH_MAX: usize = 128;

/// Why a root is not unpacked, or a snapshot not written, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

impl Refusal {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// A step that the file system or the input failed.
    pub(crate) fn io(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self(format!("could not {what}: {error}"))
    }
}

/// A name that a stranger chose, fit for a sentence.
pub(crate) fn shown(name: &[u8]) -> String {
    const SHOWN_MAX: usize = 200;
    let end = name.len().min(SHOWN_MAX);
    let text = types::Text::from(name.get(..end).unwrap_or(name)).to_string();
    if end < name.len() { format!("{text}…") } else { text }
}
