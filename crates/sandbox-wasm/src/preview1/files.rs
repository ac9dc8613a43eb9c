//! The calls on files that have event types of their own.

use rustix::io::Errno as Linux;
use types::{Access, Kind, Text};
use wasmtime_wasi::p1::types::{self as p1, Errno, Error};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wiggle::{GuestMemory, GuestPtr};

use super::{Open, Preview1};
use crate::errno::Ended as _;
use crate::trace::Outcome;

/// Buffers of one write that are looked at, at most (Linux's `IOV_MAX`).
const BUFFERS_MAX: usize = 1_024;
/// Bytes of a write that are looked at.
const HEAD_BYTES: u32 = 64;
const NANOSECONDS: u64 = 1_000_000_000;

impl Preview1 {
    /// Where a path leads, for an event; a path that is too long is an event by itself.
    pub(super) fn place(
        &mut self,
        function: &str,
        memory: &GuestMemory<'_>,
        folder: p1::Fd,
        path: GuestPtr<str>,
    ) -> Result<Text, Error> {
        match self.path(memory, folder, path) {
            Ok(path) => Ok(Text::from(path.unwrap_or_default().as_str())),
            Err(error) => {
                self.record(
                    function,
                    Some("a path that is too long"),
                    Outcome::Failed(Linux::NAMETOOLONG.raw_os_error()),
                );
                Err(error)
            }
        }
    }

    pub(super) async fn open(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: p1::Fd,
        lookup: p1::Lookupflags,
        path: GuestPtr<str>,
        (how, rights, inheriting, flags): (p1::Oflags, p1::Rights, p1::Rights, p1::Fdflags),
    ) -> Result<p1::Fd, Error> {
        let place = self.place("path_open", memory, folder, path)?;
        let writes = rights.contains(p1::Rights::FD_WRITE);
        let kind = Kind::Open {
            path: place.clone(),
            access: match (writes, rights.contains(p1::Rights::FD_READ)) {
                (true, true) => Access::ReadWrite,
                (true, false) => Access::Write,
                (false, _) => Access::Read,
            },
            create: how.contains(p1::Oflags::CREAT),
            truncate: how.contains(p1::Oflags::TRUNC),
        };
        if let Err(outcome) = self.host.bounds.may_open() {
            self.host.trace.met(kind, outcome);
            return Err(Errno::Mfile.into());
        }
        if how.contains(p1::Oflags::CREAT) {
            self.may_make(&place, &kind)?;
        }
        let result =
            self.wasi.path_open(memory, folder, lookup, path, how, rights, inheriting, flags).await;
        self.host.met(kind, result.outcome());
        if let Ok(fd) = &result {
            self.host.bounds.opened();
            let key = self.host.key();
            let path = place.to_lossy().into_owned();
            self.open.insert(u32::from(*fd), Open { path, key, stream: false, counted: true });
        }
        result
    }

    pub(super) async fn close(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: p1::Fd,
    ) -> Result<(), Error> {
        let target = self.name(fd);
        let result = self.wasi.fd_close(memory, fd).await;
        self.record("fd_close", Some(&target), result.outcome());
        if result.is_ok() {
            let closed = self.open.remove(&u32::from(fd));
            self.forget(closed.as_ref());
        }
        result
    }

    fn forget(&mut self, closed: Option<&Open>) {
        if closed.is_some_and(|open| open.counted) {
            self.host.bounds.closed();
        }
    }

    pub(super) async fn renumber(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: p1::Fd,
        to: p1::Fd,
    ) -> Result<(), Error> {
        let target = self.name(from);
        let result = self.wasi.fd_renumber(memory, from, to).await;
        self.record("fd_renumber", Some(&target), result.outcome());
        if result.is_ok()
            && u32::from(from) != u32::from(to)
            && let Some(open) = self.open.remove(&u32::from(from))
        {
            let closed = self.open.insert(u32::from(to), open);
            self.forget(closed.as_ref());
        }
        result
    }

    pub(super) async fn write(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: p1::Fd,
        data: p1::CiovecArray,
        offset: Option<p1::Filesize>,
    ) -> Result<p1::Size, Error> {
        let function = if offset.is_some() { "fd_pwrite" } else { "fd_write" };
        let open = self.open.get(&u32::from(fd)).cloned();
        let (head, length) = first(memory, data);
        let file = open.filter(|open| !open.stream);
        if let Some(open) = &file
            && let Err(outcome) = self.host.bounds.write(u64::from(length))
        {
            self.host.trace.wrote(open.key, &open.path, &head, u64::from(length), outcome);
            return Err(Errno::Nospc.into());
        }
        let result = match offset {
            Some(offset) => self.wasi.fd_pwrite(memory, fd, data, offset).await,
            None => self.wasi.fd_write(memory, fd, data).await,
        };
        let outcome = result.outcome();
        match file {
            Some(open) => {
                let bytes = result.as_ref().map_or(0, |bytes| u64::from(*bytes));
                // Where the buffer that was taken lay behind those that are looked at.
                let _ = self.host.bounds.write(bytes.saturating_sub(u64::from(length)));
                self.host.trace.wrote(open.key, &open.path, &head, bytes, outcome);
            }
            None => {
                let target = self.name(fd);
                self.record(function, Some(&target), outcome);
            }
        }
        result
    }

    pub(super) async fn set_size(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: p1::Fd,
        size: p1::Filesize,
    ) -> Result<(), Error> {
        let path = Text::from(self.name(fd).as_str());
        let kind = Kind::Truncate { path, length: size };
        if let Err(outcome) = self.host.bounds.length(size) {
            self.host.trace.met(kind, outcome);
            return Err(Errno::Nospc.into());
        }
        let result = self.wasi.fd_filestat_set_size(memory, fd, size).await;
        self.host.trace.met(kind, result.outcome());
        result
    }

    pub(super) fn set_times(
        &mut self,
        function: &str,
        path: String,
        modified: p1::Timestamp,
        flags: p1::Fstflags,
        outcome: Outcome,
    ) {
        if flags.contains(p1::Fstflags::MTIM) {
            let seconds = i64::try_from(modified / NANOSECONDS).unwrap_or(i64::MAX);
            let path = Text::from(path.as_str());
            self.host.trace.met(Kind::SetTimes { path, seconds }, outcome);
        } else {
            self.record(function, Some(&path), outcome);
        }
    }

    /// Refuses one more name, and records that.
    fn may_make(&mut self, path: &Text, kind: &Kind) -> Result<(), Error> {
        if let Err(outcome) = self.host.bounds.may_make(path) {
            self.host.trace.met(kind.clone(), outcome);
            return Err(Errno::Nospc.into());
        }
        Ok(())
    }

    pub(super) async fn make_folder(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: p1::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        let place = self.place("path_create_directory", memory, folder, path)?;
        let kind = Kind::Mkdir { path: place.clone() };
        self.may_make(&place, &kind)?;
        let result = self.wasi.path_create_directory(memory, folder, path).await;
        self.host.met(kind, result.outcome());
        result
    }

    pub(super) async fn remove(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: p1::Fd,
        path: GuestPtr<str>,
        directory: bool,
    ) -> Result<(), Error> {
        let function = if directory { "path_remove_directory" } else { "path_unlink_file" };
        let place = self.place(function, memory, folder, path)?;
        let result = if directory {
            self.wasi.path_remove_directory(memory, folder, path).await
        } else {
            self.wasi.path_unlink_file(memory, folder, path).await
        };
        self.host.met(Kind::Unlink { path: place, directory }, result.outcome());
        result
    }

    pub(super) async fn rename(
        &mut self,
        memory: &mut GuestMemory<'_>,
        (from_folder, from): (p1::Fd, GuestPtr<str>),
        (to_folder, to): (p1::Fd, GuestPtr<str>),
    ) -> Result<(), Error> {
        let old = self.place("path_rename", memory, from_folder, from)?;
        let new = self.place("path_rename", memory, to_folder, to)?;
        let result = self.wasi.path_rename(memory, from_folder, from, to_folder, to).await;
        self.host.met(Kind::Rename { from: old, to: new }, result.outcome());
        result
    }

    pub(super) async fn link(
        &mut self,
        memory: &mut GuestMemory<'_>,
        (from_folder, flags, from): (p1::Fd, p1::Lookupflags, GuestPtr<str>),
        (to_folder, to): (p1::Fd, GuestPtr<str>),
    ) -> Result<(), Error> {
        let old = self.place("path_link", memory, from_folder, from)?;
        let new = self.place("path_link", memory, to_folder, to)?;
        let kind = Kind::Link { from: old, to: new.clone(), symbolic: false };
        self.may_make(&new, &kind)?;
        let result = self.wasi.path_link(memory, from_folder, flags, from, to_folder, to).await;
        self.host.met(kind, result.outcome());
        result
    }

    pub(super) async fn symlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        points_to: GuestPtr<str>,
        folder: p1::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        let place = self.place("path_symlink", memory, folder, path)?;
        let from =
            memory.as_cow_str(points_to).map(|text| Text::from(text.as_ref())).unwrap_or_default();
        let kind = Kind::Link { from, to: place.clone(), symbolic: true };
        self.may_make(&place, &kind)?;
        let result = self.wasi.path_symlink(memory, points_to, folder, path).await;
        self.host.met(kind, result.outcome());
        result
    }
}

/// The beginning and the length of the buffer that a write will take: the first that is not empty.
fn first(memory: &GuestMemory<'_>, data: p1::CiovecArray) -> (Vec<u8>, u32) {
    for pointer in data.iter().take(BUFFERS_MAX) {
        let Ok(Ok(buffer)) = pointer.map(|pointer| memory.read(pointer)) else { break };
        if buffer.buf_len > 0 {
            let head = buffer.buf.as_array(buffer.buf_len.min(HEAD_BYTES));
            let head = memory.as_cow(head).map(std::borrow::Cow::into_owned).unwrap_or_default();
            return (head, buffer.buf_len);
        }
    }
    (Vec::new(), 0)
}
