//! Networks of a sandbox that lead nowhere: a sink that answers everything, and an allow list.
//!
//! The sandbox's namespace has one interface whose other end is a file in the supervisor
//! ([`tunnel`]). A thread there plays the rest of the world ([`Responder`]): it answers names,
//! connections and requests, writes down what was asked, and for an allow list passes bytes on. It
//! gives facts; what they are evidence of is not known here.

mod allow;
mod answerer;
mod authority;
mod connection;
mod dial;
mod http;
mod ledger;
mod marks;
mod names;
mod owner;
mod packet;
mod passage;
mod pcapng;
mod room;
mod stack;
mod talk;
pub(crate) mod tunnel;
mod wire;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use types::Event;

use self::allow::Allow;
use self::authority::{Authority, VARIABLES};
use self::dial::Dialer;
use self::ledger::Ledger;
use self::marks::Marks;
use self::names::Names;
use self::owner::Owners;
use self::pcapng::Capture;
use self::room::Room;
use self::stack::{Controls, Stack};
use self::tunnel::{PROXY, PROXY_PORT, RESOLVER, Tunnel};

use crate::runner::RunError;
use crate::spec::{Net, Observer, Spec};
use crate::sys::{self, Interface};

/// Whether this host can give a sandbox a sink or an allow list.
///
/// # Errors
/// What is missing.
pub fn available() -> Result<(), String> {
    let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    device.map(drop).map_err(|error| {
        format!("/dev/net/tun cannot be opened ({error}); load the tun module or allow this user to open it")
    })
}

/// What a network needs before the sandbox is built.
#[derive(Debug)]
pub(crate) struct Plan {
    authority: Option<Authority>,
    allow: Option<Allow>,
}

/// Where OpenSSL on Debian and its descendants looks for whom to trust; others are told by
/// variables.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where other distributions have the same list.
const BUNDLES: [&str; 4] =
    [BUNDLE, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

/// Files below /etc that the command sees instead of its root's own.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// Whom to trust beside the rest, as PEM.
    certificate: Option<String>,
}

impl Files {
    /// Path and content; `read` gives what the root has at a path, or nothing.
    pub(crate) fn list(&self, read: impl Fn(&Path) -> Vec<u8>) -> Vec<(PathBuf, Vec<u8>)> {
        let resolver = format!("nameserver {RESOLVER}\noptions timeout:2 attempts:2\n");
        let mut files = vec![("/etc/resolv.conf".into(), resolver.into_bytes())];
        if let Some(certificate) = &self.certificate {
            let known = BUNDLES.iter().map(|path| read(Path::new(path)));
            let mut bytes = known.into_iter().find(|list| !list.is_empty()).unwrap_or_default();
            if bytes.last().is_some_and(|last| *last != b'\n') {
                bytes.push(b'\n');
            }
            bytes.extend_from_slice(certificate.as_bytes());
            files.push((BUNDLE.into(), bytes));
        }
        files
    }
}

impl Plan {
    /// `None` for a network without anybody in it.
    ///
    /// # Errors
    /// When what is asked for does not fit together, or no certificates can be made.
    pub(crate) fn new(spec: &Spec) -> Result<Option<Self>, RunError> {
        let refused = |reason: &str| Err(RunError::Refused { reason: reason.to_owned() });
        match spec.net {
            Net::None | Net::Loopback if spec.artifacts.packets.is_some() => {
                refused("packets can be captured with the networks sink and allow only")
            }
            Net::Allow if spec.allow.is_empty() => refused("the list of allowed hosts is empty"),
            Net::None | Net::Loopback => Ok(None),
            Net::Sink => {
                let authority = Authority::new().map_err(|error| RunError::Setup {
                    step: "make the sandbox's certificates".to_owned(),
                    source: io::Error::other(error),
                })?;
                Ok(Some(Self { authority: Some(authority), allow: None }))
            }
            Net::Allow => {
                let allow = Some(Allow::new(&spec.allow));
                Ok(Some(Self { authority: None, allow }))
            }
        }
    }

    pub(crate) fn files(&self) -> Files {
        let certificate = self.authority.as_ref().map(Authority::certificate);
        Files { certificate: certificate.map(str::to_owned) }
    }

    /// Variables for the command, where the caller gave none of that name: whom to trust, and which
    /// proxy to ask.
    pub(crate) fn variables(&self, given: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
        let mut all: Vec<(String, String)> = Vec::new();
        if self.authority.is_some() {
            all.extend(VARIABLES.map(|name| (name.to_owned(), BUNDLE.to_owned())));
        }
        if self.allow.is_some() {
            let proxy = format!("http://{PROXY}:{PROXY_PORT}");
            for name in [
                "http_proxy",
                "https_proxy",
                "all_proxy",
                "npm_config_proxy",
                "npm_config_https_proxy",
                "pip_proxy",
                "cargo_http_proxy",
            ] {
                all.push((name.to_owned(), proxy.clone()));
                if !name.starts_with("npm") {
                    all.push((name.to_ascii_uppercase(), proxy.clone()));
                }
            }
        }
        let taken = |name: &str| given.iter().any(|(key, _)| key.as_os_str() == name);
        all.into_iter()
            .filter(|(name, _)| !taken(name))
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }
}

/// The thread that plays the rest of the world.
#[derive(Debug)]
pub(crate) struct Responder {
    thread: JoinHandle<Stack>,
    /// Closing it ends the thread.
    stop: OwnedFd,
    /// Keeps the namespace, and knows what its interface dropped.
    interface: Interface,
}

/// What is said about the network of a run beside its events.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What happened, in words, for the report.
    pub notes: Vec<String>,
    pub faults: Vec<String>,
}

impl Responder {
    /// Starts to answer, where the run has such a network. `init` is the sandbox's first process,
    /// `start_ns` the run's start.
    ///
    /// # Errors
    /// When a file or a thread cannot be made.
    pub(crate) fn start(
        plan: Option<Plan>,
        spec: &Spec,
        tunnel: Option<Tunnel>,
        init: libc::pid_t,
        start_ns: u64,
    ) -> io::Result<Option<Self>> {
        let (Some(plan), Some(tunnel)) = (plan, tunnel) else { return Ok(None) };
        let capture = spec.artifacts.packets.as_deref();
        let capture = capture
            .map(|path| Capture::create(path, &spec.id, &spec.started_at, start_ns))
            .transpose()?;
        let decoys = spec.decoys.iter();
        let files = decoys.map(|decoy| (decoy.path.as_os_str().as_bytes(), &decoy.content[..]));
        let room = Room {
            ledger: Ledger::default(),
            names: Names::default(),
            marks: Marks::new(files),
            authority: plan.authority,
            allow: plan.allow,
            questions: 0,
        };
        let (results, dialed) = mpsc::channel();
        let (wake, wake_write) = sys::pipe()?;
        let dialer = Dialer { results, wake: Arc::new(wake_write), busy: Arc::default() };
        let controls = Controls { dialer, dialed, wake };
        let stack = Stack::new(&tunnel, capture, room, Owners::new(init), controls)?;
        let (stopped, stop) = sys::pipe()?;
        let thread = std::thread::Builder::new()
            .name("sandbox-net".to_owned())
            .spawn(move || stack.run(&stopped))?;
        let interface = Interface::adopt(tunnel.control, tunnel.index);
        Ok(Some(Self { thread, stop, interface }))
    }

    /// Answers what is still on the wire, and puts all requests among the run's events. To be called
    /// when every process of the sandbox is gone.
    pub(crate) fn finish(
        self,
        events: &mut Vec<Event>,
        start_ns: u64,
        command_pid: u32,
        observer: Option<&Observer>,
    ) -> Found {
        drop(self.stop);
        let mut found = Found::default();
        let Ok(stack) = self.thread.join() else {
            found.faults.push("the sandbox's network broke down before the run ended".to_owned());
            return found;
        };
        // Before the stack lets go of the interface's file: the interface goes with it.
        match self.interface.dropped() {
            Ok(0) => {}
            Ok(count) => found.faults.push(format!("{count} packets were not read in time")),
            Err(error) => {
                found.faults.push(format!("the sandbox's interface tells no counters: {error}"));
            }
        }
        let (room, report, capture) = stack.close();
        found.notes.push(format!(
            "{} connections and {} DNS questions were seen",
            report.connections, room.questions
        ));
        if report.passed_too_much {
            let max = stack::PASSED_BYTES_MAX;
            found.notes.push(format!("everything ended when {max} bytes were passed on"));
        }
        if report.too_many > 0 {
            found.faults.push(format!("{} connections were too many at once", report.too_many));
        }
        let (entries, lost) = room.ledger.close();
        found.faults.extend(lost);
        let guessed = ledger::merge(events, entries, start_ns, command_pid, observer);
        if guessed > 0 {
            found.notes.push(format!(
                "{guessed} requests had no process to be found and are the command's"
            ));
        }
        match capture.map(Capture::close) {
            None | Some(Ok(0)) => {}
            Some(Ok(count)) => {
                found.notes.push(format!("{count} packets did not fit into the capture"))
            }
            Some(Err(error)) => found.faults.push(format!("the capture was not written: {error}")),
        }
        found
    }
}
