//! Capabilities: what a module may be given, how a caller writes it, and which import needs which.
//!
//! Deny by default. A function that only works on something a grant handed out (an open file, a
//! stream) is free; a function that names or obtains something needs the grant. See docs/wasm.md.

mod needs;

use std::fmt;
use std::path::{Path, PathBuf};

use sandbox::{RunError, Spec};

pub(crate) use self::needs::PREVIEW1;
pub use self::needs::{Need, need};

/// A capability by its name and, where it has one, its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// The command line.
    Args,
    /// The environment variables of the run.
    Env,
    Stdin,
    /// To read clocks. Sleeping is free.
    Clock,
    Random,
    /// A folder by its path inside.
    Filesystem {
        guest: String,
        writable: bool,
    },
    /// A TCP peer, by name or address, lower case.
    Network {
        host: String,
        port: u16,
    },
}

/// As a caller writes them.
pub const FORMS: &str = "args, env, stdin, clock, random, filesystem:DIR[:rw], network:HOST:PORT";

impl Capability {
    /// Reads one capability.
    ///
    /// # Errors
    /// What is wrong with it, and which there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, object) = text.split_once(':').unwrap_or((text, ""));
        let plain = match name {
            "args" => Some(Capability::Args),
            "env" => Some(Capability::Env),
            "stdin" => Some(Capability::Stdin),
            "clock" => Some(Capability::Clock),
            "random" => Some(Capability::Random),
            "filesystem" => return Self::filesystem(text, object),
            "network" => return Self::network(text, object),
            _ => None,
        };
        match plain {
            Some(capability) if object.is_empty() => Ok(capability),
            Some(_) => Err(format!("capability `{text}` takes nothing after `{name}`")),
            None => Err(format!("unknown capability `{text}`; there are: {FORMS}")),
        }
    }

    fn filesystem(text: &str, object: &str) -> Result<Self, String> {
        let (guest, writable) = match object.strip_suffix(":rw") {
            Some(guest) => (guest, true),
            None => (object.strip_suffix(":ro").unwrap_or(object), false),
        };
        if !guest.starts_with('/')
            || guest.contains('\0')
            || guest.split('/').any(|part| part == "..")
        {
            return Err(format!(
                "capability `{text}` needs an absolute folder without `..`: filesystem:/data or filesystem:/data:rw"
            ));
        }
        let trimmed = guest.trim_end_matches('/');
        let guest = if trimmed.is_empty() { "/" } else { trimmed }.to_owned();
        Ok(Capability::Filesystem { guest, writable })
    }

    fn network(text: &str, object: &str) -> Result<Self, String> {
        let parts = object.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        match parts {
            Some((host, Ok(port))) if !host.is_empty() && port > 0 => {
                let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
                Ok(Capability::Network { host, port })
            }
            _ => Err(format!(
                "capability `{text}` needs a host and a port: network:example.org:443 or network:[::1]:80"
            )),
        }
    }

    /// Whether having `self` gives everything that `other` is.
    #[must_use]
    pub fn covers(&self, other: &Capability) -> bool {
        match (self, other) {
            (
                Capability::Filesystem { guest, writable },
                Capability::Filesystem { guest: wanted, writable: writes },
            ) => guest == wanted && (*writable || !*writes),
            _ => self == other,
        }
    }

    /// `filesystem`: the capability without its object.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Capability::Args => "args",
            Capability::Env => "env",
            Capability::Stdin => "stdin",
            Capability::Clock => "clock",
            Capability::Random => "random",
            Capability::Filesystem { .. } => "filesystem",
            Capability::Network { .. } => "network",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Capability::Filesystem { guest, writable } => {
                write!(f, "filesystem:{guest}{}", if *writable { ":rw" } else { "" })
            }
            Capability::Network { host, port } if host.contains(':') => {
                write!(f, "network:[{host}]:{port}")
            }
            Capability::Network { host, port } => write!(f, "network:{host}:{port}"),
            plain => f.write_str(plain.name()),
        }
    }
}

/// A folder of the host as the module sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    pub host: PathBuf,
    pub guest: String,
    pub writable: bool,
}

/// Folders granted, at most: each is an open file of ours.
const FOLDERS_MAX: usize = 32;

/// The granted folders. A mount of the spec with the same path inside says which folder of the host
/// it is, and must be writable for `:rw`; without one it is the host's folder of that path.
pub(crate) fn folders(grants: &[Capability], spec: &Spec) -> Result<Vec<Folder>, RunError> {
    let mut folders: Vec<Folder> = Vec::new();
    for grant in grants {
        let Capability::Filesystem { guest, writable } = grant else { continue };
        let mount = spec.mounts.iter().find(|mount| mount.target == Path::new(guest));
        if let Some(mount) = mount
            && *writable
            && !mount.writable
        {
            let reason =
                format!("{grant} was granted, but {guest} is mounted read-only; mount it writable");
            return Err(RunError::Refused { reason });
        }
        let host = mount.map_or_else(|| PathBuf::from(guest), |mount| mount.source.clone());
        if !host.is_dir() {
            let reason = format!("{grant} was granted, but {} is not a folder", host.display());
            return Err(RunError::Refused { reason });
        }
        if folders.iter().any(|folder| folder.guest == *guest) {
            continue;
        }
        folders.push(Folder { host, guest: guest.clone(), writable: *writable });
    }
    if folders.len() > FOLDERS_MAX {
        let reason =
            format!("{} folders are granted, and {FOLDERS_MAX} are the most", folders.len());
        return Err(RunError::Refused { reason });
    }
    Ok(folders)
}

#[cfg(test)]
mod tests;
