//! The files a root or its layers are unpacked from: opened, checked against their digest, and
//! decompressed while they are read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use types::text::hex;

use super::{LAYERS_MAX, Refusal, Unpacker, oci};
use crate::spec::Root;

/// One archive, open.
#[derive(Debug)]
pub(crate) struct Blob {
    pub file: File,
    /// What it is called in a sentence.
    pub name: String,
    /// What its bytes must hash to, in hex, and how many there are.
    pub sha256: Option<String>,
    pub size: Option<u64>,
}

/// Opens what a root is unpacked from; nothing for roots that are not.
pub(crate) fn sources(root: &Root) -> Result<Vec<Blob>, Refusal> {
    match root {
        Root::Host | Root::Folder(_) => Ok(Vec::new()),
        Root::Tar(path) => layers(std::slice::from_ref(path)),
        Root::Oci(folder, name) => oci::Layout::open(folder)?.layers(name.as_deref()),
        Root::Image(name) => Err(Refusal::new(format!(
            "the process runner knows no Docker images ({name}): use the runner docker, or give an \
             OCI layout (skopeo copy docker-daemon:{name} oci:FOLDER)"
        ))),
    }
}

/// Opens tar files that somebody named.
pub(crate) fn layers(paths: &[PathBuf]) -> Result<Vec<Blob>, Refusal> {
    if paths.len() > LAYERS_MAX {
        return Err(Refusal::new(format!("more than {LAYERS_MAX} layers")));
    }
    paths.iter().map(|path| tar_file(path)).collect()
}

fn tar_file(path: &Path) -> Result<Blob, Refusal> {
    let open = || {
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)?;
        if file.metadata()?.is_file() {
            return Ok(file);
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    };
    let file = open().map_err(Refusal::io(format!("open {}", path.display())))?;
    Ok(Blob { file, name: path.display().to_string(), sha256: None, size: None })
}

impl Blob {
    /// The archive as it is read, for a look: nothing is compared with the digest.
    pub(crate) fn stream(self) -> Result<Box<dyn Read>, Refusal> {
        let Blob { file, name, .. } = self;
        let mut raw = BufReader::with_capacity(64 << 10, file);
        let start = raw.fill_buf().map_err(Refusal::io(format!("read {name}")))?;
        match packing(start) {
            Packing::Gzip => {
                Ok(Box::new(BufReader::with_capacity(64 << 10, MultiGzDecoder::new(raw))))
            }
            Packing::Plain => Ok(Box::new(raw)),
            Packing::Other(what) => {
                Err(Refusal::new(format!("{name} is packed with {what}, which is not read")))
            }
        }
    }

    /// Unpacks the whole archive, then compares its bytes with the digest.
    pub(crate) fn unpack(self, unpacker: &mut Unpacker<'_>) -> Result<(), Refusal> {
        let Blob { file, name, sha256, size } = self;
        let named = |refusal: Refusal| Refusal::new(format!("{name}: {refusal}"));
        let read = |error| named(Refusal::io("read it")(error));
        let mut raw = BufReader::with_capacity(
            64 << 10,
            Hashing { input: file, hasher: sha256.as_ref().map(|_| Sha256::new()), count: 0 },
        );
        match packing(raw.fill_buf().map_err(read)?) {
            Packing::Gzip => {
                let gzip = MultiGzDecoder::new(&mut raw);
                unpacker.layer(&mut BufReader::with_capacity(64 << 10, gzip)).map_err(named)?;
            }
            Packing::Plain => unpacker.layer(&mut raw).map_err(named)?,
            Packing::Other(what) => {
                return Err(named(Refusal::new(format!(
                    "it is packed with {what}, and only plain and gzip tar files are read: unpack it first"
                ))));
            }
        }
        let Some(expected) = sha256 else { return Ok(()) };
        // What follows the archive counts for the digest, but no further than it may be long.
        let size = size.unwrap_or(u64::MAX);
        io::copy(&mut raw.by_ref().take(size.saturating_add(1)), &mut io::sink()).map_err(read)?;
        let Hashing { hasher, count, .. } = raw.into_inner();
        let found = hasher.map(|hasher| hex(&hasher.finalize())).unwrap_or_default();
        if found != expected || count != size {
            return Err(named(Refusal::new(format!(
                "its content is not what the manifest names ({count} bytes, sha256:{found})"
            ))));
        }
        Ok(())
    }
}

enum Packing {
    Plain,
    Gzip,
    Other(&'static str),
}

/// By the first bytes; a media type is somebody's word.
fn packing(start: &[u8]) -> Packing {
    match start {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Other("zstd"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Packing::Other("xz"),
        [b'B', b'Z', b'h', ..] => Packing::Other("bzip2"),
        [b'P', b'K', 3, 4, ..] => Packing::Other("zip"),
        _ => Packing::Plain,
    }
}

struct Hashing {
    input: File,
    hasher: Option<Sha256>,
    count: u64,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.count += count as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..count).unwrap_or(&[]));
        }
        Ok(count)
    }
}
