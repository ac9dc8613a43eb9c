//! What the host's root looks like: read before the sandbox's root is planned, never changed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::INSIDE_UID;
use crate::runner::process::areas::Area;
use crate::spec::Spec;

/// Mounts of the host that are carried over, at most.
const SUBMOUNTS_MAX: usize = 64;

/// The command's home, from its environment.
pub(super) fn home(spec: &Spec) -> Option<PathBuf> {
    let value = spec.env.iter().rev().find(|(key, _)| key == OsStr::new("HOME"))?;
    let path = PathBuf::from(&value.1);
    (path.is_absolute() && path != Path::new("/")).then_some(path)
}

/// An account list without whoever has the command's id, plus the command's user.
pub(super) fn accounts(name: &str, known: &[u8], line: &str, spec: &Spec) -> String {
    let mut text = String::new();
    let id = INSIDE_UID.to_string();
    for entry in String::from_utf8_lossy(known).lines() {
        let taken = entry.split(':').nth(2) == Some(id.as_str()) || entry.starts_with("sandbox:");
        if !taken {
            text.push_str(entry);
            text.push('\n');
        }
    }
    text.push_str(line);
    if name == "passwd" {
        let home = home(spec).unwrap_or_else(|| "/tmp".into());
        text.push_str(&home.to_string_lossy());
        text.push_str(":/bin/sh");
    }
    text.push('\n');
    text
}

/// Mounts of the host that carry files and are neither hidden nor replaced.
pub(super) fn submounts(areas: &[Area]) -> Vec<PathBuf> {
    const KINDS: [&str; 12] = [
        "ext2", "ext3", "ext4", "xfs", "btrfs", "overlay", "zfs", "f2fs", "erofs", "squashfs",
        "nfs4", "virtiofs",
    ];
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<PathBuf> = Vec::new();
    for line in text.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let kind = right.split(' ').next().unwrap_or("");
        let Some(path) = left.split(' ').nth(4).map(unescape) else { continue };
        let covers = |area: &Area| area.path != Path::new("/") && path.starts_with(&area.path);
        let replaced = areas.iter().any(|area| !area.overlay && covers(area))
            || ["/proc", "/sys", "/dev"].iter().any(|top| path.starts_with(top))
            || path == Path::new("/");
        if !replaced && KINDS.contains(&kind) && path.is_dir() && !found.contains(&path) {
            found.push(path);
        }
    }
    found.sort();
    found.truncate(SUBMOUNTS_MAX);
    found
}

/// Adds an overlay for every folder at the top of the host's root that is not replaced, and
/// returns the links there.
pub(super) fn top_level(areas: &mut Vec<Area>) -> Vec<(PathBuf, PathBuf)> {
    const REPLACED: [&str; 5] = ["/proc", "/sys", "/dev", "/lost+found", "/boot"];
    let mut links = Vec::new();
    let mut names: Vec<PathBuf> =
        fs::read_dir("/").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    names.sort();
    for path in names {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_symlink() {
            links.extend(fs::read_link(&path).ok().map(|to| (path, to)));
        } else if meta.is_dir()
            && !REPLACED.iter().any(|replaced| path == Path::new(replaced))
            && !areas.iter().any(|area| area.path == path)
        {
            let folder = PathBuf::from(format!("upper/{}", areas.len()));
            areas.push(Area { folder, path, overlay: true });
        }
    }
    links
}

/// mountinfo writes space, tab, newline and backslash as `\NNN` octal.
fn unescape(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 1..at + 4).and_then(|digits| {
            std::str::from_utf8(digits).ok().and_then(|text| u8::from_str_radix(text, 8).ok())
        });
        match (bytes[at], octal) {
            (b'\\', Some(byte)) => {
                out.push(byte);
                at += 4;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    PathBuf::from(OsStr::from_bytes(&out))
}
