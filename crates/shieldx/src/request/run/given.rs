//! What is different where the root is not the host's: nothing of the host is shown or hidden, and an
//! image may say itself what is run, where and with which variables.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sandbox::root::oci;
use sandbox::{Mount, Root};

use crate::args::RunArgs;
use crate::failure::Failure;
use crate::request::{show, usage};
use crate::view::{View, clean};

/// PATH where nobody says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a root says; nothing for the host's.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// `NAME=VALUE` each.
    pub(super) env: Vec<OsString>,
    command: Vec<OsString>,
    cwd: Option<PathBuf>,
}

impl Given {
    /// Asks an image; other roots say nothing.
    pub(super) fn read(args: &RunArgs, root: &Root) -> Result<Self, Failure> {
        let Root::Oci(folder, name) = root else {
            if args.command.is_empty() {
                return Err(usage("there is no command, and only an OCI image can say one itself"));
            }
            return Ok(Self::default());
        };
        let image = oci::image(folder, name.as_deref())
            .map_err(|error| usage(format!("--rootfs {}: {error}", show(folder))))?;
        let named = |text: &String| text.contains('=').then(|| OsString::from(text));
        Ok(Self {
            env: image.env.iter().filter_map(named).collect(),
            command: image.entrypoint.iter().chain(&image.cmd).map(OsString::from).collect(),
            cwd: image.working_dir,
        })
    }

    /// The root as it is: the command starts where the image says, or in `/`.
    pub(super) fn view(&self, args: &RunArgs, mounts: Vec<Mount>) -> Result<View, Failure> {
        let named = args.cwd.as_deref().or(self.cwd.as_deref()).unwrap_or(Path::new("/"));
        if !named.is_absolute() {
            let shown = show(named);
            return Err(usage(format!("--cwd {shown}: in another root it must be absolute")));
        }
        let path = PATH.split(':').map(PathBuf::from).collect();
        Ok(View { mounts, cwd: clean(named), path, ..View::default() })
    }

    /// What was typed, or what the image says.
    pub(super) fn command(self, typed: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
        let command = if typed.is_empty() { self.command } else { typed };
        if command.is_empty() {
            return Err(usage("there is no command, and the image has none"));
        }
        Ok(command)
    }
}
