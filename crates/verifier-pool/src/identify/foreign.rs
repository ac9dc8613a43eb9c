//! Files that are something, but nothing this host executes, by their first bytes.

/// What a file is, with an article, and a way out where there is one.
pub(super) struct Foreign {
    pub(super) what: &'static str,
    pub(super) hint: &'static str,
}

const UNPACK: &str = "; unpack it and submit what is to be run";
const NO_HINT: &str = "";

/// Formats with a fixed first few bytes.
const MAGICS: [(&[u8], &str, &str); 29] = [
    (b"MZ", "a Windows program", NO_HINT),
    (b"\xfe\xed\xfa\xce", "a macOS program", NO_HINT),
    (b"\xfe\xed\xfa\xcf", "a macOS program", NO_HINT),
    (b"\xce\xfa\xed\xfe", "a macOS program", NO_HINT),
    (b"\xcf\xfa\xed\xfe", "a macOS program", NO_HINT),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"!<arch>\ndebian", "a Debian package", UNPACK),
    (b"!<arch>\n", "a static library", NO_HINT),
    (b"\xed\xab\xee\xdb", "an RPM package", UNPACK),
    (b"%PDF-", "a PDF document", NO_HINT),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office or MSI document", NO_HINT),
    (b"{\\rtf", "an RTF document", NO_HINT),
    (b"\x89PNG\r\n\x1a\n", "an image (PNG)", NO_HINT),
    (b"\xff\xd8\xff", "an image (JPEG)", NO_HINT),
    (b"GIF87a", "an image (GIF)", NO_HINT),
    (b"GIF89a", "an image (GIF)", NO_HINT),
    (b"II*\0", "an image (TIFF)", NO_HINT),
    (b"MM\0*", "an image (TIFF)", NO_HINT),
    (b"BC\xc0\xde", "LLVM bitcode", NO_HINT),
    (b"dex\n", "an Android program", NO_HINT),
    (b"SQLite format 3\0", "an SQLite database", NO_HINT),
    (b"\xff\xfe", "text in UTF-16", "; save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "; save it as UTF-8"),
    (b"\xef\xbb\xbf#!", "a script with a byte order mark before its #!", "; remove the mark"),
];

/// What a file that is neither ELF nor starts with `#!` is, unless it is plausible text.
pub(super) fn recognise(head: &[u8], name: &str) -> Option<Foreign> {
    let foreign = |what, hint| Some(Foreign { what, hint });
    if head.starts_with(b"\xca\xfe\xba\xbe") {
        // A macOS program for several machines counts them here; a Java class has its version,
        // which has been 45 or more since the first.
        let version = head.get(4..8).map_or(0, |v| u32::from_be_bytes([v[0], v[1], v[2], v[3]]));
        let java = version & 0xffff >= 45;
        return foreign(if java { "a Java class" } else { "a macOS program" }, NO_HINT);
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(Foreign { what: zip(head, name), hint: UNPACK });
    }
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return foreign("an image (WebP)", NO_HINT);
    }
    if head.get(257..262) == Some(b"ustar") {
        return foreign("a tar archive", UNPACK);
    }
    // `.pyc`: two bytes of version, then CR LF, then flags with two zero bytes at their end.
    if head.get(2..4) == Some(b"\r\n") && head.get(6..8) == Some(b"\0\0") {
        return foreign("compiled Python", "; submit its source");
    }
    if let Some((_, what, hint)) = MAGICS.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return Some(Foreign { what, hint });
    }
    if plausible_text(head) { None } else { foreign("binary data of no known kind", NO_HINT) }
}

/// What kind of ZIP file it is: by the names of its first members, else by its own.
fn zip(head: &[u8], name: &str) -> &'static str {
    let has = |needle: &[u8]| head.windows(needle.len()).any(|window| window == needle);
    let name = name.to_ascii_lowercase();
    if has(b"META-INF/MANIFEST.MF") || name.ends_with(".jar") {
        "a JAR archive"
    } else if has(b".dist-info/") || name.ends_with(".whl") {
        "a Python wheel"
    } else if has(b"[Content_Types].xml") {
        "an Office document"
    } else {
        "a ZIP archive"
    }
}

/// No control characters but those that text uses, and nearly all of it UTF-8.
fn plausible_text(head: &[u8]) -> bool {
    let control = |byte: &u8| matches!(byte, 0..=7 | 14..=26 | 28..=31 | 127);
    if head.iter().any(control) {
        return false;
    }
    // Text in an older encoding has a few bytes that are no UTF-8; data is full of them.
    let invalid: usize = head.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    invalid * 20 <= head.len().max(60)
}
