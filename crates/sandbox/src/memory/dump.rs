//! Writes a capture as an ELF core file (elf(5), core(5)): what debuggers read. Only what was
//! copied has bytes in it; every other mapping is named without any.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::capture::Capture;
use super::maps::{Backing, Mapping};
use super::process::PAGE;

/// Sizes of the ELF header and of a program header, in bytes.
const HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const NT_PRSTATUS: u32 = 1;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_FILE: u32 = 0x4649_4c45;
/// x86_64's `struct elf_prstatus` and `elf_prpsinfo`, and where the fields stand in them.
const STATUS_LEN: usize = 336;
const STATUS_PID: usize = 32;
const STATUS_REGISTERS: usize = 112;
const REGISTER_RIP: usize = 16;
const REGISTER_RSP: usize = 19;
const INFO_LEN: usize = 136;
const INFO_PID: usize = 24;
const INFO_NAME: usize = 40;
const INFO_ARGUMENTS: usize = 56;
/// Program headers are counted in 16 bits; the last value means something else.
const SEGMENTS_MAX: usize = 0xfffe;
/// Files of one process that are kept apart by their number.
const NAMES_MAX: u32 = 1000;

/// Writes a new file into the folder, readable for its owner only; never over another.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(folder: &Path, capture: &Capture) -> io::Result<PathBuf> {
    let pid = capture.who.pid;
    for number in 0..NAMES_MAX {
        let path = folder.join(format!("core.{pid}.{number}"));
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match file {
            Ok(mut file) => {
                file.write_all(&core(capture))?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

/// A stretch of memory: with the bytes that were copied, or none.
struct Segment<'a> {
    address: u64,
    length: u64,
    protection: u32,
    bytes: &'a [u8],
}

fn core(capture: &Capture) -> Vec<u8> {
    let segments = segments(capture);
    let notes = notes(capture);
    let count = segments.len() as u64 + 1;
    let notes_at = HEADER + count * PROGRAM_HEADER;
    let mut at = (notes_at + notes.len() as u64).next_multiple_of(PAGE);
    let first = at;
    let mut file = header(u16::try_from(count).unwrap_or(0));
    program_header(&mut file, [PT_NOTE, 0], [notes_at, 0, 0, notes.len() as u64, 0, 4]);
    for segment in &segments {
        let len = segment.bytes.len() as u64;
        // ELF's bits are the other way round: execute 1, write 2, read 4.
        let protection = segment.protection;
        let flags = protection & 2 | (protection & 1) << 2 | (protection >> 2) & 1;
        program_header(
            &mut file,
            [PT_LOAD, flags],
            [at, segment.address, 0, len, segment.length, PAGE],
        );
        at = (at + len).next_multiple_of(PAGE);
    }
    file.extend_from_slice(&notes);
    pad(&mut file, first);
    for segment in &segments {
        file.extend_from_slice(segment.bytes);
        let end = (file.len() as u64).next_multiple_of(PAGE);
        pad(&mut file, end);
    }
    file
}

fn pad(file: &mut Vec<u8>, len: u64) {
    file.resize(usize::try_from(len).unwrap_or(0).max(file.len()), 0);
}

/// Every mapping, split where bytes were copied.
fn segments(capture: &Capture) -> Vec<Segment<'_>> {
    let regions = capture.regions.iter().chain(&capture.data);
    let mut copied: Vec<(u64, &[u8])> = regions
        .flat_map(|region| &region.pieces)
        .chain(capture.changed.iter().flat_map(|changed| &changed.pieces))
        .map(|piece| (piece.address, piece.bytes.as_slice()))
        .collect();
    copied.sort_by_key(|&(address, _)| address);
    copied.dedup_by_key(|&mut (address, _)| address);
    let mut segments = Vec::new();
    for mapping in capture.mappings.iter().filter(|mapping| mapping.backing != Backing::Kernel) {
        let Mapping { start, end, protection, .. } = *mapping;
        let mut at = start;
        for &(address, bytes) in copied.iter().filter(|(address, _)| mapping.contains(*address)) {
            if address > at {
                segments.push(Segment {
                    address: at,
                    length: address - at,
                    protection,
                    bytes: &[],
                });
            }
            let length = (bytes.len() as u64).min(end - address);
            segments.push(Segment { address, length, protection, bytes });
            at = address + length;
        }
        if at < end {
            segments.push(Segment { address: at, length: end - at, protection, bytes: &[] });
        }
    }
    segments.truncate(SEGMENTS_MAX);
    segments
}

fn header(segments: u16) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    file.resize(16, 0);
    // ET_CORE, EM_X86_64, EV_CURRENT.
    file.extend_from_slice(&4_u16.to_le_bytes());
    file.extend_from_slice(&62_u16.to_le_bytes());
    file.extend_from_slice(&1_u32.to_le_bytes());
    for number in [0, HEADER, 0] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    file.extend_from_slice(&0_u32.to_le_bytes());
    for number in [64_u16, 56, segments, 0, 0, 0] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    file
}

fn program_header(file: &mut Vec<u8>, words: [u32; 2], numbers: [u64; 6]) {
    for word in words {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for number in numbers {
        file.extend_from_slice(&number.to_le_bytes());
    }
}

fn notes(capture: &Capture) -> Vec<u8> {
    let mut notes = Vec::new();
    let mut information = vec![0; INFO_LEN];
    put(&mut information, INFO_PID, &capture.who.pid.to_le_bytes());
    let name = capture.who.comm.get(..15).unwrap_or(&capture.who.comm);
    put(&mut information, INFO_NAME, name);
    let program = capture.program.as_os_str().as_bytes();
    put(&mut information, INFO_ARGUMENTS, program.get(..79).unwrap_or(program));
    note(&mut notes, NT_PRPSINFO, &information);
    if capture.threads.is_empty() {
        note(&mut notes, NT_PRSTATUS, &status(capture.who.pid, 0, 0));
    }
    for thread in &capture.threads {
        let status = status(thread.tid, thread.instruction_pointer, thread.stack_pointer);
        note(&mut notes, NT_PRSTATUS, &status);
    }
    if !capture.auxiliary.is_empty() {
        note(&mut notes, NT_AUXV, &capture.auxiliary);
    }
    note(&mut notes, NT_FILE, &files(capture));
    notes
}

/// Which thread, and of its registers the two that can be read without stopping it.
fn status(tid: u32, instruction_pointer: u64, stack_pointer: u64) -> Vec<u8> {
    let mut status = vec![0; STATUS_LEN];
    put(&mut status, STATUS_PID, &tid.to_le_bytes());
    let register = |number: usize| STATUS_REGISTERS + 8 * number;
    put(&mut status, register(REGISTER_RIP), &instruction_pointer.to_le_bytes());
    put(&mut status, register(REGISTER_RSP), &stack_pointer.to_le_bytes());
    status
}

/// `NT_FILE`: how many, the unit of offsets, start, end and offset of each, then the names.
fn files(capture: &Capture) -> Vec<u8> {
    let of_files = || {
        let named = |m: &&Mapping| matches!(m.backing, Backing::File | Backing::Deleted);
        capture.mappings.iter().filter(named)
    };
    let mut list = Vec::new();
    for number in [of_files().count() as u64, PAGE] {
        list.extend_from_slice(&number.to_le_bytes());
    }
    for mapping in of_files() {
        for number in [mapping.start, mapping.end, mapping.offset / PAGE] {
            list.extend_from_slice(&number.to_le_bytes());
        }
    }
    for mapping in of_files() {
        list.extend_from_slice(&mapping.name);
        list.push(0);
    }
    list
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn note(notes: &mut Vec<u8>, kind: u32, content: &[u8]) {
    let len = u32::try_from(content.len()).unwrap_or(0);
    for word in [5, len, kind] {
        notes.extend_from_slice(&word.to_le_bytes());
    }
    notes.extend_from_slice(b"CORE\0\0\0\0");
    notes.extend_from_slice(content);
    notes.resize(notes.len().next_multiple_of(4), 0);
}
