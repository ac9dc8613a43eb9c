//! The first process of every container: a few hundred bytes of machine code, made into a program
//! for each run.
//!
//! A daemon starts a container and the command in one step; a monitor that has to see the command's
//! first exec needs them apart. The gate is what is started instead. It waits for the word on its
//! standard input, then starts the command behind the very filter that the `process` runner uses,
//! reaps orphans, and reports how the command ended: a container's own exit code cannot tell
//! `exit 137` from SIGKILL. Program, arguments, environment and folder lie in the file as bytes,
//! because the daemon's API takes text only.
//!
//! This room knows one ELF file; it does not know how it gets into a container.
#![expect(unsafe_code, reason = "takes the assembled gate out of this program's own text")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use libc::sock_filter;

core::arch::global_asm!(
    ".pushsection .text.shieldx_gate, \"ax\", @progbits",
    include_str!("gate/gate.s"),
    ".popsection"
);

unsafe extern "C" {
    static shieldx_gate_start: u8;
    static shieldx_gate_end: u8;
}

/// Where the file is mapped; any page that `mmap_min_addr` leaves free.
const BASE: u64 = 0x10_0000;
const HEADERS_LEN: usize = 64 + 2 * 56;
const WORDS: usize = 9;
/// Bytes of the token that the report begins with.
pub(crate) const TOKEN_LEN: usize = 16;
/// Bytes of the report that ends standard error.
pub(crate) const REPORT_LEN: usize = 32;

/// What the gate starts.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub program: &'a OsStr,
    pub command: &'a [std::ffi::OsString],
    pub env: &'a [(std::ffi::OsString, std::ffi::OsString)],
    pub cwd: &'a OsStr,
    pub filter: &'a [sock_filter],
    /// After this the gate ends everything by itself, should nobody else have done so.
    pub deadline_ms: u64,
    /// How long what the command left running may go on.
    pub linger_ms: u64,
    /// How long the gate stays after its report.
    pub hold_ms: u64,
}

/// What the gate says when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// The step that failed and its errno.
    pub failed: Option<(&'static str, i32)>,
    /// As wait(2) tells it.
    pub status: i32,
    pub survivors: bool,
}

impl Report {
    /// `None` for bytes that no gate writes.
    pub(crate) fn parse(bytes: &[u8], token: &[u8; TOKEN_LEN]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(TOKEN_LEN)?;
        let word = |at: usize| {
            let bytes = rest.get(at..at + 4)?.try_into().ok()?;
            Some(i32::from_le_bytes(bytes))
        };
        let (stage, errno, status, survivors) = (word(0)?, word(4)?, word(8)?, word(12)?);
        let step = match stage {
            1 => "connect the streams",
            2 => "enter the working folder",
            3 => "start the command's process",
            4 => "install seccomp",
            _ => "start the program",
        };
        let failed = (errno != 0).then_some((step, errno));
        (head == token).then_some(Self { failed, status, survivors: survivors != 0 })
    }
}

/// The word to go: whether standard input stays, and the token of the report.
pub(crate) fn word(null_stdin: bool, token: &[u8; TOKEN_LEN]) -> Vec<u8> {
    let mut word = u64::from(null_stdin).to_le_bytes().to_vec();
    word.extend(token);
    word
}

impl Launch<'_> {
    /// The program, as the bytes of an ELF file. `None` when something in it has a NUL byte.
    pub(crate) fn program(&self) -> Option<Vec<u8>> {
        let code = code();
        let mut file = vec![0; HEADERS_LEN];
        file.extend(code);
        let words_at = file.len();
        file.resize(words_at + WORDS * 8, 0);
        let filter_at = here(&file);
        for one in self.filter {
            file.extend(one.code.to_le_bytes());
            file.extend([one.jt, one.jf]);
            file.extend(one.k.to_le_bytes());
        }
        let program = text(&mut file, self.program.as_bytes())?;
        let cwd = text(&mut file, self.cwd.as_bytes())?;
        let argv = self.command.iter().map(|arg| text(&mut file, arg.as_bytes()));
        let argv = argv.collect::<Option<Vec<_>>>()?;
        let pair = |(name, value): &(std::ffi::OsString, std::ffi::OsString)| {
            [name.as_bytes(), b"=", value.as_bytes()].concat()
        };
        let envp = self.env.iter().map(|variable| text(&mut file, &pair(variable)));
        let envp = envp.collect::<Option<Vec<_>>>()?;
        let (argv, envp) = (table(&mut file, &argv), table(&mut file, &envp));
        let filter_len = u64::try_from(self.filter.len()).unwrap_or(0);
        let words = [
            filter_len,
            filter_at,
            program,
            argv,
            envp,
            self.deadline_ms,
            self.linger_ms,
            cwd,
            self.hold_ms,
        ];
        for (at, word) in words.iter().enumerate() {
            put(&mut file, words_at + at * 8, &word.to_le_bytes());
        }
        let headers = headers(file.len());
        put(&mut file, 0, &headers);
        Some(file)
    }
}

/// The assembled gate.
fn code() -> &'static [u8] {
    // SAFETY: both labels are defined by the assembly above, in one section and in this order, so
    // that every byte between them is initialised, never written, and part of one allocation that
    // lives as long as the program.
    unsafe {
        let (start, end) = (&raw const shieldx_gate_start, &raw const shieldx_gate_end);
        std::slice::from_raw_parts(start, end.offset_from_unsigned(start))
    }
}

/// Where the next byte of the file will be in memory.
fn here(file: &[u8]) -> u64 {
    BASE + file.len() as u64
}

/// Appends a C string and tells its address.
fn text(file: &mut Vec<u8>, bytes: &[u8]) -> Option<u64> {
    let at = here(file);
    file.extend(bytes);
    file.push(0);
    (!bytes.contains(&0)).then_some(at)
}

/// Appends a list of addresses that ends with 0, and tells its own.
fn table(file: &mut Vec<u8>, addresses: &[u64]) -> u64 {
    file.resize(file.len().next_multiple_of(8), 0);
    let at = here(file);
    for address in addresses.iter().chain([&0]) {
        file.extend(address.to_le_bytes());
    }
    at
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = file.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// elf(5): a static program of one read-only, executable segment, and a stack that is not executable.
fn headers(len: usize) -> Vec<u8> {
    let len = u64::try_from(len).unwrap_or(0);
    let mut bytes = Vec::with_capacity(HEADERS_LEN);
    bytes.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2_u16, 62] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(1_u32.to_le_bytes());
    for long in [BASE + HEADERS_LEN as u64, 64, 0] {
        bytes.extend(long.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 2, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    const LOAD: u32 = 1;
    const STACK: u32 = 0x6474_e551;
    for (kind, flags, at, len) in [(LOAD, 5_u32, BASE, len), (STACK, 6, 0, 0)] {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        for long in [0, at, at, len, len, 4096] {
            bytes.extend(long.to_le_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests;
