//! What `/proc` says about one task: a handle that notices when the task is gone, and parsers for
//! the few files that are read. Sample-controlled names in them are bytes, never trusted.
#![expect(
    unsafe_code,
    reason = "reads links and files below a descriptor, and asks about mappings"
)]

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The kernel writes no longer line into the files read here.
const FILE_LEN_MAX: usize = 4096;
/// Links below `/proc` are paths of at most `PATH_MAX`.
const LINK_LEN_MAX: usize = 4096;

/// `/proc/TID` of one task. The descriptor belongs to the task, not to its number: when the task is
/// gone, every look through it fails, even when the number is used again.
#[derive(Debug)]
pub(super) struct ProcDir(OwnedFd);

/// The fields of `status` that are used.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) tgid: u32,
    pub(super) parent: u32,
    /// Real user id, in the supervisor's user namespace.
    pub(super) uid: u32,
    /// The thread's id in each pid namespace, from the supervisor's to the task's own.
    pub(super) ns_tids: Vec<u32>,
    pub(super) ns_tgids: Vec<u32>,
}

/// The fields of `stat` that are used.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) comm: Vec<u8>,
    /// Clock ticks since boot.
    pub(super) start_ticks: u64,
    /// Where the program image, its stack and its arguments lie: different after each exec, as the
    /// kernel places them at random.
    pub(super) image: [u64; 3],
}

/// The mapping an address lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    /// The file, or the kernel's name in brackets; empty for plain anonymous memory.
    pub(super) name: Vec<u8>,
}

impl Mapping {
    /// No file is behind it, and it is not the kernel's own code (`[vdso]`, `[vsyscall]`). Shared
    /// anonymous memory is listed as a nameless `/dev/zero`, System V memory as `/SYSV…`.
    pub(super) fn anonymous(&self) -> bool {
        let named = |prefix: &[u8]| self.name.starts_with(prefix);
        (!named(b"/") && !named(b"[v")) || named(b"/dev/zero (deleted)") || named(b"/SYSV")
    }

    /// The file behind it lives in memory.
    pub(super) fn memfd(&self) -> bool {
        self.name.starts_with(b"/memfd:")
    }
}

impl ProcDir {
    pub(super) fn open(tid: u32) -> io::Result<ProcDir> {
        let mut path = *b"/proc/\0\0\0\0\0\0\0\0\0\0\0";
        let digits = tid.to_string();
        path[6..6 + digits.len()].copy_from_slice(digits.as_bytes());
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: `path` holds at most ten digits and ends with a NUL.
        let fd = unsafe { libc::open(path.as_ptr().cast(), flags) };
        owned(fd).map(ProcDir)
    }

    pub(super) fn alive(&self) -> bool {
        // SAFETY: a constant, NUL-terminated name below an open descriptor.
        unsafe { libc::faccessat(self.0.as_raw_fd(), c"stat".as_ptr(), libc::F_OK, 0) == 0 }
    }

    pub(super) fn open_at(&self, name: &CStr, flags: i32) -> io::Result<OwnedFd> {
        // SAFETY: `name` is NUL-terminated.
        let fd =
            unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags | libc::O_CLOEXEC) };
        owned(fd)
    }

    /// The whole of a small file.
    fn file(&self, name: &CStr) -> io::Result<Vec<u8>> {
        let file = File::from(self.open_at(name, libc::O_RDONLY)?);
        let mut text = Vec::with_capacity(FILE_LEN_MAX);
        file.take(FILE_LEN_MAX as u64).read_to_end(&mut text)?;
        Ok(text)
    }

    pub(super) fn status(&self) -> io::Result<Status> {
        Ok(parse_status(&self.file(c"status")?))
    }

    pub(super) fn stat(&self) -> io::Result<Stat> {
        parse_stat(&self.file(c"stat")?).ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
    }

    pub(super) fn link(&self, name: &CStr) -> io::Result<Vec<u8>> {
        read_link(self.0.as_raw_fd(), name)
    }

    /// Where a descriptor of the task points: a path, or `socket:[…]`, `pipe:[…]`.
    pub(super) fn fd_link(&self, fd: i32) -> io::Result<Vec<u8>> {
        self.link(&numbered("fd/", fd))
    }

    /// The process a pidfd of the task stands for, in the innermost namespace.
    pub(super) fn pidfd_target(&self, fd: i32) -> Option<i64> {
        let text = self.file(&numbered("fdinfo/", fd)).ok()?;
        let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"))?;
        let last = line.split(u8::is_ascii_whitespace).rfind(|word| !word.is_empty())?;
        std::str::from_utf8(last).ok()?.parse().ok()
    }

    /// Whether the file behind a descriptor has no name any more.
    pub(super) fn nameless(&self, name: &CStr) -> bool {
        // SAFETY: an all-zero stat is a valid one; the kernel fills it.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: `name` is NUL-terminated and `stat` has room.
        let result = unsafe { libc::fstatat(self.0.as_raw_fd(), name.as_ptr(), &raw mut stat, 0) };
        result == 0 && stat.st_nlink == 0
    }

    /// The mapping that `address` lies in.
    pub(super) fn mapping(&self, address: u64) -> Option<Mapping> {
        let maps = File::from(self.open_at(c"maps", libc::O_RDONLY).ok()?);
        query(&maps, address).unwrap_or_else(|| find(maps, address))
    }

    /// The far end of a socket of the task's network namespace, by inode, from the kernel's
    /// tables; for sockets whose connect was not seen.
    pub(super) fn peer(&self, inode: u64) -> Option<std::net::SocketAddr> {
        [c"net/tcp", c"net/tcp6", c"net/udp", c"net/udp6"].into_iter().find_map(|table| {
            let file = File::from(self.open_at(table, libc::O_RDONLY).ok()?);
            let mut text = String::new();
            file.take(TABLE_LEN_MAX).read_to_string(&mut text).ok()?;
            text.lines().skip(1).find_map(|line| parse_peer(line, inode))
        })
    }
}

/// A sandbox's own network namespace has few sockets; a table beyond this is not searched further.
const TABLE_LEN_MAX: u64 = 1 << 20;

/// `fd/N` and the like, with its NUL.
pub(super) fn numbered(prefix: &str, number: i32) -> std::ffi::CString {
    std::ffi::CString::new(format!("{prefix}{number}")).unwrap_or_default()
}

pub(super) fn read_link(dir: i32, name: &CStr) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0_u8; LINK_LEN_MAX];
    // SAFETY: `name` is NUL-terminated; the buffer is as long as said.
    let len =
        unsafe { libc::readlinkat(dir, name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    buffer.truncate(usize::try_from(len).map_err(|_| io::Error::last_os_error())?);
    Ok(buffer)
}

pub(super) fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller just got this descriptor from the kernel and gives it up.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn parse_status(text: &[u8]) -> Status {
    let mut status = Status::default();
    for line in text.split(|&b| b == b'\n') {
        let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
        let (key, values) = line.split_at(colon);
        let numbers = || {
            std::str::from_utf8(&values[1..])
                .unwrap_or("")
                .split_ascii_whitespace()
                .filter_map(|word| word.parse().ok())
        };
        match key {
            b"Tgid" => status.tgid = numbers().next().unwrap_or(0),
            b"PPid" => status.parent = numbers().next().unwrap_or(0),
            b"Uid" => status.uid = numbers().next().unwrap_or(0),
            b"NStgid" => status.ns_tgids = numbers().collect(),
            b"NSpid" => status.ns_tids = numbers().collect(),
            _ => {}
        }
    }
    status
}

/// `man 5 proc_pid_stat`; the name may contain anything, also parentheses and newlines.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|&b| b == b'(')?;
    let close = text.iter().rposition(|&b| b == b')')?;
    let comm = text.get(open + 1..close)?.to_vec();
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    // The state, field 3, comes first.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        comm,
        start_ticks: field(22)?,
        image: [26, 28, 48].map(|number| field(number).unwrap_or(0)),
    })
}

/// One line of `/proc/net/{tcp,udp}{,6}`: `sl local remote st … inode`.
fn parse_peer(line: &str, inode: u64) -> Option<std::net::SocketAddr> {
    let mut words = line.split_ascii_whitespace();
    let remote = words.nth(2)?;
    if words.nth(6)?.parse::<u64>().ok()? != inode {
        return None;
    }
    let (address, port) = remote.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Words of 32 bits, each in the machine's byte order.
    let mut bytes = Vec::new();
    for word in address.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => std::net::IpAddr::from(four),
        Err(_) => std::net::IpAddr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?),
    };
    (port != 0).then_some(std::net::SocketAddr::new(ip, port))
}

/// `struct procmap_query` of linux/fs.h (Linux 6.11).
#[repr(C)]
struct ProcmapQuery {
    size: u64,
    query_flags: u64,
    query_addr: u64,
    vma_start: u64,
    vma_end: u64,
    vma_flags: u64,
    vma_page_size: u64,
    vma_offset: u64,
    inode: u64,
    dev_major: u32,
    dev_minor: u32,
    vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}

/// `PROCMAP_QUERY`: `_IOWR('f', 17, struct procmap_query)`.
const PROCMAP_QUERY: libc::c_ulong =
    3 << 30 | (size_of::<ProcmapQuery>() as libc::c_ulong) << 16 | 0x66 << 8 | 17;

/// Asks for one mapping. The outer option is none when the kernel cannot be asked.
fn query(maps: &File, address: u64) -> Option<Option<Mapping>> {
    let mut name = [0_u8; LINK_LEN_MAX];
    // SAFETY: all-zero bytes are a valid value of this plain structure.
    let mut query: ProcmapQuery = unsafe { std::mem::zeroed() };
    query.size = size_of::<ProcmapQuery>() as u64;
    query.query_addr = address;
    query.vma_name_size = u32::try_from(name.len()).unwrap_or(0);
    query.vma_name_addr = name.as_mut_ptr().addr() as u64;
    // SAFETY: `query` is the structure that the ioctl's number names the size of, and it points at
    // `name` with its length, both alive and writable.
    let result = unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY, &raw mut query) };
    if result < 0 {
        let errno = io::Error::last_os_error().raw_os_error();
        return (errno == Some(libc::ENOENT)).then_some(None);
    }
    let len = usize::try_from(query.vma_name_size).unwrap_or(0).saturating_sub(1).min(name.len());
    Some(Some(Mapping { start: query.vma_start, end: query.vma_end, name: name[..len].to_vec() }))
}

/// Reads the list instead.
fn find(maps: File, address: u64) -> Option<Mapping> {
    use std::io::BufRead as _;
    let mut lines = io::BufReader::new(maps).split(b'\n');
    lines.find_map(|line| {
        let mapping = parse_mapping(&line.ok()?)?;
        (mapping.start..mapping.end).contains(&address).then_some(mapping)
    })
}

/// `start-end perms offset dev inode name`
fn parse_mapping(line: &[u8]) -> Option<Mapping> {
    let mut words = line.splitn(6, |&b| b == b' ');
    let range = std::str::from_utf8(words.next()?).ok()?;
    let (start, end) = range.split_once('-')?;
    let name = words.nth(4).unwrap_or_default().trim_ascii_start().to_vec();
    let hex = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping { start: hex(start)?, end: hex(end)?, name })
}

#[cfg(test)]
mod tests {
    use super::{
        Mapping, ProcDir, find, parse_mapping, parse_peer, parse_stat, parse_status, query,
    };

    #[test]
    fn own_task_is_found_and_alive() {
        let dir = ProcDir::open(std::process::id()).unwrap();
        assert!(dir.alive());
        let status = dir.status().unwrap();
        assert_eq!(status.tgid, std::process::id());
        assert!(!status.ns_tids.is_empty());
        assert!(dir.stat().unwrap().image[1] > 0);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let gone = ProcDir::open(child.id()).unwrap();
        child.wait().unwrap();
        assert!(!gone.alive() && gone.status().is_err());
    }

    #[test]
    fn names_cannot_shift_the_fields_of_stat() {
        let numbers: Vec<String> = (4..60).map(|n| n.to_string()).collect();
        let line = format!("7 (a) R 1 (\n) S {}", numbers.join(" "));
        let stat = parse_stat(line.as_bytes()).unwrap();
        assert_eq!(stat.comm, b"a) R 1 (\n");
        assert_eq!((stat.start_ticks, stat.image), (22, [26, 28, 48]));
        assert!(parse_stat(b"7 (a").is_none());
        assert!(parse_stat(b")(").is_none());
    }

    #[test]
    fn status_has_one_id_for_each_namespace() {
        let text =
            b"Name:\tx\\nTgid:\t1\nTgid:\t40\nPPid:\t3\nUid:\t1000\t0\t0\t0\nNStgid:\t40\t2\n\
                     NSpid:\t41\t3\n";
        let status = parse_status(text);
        assert_eq!((status.tgid, status.parent, status.uid), (40, 3, 1000));
        assert_eq!((status.ns_tgids, status.ns_tids), (vec![40, 2], vec![41, 3]));
    }

    #[test]
    fn socket_tables_are_read_in_both_families() {
        let four = "   1: 0100007F:A3C6 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  0 \
                    0 4242 1 0000000000000000 20 4 30 10 -1";
        assert_eq!(parse_peer(four, 4242).unwrap().to_string(), "127.0.0.1:8080");
        assert_eq!(parse_peer(four, 4243), None);
        let six = "   0: 00000000000000000000000001000000:A3C6 \
                   00000000000000000000000001000000:0035 07 00000000:00000000 00:00000000 00000000 \
                   0 0 77 2 0000000000000000 0";
        assert_eq!(parse_peer(six, 77).unwrap().to_string(), "[::1]:53");
    }

    #[test]
    fn both_ways_to_ask_for_a_mapping_agree() {
        let code = both_ways_to_ask_for_a_mapping_agree as fn() as usize as u64;
        let heap = Box::new([0_u8; 64]);
        let dir = ProcDir::open(std::process::id()).unwrap();
        for address in [code, heap.as_ptr().addr() as u64] {
            let maps = || std::fs::File::open("/proc/self/maps").unwrap();
            let listed = find(maps(), address).unwrap();
            if let Some(asked) = query(&maps(), address) {
                let asked = asked.unwrap();
                assert_eq!(asked.name, listed.name);
            }
            assert_eq!(dir.mapping(address).unwrap().anonymous(), address != code);
        }
        assert_eq!(dir.mapping(8), None);
        let line = b"7f0000000000-7f0000001000 r-xp 00000000 fd:00 12   /tmp/a b (deleted)";
        let expect = Mapping {
            start: 0x7f00_0000_0000,
            end: 0x7f00_0000_1000,
            name: b"/tmp/a b (deleted)".to_vec(),
        };
        assert_eq!(parse_mapping(line), Some(expect));
    }
}
