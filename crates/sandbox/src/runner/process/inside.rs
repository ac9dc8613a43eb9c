//! The three processes between the supervisor and the program: keeper, init, command.
//!
//! ```text
//! supervisor ── fork ──▶ keeper ── fork ──▶ init (pid 1 inside) ── fork ──▶ command ── execve ──▶ program
//! ```
//!
//! The *keeper* outlives a killed supervisor: it sees the life pipe close, kills init (and with it
//! everything in the pid namespace) and removes the control groups. *Init* builds the root, reaps
//! orphans and reports the command's end. The *command* gives up every right and becomes the
//! program. Each dies with its parent, so a killed keeper leaves no process either.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use libc::c_ulong;

use super::cgroup::Cgroups;
use super::prepared::Spaces;
use super::rootfs::{Failed, INSIDE_UID, Plan, failed, unpacks};
use super::wire::{Go, Inner};
use crate::landlock::Ruleset;
use crate::net::tunnel;
use crate::runner::NO_INTERPRETER;
use crate::seccomp::Filter;
use crate::spec::{Net, Spec};
use crate::sys::{self, ExecArgs, Fork};

/// How long what the command left in the background is watched after its end.
pub const LINGER: Duration = Duration::from_millis(1500);
/// How long a root may take to be unpacked. It is not the command's time.
const UNPACK: Duration = Duration::from_secs(120);

/// Everything the inner processes need; made before the first fork.
pub(crate) struct Inside<'a> {
    pub spec: &'a Spec,
    /// Namespaces that were made ahead.
    pub spaces: Option<Spaces>,
    pub plan: Plan,
    pub cgroups: Cgroups,
    pub inner: Inner,
    /// Reads end-of-file when the supervisor is gone.
    pub life: OwnedFd,
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    pub enforce: Filter,
    pub hold: Filter,
    pub notify: Filter,
    pub exec: ExecArgs,
    /// Whether controllers bound memory and pids; else rlimits must.
    pub bounded: bool,
}

impl Inside<'_> {
    /// The keeper's life. Never returns.
    pub(crate) fn keeper(self) -> ! {
        // Not the supervisor's name: whoever kills that by name must not kill who cleans up after it.
        sys::rename_process(c"sx-keeper");
        sys::leave_real_time();
        sys::setsid();
        sys::ignore_signals();
        let _ = std::env::set_current_dir("/");
        let code = match self.keep() {
            Ok(()) => 0,
            Err((step, error)) => {
                self.inner.failed(step, &error);
                1
            }
        };
        self.cgroups.remove();
        sys::exit_now(code)
    }

    fn keep(&self) -> Result<(), (&'static str, io::Error)> {
        // A pipeline must not wait for the keeper's copies of our standard streams.
        if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
            for stream in 0..3 {
                let _ = sys::dup_to(null.as_fd(), stream);
            }
        }
        self.enter_namespaces().map_err(|error| ("create the pid namespace", error))?;
        // The run's memory limit is the command's: init enters the control groups when everything
        // that somebody else packed is unpacked.
        let gate = unpacks(self.spec).then(sys::pipe).transpose();
        let (unpacked, told) = gate.map_err(|error| ("create a pipe", error))?.unzip();
        let init = match sys::fork().map_err(|error| ("start the sandbox's init", error))? {
            Fork::Child => {
                drop(unpacked);
                self.init(told)
            }
            Fork::Parent(pid) => pid,
        };
        drop(told);
        if let Some(unpacked) = unpacked {
            self.wait_unpacked(&unpacked, init);
        }
        let _ = self.inner.init_pid(init);
        self.close_streams();
        // A fork has the descriptors of every run of its process, those included whose end tells
        // the keepers of others that they are no longer needed.
        let _ = sys::close_but(&[self.life.as_fd(), self.inner.0.as_fd()]);
        self.watch(init);
        Ok(())
    }

    /// Waits until init has unpacked, or will not: its end and the supervisor's are seen later.
    fn wait_unpacked(&self, unpacked: &OwnedFd, init: libc::pid_t) {
        let deadline = Instant::now() + UNPACK;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left_ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
            let mut fds = [pollfd(self.life.as_fd()), pollfd(unpacked.as_fd())];
            match sys::poll(&mut fds, left_ms) {
                Ok(0) if left.is_zero() => {
                    self.inner.refused(&format!(
                        "the root was not unpacked within {} s",
                        UNPACK.as_secs()
                    ));
                    let _ = sys::kill(init, libc::SIGKILL);
                    return;
                }
                Ok(_) if fds.iter().all(|fd| fd.revents == 0) => {}
                _ => return,
            }
        }
    }

    /// root: only the pid namespace. An ordinary user: a user namespace first, which gives the
    /// right to all the others.
    fn enter_namespaces(&self) -> io::Result<()> {
        if self.plan.ids.is_some() {
            return sys::unshare(libc::CLONE_NEWPID);
        }
        let (uid, gid) = (sys::effective_uid(), sys::effective_gid());
        sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWPID)?;
        // user_namespaces(7): without privilege, one's own id only, and setgroups off before.
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{INSIDE_UID} {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{INSIDE_UID} {gid} 1"))
    }

    /// Waits for init's end or the supervisor's, whichever is first; init is dead after it.
    fn watch(&self, init: libc::pid_t) {
        if let Ok(handle) = sys::pidfd_open(init) {
            loop {
                let mut fds = [pollfd(self.life.as_fd()), pollfd(handle.as_fd())];
                if sys::poll(&mut fds, -1).is_err() || fds[0].revents != 0 {
                    break;
                }
                if fds[1].revents != 0 {
                    let _ = sys::wait(init, 0);
                    self.inner.init_gone();
                    let mut life = [pollfd(self.life.as_fd())];
                    while sys::poll(&mut life, -1).is_ok_and(|ready| ready == 0) {}
                    return;
                }
            }
        }
        let _ = sys::kill(init, libc::SIGKILL);
        let _ = sys::wait(init, 0);
    }

    /// Lets go of the command's ends of the output pipes, so that they end with it.
    fn close_streams(&self) {
        for fd in [&self.stdin, &self.stdout, &self.stderr] {
            sys::replace_with_null(fd.as_fd());
        }
    }

    /// Init's life: pid 1 of the namespace. Never returns.
    fn init(&self, told: Option<OwnedFd>) -> ! {
        match self.init_steps(told) {
            Ok(()) => sys::exit_now(0),
            Err(Failed::Step { step, source }) => self.inner.failed(&step, &source),
            Err(Failed::Refused(reason)) => self.inner.refused(&reason),
        }
        sys::exit_now(1)
    }

    fn init_steps(&self, told: Option<OwnedFd>) -> Result<(), Failed> {
        let named = |step: &'static str| failed(step);
        sys::rename_process(c"sx-init");
        sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong).map_err(named("tie init"))?;
        if let Some(spaces) = &self.spaces {
            sys::unshare(libc::CLONE_NEWNS).map_err(named("create the mount namespace"))?;
            spaces.enter().map_err(named("enter the namespaces that were made ahead"))?;
        } else {
            let others = libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWNET;
            sys::unshare(libc::CLONE_NEWNS | others).map_err(named("create namespaces"))?;
            sys::set_hostname(c"sandbox").map_err(named("name the sandbox"))?;
        }
        if self.spec.net != Net::None {
            sys::loopback_up().map_err(named("bring loopback up"))?;
        }
        if matches!(self.spec.net, Net::Sink | Net::Allow) {
            let (packets, interface) =
                tunnel::make().map_err(|(step, error)| failed(step)(error))?;
            let sent = self.inner.tunnel(packets.as_raw_fd(), &interface);
            sent.map_err(named("hand the network over"))?;
        }
        let mut notes = Vec::new();
        let stood = self.plan.build(self.spec, &mut notes, || drop(told))?;
        if let Some(ids) = &self.plan.ids {
            sys::setns(ids.shifted.as_fd(), libc::CLONE_NEWUSER)
                .and_then(|()| sys::become_user(0, 0, true))
                .map_err(named("enter the user namespace"))?;
        }
        // Both were cleared by the change of identity.
        sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong).map_err(named("tie init"))?;
        sys::prctl(libc::PR_SET_DUMPABLE, 0).map_err(named("protect init's memory"))?;
        std::env::set_current_dir(&self.spec.cwd)
            .map_err(failed(format!("enter {}", self.spec.cwd.display())))?;
        let ruleset = Ruleset::new(self.spec.net).map_err(named("build the Landlock rules"))?;
        notes.push(format!("landlock={}", ruleset.describe()));
        let exec = self.look_up(&mut notes)?;
        self.inner.built(&stood, &notes).map_err(named("report the root"))?;
        drop(stood);
        // The control groups are entered here, not in the command: moving a task waits for every
        // CPU, and here that wait runs beside the building of the root.
        self.inner.wait_go().map_err(named("wait to enter the control groups"))?;
        let command = match sys::fork().map_err(named("start the command's process"))? {
            Fork::Child => self.command(&ruleset, exec.as_ref().unwrap_or(&self.exec)),
            Fork::Parent(pid) => pid,
        };
        self.close_streams();
        drop(ruleset);
        let _ = sys::close_but(&[self.inner.0.as_fd()]);
        self.reap(command);
        Ok(())
    }

    /// A program without a folder is looked up along the command's own PATH, which only means
    /// something inside: execvp(3) without its fallback to the shell.
    fn look_up(&self, notes: &mut Vec<String>) -> Result<Option<ExecArgs>, Failed> {
        let Spec { program, command, env, .. } = self.spec;
        if program.as_os_str().as_bytes().contains(&b'/') {
            return Ok(None);
        }
        let path = env.iter().rev().find(|(key, _)| key == OsStr::new("PATH"));
        let path = path.map(|(_, value)| value.as_os_str()).unwrap_or_default();
        let (mut found, mut closed) = (None, false);
        for file in std::env::split_paths(path).map(|folder| folder.join(program)) {
            let Ok(meta) = std::fs::metadata(&file) else { continue };
            if meta.is_file() && meta.permissions().mode() & 0o111 != 0 {
                found = Some(file);
                break;
            }
            closed = true;
        }
        let Some(found) = found else {
            let (name, path) = (program.display(), path.display());
            let (what, errno) = match closed {
                false => (format!("the root has no {name} along PATH ({path})"), libc::ENOENT),
                true => (format!("no {name} along PATH ({path}) is executable"), libc::EACCES),
            };
            let error = io::Error::from_raw_os_error(errno);
            return Err(failed(format!("start the program: {what}"))(error));
        };
        notes.push(format!("program={}", found.display()));
        let exec = ExecArgs::new(&found, command, env);
        exec.map(Some).map_err(failed("pass the command's arguments (a NUL byte inside?)"))
    }

    /// Reaps everything. When the command ends, reports it, watches what it left running for a
    /// while (a sample that goes on in the background is not done), and kills the rest.
    fn reap(&self, command: libc::pid_t) {
        while let Some((pid, status)) = sys::wait(-1, 0) {
            if pid == command {
                self.inner.status(status);
                break;
            }
        }
        let deadline = Instant::now() + LINGER;
        let mut survivors = sys::children_left();
        while survivors && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
            survivors = sys::children_left();
        }
        if survivors {
            self.inner.survivors();
        }
        let _ = sys::kill(-1, libc::SIGKILL);
        while sys::wait(-1, 0).is_some() {}
    }

    /// From init's fork to the program. Never returns.
    fn command(&self, ruleset: &Ruleset, exec: &ExecArgs) -> ! {
        let (step, error) = match self.command_steps(ruleset) {
            Ok(()) => match exec.exec() {
                error if error.raw_os_error() == Some(libc::ENOENT) && exec.is_there() => {
                    (NO_INTERPRETER, error)
                }
                error => ("start the program", error),
            },
            Err(failure) => failure,
        };
        self.inner.failed(step, &error);
        sys::exit_now(127)
    }

    fn command_steps(&self, ruleset: &Ruleset) -> Result<(), (&'static str, io::Error)> {
        sys::set_name(c"sx-command");
        sys::setsid();
        sys::default_signals();
        for (stream, fd) in [(0, &self.stdin), (1, &self.stdout), (2, &self.stderr)] {
            sys::dup_to(fd.as_fd(), stream).map_err(|error| ("connect the streams", error))?;
        }
        self.inner.ready().map_err(|error| ("report to the supervisor", error))?;
        let go = self.inner.wait_go().map_err(|error| ("wait for the supervisor", error))?;
        // The run's control groups become the root of what is seen of them.
        let _ = sys::unshare(libc::CLONE_NEWCGROUP);
        self.limit().map_err(|error| ("set resource limits", error))?;
        sys::drop_bounding_set().map_err(|error| ("drop the bounding set", error))?;
        let is_root_run = self.plan.ids.is_some();
        if is_root_run {
            sys::become_user(INSIDE_UID, INSIDE_UID, true)
                .map_err(|error| ("become the sandbox's user", error))?;
        }
        sys::drop_capabilities().map_err(|error| ("drop capabilities", error))?;
        sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong)
            .map_err(|error| ("tie the command", error))?;
        // The change of identity turned it off; the supervisor must reach the notification
        // descriptor, and the program's own debuggers its children.
        sys::prctl(libc::PR_SET_DUMPABLE, 1).map_err(|error| ("stay inspectable", error))?;
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
            .map_err(|error| ("forbid new privileges", error))?;
        ruleset.restrict().map_err(|error| ("enter Landlock", error))?;
        sys::close_from(3, true).map_err(|error| ("close descriptors", error))?;
        match go {
            Go::Enforce => self.enforce.install().map_err(|error| ("install seccomp", error)),
            Go::Hold | Go::Notify => {
                let filter = if go == Go::Hold { &self.hold } else { &self.notify };
                let listener = filter
                    .install_with_listener()
                    .map_err(|error| ("install seccomp with notification", error))?;
                self.inner.listener(listener).map_err(|error| ("pass the listener", error))?;
                self.inner.wait_go().map_err(|error| ("wait for the monitor", error)).map(drop)
            }
        }
    }

    fn limit(&self) -> io::Result<()> {
        let limits = &self.spec.limits;
        sys::set_rlimit(libc::RLIMIT_CORE, 0)?;
        sys::set_rlimit(libc::RLIMIT_NOFILE, 4096)?;
        sys::set_rlimit(libc::RLIMIT_FSIZE, limits.disk_bytes)?;
        sys::set_rlimit(libc::RLIMIT_MEMLOCK, 8 << 20)?;
        sys::set_rlimit(libc::RLIMIT_MSGQUEUE, 819_200)?;
        if !self.bounded {
            // Per process, and per user for the process count: the best there is without a
            // controller; the report says so.
            sys::set_rlimit(libc::RLIMIT_DATA, limits.memory_bytes)?;
            sys::set_rlimit(libc::RLIMIT_NPROC, u64::from(limits.pids))?;
        }
        Ok(())
    }
}

fn pollfd(fd: BorrowedFd<'_>) -> libc::pollfd {
    libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }
}

/// Opens the null device for reading.
pub(crate) fn null() -> io::Result<OwnedFd> {
    Ok(std::fs::File::open(Path::new("/dev/null"))?.into())
}
