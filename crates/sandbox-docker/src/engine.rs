//! The daemon: reached through its socket, asked what it is, and its errors put into words.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker as Client};
use sandbox::RunError;

/// No answer of the daemon takes longer; streams are not bound by it.
const ANSWER_SECS: u64 = 120;

/// A daemon that answers.
#[derive(Debug)]
pub(crate) struct Engine {
    pub client: Client,
    /// `api`, `server_version`, `cgroup_driver`, `cgroup_version`, `storage_driver`, `runtime`,
    /// `security`.
    pub facts: BTreeMap<String, String>,
}

impl Engine {
    /// Whether the daemon filters system calls itself.
    pub(crate) fn has_seccomp(&self) -> bool {
        self.facts.get("security").is_some_and(|options| options.contains("seccomp"))
    }
}

/// Connects and asks.
///
/// # Errors
/// Why there is no usable daemon, and what would help.
pub(crate) async fn connect(socket: &Path) -> Result<Engine, String> {
    let shown = socket.display();
    UnixStream::connect(socket).map_err(|error| unreachable(socket, &error))?;
    let path = socket.to_str().ok_or_else(|| format!("the socket's name {shown} is not UTF-8"))?;
    let silent = |error: Error| {
        format!("whoever answers at {shown} is no Docker daemon this can talk to: {error}")
    };
    let client =
        Client::connect_with_unix(path, ANSWER_SECS, API_DEFAULT_VERSION).map_err(silent)?;
    let client = client.negotiate_version().await.map_err(silent)?;
    let info = client.info().await.map_err(silent)?;
    if info.os_type.as_deref() != Some("linux") {
        return Err(format!("the daemon at {shown} runs no Linux containers"));
    }
    let mut facts = BTreeMap::from([("api".to_owned(), client.client_version().to_string())]);
    let mut tell = |name: &str, value: Option<String>| {
        facts.insert(name.to_owned(), value.unwrap_or_else(|| "unknown".to_owned()));
    };
    tell("server_version", info.server_version);
    tell("cgroup_driver", info.cgroup_driver.map(|driver| driver.to_string()));
    tell("cgroup_version", info.cgroup_version.map(|version| version.to_string()));
    tell("storage_driver", info.driver);
    tell("runtime", info.default_runtime);
    let options = info.security_options.unwrap_or_default();
    tell("security", Some(options.join(" ").replace("name=", "")));
    Ok(Engine { client, facts })
}

fn unreachable(socket: &Path, error: &io::Error) -> String {
    let shown = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "there is no Docker daemon at {shown}: start one, or name its socket in \
             DOCKER_HOST=unix://…"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "this user may not use {shown}: run as root, or as a member of the group that owns it"
        ),
        io::ErrorKind::ConnectionRefused => {
            format!("nobody listens at {shown} any more: the Docker daemon is not running")
        }
        _ => format!("{shown} cannot be used: {error}"),
    }
}

/// A step of a run that the daemon refused or did not answer.
pub(crate) fn failed(step: impl Into<String>) -> impl FnOnce(Error) -> RunError {
    let step = step.into();
    move |error| RunError::Setup { step, source: io::Error::other(error) }
}

/// Whether the daemon says that there is no such thing.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::connect;

    fn reason(socket: &Path) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(connect(socket)).unwrap_err()
    }

    #[test]
    fn a_socket_that_is_not_there_or_dead_says_what_helps() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        assert!(reason(&socket).contains("DOCKER_HOST"), "{}", reason(&socket));
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(reason(&socket).contains("not running"), "{}", reason(&socket));
    }

    #[test]
    fn whoever_speaks_something_else_is_no_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                use std::io::Write as _;
                let _ = listener.accept().and_then(|(mut peer, _)| peer.write_all(b"SSH-2.0\r\n"));
            }
        });
        assert!(reason(&socket).contains("no Docker daemon"));
        server.join().unwrap();
    }
}
