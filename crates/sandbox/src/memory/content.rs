//! What bytes of memory look like: entropy, a program's header, code that calls the kernel, strings
//! somebody would want to know of. Pure; nothing here knows whose bytes they are.

/// Code longer than this is not searched for calls: in megabytes that a compiler wrote, the two
/// bytes of the instruction stand by chance.
const CALLS_LEN_MAX: usize = 64 << 10;
/// How far before the instruction its number is looked for, in bytes.
const CALLS_BACK: usize = 24;
/// Strings that are told of one region.
const STRINGS_MAX: usize = 6;
/// Characters of a string that are told.
const STRING_LEN_MAX: usize = 72;

/// Shannon entropy in thousandths of a bit per byte, 0–8000; of nothing, 0.
pub(super) fn entropy_millibits(bytes: &[u8]) -> u32 {
    let mut counts = [0_u32; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    let total = f64::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let bits: f64 = counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| {
            let share = f64::from(count) / total;
            -share * share.log2()
        })
        .sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 8 bits times 1000, and not negative"
    )]
    let millibits = (bits * 1000.0).round() as u32;
    millibits
}

/// Whether an ELF program or library begins here (elf(5)): magic, class, byte order, version.
pub(super) fn is_elf(bytes: &[u8]) -> bool {
    matches!(bytes, [0x7f, b'E', b'L', b'F', 1 | 2, 1 | 2, 1, ..])
}

/// The bytes without the zeros at both ends, and how many stood before them.
pub(super) fn trimmed(bytes: &[u8]) -> (usize, &[u8]) {
    let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(start, |last| last + 1);
    (start, bytes.get(start..end).unwrap_or_default())
}

/// Offsets of instructions that call the kernel (`syscall`, `int 0x80`) shortly behind one that
/// chooses the call's number. x86 only; code a compiler wrote at run time calls a library instead.
pub(super) fn direct_calls(bytes: &[u8]) -> Vec<usize> {
    let (start, code) = trimmed(bytes);
    if code.len() > CALLS_LEN_MAX {
        return Vec::new();
    }
    let calls =
        code.windows(2).enumerate().filter(|(_, pair)| matches!(pair, [0x0f, 0x05] | [0xcd, 0x80]));
    calls
        .map(|(at, _)| at)
        .filter(|&at| {
            chooses_number(code.get(at.saturating_sub(CALLS_BACK)..at).unwrap_or_default())
        })
        .map(|at| start + at)
        .collect()
}

/// `mov eax, n`; `mov rax, n`; `push n; pop rax`; `xor eax, eax` with or without `mov al, n`.
fn chooses_number(code: &[u8]) -> bool {
    let cleared =
        |code: &[u8]| code.windows(2).any(|pair| matches!(pair, [0x31, 0xc0] | [0x33, 0xc0]));
    code.windows(5).any(|w| matches!(w, [0xb8, _, 0 | 1, 0, 0]))
        || code.windows(7).any(|w| matches!(w, [0x48, 0xc7, 0xc0, _, 0 | 1, 0, 0]))
        || code.windows(3).any(|w| matches!(w, [0x6a, _, 0x58]))
        || code.ends_with(&[0x31, 0xc0])
        || code.windows(2).any(|w| w[0] == 0xb0) && cleared(code)
}

/// What makes a string worth telling, and in which words.
const TELLING: &[(&str, &str)] = &[
    ("http://", "address"),
    ("https://", "address"),
    ("ftp://", "address"),
    ("ws://", "address"),
    ("stratum+tcp://", "mining pool"),
    (".onion", "address"),
    ("-----BEGIN ", "key"),
    ("/bin/sh", "shell"),
    ("/bin/bash", "shell"),
    ("/dev/tcp/", "shell"),
    ("/etc/shadow", "credentials"),
    ("/.ssh/", "credentials"),
    ("AKIA", "credentials"),
    ("files have been encrypted", "ransom note"),
    ("decrypt your files", "ransom note"),
    ("seed phrase", "wallet"),
    ("wallet.dat", "wallet"),
    ("LD_PRELOAD=", "loader"),
    ("/etc/ld.so.preload", "loader"),
];

/// Strings of interest, in the order they stand in: what they are, and the beginning of each.
/// Bounded; a region full of them tells of the first few.
pub(super) fn strings(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|&byte| printable(byte)) {
        rest = rest.get(start..).unwrap_or_default();
        let len = rest.iter().position(|&byte| !printable(byte)).unwrap_or(rest.len());
        let (text, after) = rest.split_at(len);
        rest = after;
        if len < 7 {
            continue;
        }
        if let Some((at, what)) = telling(text) {
            let shown = text.get(at..).unwrap_or_default();
            let shown = &shown[..shown.len().min(STRING_LEN_MAX)];
            let shown = String::from_utf8_lossy(shown).into_owned();
            if !found.iter().any(|(_, known)| *known == shown) {
                found.push((what, shown));
                if found.len() == STRINGS_MAX {
                    break;
                }
            }
        }
    }
    found
}

fn printable(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte)
}

fn telling(text: &[u8]) -> Option<(usize, &'static str)> {
    TELLING.iter().find_map(|(part, what)| {
        let part = part.as_bytes();
        // Most strings hold none of the marks; the first byte decides quickly.
        let at = text.windows(part.len()).position(|window| window == part)?;
        // An address is shown from its beginning, anything else with its line.
        Some((if *what == "address" { at } else { 0 }, *what))
    })
}

#[cfg(test)]
mod tests {
    use super::{direct_calls, entropy_millibits, is_elf, strings};

    #[test]
    fn entropy_spans_from_one_value_to_all_of_them() {
        assert_eq!(entropy_millibits(&[]), 0);
        assert_eq!(entropy_millibits(&[7; 100]), 0);
        assert_eq!(entropy_millibits(&[0, 1]), 1000);
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(entropy_millibits(&all), 8000);
    }

    #[test]
    fn calls_are_found_where_a_number_is_chosen_and_not_by_chance() {
        // write(1, …): mov eax, 1; mov edi, 1; syscall
        let write = [0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x0f, 0x05];
        assert_eq!(direct_calls(&write), [10]);
        // execve: push 59; pop rax; cdq; … syscall
        let push = [0, 0, 0x6a, 0x3b, 0x58, 0x99, 0x48, 0x89, 0xe7, 0x0f, 0x05, 0, 0];
        assert_eq!(direct_calls(&push), [9]);
        let clear = [0x48, 0x31, 0xc0, 0xb0, 0x3b, 0x0f, 0x05];
        assert_eq!(direct_calls(&clear), [5]);
        assert!(direct_calls(&[0x90, 0x90, 0x0f, 0x05, 0xc3]).is_empty());
        assert!(direct_calls(&[0; 4096]).is_empty());
        let mut long = vec![0x90; 70 << 10];
        long[..12].copy_from_slice(&write);
        assert!(direct_calls(&long).is_empty());
    }

    #[test]
    fn chance_makes_no_calls_out_of_a_megabyte() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut found = 0;
        for _ in 0..64 {
            let code: Vec<u8> = (0..16 << 10)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_be_bytes()[3]
                })
                .collect();
            found += direct_calls(&code).len();
        }
        assert_eq!(found, 0);
    }

    #[test]
    fn headers_and_strings() {
        assert!(is_elf(b"\x7fELF\x02\x01\x01\0"));
        assert!(!is_elf(b"\x7fELF"));
        assert!(!is_elf(b"#!/bin/sh"));
        let bytes = b"\0\0noise\x01GET http://c2.example/x HTTP/1.1\0\xff/bin/sh -c id\0http://c2";
        let found = strings(bytes);
        assert_eq!(found[0], ("address", "http://c2.example/x HTTP/1.1".to_owned()));
        assert_eq!(found[1], ("shell", "/bin/sh -c id".to_owned()));
        assert_eq!(found[2].1, "http://c2");
        let many: Vec<u8> = (0..100).flat_map(|n| format!("http://h{n}\0").into_bytes()).collect();
        assert_eq!(strings(&many).len(), super::STRINGS_MAX);
    }
}
