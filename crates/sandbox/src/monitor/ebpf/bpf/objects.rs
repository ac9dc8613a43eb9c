//! What is in the kernel already: pins, numbers and tags of objects, attachments, whole contents of
//! maps.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd};

use super::{OBJ_GET_INFO_BY_FD, address, bpf, length, number, owned};

const MAP_DELETE_ELEM: libc::c_int = 3;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_GET_NEXT_KEY: libc::c_int = 4;
const OBJ_PIN: libc::c_int = 6;
const OBJ_GET: libc::c_int = 7;
const MAP_UPDATE_BATCH: libc::c_int = 26;
const LINK_GET_FD_BY_ID: libc::c_int = 30;
const LINK_GET_NEXT_ID: libc::c_int = 31;

const TAG_LEN: usize = 8;
/// Maps that one program may use; the object has fewer.
const PROGRAM_MAPS_MAX: usize = 64;

#[repr(C)]
struct Pin {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Gives a program or map a name on the BPF filesystem.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    let attr = Pin { path: address(path.as_ptr()), fd: number(object), flags: 0 };
    // SAFETY: the path is a NUL-terminated string that outlives the call.
    unsafe { bpf(OBJ_PIN, &attr) }.map(drop)
}

/// The program or map of this name.
pub(crate) fn pinned(path: &CStr) -> io::Result<OwnedFd> {
    let attr = Pin { path: address(path.as_ptr()), fd: 0, flags: 0 };
    // SAFETY: the path is a NUL-terminated string that outlives the call.
    owned(unsafe { bpf(OBJ_GET, &attr) })
}

#[repr(C)]
struct InfoAttr {
    fd: u32,
    len: u32,
    info: u64,
}

/// What the kernel says of a loaded program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramInfo {
    pub id: u32,
    /// A hash of its instructions, without the numbers of its maps.
    pub tag: [u8; TAG_LEN],
    /// The numbers of its maps, ascending.
    pub maps: BTreeSet<u32>,
}

/// Identifies a program.
pub(crate) fn program_info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    /// The start of `struct bpf_prog_info`.
    #[repr(C)]
    struct Info {
        kind: u32,
        id: u32,
        tag: [u8; TAG_LEN],
        jited_len: u32,
        translated_len: u32,
        jited: u64,
        translated: u64,
        load_time: u64,
        created_by_uid: u32,
        maps_len: u32,
        maps: u64,
    }
    let mut maps = [0_u32; PROGRAM_MAPS_MAX];
    let mut info = Info {
        kind: 0,
        id: 0,
        tag: [0; TAG_LEN],
        jited_len: 0,
        translated_len: 0,
        jited: 0,
        translated: 0,
        load_time: 0,
        created_by_uid: 0,
        maps_len: length(maps.len())?,
        maps: address(&raw mut maps),
    };
    let attr = InfoAttr {
        fd: number(program),
        len: length(size_of::<Info>())?,
        info: address(&raw mut info),
    };
    // SAFETY: `info` is writable for `len` bytes; of the buffers it names only that of the maps has
    // a length, which is the array's.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &attr) }?;
    let used = usize::try_from(info.maps_len).unwrap_or(usize::MAX).min(maps.len());
    let maps = maps.iter().take(used).copied().collect();
    Ok(ProgramInfo { id: info.id, tag: info.tag, maps })
}

/// What the kernel says of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MapInfo {
    pub kind: u32,
    pub id: u32,
    pub key_len: u32,
    pub value_len: u32,
    pub entries: u32,
}

/// Identifies a map and tells its shape.
pub(crate) fn map_info(map: BorrowedFd<'_>) -> io::Result<MapInfo> {
    #[repr(C)]
    struct Info {
        numbers: [u32; 6],
    }
    let mut info = Info { numbers: [0; 6] };
    let attr =
        InfoAttr { fd: number(map), len: length(size_of::<Info>())?, info: address(&raw mut info) };
    // SAFETY: `info` is writable for `len` bytes, and the kernel's structure names no buffer there.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &attr) }?;
    let [kind, id, key_len, value_len, entries, _] = info.numbers;
    Ok(MapInfo { kind, id, key_len, value_len, entries })
}

/// The numbers of all programs that are attached by a link, whoever did it.
pub(crate) fn attached_programs(links_max: usize) -> io::Result<BTreeSet<u32>> {
    #[repr(C)]
    struct Next {
        start: u32,
        next: u32,
        flags: u32,
    }
    /// The start of `struct bpf_link_info`.
    #[repr(C)]
    struct Info {
        kind: u32,
        id: u32,
        program: u32,
        pad: u32,
    }
    let mut programs = BTreeSet::new();
    let mut next = Next { start: 0, next: 0, flags: 0 };
    for _ in 0..links_max {
        // The kernel answers in the structure.
        let attr = &raw mut next;
        // SAFETY: the pointer and length are those of a live structure that is borrowed mutably.
        let ret = unsafe {
            libc::syscall(libc::SYS_bpf, LINK_GET_NEXT_ID, attr.cast::<u8>(), size_of::<Next>())
        };
        if ret < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::ENOENT) {
                Ok(programs)
            } else {
                Err(error)
            };
        }
        next.start = next.next;
        // SAFETY: LINK_GET_FD_BY_ID reads a number only.
        let Ok(fd) = (unsafe { bpf(LINK_GET_FD_BY_ID, &[next.next, 0, 0]) }) else { continue };
        // SAFETY: the kernel has just created this descriptor for this call.
        let link = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut info = Info { kind: 0, id: 0, program: 0, pad: 0 };
        let attr = InfoAttr {
            fd: number(std::os::fd::AsFd::as_fd(&link)),
            len: length(size_of::<Info>())?,
            info: address(&raw mut info),
        };
        // SAFETY: `info` is writable for `len` bytes; the part of the structure that can name
        // buffers lies behind them.
        unsafe { bpf(OBJ_GET_INFO_BY_FD, &attr) }?;
        programs.insert(info.program);
    }
    Err(io::Error::from_raw_os_error(libc::E2BIG))
}

#[repr(C)]
struct Element {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Sets the first `entries` elements of an array to zero bytes; `value_len` is what a value takes
/// here, for all CPUs.
pub(crate) fn clear_array(map: BorrowedFd<'_>, entries: u32, value_len: usize) -> io::Result<()> {
    #[repr(C)]
    struct Batch {
        in_batch: u64,
        out_batch: u64,
        keys: u64,
        values: u64,
        count: u32,
        map: u32,
        element_flags: u64,
        flags: u64,
    }
    let count = usize::try_from(entries).unwrap_or(usize::MAX);
    if count == 0 {
        return Ok(());
    }
    let values = vec![0_u8; value_len.saturating_mul(count)];
    let keys: Vec<u32> = (0..entries).collect();
    if count == 1 {
        let attr = Element {
            map: number(map),
            pad: 0,
            key: address(keys.as_slice()),
            value: address(values.as_slice()),
            flags: 0,
        };
        // SAFETY: key and value are borrowed for the call and as long as the map's.
        return unsafe { bpf(MAP_UPDATE_ELEM, &attr) }.map(drop);
    }
    let attr = Batch {
        in_batch: 0,
        out_batch: 0,
        keys: address(keys.as_slice()),
        values: address(values.as_slice()),
        count: entries,
        map: number(map),
        element_flags: 0,
        flags: 0,
    };
    // SAFETY: there are `count` keys of four bytes and `count` values of the map's length; the
    // kernel writes only to `count`, which nobody reads afterwards.
    unsafe { bpf(MAP_UPDATE_BATCH, &attr) }.map(drop)
}

/// Removes every key of a hash map, of which there are `entries_max` at most.
pub(crate) fn clear_hash(map: BorrowedFd<'_>, key_len: usize, entries_max: u32) -> io::Result<()> {
    let mut key = vec![0_u8; key_len];
    for _ in 0..=entries_max {
        // Without a key to start from the kernel gives the first.
        let attr = Element {
            map: number(map),
            pad: 0,
            key: 0,
            value: address(key.as_mut_ptr()),
            flags: 0,
        };
        // SAFETY: MAP_GET_NEXT_KEY writes a key to the place of the value; it has a key's length.
        if let Err(error) = unsafe { bpf(MAP_GET_NEXT_KEY, &attr) } {
            return if error.raw_os_error() == Some(libc::ENOENT) { Ok(()) } else { Err(error) };
        }
        let attr =
            Element { map: number(map), pad: 0, key: address(key.as_slice()), value: 0, flags: 0 };
        // SAFETY: MAP_DELETE_ELEM reads a key, which has a key's length.
        unsafe { bpf(MAP_DELETE_ELEM, &attr) }?;
    }
    Err(io::Error::from_raw_os_error(libc::E2BIG))
}
