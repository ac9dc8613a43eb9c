//! What kind of content the first bytes of a file are: readable, a known format, filler, or opaque.
//!
//! Integer counts only. Sixty-four random bytes hold about 57 different values; text, code and
//! tables hold far fewer, and formats announce themselves.

use types::FileChange;

use crate::paths::name;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Text.
    Readable,
    /// A compressed, media, archive, object or database format.
    Known,
    /// One byte repeated.
    Filler,
    /// Statistically random, without a known format.
    Opaque,
    /// A format that only encryption makes.
    Encrypted,
    /// Letters of base64 or hexadecimal without a break: text to a machine only.
    Encoded,
    /// Not text and not known, in a file whose name promises text or a format.
    Unknown,
    /// Anything else, and too little to tell.
    Other,
}

/// Below this many bytes randomness cannot be told.
const BYTES_MIN: usize = 16;

/// First bytes, as lowercase hexadecimal, of formats that everyday tools write.
const KNOWN: &[&str] = &[
    "1f8b",
    "425a68",
    "fd377a585a",
    "28b52ffd",
    "04224d18",
    "894c5a4f",
    "5d0000",
    "377abcaf271c",
    "504b0304",
    "504b0506",
    "504b0708",
    "526172211a07",
    "1f9d",
    "1fa0",
    "4c5a4950",
    "d7cdc69a",
    "7801",
    "785e",
    "789c",
    "78da",
    "89504e47",
    "ffd8ff",
    "47494638",
    "424d",
    "52494646",
    "494433",
    "fffb",
    "4f676753",
    "664c6143",
    "1a45dfa3",
    "000000186674",
    "0000001c6674",
    "000000206674",
    "25504446",
    "d0cf11e0",
    "7f454c46",
    "213c617263683e",
    "cafebabe",
    "cffaedfe",
    "4d5a",
    "0061736d",
    "53514c69746520",
    "5041434b",
    "ff744f63",
    "44495243",
    "4d494458",
    "43475048",
    "42425441",
    "edabeedb",
    "213c74686e",
    "774f4646",
    "774f4632",
    "00010000",
    "4f54544f",
    "49492a00",
    "4d4d002a",
    "80025d",
    "8003",
    "8004",
    "8005",
    "930d4e554d5059",
    "894844460d0a1a0a",
    "4f626a01",
    "50415231",
    "de120495",
    "950412de",
    "72757374",
    "52534943",
    "4243c0de",
    "feedfeed",
    "0000000c6a50",
    "3026b275",
    "62706c697374",
    "4c01",
    "efbbbf",
    "fffe",
    "feff",
];

/// What announces encrypted content: `Salted__`, `U2FsdGVkX1` (the same in base64), OpenPGP in
/// armour, age, Fernet, LUKS.
const ENCRYPTED: &[&str] = &[
    "53616c7465645f5f",
    "553246736447566b58",
    "2d2d2d2d2d424547494e20504750204d455353414745",
    "6167652d656e6372797074696f6e",
    "674141414141",
    "4c554b53babe",
    "8c0d04",
];

/// Endings that programs of every day add to a name, or change a name to.
const ORDINARY_ENDINGS: &[&str] = &[
    "gz", "bz2", "xz", "zst", "lz", "lz4", "lzma", "lzo", "z", "br", "zip", "7z", "tar", "tgz",
    "txz", "bak", "old", "orig", "save", "sav", "backup", "tmp", "temp", "swp", "swo", "new",
    "part", "dist", "sample", "disabled", "off", "o", "obj", "a", "so", "d", "lo", "la", "gch",
    "pyc", "pyo", "class", "map", "js", "mjs", "css", "ts", "txt", "md", "html", "htm", "json",
    "xml", "yml", "yaml", "toml", "csv", "tsv", "pdf", "png", "jpg", "jpeg", "webp", "gif", "svg",
    "mp3", "mp4", "ogg", "flac", "wav", "c", "cc", "cpp", "h", "hpp", "rs", "go", "py", "rb", "pl",
    "sh", "java", "log", "lock", "rej", "dpkg-new", "dpkg-old", "dpkg-tmp", "rpmnew", "rpmsave",
    "ucf-dist", "asc", "sig", "sum", "md5", "sha1", "sha256", "po", "mo", "idx", "pack", "rev",
    "keep", "done", "gcda", "gcno", "ko", "cmd", "i", "s", "ii", "bc", "ll", "rlib", "rmeta", "0",
    "1", "2", "3", "4", "5", "6", "7", "8", "9",
];

/// Judges the head of a write.
pub(super) fn classify(path: &str, head: &str) -> Content {
    if ENCRYPTED.iter().any(|magic| head.starts_with(magic)) {
        return Content::Encrypted;
    }
    let bytes = decode(head);
    if bytes.len() < BYTES_MIN {
        return if is_text(&bytes) && !bytes.is_empty() {
            Content::Readable
        } else {
            Content::Other
        };
    }
    if bytes.iter().all(|b| *b == bytes[0]) {
        return Content::Filler;
    }
    if is_text(&bytes) {
        return if is_encoded(&bytes) { Content::Encoded } else { Content::Readable };
    }
    // Python's byte code: a version, then CR LF.
    let byte_code = bytes[2..4] == [0x0d, 0x0a];
    if byte_code
        || (KNOWN.iter().any(|magic| head.starts_with(magic)) && !promise_broken(path, head))
    {
        return Content::Known;
    }
    if is_random(&bytes) {
        return Content::Opaque;
    }
    if promise_broken(path, head) { Content::Unknown } else { Content::Other }
}

/// Judges a file by what the sandbox found after the run.
pub(super) fn of_change(path: &str, change: &FileChange) -> Option<Content> {
    let entropy = change.entropy_millibits?;
    // A short file cannot reach eight bits per byte; these bounds lie above base64 (6.0) and below
    // random bytes of that size.
    let bound = match change.size_bytes {
        0..96 => return None,
        96..256 => 6_200,
        256..1024 => 6_900,
        1024..4096 => 7_600,
        _ => 7_850,
    };
    let compressed = matches!(promise(path), Promise::Packed);
    (entropy >= bound && !compressed).then_some(Content::Opaque)
}

/// What a file's ending promises about its content.
enum Promise {
    Text,
    /// A format with these first bytes.
    Starts(&'static str),
    /// Compressed or media: random-looking by nature.
    Packed,
    Nothing,
}

fn promise(path: &str) -> Promise {
    let Some((_, ending)) = name(path).rsplit_once('.') else { return Promise::Nothing };
    match ending.to_ascii_lowercase().as_str() {
        "txt" | "md" | "csv" | "tsv" | "json" | "xml" | "html" | "htm" | "yml" | "yaml" | "ini"
        | "conf" | "cfg" | "c" | "h" | "cpp" | "py" | "js" | "ts" | "java" | "rs" | "go" | "rb"
        | "php" | "sh" | "sql" | "log" | "tex" | "rst" | "css" | "svg" | "eml" | "ics" | "vcf"
        | "rtf" => Promise::Text,
        "pdf" => Promise::Starts("25504446"),
        "png" => Promise::Starts("89504e47"),
        "jpg" | "jpeg" => Promise::Starts("ffd8"),
        "gif" => Promise::Starts("47494638"),
        "docx" | "xlsx" | "pptx" | "odt" | "ods" | "odp" | "zip" | "jar" | "epub" => {
            Promise::Starts("504b")
        }
        "doc" | "xls" | "ppt" => Promise::Starts("d0cf11e0"),
        "sqlite" => Promise::Starts("53514c69"),
        "gz" | "tgz" | "bz2" | "xz" | "zst" | "7z" | "rar" | "lz4" | "mp3" | "mp4" | "mkv"
        | "webm" | "webp" | "ogg" | "flac" | "avi" | "mov" | "pack" | "whl" | "deb" | "rpm"
        | "pyc" | "so" | "enc" | "gpg" | "age" | "crate" | "woff2" | "br" | "zlib" | "avif"
        | "heic" => Promise::Packed,
        _ => Promise::Nothing,
    }
}

fn promise_broken(path: &str, head: &str) -> bool {
    match promise(path) {
        Promise::Text => true,
        Promise::Starts(magic) => !head.starts_with(magic),
        Promise::Packed | Promise::Nothing => false,
    }
}

fn decode(head: &str) -> Vec<u8> {
    head.as_bytes()
        .chunks_exact(2)
        .filter_map(|pair| std::str::from_utf8(pair).ok())
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect()
}

fn is_text(bytes: &[u8]) -> bool {
    let printable = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x20..=0x7e);
    let plain = bytes.iter().filter(|b| printable(b)).count();
    if plain == bytes.len() {
        return true;
    }
    // UTF-8 with other scripts; a head may end inside a character.
    let controls = bytes.iter().any(|b| *b < 0x20 && !printable(b));
    !controls
        && match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        }
}

/// A full head without a space or a line's end, in the letters of an encoding.
fn is_encoded(bytes: &[u8]) -> bool {
    const HEAD_BYTES: usize = 64;
    let letter =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_');
    bytes.len() >= HEAD_BYTES && bytes.iter().all(letter)
}

fn is_random(bytes: &[u8]) -> bool {
    let mut counts = [0_usize; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    let count = bytes.len();
    let distinct = counts.iter().filter(|&&n| n > 0).count();
    let high = bytes.iter().filter(|b| **b >= 0x80).count();
    let enough = if count >= 48 { 68 } else { 82 };
    distinct * 100 >= count * enough
        && counts[0] * 8 <= count
        && high * 100 >= count * 22
        && high * 100 <= count * 78
}

/// The ending by which `to` differs from `from` in the same folder, when it is not an ordinary one:
/// `a.txt` → `a.txt.locked`, or `a.txt` → `a.locked`.
pub(super) fn added_ending<'a>(from: &str, to: &'a str) -> Option<&'a str> {
    let ending = match to.strip_prefix(from) {
        Some(ending) => ending,
        None => {
            let stem = from.rsplit_once('.').map(|(stem, _)| stem)?;
            to.strip_prefix(stem)?
        }
    };
    let bare = ending.strip_prefix(['.', '-', '_'])?;
    let unusual = !bare.is_empty()
        && !ending.contains('/')
        && !ORDINARY_ENDINGS.contains(&bare.to_ascii_lowercase().as_str())
        && !bare.bytes().all(|b| b.is_ascii_digit());
    unusual.then_some(ending)
}

/// `README_DECRYPT.txt`, `HOW_TO_RECOVER_FILES.html`, `RESTORE-MY-FILES.txt` …
pub(super) fn is_ransom_note(file: &str) -> bool {
    let plain: String =
        file.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let note =
        matches!(ending.as_str(), "" | "txt" | "html" | "htm" | "hta" | "md" | "rtf" | "note");
    const PARTS: &[&str] = &[
        "readmedecrypt",
        "readmetodecrypt",
        "readmetorestore",
        "readmetorecover",
        "howtodecrypt",
        "howtorecover",
        "howtorestore",
        "decryptinstruction",
        "decryptmyfiles",
        "decryptyourfiles",
        "restoremyfiles",
        "restoreyourfiles",
        "restorefiles",
        "recoveryourfiles",
        "recoverfiles",
        "recovermyfiles",
        "yourfilesareencrypted",
        "filesencrypted",
        "helpdecrypt",
        "howtoback",
        "unlockyourfiles",
        "ransomnote",
        "decryptfiles",
        "howtounlock",
        "readmeforrestore",
    ];
    note && PARTS.iter().any(|part| plain.contains(part))
}

#[cfg(test)]
mod tests {
    use types::text::hex;

    use super::{Content, added_ending, classify, is_ransom_note};

    #[test]
    fn heads() {
        let random: Vec<u8> =
            (0_u32..64).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
        let xored: Vec<u8> =
            b"Minutes of meeting: everyone agreed with everyone. And so on, so on."
                .iter()
                .map(|b| b ^ 0xa5)
                .collect();
        for (path, head, expect) in [
            ("/w/a.txt", hex(b"Minutes of meeting 1: everyone agreed"), Content::Readable),
            ("/w/a.bin", hex("grüße aus köln, viele grüße".as_bytes()), Content::Readable),
            ("/w/a.gz", hex(b"\x1f\x8b\x08\x00aaaaaaaaaaaaaaaaaaa"), Content::Known),
            ("/w/a.pyc", hex(b"\xcb\x0d\x0d\x0a\x00\x00\x00\x00abcdefgh"), Content::Known),
            ("/w/z", hex(&[0; 64]), Content::Filler),
            ("/w/a.txt", hex(&random), Content::Opaque),
            ("/w/a.txt", hex(&xored), Content::Unknown),
            ("/w/a.bin", hex(&xored), Content::Other),
            ("/w/a.enc", hex(b"Salted__0123456789"), Content::Encrypted),
            ("/w/short", hex(b"\xff\xfe\x01"), Content::Other),
        ] {
            assert_eq!(classify(path, &head), expect, "{path} {head}");
        }
    }

    #[test]
    fn endings() {
        assert_eq!(added_ending("/w/a.txt", "/w/a.txt.locked"), Some(".locked"));
        assert_eq!(added_ending("/w/a.txt", "/w/a.locked"), Some(".locked"));
        for ordinary in
            ["/w/a.txt.gz", "/w/a.txt.bak", "/w/a.o", "/w/b.txt", "/x/a.txt", "/w/a.txt.1"]
        {
            assert_eq!(added_ending("/w/a.txt", ordinary), None, "{ordinary}");
        }
    }

    #[test]
    fn ransom_notes() {
        for name in ["README_DECRYPT.txt", "HOW_TO_RECOVER_FILES.txt", "RESTORE-MY-FILES.html"] {
            assert!(is_ransom_note(name), "{name}");
        }
        for name in ["README.md", "restore.sh", "recovery.txt", "decrypt.c", "how-to.html"] {
            assert!(!is_ransom_note(name), "{name}");
        }
    }
}
