//! What a program needs before it starts: its loader and its libraries, as its ELF file says
//! (elf(5), System V gABI). Reads 64-bit little-endian files only; everything else needs nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
/// Bounds for files nobody vouches for.
const SEGMENTS_MAX: u16 = 256;
const DYNAMIC_MAX_BYTES: u64 = 64 << 10;
const STRING_MAX_BYTES: usize = 4096;

/// Where a loader looks when nothing else is said (ld.so(8)), and Debian's folders.
pub(crate) const FOLDERS: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// What stands in one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The loader's path.
    pub interpreter: Option<String>,
    /// Names or paths of libraries.
    pub libraries: Vec<String>,
    /// Where to look for them first; `$ORIGIN` is the file's own folder.
    pub folders: Vec<String>,
    /// Where the last byte that is ever loaded ends: debug information comes behind it.
    pub loaded_bytes: u64,
}

/// Reads a file's needs; `None` when it is no ELF file of this kind.
pub(crate) fn needs(path: &Path) -> io::Result<Option<Needs>> {
    let file = File::open(path)?;
    let mut header = [0; HEADER_BYTES];
    if read_up_to(&file, &mut header, 0)? < HEADER_BYTES
        || !header.starts_with(&[0x7f, b'E', b'L', b'F', 2, 1])
    {
        return Ok(None);
    }
    let table = u64_at(&header, 32);
    let count = u16_at(&header, 56).min(SEGMENTS_MAX);
    let mut needs = Needs { loaded_bytes: HEADER_BYTES as u64, ..Needs::default() };
    let mut loads = Vec::new();
    let mut dynamic = None;
    for index in 0..u64::from(count) {
        let mut segment = [0; SEGMENT_BYTES];
        let at = table.saturating_add(index * SEGMENT_BYTES as u64);
        if read_up_to(&file, &mut segment, at)? < SEGMENT_BYTES {
            break;
        }
        let (offset, address, length) =
            (u64_at(&segment, 8), u64_at(&segment, 16), u64_at(&segment, 32));
        needs.loaded_bytes = needs.loaded_bytes.max(offset.saturating_add(length));
        match u32_at(&segment, 0) {
            PT_LOAD => loads.push((address, offset, length)),
            PT_INTERP => needs.interpreter = Some(string(&file, offset)?),
            PT_DYNAMIC => dynamic = Some((offset, length.min(DYNAMIC_MAX_BYTES))),
            _ => {}
        }
    }
    if let Some((offset, length)) = dynamic {
        read_dynamic(&file, offset, length, &loads, &mut needs)?;
    }
    Ok(Some(needs))
}

fn read_dynamic(
    file: &File,
    offset: u64,
    length: u64,
    loads: &[(u64, u64, u64)],
    needs: &mut Needs,
) -> io::Result<()> {
    let mut entries = vec![0; usize::try_from(length).unwrap_or(0)];
    let read = read_up_to(file, &mut entries, offset)?;
    let pairs: Vec<(u64, u64)> = entries
        .get(..read)
        .unwrap_or_default()
        .chunks_exact(16)
        .map(|entry| (u64_at(entry, 0), u64_at(entry, 8)))
        .take_while(|(tag, _)| *tag != 0)
        .collect();
    let table = pairs.iter().find(|(tag, _)| *tag == DT_STRTAB).and_then(|&(_, address)| {
        let inside = |&&(start, _, length): &&(u64, u64, u64)| {
            address.checked_sub(start).is_some_and(|distance| distance < length)
        };
        loads.iter().find(inside).map(|&(start, offset, _)| address - start + offset)
    });
    let Some(table) = table else { return Ok(()) };
    for (tag, value) in pairs {
        if !matches!(tag, DT_NEEDED | DT_RPATH | DT_RUNPATH) {
            continue;
        }
        let text = string(file, table.saturating_add(value))?;
        if tag == DT_NEEDED {
            needs.libraries.push(text);
        } else {
            needs
                .folders
                .extend(text.split(':').filter(|part| !part.is_empty()).map(str::to_owned));
        }
    }
    Ok(())
}

/// The text up to the next NUL byte.
fn string(file: &File, at: u64) -> io::Result<String> {
    let mut bytes = vec![0; STRING_MAX_BYTES];
    let read = read_up_to(file, &mut bytes, at)?;
    bytes.truncate(read);
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn read_up_to(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let field = bytes.get(at..at + length).unwrap_or_default();
    field.iter().rev().fold(0, |value, &byte| (value << 8) | u64::from(byte))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::try_from(number(bytes, at, 2)).unwrap_or(0)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::try_from(number(bytes, at, 4)).unwrap_or(0)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    number(bytes, at, 8)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::needs;

    #[test]
    fn this_test_needs_a_loader_and_a_c_library_and_ends_before_its_debug_information() {
        let own = std::path::Path::new("/proc/self/exe").canonicalize().unwrap();
        let found = needs(&own).unwrap().unwrap();
        assert!(found.interpreter.unwrap().contains("ld-linux"));
        assert!(found.libraries.iter().any(|name| name.starts_with("libc.so")));
        assert!(found.loaded_bytes < std::fs::metadata(&own).unwrap().len());
    }

    #[test]
    fn other_files_need_nothing() {
        assert_eq!(needs(Path::new("/etc/passwd")).unwrap(), None);
    }

    #[test]
    fn a_file_whose_fields_lie_is_no_danger() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mut bytes = vec![0xff; 200];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        std::fs::write(&path, &bytes).unwrap();
        assert!(needs(&path).unwrap().is_some());
    }
}
