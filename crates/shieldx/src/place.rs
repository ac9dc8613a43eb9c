//! The data folder as the command line knows it: where it is, and the two small files through which
//! a server on this machine and its clients find each other.
//!
//! `admin.key` holds the key that the first start printed, `endpoints.json` the addresses of the
//! server that runs now. Both are readable by their owner only, like the database beside them:
//! whoever may read the folder may make keys anyway.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::request::show;

/// A copy of the file of objectives.
const OBJECTIVES: &str = "objectives.yaml";

/// The folder of one server's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub folder: PathBuf,
}

/// What a running server tells its clients on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Base URL of ingress.
    pub server: String,
    /// The same with TLS, where that is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_tls: Option<String>,
    /// Service → base URL of its internal listener.
    pub internal: BTreeMap<String, String>,
    #[serde(default)]
    pub outside: Outside,
    pub pid: u32,
}

/// Whom the server leans on, for `shieldx health`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// Where traces are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<Collector>,
    /// Base URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alertmanagers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collector {
    pub url: String,
    pub grpc: bool,
}

impl Endpoints {
    /// Whether the server that wrote this is still there: one that was killed could not take it back. A
    /// process that has ended and was not waited for yet has no program any more.
    #[must_use]
    pub fn alive(&self) -> bool {
        let program = Path::new("/proc").join(self.pid.to_string()).join("exe");
        fs::read_link(program)
            .map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |_| true)
    }
}

impl Place {
    /// `--data`, else `SHIELDX_DATA`, else `shieldx` in `XDG_DATA_HOME` or `~/.local/share`.
    ///
    /// # Errors
    /// When none of them is there.
    pub fn find(given: Option<&Path>, environment: &Environment) -> Result<Self, Failure> {
        let variable =
            |name| environment.variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || variable("HOME").or_else(|| environment.passwd_home.clone());
        let folder = given
            .map(Path::to_path_buf)
            .or_else(|| variable("SHIELDX_DATA"))
            .or_else(|| variable("XDG_DATA_HOME").map(|data| data.join("shieldx")))
            .or_else(|| home().map(|home| home.join(".local/share/shieldx")));
        let folder = folder.ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "no folder for the state: neither HOME nor XDG_DATA_HOME is set",
            )
            .hint("name one with --data DIR")
        })?;
        let base = environment.cwd.clone().unwrap_or_default();
        Ok(Self { folder: base.join(folder) })
    }

    /// Makes the folder, for its owner only.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn create(&self) -> Result<(), Failure> {
        let refused = |error: &io::Error| {
            let shown = show(&self.folder);
            Failure::new(Exit::Failed, format!("the data folder {shown} cannot be used: {error}"))
                .hint("name another one with --data DIR")
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|error| refused(&error))?;
        self.write(".writable", b"").map_err(|error| refused(&error))?;
        fs::remove_file(self.folder.join(".writable")).map_err(|error| refused(&error))
    }

    /// Replaces a small file whole, readable by its owner only.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = self.folder.join(format!("{name}.new"));
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, self.folder.join(name))
    }

    /// The key the first start printed, while it is still here.
    #[must_use]
    pub fn admin_key(&self) -> Option<String> {
        let text = fs::read_to_string(self.folder.join("admin.key")).ok()?;
        Some(text.trim().to_owned()).filter(|key| !key.is_empty())
    }

    /// # Errors
    /// When the folder cannot be written.
    pub fn keep_admin_key(&self, key: &str) -> io::Result<()> {
        self.write("admin.key", format!("{key}\n").as_bytes())
    }

    /// The server that runs on this folder, if one said so.
    #[must_use]
    pub fn endpoints(&self) -> Option<Endpoints> {
        let text = fs::read(self.folder.join("endpoints.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// # Errors
    /// When the folder cannot be written.
    pub fn keep_endpoints(&self, endpoints: &Endpoints) -> io::Result<()> {
        self.write("endpoints.json", &serde_json::to_vec_pretty(endpoints)?)
    }

    /// The objectives that the last server on this folder had, for whoever looks at it without one.
    #[must_use]
    pub fn objectives(&self) -> Option<String> {
        fs::read_to_string(self.folder.join(OBJECTIVES)).ok()
    }

    /// # Errors
    /// When the folder cannot be written.
    pub fn keep_objectives(&self, yaml: &str) -> io::Result<()> {
        self.write(OBJECTIVES, yaml.as_bytes())
    }

    /// Says that no server runs any more.
    pub fn forget_endpoints(&self) {
        let _ = fs::remove_file(self.folder.join("endpoints.json"));
    }
}
