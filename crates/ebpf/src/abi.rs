//! What the kernel side and user space say to each other; the other half of `c/abi.h`.
//!
//! Plain data and how to read it from bytes. The tests compare every number and every asserted
//! offset with the header. What a record means is not known here.

macro_rules! constants {
    ($($name:ident: $type:ty = $value:expr;)*) => {
        $(pub const $name: $type = $value;)*
        #[cfg(test)]
        const CONSTANTS: &[(&str, u64)] = &[$((stringify!($name), $name as u64)),*];
    };
}

constants! {
    KIND_NONE: u8 = 0;
    KIND_EXEC: u8 = 1;
    KIND_FORK: u8 = 2;
    KIND_EXIT: u8 = 3;
    KIND_OPEN: u8 = 4;
    KIND_WRITE: u8 = 5;
    KIND_UNLINK: u8 = 6;
    KIND_RENAME: u8 = 7;
    KIND_MKDIR: u8 = 8;
    KIND_CHMOD: u8 = 9;
    KIND_CHOWN: u8 = 10;
    KIND_LINK: u8 = 11;
    KIND_MKNOD: u8 = 12;
    KIND_TRUNCATE: u8 = 13;
    KIND_SET_XATTR: u8 = 14;
    KIND_SET_TIMES: u8 = 15;
    KIND_SOCKET: u8 = 16;
    KIND_CONNECT: u8 = 17;
    KIND_BIND: u8 = 18;
    KIND_LISTEN: u8 = 19;
    KIND_ACCEPT: u8 = 20;
    KIND_SEND: u8 = 21;
    KIND_DNS: u8 = 22;
    KIND_STDIO_SOCKET: u8 = 23;
    KIND_MEMORY: u8 = 24;
    KIND_MEMORY_EXECUTED: u8 = 25;
    KIND_MEMFD_CREATE: u8 = 26;
    KIND_PTRACE: u8 = 27;
    KIND_PROCESS_MEMORY: u8 = 28;
    KIND_KILL: u8 = 29;
    KIND_SET_IDS: u8 = 30;
    KIND_SET_NAME: u8 = 31;
    KIND_SYSCALL: u8 = 32;
    KIND_COUNT: u32 = 33;
    HANDLER_IGNORE: u8 = 0;
    HANDLER_PLAIN: u8 = 1;
    HANDLER_OPEN: u8 = 2;
    HANDLER_WRITE: u8 = 3;
    HANDLER_SEND: u8 = 4;
    HANDLER_MMAP: u8 = 5;
    HANDLER_MPROTECT: u8 = 6;
    HANDLER_CLONE: u8 = 7;
    HANDLER_DUP: u8 = 8;
    HANDLER_KILL: u8 = 9;
    HANDLER_PRCTL: u8 = 10;
    HANDLER_IOCTL: u8 = 11;
    HANDLER_PERSONALITY: u8 = 12;
    HANDLER_TRANSFER: u8 = 13;
    HANDLER_ACCEPT: u8 = 14;
    HANDLER_FILE_MADE: u8 = 15;
    RECIPE_REFUSABLE: u8 = 1;
    RECIPE_FAILED_ONLY: u8 = 2;
    RECIPE_SOCK_RESULT: u8 = 4;
    RECIPE_BULK: u8 = 8;
    RECIPE_VECTOR: u8 = 16;
    RECIPE_MANY: u8 = 32;
    RECIPE_NULL_IS_FD: u8 = 64;
    RECIPE_RAW_PATH: u8 = 128;
    NO_ARG: u8 = 255;
    AT_CWD: u8 = 254;
    RECIPES_LEN: usize = 512;
    CALLS_OTHER: usize = 511;
    RECORD_TRUNCATED: u8 = 1;
    RECORD_COMPAT: u8 = 2;
    RECORD_UNREADABLE: u8 = 4;
    RECORD_ANONYMOUS: u8 = 8;
    RECORD_THREAD: u8 = 16;
    RECORD_TCP: u8 = 32;
    RECORD_ADDRESS_GIVEN: u8 = 64;
    RECORD_GUARD: u8 = 128;
    SLOT_EMPTY: u8 = 0;
    SLOT_STRING: u8 = 1;
    SLOT_COMPONENTS: u8 = 2;
    SLOT_BYTES: u8 = 3;
    SLOT_STDIO: u8 = 4;
    SLOT_PATH: u8 = 5;
    SLOTS: usize = 5;
    PATH_LEN_MAX: usize = 4096;
    PATH_COMPONENTS_MAX: usize = 128;
    ARGV_LEN_MAX: usize = 16_384;
    HEAD_LEN_MAX: usize = 64;
    DNS_LEN_MAX: usize = 256;
    ADDRESS_LEN_MAX: usize = 128;
    DATA_LEN_MAX: usize = 28_672;
    STDIO_CLOSED: u32 = 0;
    STDIO_FILE: u32 = 1;
    STDIO_PIPE: u32 = 2;
    STDIO_TTY: u32 = 3;
    STDIO_SOCKET: u32 = 4;
    STDIO_OTHER: u32 = 5;
    FILE_MEMFD: u8 = 1;
    FILE_DELETED: u8 = 2;
    TRAFFIC_IN: u32 = 0;
    TRAFFIC_OUT: u32 = 4;
    TRAFFIC_TCP: u32 = 0;
    TRAFFIC_UDP: u32 = 1;
    TRAFFIC_ICMP: u32 = 2;
    TRAFFIC_OTHER: u32 = 3;
    TRAFFIC_LEN: u32 = 8;
    TOTALS_LEN: u32 = 16_384;
    NO_TOTAL: u32 = 0xffff_ffff;
    RANGES_PER_TASK: usize = 4;
    DENY_EXEC: u32 = 1;
    DENY_OPEN: u32 = 2;
    DENY_CONNECT: u32 = 4;
    DENY_BIND: u32 = 8;
    DENY_WRITE_EXECUTE: u32 = 16;
    DENY_PTRACE: u32 = 32;
    DENY_MOUNT: u32 = 64;
    DENY_BPF: u32 = 128;
    DENY_MODULE: u32 = 256;
    DENY_SET_IDS: u32 = 512;
    NR_RT_SIGRETURN: u64 = 15;
    NR_EXIT: u64 = 60;
    NR_EXIT_GROUP: u64 = 231;
    FLIGHTS_LEN: u32 = 4096;
    DURATION_BUCKETS: usize = 15;
}

/// A socket as the kernel describes it. IPv4 addresses stand in the first four bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SockInfo {
    /// `AF_*`; 0 when there is no socket.
    pub family: u16,
    pub kind: u16,
    pub protocol: u16,
    pub remote_port: u16,
    pub local_port: u16,
    pub pad: u16,
    pub pad2: u32,
    pub remote: [u8; 16],
    pub local: [u8; 16],
}

/// One standard stream of a new program.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stdio {
    /// `STDIO_*`.
    pub kind: u32,
    pub pad: u32,
    pub sock: SockInfo,
}

/// The fixed part of every event; `data_len` bytes of slots follow it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Record {
    /// CLOCK_MONOTONIC.
    pub time_ns: u64,
    /// Start of the thread group leader, CLOCK_MONOTONIC.
    pub start_ns: u64,
    pub pid: u32,
    pub tid: u32,
    pub ppid: u32,
    /// In the initial user namespace.
    pub euid: u32,
    pub comm: [u8; 16],
    /// `KIND_*`.
    pub kind: u8,
    /// `RECORD_*`.
    pub flags: u8,
    /// `FILE_*`.
    pub file_flags: u8,
    /// The descriptor does not name the file any more that the call opened.
    pub replaced: u8,
    /// System call number; -1 when no call caused the event.
    pub nr: i32,
    pub ret: i64,
    pub args: [u64; 6],
    pub extra: [u64; 4],
    pub file_mode: u32,
    /// Index of the totals that later writes and sends were added to, or `NO_TOTAL`.
    pub total: u32,
    pub sock: SockInfo,
    pub slot_len: [u16; SLOTS],
    /// `SLOT_*`.
    pub slot_what: [u8; SLOTS],
    /// Somebody waits for it.
    pub urgent: u8,
    pub data_len: u32,
    pub pad3: [u8; 4],
}

/// What one CPU knows and has counted.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Here {
    /// System calls of the run that returned on this CPU, by number; `CALLS_OTHER` takes the rest.
    pub calls: [u64; RECIPES_LEN],
    /// The kernel side's own.
    pub known: [u64; 8],
    /// Writes that found their filesystem full.
    pub no_room: u64,
}

impl Here {
    /// Adds the counts in the bytes of one CPU to those of others, which lie by number.
    pub fn add_calls(bytes: &[u8], sums: &mut [u64]) {
        for (sum, chunk) in sums.iter_mut().take(RECIPES_LEN).zip(bytes.chunks_exact(8)) {
            *sum += chunk.try_into().map_or(0, u64::from_ne_bytes);
        }
    }

    /// `no_room` in the bytes of one CPU.
    #[must_use]
    pub fn no_room(bytes: &[u8]) -> u64 {
        let at = std::mem::offset_of!(Self, no_room);
        bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u64::from_ne_bytes(*chunk))
    }
}

/// How the kernel side looks at one system call. Fields named after arguments hold an argument's
/// index, `NO_ARG` for none.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    pub kind: u8,
    /// `HANDLER_*`.
    pub handler: u8,
    /// `RECIPE_*`.
    pub flags: u8,
    pub path0: u8,
    /// Directory descriptor of `path0`, or `AT_CWD`.
    pub base0: u8,
    pub path1: u8,
    pub base1: u8,
    pub fd: u8,
    pub text: u8,
    /// The length is the argument after it.
    pub address: u8,
    pub bytes: u8,
    pub bytes_len: u8,
    pub pad: [u8; 4],
}

impl Recipe {
    pub const IGNORE: Self = Self {
        kind: KIND_NONE,
        handler: HANDLER_IGNORE,
        flags: 0,
        path0: NO_ARG,
        base0: AT_CWD,
        path1: NO_ARG,
        base1: AT_CWD,
        fd: NO_ARG,
        text: NO_ARG,
        address: NO_ARG,
        bytes: NO_ARG,
        bytes_len: 0,
        pad: [0; 4],
    };

    /// The bytes as C lays them out: every field is a byte.
    #[must_use]
    pub fn to_bytes(self) -> [u8; size_of::<Self>()] {
        let [a, b, c, d] = self.pad;
        [
            self.kind,
            self.handler,
            self.flags,
            self.path0,
            self.base0,
            self.path1,
            self.base1,
            self.fd,
            self.text,
            self.address,
            self.bytes,
            self.bytes_len,
            a,
            b,
            c,
            d,
        ]
    }
}

/// The books of one event type on one CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub seen: u64,
    pub sent: u64,
    pub dropped: u64,
    pub truncated: u64,
    pub aggregated: u64,
    pub throttled: u64,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    pub count: u64,
    pub bytes: u64,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Control {
    /// 0: watch nobody.
    pub cgroup_id: u64,
    pub ranges_active: u32,
    pub totals_used: u32,
    pub files_made: u64,
    pub exits: u64,
    /// Depth of the run's pid namespace: the outermost that was seen.
    pub pid_level: u32,
    /// `DENY_*`: what guards refuse.
    pub deny: u32,
    /// 1: the paths that the kernel resolved are captured.
    pub captures: u32,
    pub pad: u32,
}

/// When the entries of system calls are looked at.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// Odd: open. It grows when one is opened or closed; 0: there never was one.
    pub number: u32,
    /// How many more calls may be entered in it before it closes itself.
    pub left: i32,
}

impl Window {
    #[must_use]
    pub fn to_bytes(self) -> [u8; size_of::<Self>()] {
        let mut bytes = [0; size_of::<Self>()];
        bytes[..4].copy_from_slice(&self.number.to_ne_bytes());
        bytes[4..].copy_from_slice(&self.left.to_ne_bytes());
        bytes
    }
}

/// The books of the sampling of durations: of what was entered, `unmatched` did not
/// return as what it was entered as (killed, interrupted and begun again), and the rest is in the
/// durations.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sampling {
    pub entered: u64,
    pub unmatched: u64,
    /// Not sampled because `FLIGHTS_LEN` threads were known already.
    pub untracked: u64,
    /// Threads that are known now.
    pub threads: i64,
}

/// Sampled durations of one system call; a bucket holds those up to its bound and above the one
/// before.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Duration {
    pub sum_ns: u64,
    pub buckets: [u64; DURATION_BUCKETS],
}

/// Takes native-endian numbers from the front of a byte string.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_ne_bytes)
    }

    fn u64s<const N: usize>(&mut self) -> Option<[u64; N]> {
        let mut all = [0; N];
        for one in &mut all {
            *one = self.u64()?;
        }
        Some(all)
    }

    fn sock(&mut self) -> Option<SockInfo> {
        Some(SockInfo {
            family: self.u16()?,
            kind: self.u16()?,
            protocol: self.u16()?,
            remote_port: self.u16()?,
            local_port: self.u16()?,
            pad: self.u16()?,
            pad2: self.u32()?,
            remote: self.bytes()?,
            local: self.bytes()?,
        })
    }

    fn slot_lens(&mut self) -> Option<[u16; SLOTS]> {
        let mut all = [0; SLOTS];
        for one in &mut all {
            *one = self.u16()?;
        }
        Some(all)
    }
}

impl Record {
    /// The record at the front of what a ring delivered, and the bytes of its slots. None when the
    /// bytes are too short to be one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = Reader(bytes);
        let record = Self {
            time_ns: reader.u64()?,
            start_ns: reader.u64()?,
            pid: reader.u32()?,
            tid: reader.u32()?,
            ppid: reader.u32()?,
            euid: reader.u32()?,
            comm: reader.bytes()?,
            kind: u8::from_ne_bytes(reader.bytes()?),
            flags: u8::from_ne_bytes(reader.bytes()?),
            file_flags: u8::from_ne_bytes(reader.bytes()?),
            replaced: u8::from_ne_bytes(reader.bytes()?),
            nr: i32::from_ne_bytes(reader.bytes()?),
            ret: i64::from_ne_bytes(reader.bytes()?),
            args: reader.u64s()?,
            extra: reader.u64s()?,
            file_mode: reader.u32()?,
            total: reader.u32()?,
            sock: reader.sock()?,
            slot_len: reader.slot_lens()?,
            slot_what: reader.bytes()?,
            urgent: u8::from_ne_bytes(reader.bytes()?),
            data_len: reader.u32()?,
            pad3: reader.bytes()?,
        };
        let data = reader.0.get(..usize::try_from(record.data_len).ok()?)?;
        Some((record, data))
    }
}

impl Stdio {
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        Some(Self { kind: reader.u32()?, pad: reader.u32()?, sock: reader.sock()? })
    }
}

impl Counters {
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [seen, sent, dropped, truncated, aggregated, throttled] = Reader(bytes).u64s()?;
        Some(Self { seen, sent, dropped, truncated, aggregated, throttled })
    }
}

impl Total {
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [count, bytes] = Reader(bytes).u64s()?;
        Some(Self { count, bytes })
    }
}

impl Sampling {
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [entered, unmatched, untracked, threads] = Reader(bytes).u64s()?;
        Some(Self { entered, unmatched, untracked, threads: threads.cast_signed() })
    }
}

impl Duration {
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        Some(Self { sum_ns: reader.u64()?, buckets: reader.u64s()? })
    }
}

impl Control {
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        Some(Self {
            cgroup_id: reader.u64()?,
            ranges_active: reader.u32()?,
            totals_used: reader.u32()?,
            files_made: reader.u64()?,
            exits: reader.u64()?,
            pid_level: reader.u32()?,
            deny: reader.u32()?,
            captures: reader.u32()?,
            pad: reader.u32()?,
        })
    }

    /// What to start with: an empty slate that watches this cgroup.
    #[must_use]
    pub fn watching(cgroup_id: u64) -> Self {
        Self { cgroup_id, pid_level: u32::MAX, ..Self::default() }
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; size_of::<Self>()] {
        let mut bytes = [0; size_of::<Self>()];
        bytes[..8].copy_from_slice(&self.cgroup_id.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.ranges_active.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.totals_used.to_ne_bytes());
        bytes[16..24].copy_from_slice(&self.files_made.to_ne_bytes());
        bytes[24..32].copy_from_slice(&self.exits.to_ne_bytes());
        bytes[32..36].copy_from_slice(&self.pid_level.to_ne_bytes());
        bytes[36..40].copy_from_slice(&self.deny.to_ne_bytes());
        bytes[40..44].copy_from_slice(&self.captures.to_ne_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests;
