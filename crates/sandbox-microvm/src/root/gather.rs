//! Collects files of the host for a guest's disk, and what each of them needs in turn.
//!
//! Refuses what the spec hides, and on its own takes only what everybody may read. Links are kept
//! as links, so that a path means in the guest what it means here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sandbox::{RunError, Spec};

use super::host::{TREE_DEPTH_MAX, configured_folders, measure, parts, shebang};
use super::{languages, mode, placed, readable_by_all, regular, setup};
use crate::elf;
use crate::erofs::{Content, Tree};

/// Links followed on the way to one file, as in Linux (path_resolution(7)).
const LINKS_MAX: usize = 40;
/// Interpreters of interpreters.
const DEPTH_MAX: usize = 4;
pub(super) struct Gather<'a> {
    spec: &'a Spec,
    /// Where the root is in the image.
    below: PathBuf,
    tree: Tree,
    notes: Vec<String>,
    /// Files and trees that were looked at already.
    done: BTreeSet<PathBuf>,
    library_folders: Vec<PathBuf>,
}

/// A file of the host as content.
pub(super) fn content(path: &Path) -> io::Result<Content> {
    regular(path)
}

impl<'a> Gather<'a> {
    pub(super) fn new(spec: &'a Spec, below: &str) -> Self {
        let mut library_folders = configured_folders(Path::new("/etc/ld.so.conf"), 0);
        library_folders.extend(elf::FOLDERS.map(PathBuf::from));
        Self {
            spec,
            below: PathBuf::from(below),
            tree: Tree::default(),
            notes: Vec::new(),
            done: BTreeSet::new(),
            library_folders,
        }
    }

    pub(super) fn finish(self) -> (Tree, Vec<String>) {
        (self.tree, self.notes)
    }

    /// `path`, absolute, as it is named in the image. Links that are there already are followed, so
    /// that `/bin/x` lands in `/usr/bin` where `/bin` points there.
    fn place(&self, path: &Path) -> PathBuf {
        self.below.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        self.tree.has(self.place(path))
    }

    pub(super) fn put(&mut self, path: &Path, mode: u16, content: Content) -> Result<(), RunError> {
        self.tree.file(self.place(path), mode, content).map_err(|error| placed(&error))
    }

    /// Something for the agent, which the command does not see.
    pub(super) fn put_beside(&mut self, name: &str, content: Content) -> Result<(), RunError> {
        let place = Path::new(super::BESIDE).join(name);
        self.tree.file(place, 0o755, content).map_err(|error| placed(&error))
    }

    /// A file or folder of the host for the agent.
    pub(super) fn beside(&mut self, source: &Path, name: &str) -> Result<(), RunError> {
        let pack = |error| setup(format!("pack {}", source.display()), error);
        if fs::metadata(source).map_err(pack)?.is_file() {
            return self.put_beside(name, regular(source).map_err(pack)?);
        }
        let below = std::mem::replace(&mut self.below, PathBuf::from(super::BESIDE));
        let packed = self.whole(source, Path::new(name), super::IMAGE_MAX_BYTES);
        self.below = below;
        packed
    }

    pub(super) fn bytes(&mut self, path: &Path, mode: u16, text: &[u8]) -> Result<(), RunError> {
        self.put(path, mode, Content::Bytes(text.to_vec()))
    }

    pub(super) fn link(&mut self, path: &Path, target: &Path) -> Result<(), RunError> {
        self.tree.link(self.place(path), target).map_err(|error| placed(&error))
    }

    /// A folder, unless something else is there.
    pub(super) fn folder(&mut self, path: &Path, mode: u16) {
        let _ = self.tree.folder(self.place(path), mode);
    }

    /// The program that is run: it must be there.
    pub(super) fn program(&mut self, path: &Path, depth: usize) -> Result<(), RunError> {
        let file = self
            .bring(path)
            .map_err(|source| setup(format!("read the program {}", path.display()), source))?;
        self.needs_of(&file, depth);
        Ok(())
    }

    /// A file that may as well be missing.
    pub(super) fn optional(&mut self, path: &Path) {
        if let Ok(file) = self.bring(path) {
            self.needs_of(&file, 0);
        }
    }

    /// A word that may be the name or path of a program.
    pub(super) fn named(&mut self, word: &str, searched: &[PathBuf]) {
        let candidates: Vec<PathBuf> = if word.starts_with('/') {
            vec![PathBuf::from(word)]
        } else if word.contains('/') {
            return;
        } else {
            // What lies in a tool folder needs all of it, which only the program itself is worth.
            let plain =
                |folder: &&PathBuf| !self.spec.tools.iter().any(|tool| folder.starts_with(tool));
            searched.iter().filter(plain).map(|folder| folder.join(word)).collect()
        };
        let runs = |path: &&PathBuf| {
            fs::metadata(path)
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        };
        if let Some(program) = candidates.iter().find(runs) {
            self.optional(program);
        }
    }

    /// Loader, libraries, interpreter and library trees of a file that is in the image already.
    pub(super) fn needs_of(&mut self, file: &Path, depth: usize) {
        if depth > DEPTH_MAX || !self.done.insert(file.to_owned()) {
            return;
        }
        if let Some(interpreter) = shebang(file) {
            self.interpreter(&interpreter, depth);
        }
        self.libraries_of(file);
        for tree in languages::trees(file) {
            self.library_tree(&tree, 0);
        }
    }

    fn interpreter(&mut self, words: &[String], depth: usize) {
        for (index, word) in words.iter().enumerate() {
            let path = Path::new(word);
            if index == 0 || path.is_absolute() {
                if let Ok(file) = self.bring(path) {
                    self.needs_of(&file, depth + 1);
                }
            } else {
                // `env python3`.
                let searched = super::script::search_path(self.spec);
                self.named(word, &searched);
            }
        }
    }

    fn libraries_of(&mut self, file: &Path) {
        let Ok(Some(needs)) = elf::needs(file) else { return };
        if let Some(loader) = &needs.interpreter {
            let _ = self.bring(Path::new(loader));
        }
        let origin = file.parent().unwrap_or(Path::new("/")).to_owned();
        let mut folders: Vec<PathBuf> = needs
            .folders
            .iter()
            .map(|folder| {
                let origin = origin.to_string_lossy();
                PathBuf::from(folder.replace("$ORIGIN", &origin).replace("${ORIGIN}", &origin))
            })
            .collect();
        folders.extend(self.library_folders.iter().cloned());
        for library in &needs.libraries {
            let found = if library.contains('/') {
                Some(PathBuf::from(library))
            } else {
                folders.iter().map(|folder| folder.join(library)).find(|path| path.is_file())
            };
            if let Some(found) = found
                && let Ok(real) = self.bring(&found)
                && self.done.insert(real.clone())
            {
                self.libraries_of(&real);
            }
        }
    }

    /// A tree that an interpreter reads: files for everybody, and what their libraries need.
    fn library_tree(&mut self, top: &Path, depth: usize) {
        if depth > TREE_DEPTH_MAX || self.hidden(top) || !self.done.insert(top.to_owned()) {
            return;
        }
        let Ok(meta) = fs::symlink_metadata(top) else { return };
        if meta.is_symlink() {
            if let Ok(real) = self.bring(top) {
                self.needs_of(&real, DEPTH_MAX);
            } else if let Ok(real) = top.canonicalize() {
                let _ = self.links_to(top);
                self.library_tree(&real, depth + 1);
            }
        } else if meta.is_dir() {
            for entry in fs::read_dir(top).into_iter().flatten().flatten() {
                self.library_tree(&entry.path(), depth + 1);
            }
        } else if self.bring(top).is_ok()
            && (meta.permissions().mode() & 0o111 != 0
                || top.file_name().is_some_and(|name| name.to_string_lossy().contains(".so")))
        {
            self.libraries_of(top);
        }
    }

    /// Puts one file of the host where it is, with the links on the way; where it really is.
    fn bring(&mut self, path: &Path) -> io::Result<PathBuf> {
        let real = self.links_to(path)?;
        let meta = fs::metadata(&real)?;
        if !meta.is_file() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !readable_by_all(&meta) && !self.given(&real) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let content = regular(&real)?;
        self.tree
            .file(self.place(&real), mode(&meta), content)
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok(real)
    }

    /// Walks a path, keeps every link on it, and says where it ends.
    fn links_to(&mut self, path: &Path) -> io::Result<PathBuf> {
        let mut rest: Vec<std::ffi::OsString> = parts(path);
        rest.reverse();
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            if self.hidden(&next) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let Ok(target) = fs::read_link(&next) else {
                at = next;
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(io::Error::from_raw_os_error(libc::ELOOP));
            }
            self.tree
                .link(self.place(&next), &target)
                .map_err(|error| io::Error::other(error.to_string()))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            rest.extend(parts(&target).into_iter().rev());
        }
        Ok(at)
    }

    /// Whether the command must not see this path on the host, and so not in a guest.
    fn hidden(&self, path: &Path) -> bool {
        self.spec.hidden.iter().any(|hidden| path.starts_with(hidden)) && !self.given(path)
            || ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp"]
                .iter()
                .any(|folder| path.starts_with(folder) && !self.given(path))
    }

    /// Whether the caller named it, or something around it or in it.
    fn given(&self, path: &Path) -> bool {
        let spec = self.spec;
        let mounts = spec.mounts.iter().map(|mount| mount.source.as_path());
        let tools = spec.tools.iter().map(PathBuf::as_path);
        let cwd = (!spec.cwd_is_new).then_some(spec.cwd.as_path());
        let program = [spec.program.as_path()];
        mounts
            .chain(tools)
            .chain(cwd)
            .chain(program)
            .any(|given| path.starts_with(given) || given.starts_with(path))
    }

    /// A tool folder with the program in it, and what all that needs.
    pub(super) fn tool(&mut self, folder: &Path, max_bytes: u64) -> Result<(), RunError> {
        let mut left = max_bytes;
        if measure(folder, &mut left, 0).is_none() {
            return Err(super::refused(format!(
                "{} is in {}, which holds more than {max_bytes} bytes, the most that is packed for a \
                 guest; name a program outside of it",
                self.spec.program.display(),
                folder.display()
            )));
        }
        self.library_tree(folder, 0);
        Ok(())
    }

    /// The command's working folder is somebody's work, not the system's.
    pub(super) fn may_pack_cwd(&self) -> bool {
        let cwd = &self.spec.cwd;
        let private = ["/tmp", "/var/tmp"];
        let system = [
            "/proc", "/sys", "/dev", "/run", "/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64",
            "/boot", "/var",
        ];
        cwd.parent().is_some()
            && !private.iter().any(|folder| cwd == Path::new(folder))
            && !system.iter().any(|folder| cwd.starts_with(folder))
            && !self.spec.hidden.iter().any(|hidden| hidden == cwd)
    }

    /// Packs the working folder, unless it is too large.
    pub(super) fn working_folder(&mut self, max_bytes: u64) -> Result<(), RunError> {
        let cwd = self.spec.cwd.clone();
        let mut left = max_bytes;
        if measure(&cwd, &mut left, 0).is_none() {
            self.notes.push(format!(
                "{} holds more than {max_bytes} bytes and is empty in the guest",
                cwd.display()
            ));
            return Ok(());
        }
        self.whole(&cwd, &cwd, max_bytes)
    }

    /// Packs a file, or a folder with all that is in it, as `target`.
    pub(super) fn whole(
        &mut self,
        source: &Path,
        target: &Path,
        max_bytes: u64,
    ) -> Result<(), RunError> {
        let mut left = max_bytes;
        if measure(source, &mut left, 0).is_none() {
            return Err(super::refused(format!(
                "{} holds more than {max_bytes} bytes, the most that is packed for a guest",
                source.display()
            )));
        }
        self.copy(source, target, 0)
            .map_err(|error| setup(format!("pack {}", source.display()), error))
    }

    fn copy(&mut self, source: &Path, target: &Path, depth: usize) -> io::Result<()> {
        if depth > TREE_DEPTH_MAX {
            self.notes.push(format!("{} is too deep and left out", source.display()));
            return Ok(());
        }
        let meta = if depth == 0 { fs::metadata(source) } else { fs::symlink_metadata(source) }?;
        let to_io = |error: crate::erofs::TreeError| io::Error::other(error.to_string());
        let place = self.place(target);
        if meta.is_dir() {
            self.tree.folder(&place, mode(&meta)).map_err(to_io)?;
            for entry in fs::read_dir(source)? {
                let entry = entry?;
                if depth > 0 || !self.spec.hidden.contains(&entry.path()) {
                    self.copy(&entry.path(), &target.join(entry.file_name()), depth + 1)?;
                }
            }
        } else if meta.is_symlink() {
            self.tree.link(&place, fs::read_link(source)?).map_err(to_io)?;
        } else if meta.is_file() {
            self.tree.file(&place, mode(&meta), regular(source)?).map_err(to_io)?;
        }
        Ok(())
    }
}
