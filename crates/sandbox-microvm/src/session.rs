//! One run, seen from the host: pack, boot, give the job, listen, end.

mod listen;
mod plain;
mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use sandbox::runner::process::cgroup::Cgroups;
use sandbox::runner::process::supervise::Signals;
use sandbox::{MonitorChoice, Net, Root, RunError, Seen, Spec, Stdin};
use types::{Ending, Limits, Recording};

use crate::firecracker::machine;
use crate::ready::Ready;
use crate::root::{self, setup};
use crate::vmm::jail::Walls;
use crate::vmm::qemu::{self, Qemu};
use crate::vmm::{Acceleration, Vmm, Wires};
use crate::wire::{self, Job, Message};
use crate::{Config, erofs};
use listen::{Heard, Listening};
use record::{Carried, Outcome};

/// From power on to the agent's first word.
const BOOT_MAX_KVM: Duration = Duration::from_secs(20);
const BOOT_MAX_TCG: Duration = Duration::from_secs(120);
/// What a guest may need beyond the command's own time, to build, collect and send.
const GRACE_KVM: Duration = Duration::from_secs(30);
const GRACE_TCG: Duration = Duration::from_secs(120);
/// What the guest's kernel and agent need beside the command's memory.
const GUEST_OWN_BYTES: u64 = 512 << 20;
/// How often signals are looked for while nothing is heard.
const TICK: Duration = Duration::from_millis(20);
/// Threads of the monitor.
const VMM_TASKS: u32 = 64;

pub(crate) fn run(spec: &Spec, ready: &Ready, config: &Config) -> Result<Recording, RunError> {
    tell(spec, "build");
    if let Some(pause) = &spec.pause {
        pause.unavailable();
    }
    let signals = Signals::catch().map_err(|source| setup("catch signals", source))?;
    let agent = ready
        .guest
        .agent(&config.agent)
        .map_err(|source| setup("make the agent's disk", source))?;
    let packed = root::pack(spec, &ready.guest.busybox())?;
    let image = disk(&ready.guest.folder, &packed.tree)
        .map_err(|source| setup("write the guest's disk", source))?;
    let agent_disk =
        File::open(&agent.disk).map_err(|source| setup("open the agent's disk", source))?;
    let memory_mib = (spec.limits.memory_bytes + GUEST_OWN_BYTES).div_ceil(1 << 20);
    let started = Instant::now();
    let disks = vec![agent_disk, image];
    let (vmm, folder, wires, mut walls) = power_on(spec, ready, disks, memory_mib)?;
    let groups = Groups::enter(spec, memory_mib << 20, vmm.pid(), &mut walls);
    let listening = Listening::start(wires, spec)
        .map_err(|source| setup("listen to the virtual machine", source))?;
    let mut talk = Talk { spec, ready, tools: &packed.tools, vmm, listening, signals, started };
    let booted = talk.boot()?;
    let boot = started.elapsed();
    let outcome = match booted {
        None => talk.job()?,
        Some(signal) => {
            let mut outcome = Outcome::default();
            outcome.cut(Ending::Interrupted { signal }, "shieldx was interrupted while it booted");
            outcome
        }
    };
    let Talk { vmm, listening, .. } = talk;
    let said = vmm.said();
    drop((vmm, folder));
    let wired = listening.end();
    drop(groups);
    let carried =
        Carried { ready, agent_sha256: agent.sha256, boot, walls, notes: packed.notes, said };
    record::recording(spec, outcome, wired, &carried)
}

/// The running monitor, what goes after it, and our ends of its wires.
type Powered = (Vmm, Option<machine::Folder>, Wires, Walls);

/// Starts the guest: by Firecracker where that carries guests, else by QEMU.
fn power_on(
    spec: &Spec,
    ready: &Ready,
    disks: Vec<File>,
    memory_mib: u64,
) -> Result<Powered, RunError> {
    let failed = |source| setup("start the virtual machine", source);
    let guest = &ready.guest;
    if let Ok(programs) = &ready.firecracker {
        let machine = machine::Machine {
            id: &spec.id,
            kernel: guest.vmlinux(),
            initramfs: guest.initramfs(),
            memory_mib,
            disks,
            word: None,
            folder: &guest.folder,
        };
        let (running, walls) = machine.start(programs, true).map_err(failed)?;
        let machine::Running { vmm, wires, folder } = running;
        let silent = || failed(io::Error::from(io::ErrorKind::NotConnected));
        return Ok((vmm, Some(folder), wires.ok_or_else(silent)?, walls));
    }
    let machine = Qemu {
        program: &ready.qemu,
        acceleration: ready.acceleration,
        kernel: guest.vmlinuz(),
        initramfs: guest.initramfs(),
        memory_mib,
        disks,
        word: None,
    };
    let (vmm, wires, walls) = machine.start().map_err(failed)?;
    Ok((vmm, None, wires, walls))
}

fn tell(spec: &Spec, phase: &'static str) {
    if let Some(observer) = &spec.observer {
        observer.tell(Seen::Phase(phase));
    }
}

/// The image, in a file without a name: it is gone when the last descriptor is.
fn disk(folder: &Path, tree: &erofs::Tree) -> io::Result<File> {
    let unnamed = OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC)
        .open(folder);
    let file = match unnamed {
        Ok(file) => file,
        // This file system has no unnamed files.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            let path = folder.join(format!("agents/.image-{}.new", std::process::id()));
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
            fs::remove_file(&path)?;
            file
        }
        Err(error) => return Err(error),
    };
    let mut out = io::BufWriter::with_capacity(1 << 20, file);
    erofs::write(tree, &mut out)?;
    out.flush()?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    qemu::reopened(&file)
}

/// The monitor's control groups; removed when dropped, after the monitor.
struct Groups(Cgroups);

impl Groups {
    fn enter(spec: &Spec, memory_bytes: u64, pid: u32, walls: &mut Walls) -> Self {
        let mut groups = Cgroups::plan(&spec.id);
        groups.sweep();
        let limits = Limits {
            memory_bytes: memory_bytes + qemu::OWN_BYTES,
            pids: VMM_TASKS,
            ..spec.limits.clone()
        };
        walls.missing.extend(groups.create(&limits));
        match i32::try_from(pid).map_err(io::Error::other).and_then(|pid| groups.add(pid)) {
            Ok(()) if groups.bounds() => {
                walls.standing.push("control groups of its own bound memory and tasks".to_owned());
            }
            Ok(()) => {}
            Err(error) => walls.missing.push(format!("no control groups: {error}")),
        }
        Self(groups)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.0.remove();
    }
}

struct Talk<'a> {
    spec: &'a Spec,
    ready: &'a Ready,
    tools: &'a [PathBuf],
    vmm: Vmm,
    listening: Listening,
    signals: Signals,
    started: Instant,
}

impl Talk<'_> {
    /// Waits for the agent's first word and gives it the job, or until a signal.
    fn boot(&mut self) -> Result<Option<i32>, RunError> {
        let max = match self.ready.acceleration {
            Acceleration::Kvm => BOOT_MAX_KVM,
            Acceleration::Tcg => BOOT_MAX_TCG,
        };
        let deadline = self.started + max;
        let lost = |reason: String| {
            setup("boot the guest", io::Error::new(io::ErrorKind::TimedOut, reason))
        };
        loop {
            match self.listening.next(TICK) {
                Ok(Heard::Message(message)) => match *message {
                    Message::Hello { .. } => break,
                    _ => return Err(lost("it talked before it was asked".to_owned())),
                },
                Ok(Heard::Ended(reason)) => {
                    return Err(lost(format!("{reason}; its console: {}", self.vmm.last_line())));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(lost(format!("it ended: {}", self.vmm.last_line())));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.vmm.ended() {
                return Err(lost(format!("its monitor ended: {}", self.vmm.last_line())));
            }
            if let Some(signal) = self.signals.take() {
                return Ok(Some(signal));
            }
            if Instant::now() > deadline {
                return Err(lost(format!(
                    "its agent said nothing for {} s; its console: {}",
                    self.started.elapsed().as_secs(),
                    self.vmm.last_line()
                )));
            }
        }
        self.listening
            .give(&job(self.spec, self.tools))
            .map_err(|source| setup("give the guest its job", source))?;
        Ok(None)
    }

    /// Listens until the guest's last word, its end, the deadline or a signal.
    fn job(&mut self) -> Result<Outcome, RunError> {
        let grace = match self.ready.acceleration {
            Acceleration::Kvm => GRACE_KVM,
            Acceleration::Tcg => GRACE_TCG,
        };
        let begun = Instant::now();
        let deadline = begun + Duration::from_millis(self.spec.limits.timeout_ms) + grace;
        let mut outcome = Outcome::default();
        loop {
            match self.listening.next(TICK) {
                Ok(Heard::Message(message)) => match *message {
                    Message::End => break,
                    Message::Error(refusal) => return Err(record::refusal(refusal)),
                    message => outcome.take(message, self.spec),
                },
                Ok(Heard::Ended(reason)) => {
                    outcome.lost = Some(reason);
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    outcome.lost = Some("it ended before its last word".to_owned());
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(signal) = self.signals.take() {
                outcome.cut(Ending::Interrupted { signal }, "shieldx was interrupted");
                break;
            }
            if Instant::now() > deadline {
                outcome.cut(Ending::TimedOut, "it did not end within its time");
                break;
            }
        }
        outcome.length = begun.elapsed();
        Ok(outcome)
    }
}

fn job(spec: &Spec, tools: &[PathBuf]) -> Job {
    let words = |words: &[std::ffi::OsString]| words.iter().map(wire::text).collect();
    Job {
        id: spec.id.clone(),
        started_at: spec.started_at.clone(),
        program: wire::text(&spec.program),
        command: words(&spec.command),
        env: spec.env.iter().map(|(key, value)| (wire::text(key), wire::text(value))).collect(),
        cwd: wire::text(&spec.cwd),
        cwd_is_new: spec.cwd_is_new,
        copies: spec.copies.iter().map(|copied| wire::text(&copied.target)).collect(),
        root: match &spec.root {
            Root::Tar(_) => wire::Root::Tar,
            Root::Oci(_, name) => wire::Root::Oci(name.clone()),
            Root::Host | Root::Folder(_) | Root::Image(_) => wire::Root::Image,
        },
        layers: spec.layers.len(),
        hidden: spec.hidden.iter().map(wire::text).collect(),
        tools: tools.iter().map(wire::text).collect(),
        net: match spec.net {
            Net::None | Net::Allow => wire::Net::None,
            Net::Loopback => wire::Net::Loopback,
            Net::Sink => wire::Net::Sink,
        },
        monitor: match spec.monitor {
            MonitorChoice::Auto => wire::Monitor::Auto,
            MonitorChoice::Ebpf => wire::Monitor::Ebpf,
            MonitorChoice::Notify => wire::Monitor::Notify,
            MonitorChoice::Off => wire::Monitor::Off,
        },
        decoys: spec
            .decoys
            .iter()
            .map(|decoy| wire::Decoy {
                path: wire::text(&decoy.path),
                content: types::Text::new(decoy.content.clone()),
                mode: decoy.mode,
            })
            .collect(),
        memory_scan: spec.memory.scan,
        memory_hold_ms: spec.memory.hold_ms,
        memory_read_bytes: spec.memory.read_bytes,
        limits: spec.limits.clone(),
        stdin: spec.stdin == Stdin::Inherit,
        keep: spec.keep.is_some(),
        snapshot: spec.artifacts.snapshot.is_some(),
        packets: spec.artifacts.packets.is_some(),
        events_max: spec.events_max,
    }
}
