//! Reads as much of an ELF file as decides whether the kernel will start it: header, program
//! headers, loader. Every offset comes from the file and is checked against its length.
//!
//! Layout: elf(5).

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use types::machine::Machine;

pub const MAGIC: &[u8] = b"\x7fELF";

const ET_REL: u16 = 1;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const ET_CORE: u16 = 4;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
/// The kernel refuses more than one page of program headers; 64 KiB is generous.
const HEADERS_MAX_BYTES: u64 = 64 << 10;
/// `PATH_MAX`.
const LOADER_MAX_BYTES: u64 = 4096;

/// Why a file with the ELF magic is not a usable one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadElf {
    #[error("it ends in the middle of its {part}")]
    Truncated { part: &'static str },
    #[error("its {part} is invalid")]
    Invalid { part: &'static str },
    #[error("it cannot be read: {why}")]
    Unreadable { why: String },
}

/// What kind of ELF file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Program,
    Object,
    Library,
    Core,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Program => "a program",
            Kind::Object => "an object file that was never linked",
            Kind::Library => "a shared library",
            Kind::Core => "a core dump",
        })
    }
}

/// What the headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    pub machine: Machine,
    pub kind: Kind,
    /// Path of the dynamic loader (`PT_INTERP`).
    pub interpreter: Option<Vec<u8>>,
}

/// Reads the headers of a file of `len` bytes.
///
/// # Errors
/// When they are cut off or contradict the file.
pub fn read(file: &File, len: u64) -> Result<Elf, BadElf> {
    let source = Source { file, len };
    let ident = source.bytes(0, 16, "header")?;
    let bits = match ident.get(4) {
        Some(1) => 32,
        Some(2) => 64,
        _ => return Err(BadElf::Invalid { part: "class" }),
    };
    let big_endian = match ident.get(5) {
        Some(1) => false,
        Some(2) => true,
        _ => return Err(BadElf::Invalid { part: "byte order" }),
    };
    let wide = bits == 64;
    let header =
        Fields { bytes: source.bytes(0, if wide { 64 } else { 52 }, "header")?, big_endian };
    let machine = Machine { number: header.u16(18)?, bits, big_endian };
    let kind = match header.u16(16)? {
        ET_EXEC | ET_DYN => Kind::Program,
        ET_REL => return Ok(Elf { machine, kind: Kind::Object, interpreter: None }),
        ET_CORE => return Ok(Elf { machine, kind: Kind::Core, interpreter: None }),
        _ => return Err(BadElf::Invalid { part: "type" }),
    };
    if machine != Machine::HOST {
        return Ok(Elf { machine, kind, interpreter: None });
    }
    let (entry, table, size_at, count_at) = if wide {
        (header.u64(24)?, header.u64(32)?, 54, 56)
    } else {
        (u64::from(header.u32(24)?), u64::from(header.u32(28)?), 42, 44)
    };
    let (size, count) = (u64::from(header.u16(size_at)?), u64::from(header.u16(count_at)?));
    if size != if wide { 56 } else { 32 } || count == 0 || size * count > HEADERS_MAX_BYTES {
        return Err(BadElf::Invalid { part: "program header table" });
    }
    let table = source.bytes(table, size * count, "program headers")?;
    let row =
        usize::try_from(size).map_err(|_| BadElf::Invalid { part: "program header table" })?;
    let mut interpreter = None;
    for bytes in table.chunks_exact(row) {
        let segment = Segment::read(&Fields { bytes: bytes.to_vec(), big_endian }, wide)?;
        match segment.kind {
            PT_LOAD => source.covers(segment.offset, segment.size, "code or data")?,
            PT_INTERP => interpreter = Some(source.loader(&segment)?),
            _ => {}
        }
    }
    let library = interpreter.is_none() && entry == 0;
    Ok(Elf { machine, kind: if library { Kind::Library } else { kind }, interpreter })
}

struct Segment {
    kind: u32,
    offset: u64,
    size: u64,
}

impl Segment {
    fn read(fields: &Fields, wide: bool) -> Result<Self, BadElf> {
        let kind = fields.u32(0)?;
        let (offset, size) = if wide {
            (fields.u64(8)?, fields.u64(32)?)
        } else {
            (u64::from(fields.u32(4)?), u64::from(fields.u32(16)?))
        };
        Ok(Self { kind, offset, size })
    }
}

struct Source<'a> {
    file: &'a File,
    len: u64,
}

impl Source<'_> {
    fn covers(&self, offset: u64, size: u64, part: &'static str) -> Result<(), BadElf> {
        match offset.checked_add(size) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(BadElf::Truncated { part }),
        }
    }

    fn bytes(&self, offset: u64, size: u64, part: &'static str) -> Result<Vec<u8>, BadElf> {
        self.covers(offset, size, part)?;
        let size = usize::try_from(size).map_err(|_| BadElf::Invalid { part })?;
        let mut bytes = vec![0; size];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|error| BadElf::Unreadable { why: error.to_string() })?;
        Ok(bytes)
    }

    fn loader(&self, segment: &Segment) -> Result<Vec<u8>, BadElf> {
        const PART: &str = "loader path";
        if !(2..=LOADER_MAX_BYTES).contains(&segment.size) {
            return Err(BadElf::Invalid { part: PART });
        }
        let mut path = self.bytes(segment.offset, segment.size, PART)?;
        if path.pop() != Some(0) {
            return Err(BadElf::Invalid { part: PART });
        }
        let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
        path.truncate(end);
        Ok(path)
    }
}

/// Numbers at fixed places.
struct Fields {
    bytes: Vec<u8>,
    big_endian: bool,
}

impl Fields {
    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], BadElf> {
        let mut array: [u8; N] = self
            .bytes
            .get(at..at + N)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(BadElf::Truncated { part: "header" })?;
        if self.big_endian {
            array.reverse();
        }
        Ok(array)
    }

    fn u16(&self, at: usize) -> Result<u16, BadElf> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Result<u32, BadElf> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Result<u64, BadElf> {
        self.array(at).map(u64::from_le_bytes)
    }
}
