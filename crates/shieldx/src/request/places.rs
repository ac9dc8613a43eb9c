//! Folders and files that the command line names: they exist, or can be created.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sandbox::Mount;

use super::{show, usage};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Destination;
use crate::view::{View, clean};

/// `SRC[:DST][:rw|:ro]`. A colon cannot be part of a path here, as in every tool with this form.
pub(super) fn mount(text: &OsStr, environment: &Environment) -> Result<Mount, Failure> {
    let shown = types::Text::from(text.as_bytes());
    let wrong = |what: &str| {
        usage(format!("--mount {shown}: {what}"))
            .hint("the form is SRC[:DST][:rw], as in ./data:/data:rw")
    };
    let mut parts: Vec<&[u8]> = text.as_bytes().split(|&byte| byte == b':').collect();
    let writable = match parts.last() {
        Some(&b"rw") if parts.len() > 1 => parts.pop().is_some(),
        Some(&b"ro") if parts.len() > 1 => parts.pop().is_none(),
        _ => false,
    };
    let (source, target) = match parts.as_slice() {
        [source] => (*source, *source),
        [source, target] => (*source, *target),
        _ => return Err(wrong("too many parts")),
    };
    if source.is_empty() || target.is_empty() {
        return Err(wrong("a path is empty"));
    }
    let named = absolute(Path::new(OsStr::from_bytes(source)), environment)?;
    let source_path =
        named.canonicalize().map_err(|error| wrong(&format!("cannot use the source: {error}")))?;
    let target_path =
        if parts.len() == 1 { clean(&named) } else { clean(Path::new(OsStr::from_bytes(target))) };
    if !target_path.is_absolute() {
        return Err(wrong("DST must be an absolute path"));
    }
    if target_path == Path::new("/")
        || ["/proc", "/sys", "/dev"].iter().any(|dir| target_path.starts_with(dir))
    {
        return Err(wrong("DST may not be /, /proc, /sys or /dev"));
    }
    Ok(Mount { source: source_path, target: target_path, writable })
}

/// The working folder: of the host, or inside one of the mounts.
pub(super) fn working_folder(
    named: Option<&Path>,
    mounts: &[Mount],
    environment: &Environment,
) -> Result<PathBuf, Failure> {
    let folder = absolute(named.unwrap_or(Path::new("")), environment)?;
    let inside = clean(&folder);
    if named.is_some() && shown_by_mount(&inside, mounts) {
        let view = View { mounts: mounts.to_vec(), ..View::default() };
        if view.on_host(&inside).is_dir() {
            return Ok(inside);
        }
    }
    match folder.canonicalize() {
        Ok(folder) if folder.is_dir() => Ok(folder),
        Ok(_) => Err(usage(format!("--cwd {}: not a folder", show(&folder)))),
        Err(error) => Err(usage(format!("--cwd {}: {error}", show(&folder)))),
    }
}

pub(super) fn shown_by_mount(path: &Path, mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| path.starts_with(&mount.target))
}

/// A new folder, or an empty one: what is saved must not mix with what was there.
pub(super) fn empty_folder(
    option: &str,
    folder: &Path,
    environment: &Environment,
) -> Result<PathBuf, Failure> {
    let folder = absolute(folder, environment)?;
    let wrong = |what: String| usage(format!("{option} {}: {what}", show(&folder)));
    match std::fs::read_dir(&folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(folder),
            Some(_) => Err(wrong("the folder is not empty".into())
                .hint("name a new folder, so that nothing of yours is mixed with what is saved")),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match folder.parent() {
            Some(parent) if parent.is_dir() => Ok(folder),
            _ => Err(wrong("its parent folder does not exist".into())),
        },
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Checks that every file can be written later, and that no two are the same.
pub(super) fn destinations<const N: usize>(
    asked: [&Option<PathBuf>; N],
) -> Result<[Option<Destination>; N], Failure> {
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut out = [const { None }; N];
    for (slot, path) in out.iter_mut().zip(asked) {
        let Some(path) = path else { continue };
        let destination = Destination::check(path).map_err(|error| {
            Failure::of(Exit::Failed, &error)
                .hint("nothing was run; name a file that can be written")
        })?;
        if destination.replaces() && seen.contains(&destination.path().to_path_buf()) {
            return Err(usage(format!("{} is named for two outputs", show(path))));
        }
        seen.push(destination.path().to_path_buf());
        *slot = Some(destination);
    }
    Ok(out)
}

pub(super) fn absolute(path: &Path, environment: &Environment) -> Result<PathBuf, Failure> {
    if path.is_absolute() {
        return Ok(path.to_path_buf());
    }
    match &environment.cwd {
        Some(cwd) => Ok(cwd.join(path)),
        None => Err(Failure::new(Exit::Failed, "the current folder does not exist any more")
            .hint("change to another folder, or use absolute paths")),
    }
}
