//! What is looked at before a run: a file of this host, or the program as it stands in the root that
//! the run is given, where even `/bin/sh` is somebody's.

use std::ffi::OsString;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::Root;
use sandbox::content::scan_artifact;
use sandbox::root::Refusal;
use sandbox::root::program::{Found as File, HELD_BYTES_MAX, Programs};
use types::Text;
use types::ports::Scanner;

use super::Found;

/// Where the artifact is.
#[derive(Debug)]
pub struct Artifact {
    pub on_host: Option<PathBuf>,
    pub inside: Option<InRoot>,
}

impl Artifact {
    #[must_use]
    pub fn on_host(path: PathBuf) -> Self {
        Self { on_host: Some(path), inside: None }
    }
}

/// A command in another root than the host's, or with layers over the host's.
#[derive(Debug)]
pub struct InRoot {
    pub root: Root,
    pub layers: Vec<PathBuf>,
    pub command: Vec<OsString>,
    /// Whether the program does what a file says that it is given.
    pub interprets: bool,
    pub cwd: PathBuf,
    /// The folders that a bare name is looked up in.
    pub path: Vec<PathBuf>,
    /// Of an archive at most this much is read.
    pub bytes_max: u64,
}

impl InRoot {
    /// Scans the program, and the script that it is given. What cannot be looked at is unseen.
    pub(super) fn scan(&self, scanner: &Arc<dyn Scanner>, found: &mut Found) {
        let programs = match Programs::open(&self.root, &self.layers, self.bytes_max) {
            Ok(programs) => programs,
            Err(refusal) => return found.unseen.push(unseen(&refusal)),
        };
        let name = self.command.first().map(OsString::as_os_str).unwrap_or_default();
        let program = programs.program(name, &self.cwd, &self.path);
        let given = self.command.iter().skip(1).take(if self.interprets { usize::MAX } else { 0 });
        let file = |word: &OsString| programs.file(Path::new(word), &self.cwd).ok();
        let script = given.filter_map(file).next();
        for file in std::iter::once(program).chain(script.map(Ok)) {
            match file {
                // Without a root only what layers put over the host's files is looked at here.
                Ok(file) if self.root == Root::Host && !file.layered => {}
                Ok(file) => look_at(&file, scanner, found),
                Err(_) if self.root == Root::Host => {}
                Err(refusal) => found.unseen.push(unseen(&refusal)),
            }
        }
    }
}

fn look_at(file: &File, scanner: &Arc<dyn Scanner>, found: &mut Found) {
    let shown = Text::from(file.path.as_os_str().as_encoded_bytes());
    if let Some(size) = file.cut_of {
        let cut = format!("of {shown} the first {HELD_BYTES_MAX} of {size} bytes were scanned");
        found.unseen.push(cut);
    }
    let open = PathBuf::from(format!("/proc/self/fd/{}", file.content.as_raw_fd()));
    if found.script.is_none() {
        found.script = super::text_of(&open);
    }
    match scan_artifact(scanner, &open, &shown) {
        Ok(scanned) => found.take(scanned),
        Err(error) => found.faults.push(format!("{shown} was not scanned: {error}")),
    }
}

fn unseen(refusal: &Refusal) -> String {
    format!("the program in the root that was given was not scanned: {refusal}")
}
