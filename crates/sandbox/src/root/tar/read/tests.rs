//! What other programs write is read, what this crate writes is read by others, and what is broken
//! is refused.

use super::{Entries, Entry};
use crate::root::tar::{Kind, write};

fn all(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, String> {
    let mut entries = Entries::new(bytes);
    let mut found = Vec::new();
    while let Some(entry) = entries.next().map_err(|error| error.to_string())? {
        let mut content = Vec::new();
        let mut buffer = [0; 100];
        loop {
            match entries.read(&mut buffer).map_err(|error| error.to_string())? {
                0 => break,
                count => content.extend_from_slice(&buffer[..count]),
            }
        }
        found.push((entry, content));
    }
    Ok(found)
}

/// Long and odd names, each in both directions.
fn names() -> Vec<Vec<u8>> {
    vec![
        b"a".to_vec(),
        "x/".repeat(120).into_bytes(),
        vec![b'n'; 255],
        [&[b'd'; 99][..], b"/", &[b'e'; 99]].concat(),
        "sm\u{f8}rrebr\u{f8}d".into(),
        b"\xff\xfe not utf-8".to_vec(),
    ]
}

#[test]
fn what_is_written_is_read_by_this_reader_and_by_another() {
    let mut archive = write::Archive::new(Vec::new());
    for (index, name) in names().iter().enumerate() {
        let content = vec![7; index * 300];
        let entry = write::Entry {
            kind: Kind::File,
            path: name,
            link: b"",
            mode: 0o4755,
            uid: 5_000_000,
            gid: 3,
            size: content.len() as u64,
            mtime: -5,
        };
        archive.append(&entry, &mut content.as_slice()).unwrap();
    }
    let bytes = archive.finish().unwrap();
    let ours = all(&bytes).unwrap();
    let mut theirs = tar::Archive::new(bytes.as_slice());
    for ((entry, content), (name, other)) in
        ours.iter().zip(names().iter().zip(theirs.entries().unwrap()))
    {
        let mut other = other.unwrap();
        assert_eq!(&entry.path, name);
        assert_eq!((entry.mode, entry.uid, entry.gid, entry.mtime), (0o4755, 5_000_000, 3, -5));
        assert_eq!(*other.path_bytes(), **name);
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut other, &mut read).unwrap();
        assert_eq!(&read, content);
        assert!(content.iter().all(|&byte| byte == 7));
    }
    assert_eq!(ours.len(), names().len());
}

#[test]
fn what_another_program_writes_is_read() {
    let mut builder = tar::Builder::new(Vec::new());
    for name in names().iter().filter(|name| !name.ends_with(b"/")) {
        use std::os::unix::ffi::OsStrExt as _;
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o600);
        header.set_uid(1 << 40);
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name));
        builder.append_data(&mut header, path, &b"hello"[..]).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "link", path).unwrap();
    }
    let found = all(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(found.len(), 10);
    for (pair, name) in found.chunks(2).zip(names().iter().filter(|name| !name.ends_with(b"/"))) {
        assert_eq!((&pair[0].0.path, &pair[0].1), (name, &b"hello".to_vec()));
        assert_eq!(pair[0].0.uid, 1 << 40);
        assert_eq!((pair[1].0.kind, &pair[1].0.link), (Kind::Symlink, name));
    }
}

fn header(flag: u8, size: &[u8]) -> [u8; 512] {
    let mut block = [0; 512];
    block[..4].copy_from_slice(b"name");
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = flag;
    let sum = super::checksum(&block);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[test]
fn what_is_broken_is_refused_and_takes_no_memory() {
    let refused = |bytes: &[u8], why: &str| {
        let error = all(bytes).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    refused(&[1; 512], "checksum");
    refused(&[1; 100], "inside a header");
    refused(&header(b'0', b"00000000010"), "end of file");
    refused(&header(b'0', b"9"), "size is no number");
    refused(&header(b'0', &[0xff; 12]), "size is no number");
    refused(&header(b'L', b"77777777777"), "description of an entry");
    refused(&header(b'S', b"0"), "sparse");
    refused(&header(b'x', b"0").repeat(20), "too many descriptions");
    let pax = |text: &[u8]| {
        let mut bytes = header(b'x', format!("{:011o}", text.len()).as_bytes()).to_vec();
        bytes.extend_from_slice(text);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend_from_slice(&header(b'0', b"0"));
        bytes
    };
    refused(&pax(b"99 path=a\n"), "pax records");
    refused(&pax(b"5 a=b\n"), "pax records");
    refused(&pax(b"0 a=b\n"), "pax records");
    refused(&pax(b"9 size=x\n"), "no number");
    refused(&pax(b"22 GNU.sparse.major=1\n"), "sparse");
    assert_eq!(all(&pax(b"10 path=b\n")).unwrap()[0].0.path, b"b");
    let attribute = all(&pax(b"35 SCHILY.xattr.security.capabi=\0\x01\n"));
    assert_eq!(attribute.unwrap()[0].0.attributes, ["security.capabi"]);
}
