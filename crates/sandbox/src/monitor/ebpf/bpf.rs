//! The bpf(2) commands that put programs into the kernel, each as a function that returns
//! `io::Result`. Layouts are the first fields of `union bpf_attr` (linux/bpf.h); the kernel takes
//! what follows the given length as zero.

#![expect(unsafe_code, reason = "bpf(2) is a raw call that takes structures with addresses")]

mod objects;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use aya_obj::generated::bpf_insn;

pub(super) use objects::{
    attached_programs, clear_array, clear_hash, map_info, pin, pinned, program_info,
};

const MAP_UPDATE_ELEM: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const BTF_LOAD: libc::c_int = 18;
const LINK_CREATE: libc::c_int = 28;
const MAP_FREEZE: libc::c_int = 22;

const PROG_TYPE_CGROUP_SKB: u32 = 8;
const PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
const PROG_TYPE_TRACING: u32 = 26;
const PROG_TYPE_LSM: u32 = 29;
const TRACE_RAW_TP: u32 = 23;
const TRACE_FEXIT: u32 = 25;
const LSM_MAC: u32 = 27;
/// Statistics and the reason of a refusal.
const LOG_LEVEL: u32 = 1 | 4;
const NAME_LEN: usize = 16;

/// One call of bpf(2).
///
/// # Safety
/// `attr` is the attribute structure of this command, and every address in it is valid for what
/// the command does with it until the call returns.
unsafe fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<RawFd> {
    // SAFETY: the pointer and length are those of a live reference; the caller vouches for the
    // addresses inside.
    let ret =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    if ret < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(ret).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))
}

fn address<T: ?Sized>(of: *const T) -> u64 {
    of.cast::<u8>().addr() as u64
}

fn length(len: usize) -> io::Result<u32> {
    u32::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// A descriptor that bpf(2) has just returned.
fn owned(fd: io::Result<RawFd>) -> io::Result<OwnedFd> {
    // SAFETY: the kernel created this descriptor for this call, so nothing else owns it.
    fd.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Loads type information of programs; `log` takes what the kernel says of it, where it is not empty.
pub(super) fn load_btf(btf: &[u8], log: &mut [u8]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        btf: u64,
        log_buf: u64,
        len: u32,
        log_size: u32,
        log_level: u32,
        /// The kernel wants zeros behind what it knows; padding would be anything.
        pad: u32,
    }
    let attr = Attr {
        btf: address(btf),
        log_buf: if log.is_empty() { 0 } else { address(log.as_mut_ptr()) },
        len: length(btf.len())?,
        log_size: length(log.len())?,
        log_level: if log.is_empty() { 0 } else { 1 },
        pad: 0,
    };
    // SAFETY: BTF_LOAD reads `len` bytes at `btf`, which the slice holds, and writes to the log,
    // which is borrowed mutably and has the length that stands beside it.
    owned(unsafe { bpf(BTF_LOAD, &attr) })
}

/// Fills the only element of an array map and makes it read-only for everyone.
pub(super) fn set_and_freeze(map: BorrowedFd<'_>, value: &[u8]) -> io::Result<()> {
    #[repr(C)]
    struct Update {
        map: u32,
        pad: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let key = 0_u32;
    let attr = Update {
        map: number(map),
        pad: 0,
        key: address(&raw const key),
        value: address(value),
        flags: 0,
    };
    // SAFETY: the key is four bytes; the value has the size the map was created with, since both
    // are the length of the same section.
    unsafe { bpf(MAP_UPDATE_ELEM, &attr) }?;
    // SAFETY: MAP_FREEZE reads the descriptor's number only.
    unsafe { bpf(MAP_FREEZE, &number(map)) }.map(drop)
}

/// A program as the kernel's verifier wants it.
pub(super) struct Program<'a> {
    pub name: &'a str,
    pub instructions: &'a [bpf_insn],
    pub license: &'a CStr,
    /// Its types; a program without functions of its own needs none.
    pub btf: Option<BorrowedFd<'a>>,
    pub functions: &'a [u8],
    pub function_len: u32,
    pub function_count: u32,
    pub kind: Kind,
}

/// What a program is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    RawTracepoint,
    /// A raw tracepoint with typed arguments: the kernel's type of it.
    TypedTracepoint(u32),
    /// Packets of a cgroup, in this direction.
    Packets(Direction),
    /// A hook of the kernel's security modules: the type of its function.
    Hook(u32),
    /// The end of a function of the kernel's own: the function's type.
    End(u32),
}

/// `enum bpf_attach_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Direction {
    In = 0,
    Out = 1,
}

impl Kind {
    /// Program type, attach type, and the type attached to.
    fn numbers(self) -> (u32, u32, u32) {
        match self {
            Self::RawTracepoint => (PROG_TYPE_RAW_TRACEPOINT, 0, 0),
            Self::TypedTracepoint(tracepoint) => (PROG_TYPE_TRACING, TRACE_RAW_TP, tracepoint),
            Self::Packets(direction) => (PROG_TYPE_CGROUP_SKB, direction as u32, 0),
            Self::Hook(function) => (PROG_TYPE_LSM, LSM_MAC, function),
            Self::End(function) => (PROG_TYPE_TRACING, TRACE_FEXIT, function),
        }
    }
}

/// Loads a program; `log` takes what the verifier says, where it is not empty.
pub(super) fn load_program(program: &Program<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        kind: u32,
        instruction_count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; NAME_LEN],
        ifindex: u32,
        expected_attach_type: u32,
        btf: u32,
        function_len: u32,
        functions: u64,
        function_count: u32,
        line_len: u32,
        lines: u64,
        line_count: u32,
        attach_btf_id: u32,
    }
    let mut name = [0; NAME_LEN];
    for (to, from) in name.iter_mut().take(NAME_LEN - 1).zip(program.name.bytes()) {
        *to = from;
    }
    let (kind, attach_type, attach_btf_id) = program.kind.numbers();
    let attr = Attr {
        kind,
        instruction_count: length(program.instructions.len())?,
        instructions: address(program.instructions),
        license: address(program.license.as_ptr()),
        log_level: if log.is_empty() { 0 } else { LOG_LEVEL },
        log_size: length(log.len())?,
        log_buf: if log.is_empty() { 0 } else { address(log.as_mut_ptr()) },
        kernel_version: 0,
        flags: 0,
        name,
        ifindex: 0,
        expected_attach_type: attach_type,
        btf: program.btf.map_or(0, number),
        function_len: program.function_len,
        functions: address(program.functions),
        function_count: program.function_count,
        line_len: 0,
        lines: 0,
        line_count: 0,
        attach_btf_id,
    };
    // SAFETY: instructions, license (NUL-terminated), function records and the log buffer are all
    // borrowed for the length of the call and have the lengths that stand beside them; the log is
    // the only one written to and is borrowed mutably.
    owned(unsafe { bpf(PROG_LOAD, &attr) })
}

/// Whether the kernel takes a program at the end of a function: the shortest there is, which is
/// forgotten at once.
pub(super) fn try_end(function: u32) -> io::Result<()> {
    /// `r0 = 0; exit`.
    const NOTHING: [u8; 2] = [0xb7, 0x95];
    let instructions = NOTHING.map(|code| bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(0, 0),
        off: 0,
        imm: 0,
    });
    let request = Program {
        name: "try_end",
        instructions: &instructions,
        license: c"Dual MIT/GPL",
        btf: None,
        functions: &[],
        function_len: 0,
        function_count: 0,
        kind: Kind::End(function),
    };
    load_program(&request, &mut []).map(drop)
}

/// Attaches a program to a raw tracepoint, for as long as the descriptor is open. A program with
/// typed arguments, for a hook or a function knows where it belongs.
pub(super) fn attach(tracepoint: Option<&CStr>, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        name: u64,
        program: u32,
        pad: u32,
    }
    let name = tracepoint.map_or(0, |name| address(name.as_ptr()));
    let attr = Attr { name, program: number(program), pad: 0 };
    // SAFETY: the name is null or a NUL-terminated string that outlives the call.
    owned(unsafe { bpf(RAW_TRACEPOINT_OPEN, &attr) })
}

/// Attaches a program to the packets of a cgroup and of all below it, for as long as the descriptor is
/// open.
pub(super) fn attach_packets(
    cgroup: BorrowedFd<'_>,
    direction: Direction,
    program: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        program: u32,
        target: u32,
        attach_type: u32,
        flags: u32,
    }
    let attr = Attr {
        program: number(program),
        target: number(cgroup),
        attach_type: direction as u32,
        flags: 0,
    };
    // SAFETY: LINK_CREATE reads numbers only.
    owned(unsafe { bpf(LINK_CREATE, &attr) })
}

/// How often the kernel skipped a program because it was already running on that CPU.
pub(super) fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    /// The start of `struct bpf_prog_info`.
    #[repr(C)]
    struct Info {
        before: [u64; 26],
        recursion_misses: u64,
    }
    #[repr(C)]
    struct Attr {
        fd: u32,
        len: u32,
        info: u64,
    }
    let mut info = Info { before: [0; 26], recursion_misses: 0 };
    let attr =
        Attr { fd: number(program), len: length(size_of::<Info>())?, info: address(&raw mut info) };
    // SAFETY: `info` is writable for `len` bytes and zeroed, as the kernel demands of the buffers
    // whose addresses could stand in it.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &attr) }?;
    Ok(info.recursion_misses)
}
