//! What must be the same after an attempt as before it, on the side nobody inside may reach.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::lab::Lab;
use crate::ways::assert_nothing_left;

const CANARY: &str = "nobody may change this\n";

/// Values of the host's kernel that an escape would like to have changed.
const VALUES: [&str; 12] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/core_pipe_limit",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/domainname",
    "/proc/sys/kernel/sysrq",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/vm/overcommit_memory",
    "/sys/kernel/uevent_helper",
    "/sys/fs/cgroup/release_agent",
    "/sys/fs/cgroup/memory/release_agent",
    "/proc/swaps",
];

/// Watches over a file, a process, servers and settings of the host.
pub(super) struct Outside {
    process: Child,
    file: PathBuf,
    abstract_name: String,
    by_abstract: UnixListener,
    by_path: UnixListener,
    path: PathBuf,
    tcp: TcpListener,
    dns: UdpSocket,
    before: BTreeMap<String, String>,
}

impl Outside {
    pub(super) fn new(lab: &Lab) -> Self {
        let file = lab.side().join("canary");
        fs::write(&file, CANARY).expect("the canary's file");
        // Anybody may write: only a wall keeps it as it is.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("permissions");
        let path = lab.side().join("socket");
        let abstract_name = format!("canary-{}", lab.mark());
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("an abstract name");
        let by_abstract = UnixListener::bind_addr(&address).expect("a listener");
        let by_path = UnixListener::bind(&path).expect("a listener");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("permissions");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let dns = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        by_abstract.set_nonblocking(true).expect("nonblocking");
        by_path.set_nonblocking(true).expect("nonblocking");
        tcp.set_nonblocking(true).expect("nonblocking");
        dns.set_nonblocking(true).expect("nonblocking");
        let sleep = Command::new("sleep").arg("1200").stdin(Stdio::null()).spawn();
        let mut outside = Self {
            process: sleep.expect("sleep"),
            file,
            abstract_name,
            by_abstract,
            by_path,
            path,
            tcp,
            dns,
            before: BTreeMap::new(),
        };
        outside.before = outside.state();
        outside
    }

    /// What the program is told of the host, in its own words.
    pub(super) fn words(&self) -> Vec<String> {
        let port = self.tcp.local_addr().expect("an address").port();
        let dns = self.dns.local_addr().expect("an address").port();
        vec![
            format!("pid={}", self.process.id()),
            format!("abstract={}", self.abstract_name),
            format!("unix={}", self.path.display()),
            format!("port={port}"),
            format!("dns={dns}"),
            format!("canary={}", self.file.display()),
        ]
    }

    /// Everything that is compared, by what it is.
    fn state(&self) -> BTreeMap<String, String> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
        let mut state: BTreeMap<String, String> =
            VALUES.iter().map(|&path| (path.to_owned(), read(path))).collect();
        for path in [self.file.as_path(), Path::new("/etc/passwd"), Path::new("/dev/null")] {
            let about = fs::symlink_metadata(path).expect("metadata");
            let facts = (about.ino(), about.mode(), about.uid(), about.nlink(), about.rdev());
            let written = (about.mtime(), about.mtime_nsec(), about.size());
            let written = if about.is_file() { written } else { (0, 0, 0) };
            state.insert(
                format!("metadata of {}", path.display()),
                format!("{facts:?} {written:?}"),
            );
        }
        state.insert("the canary's text".to_owned(), read(&self.file.to_string_lossy()));
        state.insert("the canary's process".to_owned(), self.process_state());
        let interfaces: Vec<String> = read("/proc/net/dev")
            .lines()
            .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
            .filter(|name| name == "owned" || name == "lo")
            .collect();
        state.insert("interfaces".to_owned(), interfaces.join(" "));
        state.insert("cgroups".to_owned(), Path::new("/sys/fs/cgroup/owned").exists().to_string());
        state
    }

    /// Who traces it, whose it is, what it has open, and the namespaces it is in.
    fn process_state(&self) -> String {
        let folder = PathBuf::from(format!("/proc/{}", self.process.id()));
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        let fields = ["TracerPid", "Uid", "Gid", "Seccomp:", "CapEff"];
        let mut lines: Vec<String> = status
            .lines()
            .filter(|line| fields.iter().any(|field| line.starts_with(field)))
            .map(str::to_owned)
            .collect();
        for name in ["mnt", "net", "pid", "user", "time"] {
            let space = fs::read_link(folder.join("ns").join(name)).unwrap_or_default();
            lines.push(space.display().to_string());
        }
        lines.join("; ")
    }

    /// Everything that is not as it was, in words.
    pub(super) fn harm(&mut self, lab: &Lab, supervisor: u32) -> Vec<String> {
        let mut harm = Vec::new();
        let now = self.state();
        for (what, before) in &self.before {
            if now.get(what) != Some(before) {
                harm.push(format!("outside: {what} was {before:?} and is {:?}", now.get(what)));
            }
        }
        if !matches!(self.process.try_wait(), Ok(None)) {
            harm.push("outside: the canary's process died".to_owned());
        }
        let reached = [
            ("the abstract socket", self.by_abstract.accept().is_ok()),
            ("the socket by path", self.by_path.accept().is_ok()),
            ("the loopback", self.tcp.accept().is_ok()),
            ("the resolver", self.dns.recv(&mut [0; 64]).is_ok()),
        ];
        let reached = reached.iter().filter(|(_, reached)| *reached);
        harm.extend(reached.map(|(name, _)| format!("outside: somebody reached {name}")));
        for entry in fs::read_dir(lab.work()).expect("a folder").flatten() {
            let name = entry.file_name();
            if name != "attempts" {
                harm.push(format!("outside: {} came out", name.to_string_lossy()));
            }
        }
        assert_nothing_left(lab, supervisor);
        harm
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What was kept of a run and is neither a folder nor a plain file of bounded size.
pub(super) fn odd_files(kept: &Path) -> Vec<String> {
    let mut odd = Vec::new();
    let mut folders = vec![kept.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let about = fs::symlink_metadata(entry.path()).expect("metadata");
            let shown = entry.path().display().to_string();
            if about.is_dir() {
                folders.push(entry.path());
            } else if !about.is_file() || about.nlink() != 1 || about.mode() & 0o6000 != 0 {
                odd.push(format!("outside: kept {shown}, {:o}", about.mode()));
            } else if about.blocks() * 512 > 64 << 20 {
                odd.push(format!("outside: kept {shown}, {} bytes", about.blocks() * 512));
            }
        }
    }
    odd
}
