//! Events about files.

use std::fmt::Write as _;

use ::ebpf::abi::HEAD_LEN_MAX;
use types::{Access, Kind, Text};

use super::{Fact, View, fact};

const O_ACCMODE: u64 = 3;
const O_CREAT: u64 = 0o100;
const O_TRUNC: u64 = 0o1000;
const AT_REMOVEDIR: u64 = 0x200;
const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const UTIME_NOW: i64 = (1 << 30) - 1;
const UTIME_OMIT: i64 = (1 << 30) - 2;

impl View<'_> {
    pub(super) fn with_path(&self, kind: impl FnOnce(Text) -> Kind) -> Fact {
        let path = self.slots.path(0);
        Fact { kind: kind(path.text), advisory: path.advisory }
    }

    pub(super) fn open(&self) -> Fact {
        let flags = self.record.extra[0];
        let access = match flags & O_ACCMODE {
            0 => Access::Read,
            1 => Access::Write,
            _ => Access::ReadWrite,
        };
        let (create, truncate) = (flags & O_CREAT != 0, flags & O_TRUNC != 0);
        self.with_path(|path| Kind::Open { path, access, create, truncate })
    }

    pub(super) fn write(&self) -> Fact {
        let mut head = String::new();
        for byte in self.slots.bytes(2).iter().take(HEAD_LEN_MAX) {
            let _ = write!(head, "{byte:02x}");
        }
        let bytes = u64::try_from(self.record.ret).unwrap_or(0);
        // The head comes from the task's memory, the path does not.
        fact(Kind::Write { path: self.slots.path(0).text, writes: 1, bytes, head })
    }

    pub(super) fn unlink(&self) -> Fact {
        let directory =
            self.is_call("rmdir") || (self.is_call("unlinkat") && self.arg(2) & AT_REMOVEDIR != 0);
        self.with_path(|path| Kind::Unlink { path, directory })
    }

    pub(super) fn rename(&self) -> Fact {
        let (from, to) = (self.slots.path(0), self.slots.path(2));
        let advisory = from.advisory || to.advisory;
        Fact { kind: Kind::Rename { from: from.text, to: to.text }, advisory }
    }

    pub(super) fn link(&self) -> Fact {
        let symbolic = self.is_call("symlink") || self.is_call("symlinkat");
        let (from, to) = (self.slots.path(0), self.slots.path(2));
        // What a symbolic link says is a text of the task's.
        let advisory = symbolic || from.advisory || to.advisory;
        let from = if symbolic { self.slots.string(0) } else { from.text };
        Fact { kind: Kind::Link { from, to: to.text, symbolic }, advisory }
    }

    pub(super) fn chmod(&self) -> Fact {
        let index = if self.is_call("chmod") || self.is_call("fchmod") { 1 } else { 2 };
        let mode = self.arg32(index) & 0o7777;
        self.with_path(|path| Kind::Chmod { path, mode })
    }

    pub(super) fn chown(&self) -> Fact {
        let index = if self.is_call("fchownat") { 2 } else { 1 };
        let (uid, gid) = (self.arg32(index), self.arg32(index + 1));
        self.with_path(|path| Kind::Chown { path, uid, gid })
    }

    /// A regular file made by mknod is a file that was created, whatever call did it.
    pub(super) fn mknod(&self) -> Fact {
        let mode = self.arg32(if self.is_call("mknodat") { 2 } else { 1 });
        self.with_path(|path| match mode & S_IFMT {
            0 | S_IFREG => {
                Kind::Open { path, access: Access::Write, create: true, truncate: false }
            }
            _ => Kind::Mknod { path, mode: mode & (S_IFMT | 0o7777) },
        })
    }

    pub(super) fn truncate(&self) -> Fact {
        let length = self.arg(1);
        self.with_path(|path| Kind::Truncate { path, length })
    }

    pub(super) fn set_xattr(&self) -> Fact {
        let name = self.slots.string(2);
        let path = self.slots.path(0).text;
        Fact { kind: Kind::SetXattr { path, name }, advisory: true }
    }

    pub(super) fn set_times(&self) -> Fact {
        let seconds = self.modification_time();
        let path = self.slots.path(0).text;
        Fact { kind: Kind::SetTimes { path, seconds }, advisory: true }
    }

    /// The modification time asked for, in seconds since 1970: the second of a pair of times, or
    /// the access time where the modification time was left alone.
    fn modification_time(&self) -> i64 {
        let bytes = self.slots.bytes(2);
        let word = |index: usize| {
            let chunk = bytes.get(index * 8..)?.first_chunk::<8>()?;
            Some(i64::from_ne_bytes(*chunk))
        };
        let given = if self.is_call("utime") {
            word(1)
        } else if self.is_call("utimensat") {
            match (word(0), word(1), word(2), word(3)) {
                (Some(access), Some(nanos), _, Some(UTIME_OMIT)) if nanos != UTIME_NOW => {
                    Some(access)
                }
                (_, _, Some(seconds), Some(nanos)) if nanos != UTIME_NOW => Some(seconds),
                _ => None,
            }
        } else {
            word(2)
        };
        given.unwrap_or_else(|| self.now())
    }

    /// The wall-clock second in which the call returned.
    fn now(&self) -> i64 {
        let monotonic = i64::try_from(self.record.time_ns).unwrap_or(i64::MAX);
        monotonic.saturating_add(self.realtime_offset_ns) / 1_000_000_000
    }
}
