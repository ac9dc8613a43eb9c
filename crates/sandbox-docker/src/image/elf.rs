//! Which files a program needs to start, read from the program itself as `ld.so` would (ld.so(8)),
//! without running anything of it.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Program headers of one file, at most.
const HEADERS_MAX: usize = 256;
/// Bytes of one table read from a file, at most.
const TABLE_MAX: usize = 1 << 20;
const NAME_MAX: usize = 4096;
/// Files of one program, at most.
const FILES_MAX: usize = 512;

/// Where glibc and musl look when nobody says otherwise; Debian's, Fedora's and Alpine's.
const FOLDERS: [&str; 8] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/lib/x86_64-linux-gnu",
];

/// What a file says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub interpreter: Option<PathBuf>,
    pub libraries: Vec<OsString>,
    /// RPATH or RUNPATH, unexpanded.
    pub search: Vec<OsString>,
}

/// Everything the program at `path` needs: where it is found on the host, by where it has to be.
/// Libraries that are not there are left out; the program will say so itself.
///
/// # Errors
/// When the program cannot be read or is no 64-bit ELF file.
pub(super) fn closure(path: &Path) -> io::Result<BTreeMap<PathBuf, PathBuf>> {
    let mut files = BTreeMap::from([(path.to_owned(), path.to_owned())]);
    let needs = read(&File::open(path)?)?;
    if let Some(loader) = &needs.interpreter {
        files.insert(loader.clone(), loader.clone());
    }
    let folders = folders();
    let mut open = VecDeque::from([(path.to_owned(), needs)]);
    while let Some((of, needs)) = open.pop_front() {
        let own = needs.search.iter().map(|folder| expand(folder, &of));
        let places: Vec<PathBuf> = own.chain(folders.iter().cloned()).collect();
        for name in &needs.libraries {
            let Some(found) = find(name, &places) else { continue };
            if files.len() >= FILES_MAX || files.contains_key(&found) {
                continue;
            }
            files.insert(found.clone(), found.clone());
            if let Ok(needs) = File::open(&found).and_then(|file| read(&file)) {
                open.push_back((found, needs));
            }
        }
    }
    let cache = PathBuf::from("/etc/ld.so.cache");
    if files.len() > 1 && cache.is_file() {
        files.insert(cache.clone(), cache);
    }
    Ok(files)
}

fn find(name: &OsStr, places: &[PathBuf]) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_absolute() && path.is_file());
    }
    places.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn expand(folder: &OsStr, of: &Path) -> PathBuf {
    let origin = of.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let text = folder.to_string_lossy();
    PathBuf::from(text.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
}

/// The default folders and those that this host's ldconfig knows.
fn folders() -> Vec<PathBuf> {
    let mut list: Vec<PathBuf> = FOLDERS.iter().map(PathBuf::from).collect();
    for entry in fs::read_dir("/etc/ld.so.conf.d").into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let named = text.lines().map(str::trim).filter(|line| line.starts_with('/'));
        list.extend(named.map(PathBuf::from));
    }
    list
}

/// Reads the headers of a 64-bit little-endian ELF file (elf(5)).
pub(super) fn read(file: &File) -> io::Result<Needs> {
    let head = bytes(file, 0, 64)?;
    if head.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(broken("it is no 64-bit ELF file"));
    }
    let (at, size) = (long(&head, 32)?, usize::from(half(&head, 54)?));
    let count = usize::from(half(&head, 56)?);
    if size < 56 || count > HEADERS_MAX {
        return Err(broken("its program headers are malformed"));
    }
    let table = bytes(file, at, size * count)?;
    let headers: Vec<Header> =
        table.chunks_exact(size).map(Header::parse).collect::<Result<_, _>>()?;
    let of = |kind| headers.iter().find(move |header| header.kind == kind);
    let mut needs = Needs::default();
    if let Some(header) = of(3) {
        let name =
            bytes(file, header.offset, usize::try_from(header.len).unwrap_or(0).min(NAME_MAX))?;
        needs.interpreter = Some(PathBuf::from(until_nul(&name)));
    }
    let Some(dynamic) = of(2) else { return Ok(needs) };
    let entries = bytes(file, dynamic.offset, usize::try_from(dynamic.len).unwrap_or(usize::MAX))?;
    let pairs: Vec<(u64, u64)> = entries
        .chunks_exact(16)
        .map(|entry| Ok((long(entry, 0)?, long(entry, 8)?)))
        .take_while(|entry: &io::Result<(u64, u64)>| !matches!(entry, Ok((0, _))))
        .collect::<Result<_, _>>()?;
    let Some(&(_, address)) = pairs.iter().find(|(tag, _)| *tag == 5) else { return Ok(needs) };
    let loaded = headers.iter().filter(|header| header.kind == 1);
    let strings = loaded
        .filter(|load| address >= load.address && address - load.address < load.len)
        .map(|load| address - load.address + load.offset)
        .next()
        .ok_or_else(|| broken("its names are outside the file"))?;
    for (tag, value) in pairs {
        let name = || {
            let at =
                strings.checked_add(value).ok_or_else(|| broken("a name is outside the file"))?;
            string(file, at)
        };
        match tag {
            1 => needs.libraries.push(name()?),
            15 | 29 => {
                let list = name()?;
                let parts = list.as_bytes().split(|&byte| byte == b':').filter(|p| !p.is_empty());
                needs.search.extend(parts.map(|part| OsStr::from_bytes(part).to_owned()));
            }
            _ => {}
        }
    }
    Ok(needs)
}

struct Header {
    kind: u32,
    offset: u64,
    address: u64,
    len: u64,
}

impl Header {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let kind = bytes.get(..4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes);
        Ok(Self {
            kind: kind.ok_or_else(|| broken("a program header is cut off"))?,
            offset: long(bytes, 8)?,
            address: long(bytes, 16)?,
            len: long(bytes, 32)?,
        })
    }
}

fn bytes(file: &File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    if len > TABLE_MAX {
        return Err(broken("a table is too large"));
    }
    let mut buffer = vec![0; len];
    file.read_exact_at(&mut buffer, at)?;
    Ok(buffer)
}

fn string(file: &File, at: u64) -> io::Result<OsString> {
    let mut buffer = vec![0; NAME_MAX];
    let count = file.read_at(&mut buffer, at)?;
    buffer.truncate(count);
    Ok(until_nul(&buffer))
}

fn until_nul(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.split(|&byte| byte == 0).next().unwrap_or_default().to_vec())
}

fn half(bytes: &[u8], at: usize) -> io::Result<u16> {
    let two = bytes.get(at..at + 2).and_then(|two| two.try_into().ok());
    two.map(u16::from_le_bytes).ok_or_else(|| broken("a header is cut off"))
}

fn long(bytes: &[u8], at: usize) -> io::Result<u64> {
    let eight = bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok());
    eight.map(u64::from_le_bytes).ok_or_else(|| broken("a header is cut off"))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::path::Path;

    use super::{closure, read};

    #[test]
    fn a_dynamic_program_needs_its_loader_and_libraries() {
        let files = closure(Path::new("/bin/bash")).unwrap();
        let has = |part: &str| files.keys().any(|path| path.to_string_lossy().contains(part));
        assert!(has("libc.so.6") && has("ld-linux") && has("/bin/bash"), "{files:?}");
    }

    #[test]
    fn a_static_program_needs_nothing() {
        let Ok(file) = File::open("/bin/busybox") else { return };
        if read(&file).unwrap() == super::Needs::default() {
            assert_eq!(closure(Path::new("/bin/busybox")).unwrap().len(), 1);
        }
    }

    #[test]
    fn damaged_files_are_errors() {
        let whole = std::fs::read("/bin/true").unwrap();
        for len in [0, 3, 63, 64, 100, 400] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&whole[..len]).unwrap();
            assert!(read(&file).is_err(), "{len}");
        }
        for at in (0..1024).step_by(3) {
            let mut bytes = whole.clone();
            bytes[at] = 0xff;
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let _ = read(&file);
        }
    }
}
