//! The machine a program is built for, as ELF headers say it (elf(5), `e_machine`).

use std::fmt;

/// The machine a program is for: instruction set, word size and byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    pub number: u16,
    pub bits: u8,
    pub big_endian: bool,
}

impl Machine {
    /// This host.
    pub const HOST: Machine = Machine {
        number: if cfg!(target_arch = "x86_64") {
            62
        } else if cfg!(target_arch = "aarch64") {
            183
        } else if cfg!(any(target_arch = "riscv64", target_arch = "riscv32")) {
            243
        } else if cfg!(target_arch = "arm") {
            40
        } else if cfg!(target_arch = "x86") {
            3
        } else if cfg!(target_arch = "s390x") {
            22
        } else if cfg!(target_arch = "powerpc64") {
            21
        } else {
            0
        },
        bits: if cfg!(target_pointer_width = "64") { 64 } else { 32 },
        big_endian: cfg!(target_endian = "big"),
    };
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number, self.bits) {
            (2, _) => f.write_str("sparc"),
            (3, _) => f.write_str("i386 (32-bit x86)"),
            (4, _) => f.write_str("m68k"),
            (8, _) => write!(f, "MIPS ({}-bit)", self.bits),
            (20, _) => f.write_str("powerpc (32-bit)"),
            (21, _) => f.write_str(if self.big_endian { "ppc64" } else { "ppc64le" }),
            (22, _) => f.write_str("s390x"),
            (40, _) => f.write_str("arm (32-bit)"),
            (42, _) => f.write_str("SuperH"),
            (43, _) => f.write_str("sparc64"),
            (62, 64) => f.write_str("x86_64"),
            (62, _) => f.write_str("x32 (x86_64 with 32-bit pointers)"),
            (183, _) => f.write_str("aarch64"),
            (243, _) => write!(f, "riscv{}", self.bits),
            (247, _) => f.write_str("BPF"),
            (258, _) => f.write_str("loongarch64"),
            (number, bits) => write!(f, "machine {number} ({bits}-bit)"),
        }
    }
}
