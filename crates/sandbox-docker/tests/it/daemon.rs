//! A Docker daemon of one test: its own data, socket and containerd, no network, gone at the end.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sandbox::Runner as _;
use sandbox_docker::Docker;

/// The image every daemon has: busybox and nothing else.
pub(crate) const BUSYBOX: &str = "shieldx-test/busybox:1";
const BUSYBOX_FILE: &str = "/bin/busybox";

/// One daemon at a time: a second one would wait for the first one's locks of containerd anyway.
static ONE: Mutex<()> = Mutex::new(());

pub(crate) struct Daemon {
    folder: tempfile::TempDir,
    child: Option<Child>,
    _turn: std::sync::MutexGuard<'static, ()>,
}

/// Says why a test is not run, past the test harness' capture.
pub(crate) fn skip(reason: &str) {
    if let Ok(mut tty) = fs::OpenOptions::new().write(true).open("/dev/stderr") {
        let _ = writeln!(tty, "SKIP {reason}");
    }
}

fn installed(program: &str) -> bool {
    let found = Command::new("which").arg(program).output();
    found.is_ok_and(|output| output.status.success())
}

impl Daemon {
    /// Starts one, or says why none can be started here.
    pub(crate) fn start() -> Option<Self> {
        let turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        if !rustix::process::geteuid().is_root() {
            skip("dockerd needs root");
            return None;
        }
        for program in ["dockerd", "containerd", "runc"] {
            if !installed(program) {
                skip(&format!("{program} is not installed"));
                return None;
            }
        }
        if !Path::new(BUSYBOX_FILE).exists() {
            skip("busybox-static is not installed");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("sx-docker-").tempdir().unwrap();
        let mut daemon = Self { folder, child: None, _turn: turn };
        daemon.spawn();
        daemon.import();
        Some(daemon)
    }

    /// Starts the process, also again after [`Daemon::kill`].
    pub(crate) fn spawn(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        fs::write(at("daemon.json"), "{}").unwrap();
        // A killed daemon's containerd died with it, and may still be there as a zombie.
        let _ = fs::remove_file(at("exec/containerd/containerd.pid"));
        let _ = fs::remove_file(at("pid"));
        let log = fs::File::create(at("log")).unwrap();
        let mut child = Command::new("dockerd");
        child
            .arg("--config-file")
            .arg(at("daemon.json"))
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()))
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.child = Some(child.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.runner().capability().is_err() {
            let log = || fs::read_to_string(at("log")).unwrap_or_default();
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?} {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills the daemon's own process at once; its containers go on.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    pub(crate) fn runner(&self) -> Docker {
        Docker::new(self.socket())
    }

    /// A folder with a root of busybox, of which images can be made.
    pub(crate) fn root(&self) -> PathBuf {
        let root = self.folder.path().join("root");
        if !root.exists() {
            for folder in ["bin", "etc", "home", "tmp"] {
                fs::create_dir_all(root.join(folder)).unwrap();
            }
            fs::copy(BUSYBOX_FILE, root.join("bin/busybox")).unwrap();
            let tools = "sh echo cat ls id mount umount sleep yes dd touch mkdir rm chmod setsid kill \
                         grep head tail stat nc ping mknod ln wc true false seq env pwd sync df ps";
            for tool in tools.split_whitespace() {
                symlink("busybox", root.join("bin").join(tool)).unwrap();
            }
            fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
        }
        root
    }

    /// The same as a tar file.
    pub(crate) fn tar(&self) -> PathBuf {
        let path = self.folder.path().join("root.tar");
        if !path.exists() {
            let mut tar = Command::new("tar");
            tar.arg("-C").arg(self.root()).arg("-cf").arg(&path).arg(".");
            assert!(tar.status().unwrap().success());
        }
        path
    }

    /// Asks the daemon with a plain request, as `curl --unix-socket` does.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> String {
        use std::io::Read as _;
        let mut stream = std::os::unix::net::UnixStream::connect(self.socket()).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: \
             application/x-tar\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn import(&self) {
        let (repo, tag) = BUSYBOX.split_once(':').unwrap();
        let tar = fs::read(self.tar()).unwrap();
        let path = format!("/images/create?fromSrc=-&repo={repo}&tag={tag}");
        let answer = self.ask("POST", &path, &tar);
        assert!(answer.contains("sha256:"), "{answer}");
    }

    /// What there is beside the test's image: containers, images, volumes, control groups.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (what, path, empty) in [
            ("containers", "/containers/json?all=1", "[]"),
            ("volumes", "/volumes", "\"Volumes\":[]"),
        ] {
            let answer = self.ask("GET", path, b"");
            if !answer.contains(empty) && !answer.contains("\"Volumes\":null") {
                found.push(format!("{what}: {answer}"));
            }
        }
        let images = self.ask("GET", "/images/json?all=1", b"");
        if images.matches("\"Id\"").count() != 1 {
            found.push(format!("images: {images}"));
        }
        found
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return self.sweep() };
        // Asked first: then it takes its containers and its containerd with it.
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && child.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = child.kill();
        let _ = child.wait();
        self.sweep();
    }
}

impl Daemon {
    /// Ends what names this daemon's folder (a killed daemon leaves containerd and shims), and takes
    /// the mounts away that would keep the folder.
    fn sweep(&self) {
        let folder = self.folder.path().to_string_lossy().into_owned();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let ours = String::from_utf8_lossy(&line).contains(&folder);
            if let (true, Some(pid)) = (ours, rustix::process::Pid::from_raw(pid)) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_millis(200));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for point in points.filter(|point| point.starts_with(&folder)) {
            let _ = Command::new("umount").args(["-l", point]).status();
        }
    }
}

/// Makes a file executable.
pub(crate) fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
