//! `wasi:filesystem`: the calls that change files have event types of their own.

use types::{Access, Kind, Text};
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::WasiFilesystemView as _;
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types as fs};
use wasmtime_wasi::p2::{FsError, FsResult};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, Error};

use super::{Descriptor, Preview2, Stream, relay, relay_async};
use crate::errno::Ended as _;
use crate::host::{PATH_BYTES_MAX, join};
use crate::trace::Outcome;

const INTERFACE: &str = "wasi:filesystem/types";
/// Bytes of a write that are looked at.
const HEAD_BYTES: usize = 64;

type Fd = Resource<fs::Descriptor>;

impl Preview2 {
    fn descriptor(&self, fd: &Fd) -> Descriptor {
        self.descriptors.get(&fd.rep()).cloned().unwrap_or(Descriptor {
            path: "?".to_owned(),
            key: 0,
            counted: false,
        })
    }

    /// Where a path in a folder leads.
    fn place(&self, folder: &Fd, path: &str) -> Text {
        Text::from(join(&self.descriptor(folder).path, path).as_str())
    }

    /// Refuses paths that no file can have.
    fn bounded(&mut self, function: &str, path: &str) -> FsResult<()> {
        if path.len() <= PATH_BYTES_MAX {
            return Ok(());
        }
        let error: FsError = fs::ErrorCode::NameTooLong.into();
        let result = Err(error);
        self.record(INTERFACE, function, Some("a path that is too long"), result.outcome());
        result
    }

    fn met<T>(&mut self, kind: Kind, result: FsResult<T>) -> FsResult<T> {
        self.host.met(kind, result.outcome());
        result
    }

    /// Refuses one more name, and records that.
    fn may_make(&mut self, path: &Text, kind: &Kind) -> FsResult<()> {
        if let Err(outcome) = self.host.bounds.may_make(path) {
            self.host.trace.met(kind.clone(), outcome);
            return Err(fs::ErrorCode::InsufficientSpace.into());
        }
        Ok(())
    }

    fn named<T>(&mut self, function: &str, target: &Text, result: FsResult<T>) -> FsResult<T> {
        self.record(INTERFACE, function, Some(&target.to_lossy()), result.outcome());
        result
    }
}

/// Calls on a descriptor that are recorded with its path.
macro_rules! descriptor_calls {
    ($($wit:literal fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty;)*) => {$(
        async fn $name(&mut self, fd: Fd, $($arg: $ty),*) -> $out {
            let target = Text::from(self.descriptor(&fd).path.as_str());
            let result = fs::HostDescriptor::$name(&mut self.filesystem(), fd, $($arg),*).await;
            self.named($wit, &target, result)
        }
    )*};
}

impl preopens::Host for Preview2 {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let result = preopens::Host::get_directories(&mut self.filesystem());
        self.record("wasi:filesystem/preopens", "get-directories", None, result.outcome());
        for (fd, path) in result.iter().flatten() {
            let key = self.host.key();
            self.descriptors
                .insert(fd.rep(), Descriptor { path: path.clone(), key, counted: false });
        }
        result
    }
}

impl fs::Host for Preview2 {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<fs::ErrorCode> {
        // The engine's own conversion of what a call returned; not a call.
        fs::Host::convert_error_code(&mut self.filesystem(), error)
    }

    relay! { "wasi:filesystem/types", fs::Host, |me| &mut me.filesystem();
        "filesystem-error-code" fn filesystem_error_code(error: Resource<Error>) -> wasmtime::Result<Option<fs::ErrorCode>>;
    }
}

impl fs::HostDirectoryEntryStream for Preview2 {
    relay_async! { "wasi:filesystem/types", fs::HostDirectoryEntryStream, |me| &mut me.filesystem();
        "[method]directory-entry-stream.read-directory-entry" fn read_directory_entry(this: Resource<fs::DirectoryEntryStream>) -> FsResult<Option<fs::DirectoryEntry>>;
    }
    relay! { "wasi:filesystem/types", fs::HostDirectoryEntryStream, |me| &mut me.filesystem();
        "[resource-drop]directory-entry-stream" fn drop(this: Resource<fs::DirectoryEntryStream>) -> wasmtime::Result<()>;
    }
}

impl fs::HostDescriptor for Preview2 {
    descriptor_calls! {
        "[method]descriptor.advise" fn advise(offset: u64, length: u64, advice: fs::Advice) -> FsResult<()>;
        "[method]descriptor.sync-data" fn sync_data() -> FsResult<()>;
        "[method]descriptor.get-flags" fn get_flags() -> FsResult<fs::DescriptorFlags>;
        "[method]descriptor.get-type" fn get_type() -> FsResult<fs::DescriptorType>;
        "[method]descriptor.read" fn read(length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)>;
        "[method]descriptor.read-directory" fn read_directory() -> FsResult<Resource<fs::DirectoryEntryStream>>;
        "[method]descriptor.sync" fn sync() -> FsResult<()>;
        "[method]descriptor.stat" fn stat() -> FsResult<fs::DescriptorStat>;
        "[method]descriptor.metadata-hash" fn metadata_hash() -> FsResult<fs::MetadataHashValue>;
    }

    relay_async! { "wasi:filesystem/types", fs::HostDescriptor, |me| &mut me.filesystem();
        "[method]descriptor.is-same-object" fn is_same_object(one: Fd, other: Fd) -> wasmtime::Result<bool>;
    }

    async fn set_size(&mut self, fd: Fd, size: u64) -> FsResult<()> {
        let kind = Kind::Truncate { path: self.descriptor(&fd).path.as_str().into(), length: size };
        if let Err(outcome) = self.host.bounds.length(size) {
            self.host.trace.met(kind, outcome);
            return Err(fs::ErrorCode::InsufficientSpace.into());
        }
        let result = fs::HostDescriptor::set_size(&mut self.filesystem(), fd, size).await;
        self.met(kind, result)
    }

    async fn set_times(
        &mut self,
        fd: Fd,
        accessed: fs::NewTimestamp,
        modified: fs::NewTimestamp,
    ) -> FsResult<()> {
        let path = Text::from(self.descriptor(&fd).path.as_str());
        let result =
            fs::HostDescriptor::set_times(&mut self.filesystem(), fd, accessed, modified).await;
        match seconds(&modified) {
            Some(seconds) => self.met(Kind::SetTimes { path, seconds }, result),
            None => self.named("[method]descriptor.set-times", &path, result),
        }
    }

    async fn set_times_at(
        &mut self,
        folder: Fd,
        flags: fs::PathFlags,
        path: String,
        accessed: fs::NewTimestamp,
        modified: fs::NewTimestamp,
    ) -> FsResult<()> {
        self.bounded("[method]descriptor.set-times-at", &path)?;
        let place = self.place(&folder, &path);
        let result = fs::HostDescriptor::set_times_at(
            &mut self.filesystem(),
            folder,
            flags,
            path,
            accessed,
            modified,
        )
        .await;
        match seconds(&modified) {
            Some(seconds) => self.met(Kind::SetTimes { path: place, seconds }, result),
            None => self.named("[method]descriptor.set-times-at", &place, result),
        }
    }

    async fn write(&mut self, fd: Fd, data: Vec<u8>, offset: u64) -> FsResult<u64> {
        let file = self.descriptor(&fd);
        let head = data.get(..HEAD_BYTES).unwrap_or(&data).to_vec();
        let length = data.len() as u64;
        if let Err(outcome) = self.host.bounds.write(length) {
            self.host.trace.wrote(file.key, &file.path, &head, length, outcome);
            return Err(fs::ErrorCode::InsufficientSpace.into());
        }
        let result = fs::HostDescriptor::write(&mut self.filesystem(), fd, data, offset).await;
        let bytes = result.as_ref().copied().unwrap_or(0);
        self.host.trace.wrote(file.key, &file.path, &head, bytes, result.outcome());
        result
    }

    async fn create_directory_at(&mut self, folder: Fd, path: String) -> FsResult<()> {
        self.bounded("[method]descriptor.create-directory-at", &path)?;
        let place = self.place(&folder, &path);
        let kind = Kind::Mkdir { path: place.clone() };
        self.may_make(&place, &kind)?;
        let result =
            fs::HostDescriptor::create_directory_at(&mut self.filesystem(), folder, path).await;
        self.met(kind, result)
    }

    async fn stat_at(
        &mut self,
        folder: Fd,
        flags: fs::PathFlags,
        path: String,
    ) -> FsResult<fs::DescriptorStat> {
        self.bounded("[method]descriptor.stat-at", &path)?;
        let place = self.place(&folder, &path);
        let result = fs::HostDescriptor::stat_at(&mut self.filesystem(), folder, flags, path).await;
        self.named("[method]descriptor.stat-at", &place, result)
    }

    async fn link_at(
        &mut self,
        folder: Fd,
        flags: fs::PathFlags,
        old: String,
        to_folder: Fd,
        new: String,
    ) -> FsResult<()> {
        self.bounded("[method]descriptor.link-at", &old)?;
        self.bounded("[method]descriptor.link-at", &new)?;
        let (from, to) = (self.place(&folder, &old), self.place(&to_folder, &new));
        let kind = Kind::Link { from, to: to.clone(), symbolic: false };
        self.may_make(&to, &kind)?;
        let result =
            fs::HostDescriptor::link_at(&mut self.filesystem(), folder, flags, old, to_folder, new)
                .await;
        self.met(kind, result)
    }

    async fn open_at(
        &mut self,
        folder: Fd,
        lookup: fs::PathFlags,
        path: String,
        how: fs::OpenFlags,
        flags: fs::DescriptorFlags,
    ) -> FsResult<Fd> {
        self.bounded("[method]descriptor.open-at", &path)?;
        let place = self.place(&folder, &path);
        let writes = flags.contains(fs::DescriptorFlags::WRITE);
        let kind = Kind::Open {
            path: place.clone(),
            access: match (writes, flags.contains(fs::DescriptorFlags::READ)) {
                (true, true) => Access::ReadWrite,
                (true, false) => Access::Write,
                (false, _) => Access::Read,
            },
            create: how.contains(fs::OpenFlags::CREATE),
            truncate: how.contains(fs::OpenFlags::TRUNCATE),
        };
        if let Err(outcome) = self.host.bounds.may_open() {
            self.host.trace.met(kind, outcome);
            return Err(fs::ErrorCode::InsufficientMemory.into());
        }
        if how.contains(fs::OpenFlags::CREATE) {
            self.may_make(&place, &kind)?;
        }
        let result =
            fs::HostDescriptor::open_at(&mut self.filesystem(), folder, lookup, path, how, flags)
                .await;
        if let Ok(fd) = &result {
            self.host.bounds.opened();
            let key = self.host.key();
            let path = place.to_lossy().into_owned();
            self.descriptors.insert(fd.rep(), Descriptor { path, key, counted: true });
        }
        self.met(kind, result)
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        let file = self.descriptors.remove(&fd.rep());
        let result = fs::HostDescriptor::drop(&mut self.filesystem(), fd);
        if file.as_ref().is_some_and(|file| file.counted) {
            self.host.bounds.closed();
        }
        let target = file.map(|file| file.path);
        self.record(INTERFACE, "[resource-drop]descriptor", target.as_deref(), result.outcome());
        result
    }

    async fn readlink_at(&mut self, folder: Fd, path: String) -> FsResult<String> {
        self.bounded("[method]descriptor.readlink-at", &path)?;
        let place = self.place(&folder, &path);
        let result = fs::HostDescriptor::readlink_at(&mut self.filesystem(), folder, path).await;
        self.named("[method]descriptor.readlink-at", &place, result)
    }

    async fn remove_directory_at(&mut self, folder: Fd, path: String) -> FsResult<()> {
        self.bounded("[method]descriptor.remove-directory-at", &path)?;
        let place = self.place(&folder, &path);
        let result =
            fs::HostDescriptor::remove_directory_at(&mut self.filesystem(), folder, path).await;
        self.met(Kind::Unlink { path: place, directory: true }, result)
    }

    async fn rename_at(
        &mut self,
        folder: Fd,
        old: String,
        to_folder: Fd,
        new: String,
    ) -> FsResult<()> {
        self.bounded("[method]descriptor.rename-at", &old)?;
        self.bounded("[method]descriptor.rename-at", &new)?;
        let (from, to) = (self.place(&folder, &old), self.place(&to_folder, &new));
        let result =
            fs::HostDescriptor::rename_at(&mut self.filesystem(), folder, old, to_folder, new)
                .await;
        self.met(Kind::Rename { from, to }, result)
    }

    async fn symlink_at(&mut self, folder: Fd, points_to: String, path: String) -> FsResult<()> {
        self.bounded("[method]descriptor.symlink-at", &points_to)?;
        self.bounded("[method]descriptor.symlink-at", &path)?;
        let (from, to) = (Text::from(points_to.as_str()), self.place(&folder, &path));
        let kind = Kind::Link { from, to: to.clone(), symbolic: true };
        self.may_make(&to, &kind)?;
        let result =
            fs::HostDescriptor::symlink_at(&mut self.filesystem(), folder, points_to, path).await;
        self.met(kind, result)
    }

    async fn unlink_file_at(&mut self, folder: Fd, path: String) -> FsResult<()> {
        self.bounded("[method]descriptor.unlink-file-at", &path)?;
        let place = self.place(&folder, &path);
        let result = fs::HostDescriptor::unlink_file_at(&mut self.filesystem(), folder, path).await;
        self.met(Kind::Unlink { path: place, directory: false }, result)
    }

    async fn metadata_hash_at(
        &mut self,
        folder: Fd,
        flags: fs::PathFlags,
        path: String,
    ) -> FsResult<fs::MetadataHashValue> {
        self.bounded("[method]descriptor.metadata-hash-at", &path)?;
        let place = self.place(&folder, &path);
        let result =
            fs::HostDescriptor::metadata_hash_at(&mut self.filesystem(), folder, flags, path).await;
        self.named("[method]descriptor.metadata-hash-at", &place, result)
    }

    fn read_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynInputStream>> {
        let file = self.descriptor(&fd);
        let result = fs::HostDescriptor::read_via_stream(&mut self.filesystem(), fd, offset);
        let target = Text::from(file.path.as_str());
        if let Ok(stream) = &result {
            self.streams.insert(stream.rep(), Stream::File(file));
        }
        self.named("[method]descriptor.read-via-stream", &target, result)
    }

    fn write_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynOutputStream>> {
        let file = self.descriptor(&fd);
        let result = fs::HostDescriptor::write_via_stream(&mut self.filesystem(), fd, offset);
        self.writer("[method]descriptor.write-via-stream", file, result)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let file = self.descriptor(&fd);
        let result = fs::HostDescriptor::append_via_stream(&mut self.filesystem(), fd);
        self.writer("[method]descriptor.append-via-stream", file, result)
    }
}

impl Preview2 {
    fn writer(
        &mut self,
        function: &str,
        file: Descriptor,
        result: FsResult<Resource<DynOutputStream>>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let target = Text::from(file.path.as_str());
        match result.outcome() {
            // An attempt to write where only reading was granted.
            outcome @ Outcome::Blocked(_) => {
                self.host.trace.wrote(file.key, &file.path, &[], 0, outcome)
            }
            outcome => self.record(INTERFACE, function, Some(&target.to_lossy()), outcome),
        }
        if let Ok(stream) = &result {
            self.streams.insert(stream.rep(), Stream::File(file));
        }
        result
    }
}

/// The time that is set, where it is a given one.
fn seconds(time: &fs::NewTimestamp) -> Option<i64> {
    match time {
        fs::NewTimestamp::Timestamp(time) => Some(i64::try_from(time.seconds).unwrap_or(i64::MAX)),
        fs::NewTimestamp::NoChange | fs::NewTimestamp::Now => None,
    }
}
