//! The host of a core module: all 46 functions of WASI preview 1, each on the record.
//!
//! Every function here hands on to the engine's own and writes down what was asked and what came
//! out. The linker has nothing but these, so a call that is not on the record cannot be made. Which
//! imports a module may have is decided before (`grants`).

mod files;

use std::collections::HashMap;

use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::{self, Errno, Error};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wiggle::{GuestMemory, GuestPtr};

use crate::errno::Ended as _;
use crate::grants::PREVIEW1;
use crate::host::Host;
use crate::trace::{FileKey, Outcome};

/// State of a module's host.
pub(crate) struct Preview1 {
    wasi: WasiP1Ctx,
    pub host: Host,
    /// What the module exports as its memory, once it is there.
    pub memory: Option<wasmtime::Memory>,
    open: HashMap<u32, Open>,
}

/// What a descriptor stands for.
#[derive(Debug, Clone)]
struct Open {
    /// Absolute inside, or `stdin`, `stdout`, `stderr`.
    path: String,
    key: FileKey,
    stream: bool,
    /// Opened by the module, not given to it.
    counted: bool,
}

impl Preview1 {
    /// `folders`: paths inside, in the order in which the context has them.
    pub(crate) fn new(
        wasi: WasiP1Ctx,
        mut host: Host,
        folders: impl Iterator<Item = String>,
    ) -> Self {
        let streams = ["stdin", "stdout", "stderr"].map(|name| (name.to_owned(), true));
        let all = streams.into_iter().chain(folders.map(|path| (path, false)));
        let open = (0..).zip(all).map(|(fd, (path, stream))| {
            (fd, Open { path, key: host.key(), stream, counted: false })
        });
        let open = open.collect();
        Self { wasi, host, memory: None, open }
    }

    /// How a descriptor is called in an event.
    fn name(&self, fd: types::Fd) -> String {
        let number = u32::from(fd);
        self.open
            .get(&number)
            .map_or_else(|| format!("descriptor {number}"), |open| open.path.clone())
    }

    fn record(&mut self, function: &str, target: Option<&str>, outcome: Outcome) {
        self.host.trace.call(PREVIEW1, function, target, outcome);
    }

    /// Where a path in a folder leads; an error where it is too long, `None` where it is no text (the
    /// call itself then fails).
    fn path(
        &self,
        memory: &GuestMemory<'_>,
        folder: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<Option<String>, Error> {
        let length = usize::try_from(path.len()).unwrap_or(usize::MAX);
        if length > crate::host::PATH_BYTES_MAX {
            return Err(Errno::Nametoolong.into());
        }
        let folder = self.name(folder);
        Ok(memory.as_cow_str(path).ok().map(|path| crate::host::join(&folder, &path)))
    }
}

/// Calls that are recorded by their names.
macro_rules! calls {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ok:ty;)*) => {$(
        fn $name(&mut self, memory: &mut GuestMemory<'_>, $($arg: $ty),*) -> Result<$ok, Error> {
            let result = WasiSnapshotPreview1::$name(&mut self.wasi, memory, $($arg),*);
            self.record(stringify!($name), None, result.outcome());
            result
        }
    )*};
}

/// Calls on a descriptor.
macro_rules! descriptor_calls {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ok:ty;)*) => {$(
        fn $name(&mut self, memory: &mut GuestMemory<'_>, fd: types::Fd, $($arg: $ty),*) -> Result<$ok, Error> {
            let target = self.name(fd);
            let result = WasiSnapshotPreview1::$name(&mut self.wasi, memory, fd, $($arg),*);
            self.record(stringify!($name), Some(&target), result.outcome());
            result
        }
    )*};
}

/// Calls on a descriptor that may wait.
macro_rules! waiting_calls {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ok:ty;)*) => {$(
        async fn $name(&mut self, memory: &mut GuestMemory<'_>, fd: types::Fd, $($arg: $ty),*) -> Result<$ok, Error> {
            let target = self.name(fd);
            let result = WasiSnapshotPreview1::$name(&mut self.wasi, memory, fd, $($arg),*).await;
            self.record(stringify!($name), Some(&target), result.outcome());
            result
        }
    )*};
}

impl WasiSnapshotPreview1 for Preview1 {
    fn set_hostcall_fuel(&mut self, fuel: usize) {
        self.wasi.set_hostcall_fuel(fuel);
    }

    calls! {
        args_get(argv: GuestPtr<GuestPtr<u8>>, buffer: GuestPtr<u8>) -> ();
        args_sizes_get() -> (types::Size, types::Size);
        environ_get(environ: GuestPtr<GuestPtr<u8>>, buffer: GuestPtr<u8>) -> ();
        environ_sizes_get() -> (types::Size, types::Size);
        clock_res_get(id: types::Clockid) -> types::Timestamp;
        clock_time_get(id: types::Clockid, precision: types::Timestamp) -> types::Timestamp;
        proc_raise(signal: types::Signal) -> ();
        sched_yield() -> ();
    }

    descriptor_calls! {
        fd_allocate(offset: types::Filesize, length: types::Filesize) -> ();
        fd_fdstat_set_flags(flags: types::Fdflags) -> ();
        fd_fdstat_set_rights(base: types::Rights, inheriting: types::Rights) -> ();
        fd_prestat_get() -> types::Prestat;
        fd_prestat_dir_name(path: GuestPtr<u8>, length: types::Size) -> ();
        fd_tell() -> types::Filesize;
        sock_accept(flags: types::Fdflags) -> types::Fd;
        sock_recv(data: types::IovecArray, flags: types::Riflags) -> (types::Size, types::Roflags);
        sock_send(data: types::CiovecArray, flags: types::Siflags) -> types::Size;
        sock_shutdown(how: types::Sdflags) -> ();
    }

    waiting_calls! {
        fd_advise(offset: types::Filesize, length: types::Filesize, advice: types::Advice) -> ();
        fd_datasync() -> ();
        fd_fdstat_get() -> types::Fdstat;
        fd_filestat_get() -> types::Filestat;
        fd_read(buffers: types::IovecArray) -> types::Size;
        fd_pread(buffers: types::IovecArray, offset: types::Filesize) -> types::Size;
        fd_seek(offset: types::Filedelta, whence: types::Whence) -> types::Filesize;
        fd_sync() -> ();
        fd_readdir(buffer: GuestPtr<u8>, length: types::Size, cookie: types::Dircookie) -> types::Size;
    }

    fn proc_exit(
        &mut self,
        memory: &mut GuestMemory<'_>,
        status: types::Exitcode,
    ) -> wiggle::error::Error {
        self.record("proc_exit", None, Outcome::Ended);
        self.wasi.proc_exit(memory, status)
    }

    fn random_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        buffer: GuestPtr<u8>,
        length: types::Size,
    ) -> Result<(), Error> {
        let result = if u64::from(length) > crate::host::RANDOM_BYTES_MAX {
            Err(Errno::Inval.into())
        } else {
            self.wasi.random_get(memory, buffer, length)
        };
        self.record("random_get", None, result.outcome());
        result
    }

    async fn poll_oneoff(
        &mut self,
        memory: &mut GuestMemory<'_>,
        subscriptions: GuestPtr<types::Subscription>,
        events: GuestPtr<types::Event>,
        count: types::Size,
    ) -> Result<types::Size, Error> {
        let result = self.wasi.poll_oneoff(memory, subscriptions, events, count).await;
        self.record("poll_oneoff", None, result.outcome());
        result
    }

    async fn fd_close(&mut self, memory: &mut GuestMemory<'_>, fd: types::Fd) -> Result<(), Error> {
        self.close(memory, fd).await
    }

    async fn fd_renumber(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: types::Fd,
        to: types::Fd,
    ) -> Result<(), Error> {
        self.renumber(memory, from, to).await
    }

    async fn fd_write(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: types::Fd,
        data: types::CiovecArray,
    ) -> Result<types::Size, Error> {
        self.write(memory, fd, data, None).await
    }

    async fn fd_pwrite(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: types::Fd,
        data: types::CiovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size, Error> {
        self.write(memory, fd, data, Some(offset)).await
    }

    async fn fd_filestat_set_size(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: types::Fd,
        size: types::Filesize,
    ) -> Result<(), Error> {
        self.set_size(memory, fd, size).await
    }

    async fn fd_filestat_set_times(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: types::Fd,
        accessed: types::Timestamp,
        modified: types::Timestamp,
        flags: types::Fstflags,
    ) -> Result<(), Error> {
        let path = self.name(fd);
        let result = self.wasi.fd_filestat_set_times(memory, fd, accessed, modified, flags).await;
        self.set_times("fd_filestat_set_times", path, modified, flags, result.outcome());
        result
    }

    async fn path_create_directory(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.make_folder(memory, folder, path).await
    }

    async fn path_filestat_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: types::Fd,
        flags: types::Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<types::Filestat, Error> {
        let target = self.place("path_filestat_get", memory, folder, path)?;
        let result = self.wasi.path_filestat_get(memory, folder, flags, path).await;
        self.record("path_filestat_get", Some(&target.to_lossy()), result.outcome());
        result
    }

    async fn path_filestat_set_times(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: types::Fd,
        lookup: types::Lookupflags,
        path: GuestPtr<str>,
        accessed: types::Timestamp,
        modified: types::Timestamp,
        flags: types::Fstflags,
    ) -> Result<(), Error> {
        let target =
            self.place("path_filestat_set_times", memory, folder, path)?.to_lossy().into_owned();
        let result = self
            .wasi
            .path_filestat_set_times(memory, folder, lookup, path, accessed, modified, flags)
            .await;
        self.set_times("path_filestat_set_times", target, modified, flags, result.outcome());
        result
    }

    async fn path_link(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from_folder: types::Fd,
        flags: types::Lookupflags,
        from: GuestPtr<str>,
        to_folder: types::Fd,
        to: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.link(memory, (from_folder, flags, from), (to_folder, to)).await
    }

    async fn path_open(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: types::Fd,
        lookup: types::Lookupflags,
        path: GuestPtr<str>,
        how: types::Oflags,
        rights: types::Rights,
        inheriting: types::Rights,
        flags: types::Fdflags,
    ) -> Result<types::Fd, Error> {
        self.open(memory, folder, lookup, path, (how, rights, inheriting, flags)).await
    }

    async fn path_readlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: types::Fd,
        path: GuestPtr<str>,
        buffer: GuestPtr<u8>,
        length: types::Size,
    ) -> Result<types::Size, Error> {
        let target = self.place("path_readlink", memory, folder, path)?;
        let result = self.wasi.path_readlink(memory, folder, path, buffer, length).await;
        self.record("path_readlink", Some(&target.to_lossy()), result.outcome());
        result
    }

    async fn path_remove_directory(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.remove(memory, folder, path, true).await
    }

    async fn path_rename(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from_folder: types::Fd,
        from: GuestPtr<str>,
        to_folder: types::Fd,
        to: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.rename(memory, (from_folder, from), (to_folder, to)).await
    }

    async fn path_symlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        points_to: GuestPtr<str>,
        folder: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.symlink(memory, points_to, folder, path).await
    }

    async fn path_unlink_file(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.remove(memory, folder, path, false).await
    }
}
