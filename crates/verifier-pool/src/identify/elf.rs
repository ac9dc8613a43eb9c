//! ELF headers, as far as they decide whether this host can start the file. Every number comes from
//! the file and is checked against its length.
//!
//! Layout: elf(5).

use types::machine::Machine;

use super::Refused;

pub(super) const MAGIC: &[u8] = b"\x7fELF";

const ET_REL: u16 = 1;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const ET_CORE: u16 = 4;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: u16 = 56;

/// Whether the file is a program of this host.
pub(super) fn check(head: &[u8], size_bytes: u64) -> Result<(), Refused> {
    let bad = |part| Refused::BadElf { part };
    let bits = match head.get(4) {
        Some(1) => 32,
        Some(2) => 64,
        _ => return Err(bad("class")),
    };
    let big_endian = match head.get(5) {
        Some(1) => false,
        Some(2) => true,
        _ => return Err(bad("byte order")),
    };
    let fields = Fields { bytes: head, big_endian };
    let machine = Machine { number: fields.u16(18).ok_or(bad("header"))?, bits, big_endian };
    let host = machine == Machine::HOST && bits == 64 && !big_endian;
    match fields.u16(16).ok_or(bad("header"))? {
        ET_EXEC | ET_DYN if !host => Err(Refused::Machine {
            built_for: machine.to_string(),
            host: Machine::HOST.to_string(),
        }),
        ET_EXEC => program(&fields, size_bytes, false),
        ET_DYN => program(&fields, size_bytes, true),
        ET_REL => Err(Refused::NotAProgram { what: "an object file that was never linked" }),
        ET_CORE => Err(Refused::NotAProgram { what: "a core dump" }),
        _ => Err(bad("type")),
    }
}

/// Entry point and segments of a 64-bit little-endian program.
fn program(fields: &Fields<'_>, size_bytes: u64, shared: bool) -> Result<(), Refused> {
    let bad = |part| Refused::BadElf { part };
    if fields.bytes.len() < HEADER_BYTES {
        return Err(bad("header"));
    }
    let entry = fields.u64(24).ok_or(bad("header"))?;
    let table = fields.u64(32).ok_or(bad("header"))?;
    let entry_bytes = fields.u16(54).ok_or(bad("header"))?;
    let count = fields.u16(56).ok_or(bad("header"))?;
    if count == 0 || entry_bytes != PROGRAM_HEADER_BYTES {
        return Err(if shared && entry == 0 {
            Refused::NotAProgram { what: "a shared library" }
        } else {
            bad("table of program headers")
        });
    }
    let table_bytes = u64::from(count) * u64::from(PROGRAM_HEADER_BYTES);
    if table.checked_add(table_bytes).is_none_or(|end| end > size_bytes) {
        return Err(bad("table of program headers"));
    }
    let mut loader = false;
    let mut loads = false;
    for index in 0..u64::from(count) {
        let at = table + index * u64::from(PROGRAM_HEADER_BYTES);
        // A table beyond what is looked at is unusual and allowed; the kernel has the last word.
        let Some(at) = usize::try_from(at).ok().filter(|at| fields.u32(*at).is_some()) else {
            return Ok(());
        };
        let kind = fields.u32(at).ok_or(bad("table of program headers"))?;
        loader |= kind == PT_INTERP;
        loads |= kind == PT_LOAD;
        if kind == PT_LOAD || kind == PT_INTERP {
            let offset = fields.u64(at + 8).ok_or(bad("table of program headers"))?;
            let length = fields.u64(at + 32).ok_or(bad("table of program headers"))?;
            if offset.checked_add(length).is_none_or(|end| end > size_bytes) {
                return Err(bad("content"));
            }
        }
    }
    if shared && !loader && entry == 0 {
        return Err(Refused::NotAProgram { what: "a shared library" });
    }
    if loads { Ok(()) } else { Err(bad("table of program headers")) }
}

struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.array(at)?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.array(at)?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u64(&self, at: usize) -> Option<u64> {
        let bytes = self.array(at)?;
        Some(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }
}
