//! What a file is, by its bytes and never by its name.

/// What is known of a whole file besides its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub size_bytes: u64,
    /// Shannon entropy in thousandths of a bit per byte.
    pub entropy_millibits: u32,
}

impl Shape {
    /// Of bytes that are all there.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut histogram = [0_u64; 256];
        for &byte in bytes {
            histogram[usize::from(byte)] += 1;
        }
        let entropy_millibits = crate::runner::process::changes::entropy_millibits(&histogram);
        Self { size_bytes: bytes.len() as u64, entropy_millibits }
    }
}

/// First bytes that decide, at an offset.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"\x7fELF", "elf"),
    (0, b"\0asm", "wasm"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"BZh", "bzip2"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (257, b"ustar", "tar"),
    (0, b"!<arch>\n", "ar"),
    (0, b"\xed\xab\xee\xdb", "rpm"),
    (0, b"070701", "cpio"),
    (0, b"hsqs", "squashfs"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF8", "gif"),
    (0, b"%PDF-", "pdf"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (0, b"SQLite format 3\0", "sqlite"),
    (0, b"\xfe\xed\xfa\xce", "macho"),
    (0, b"\xfe\xed\xfa\xcf", "macho"),
    (0, b"\xce\xfa\xed\xfe", "macho"),
    (0, b"\xcf\xfa\xed\xfe", "macho"),
    (0, b"BC\xc0\xde", "llvm-bitcode"),
    (0, b"dex\n", "dex"),
    (0, b"Salted__", "encrypted"),
    (0, b"age-encryption.org/", "encrypted"),
    (0, b"-----BEGIN PGP MESSAGE", "encrypted"),
    (0, b"LUKS\xba\xbe", "encrypted"),
    (0, b"KDBX", "encrypted"),
    (0, b"\x03\xd9\xa2\x9a", "encrypted"),
    (0, b"-----BEGIN OPENSSH PRIVATE KEY", "ssh-key"),
    (0, b"-----BEGIN ", "pem"),
    (0, b"ssh-rsa ", "ssh-public-key"),
    (0, b"ssh-ed25519 ", "ssh-public-key"),
    (0, b"ecdsa-sha2-", "ssh-public-key"),
];

/// Bytes that [`format`] looks at; more do no harm.
pub(crate) const HEAD_BYTES: usize = 4096;
/// Random data of this size has nearly eight bits of entropy per byte; a shorter piece looks less
/// random than it is, because not every value can occur often enough.
const RANDOM_BYTES_MIN: u64 = 1024;
const RANDOM_MILLIBITS_MIN: u32 = 7_800;

/// What the content is: `elf`, `script:python3`, `zip`, `text`, `random` … `None` for bytes that
/// say nothing. `head` is the beginning of the file. A `text` that proves to be one whole of a
/// shell's settings is called `shell-settings` by who has it whole.
#[must_use]
pub fn format(head: &[u8], shape: &Shape) -> Option<&'static str> {
    let head = head.get(..HEAD_BYTES).unwrap_or(head);
    if shape.size_bytes == 0 {
        return Some("empty");
    }
    if let Some(line) = head.strip_prefix(b"#!") {
        return Some(script(line));
    }
    for (offset, magic, name) in MAGIC {
        if head.get(*offset..).is_some_and(|rest| rest.starts_with(magic)) {
            return Some(name);
        }
    }
    if let Some(name) = by_structure(head) {
        return Some(name);
    }
    if is_text(head) {
        return Some(text(head));
    }
    let random = shape.size_bytes >= RANDOM_BYTES_MIN;
    (random && shape.entropy_millibits >= RANDOM_MILLIBITS_MIN).then_some("random")
}

/// Formats whose first bytes are too common to decide alone.
fn by_structure(head: &[u8]) -> Option<&'static str> {
    let at =
        |offset: usize| Some(u32::from_le_bytes(head.get(offset..offset + 4)?.try_into().ok()?));
    if head.starts_with(b"MZ") {
        let header = usize::try_from(at(0x3c)?).ok()?;
        // A header that lies behind what was read is not followed.
        let signed = header.checked_add(4).and_then(|end| head.get(header..end));
        return Some(if signed == Some(b"PE\0\0") { "pe" } else { "dos" });
    }
    if head.starts_with(b"\xca\xfe\xba\xbe") {
        // A fat Mach-O counts its few architectures where Java has its version, 45 and up.
        let number = u32::from_be_bytes(head.get(4..8)?.try_into().ok()?);
        return Some(if number & 0xffff >= 45 { "java-class" } else { "macho" });
    }
    // CPython: a number below 4000, then CR LF, then flags.
    if let [low, high, b'\r', b'\n', flags, 0, 0, 0, ..] = head {
        let version = u16::from_le_bytes([*low, *high]);
        if (3000..4000).contains(&version) && *flags < 4 {
            return Some("pyc");
        }
    }
    if head.starts_with(b"RIFF") {
        return match head.get(8..12) {
            Some(b"WEBP") => Some("webp"),
            Some(b"WAVE") => Some("wav"),
            _ => None,
        };
    }
    None
}

/// By the interpreter of the first line.
fn script(line: &[u8]) -> &'static str {
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let name = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let mut program = words.next().map(name).unwrap_or_default();
    if program == "env" {
        let named = words.find(|word| !word.starts_with('-') && !word.contains('='));
        program = named.map(name).unwrap_or_default();
    }
    let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    match program {
        "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh" | "fish" => "script:shell",
        "python" | "pypy" => "script:python",
        "perl" => "script:perl",
        "ruby" => "script:ruby",
        "node" | "nodejs" | "deno" | "bun" => "script:node",
        "php" => "script:php",
        "lua" | "luajit" => "script:lua",
        "awk" | "gawk" | "mawk" => "script:awk",
        "tclsh" | "wish" | "expect" => "script:tcl",
        _ => "script",
    }
}

/// What kind of text, where its first characters tell.
fn text(head: &[u8]) -> &'static str {
    let trimmed = head.trim_ascii_start();
    let lower: Vec<u8> = trimmed.iter().take(64).map(u8::to_ascii_lowercase).collect();
    match lower.as_slice() {
        text if text.starts_with(b"<?php") => "php",
        text if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") => "html",
        text if text.starts_with(b"<?xml") => "xml",
        text if text.starts_with(b"[core]") || text.starts_with(b"[unit]") => "ini",
        _ => "text",
    }
}

/// UTF-8 (a character may be cut at the end) without control characters but white space and escape.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => head,
        Err(error) if error.error_len().is_none() => {
            head.get(..error.valid_up_to()).unwrap_or(head)
        }
        Err(_) => return false,
    };
    !valid.iter().any(|&byte| byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b))
}
