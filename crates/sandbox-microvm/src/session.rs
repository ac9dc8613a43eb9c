//! One run, seen from the host: pack, boot, give the job, listen, end.

mod held;
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

use crate::erofs;
use crate::firecracker::machine;
use crate::ready::Ready;
use crate::root::{self, setup};
use crate::vmm::jail::Walls;
use crate::vmm::qemu::{self, Qemu};
use crate::vmm::{Acceleration, Vmm, Wires};
use crate::wire::{self, Job, Message};
use listen::{Heard, Listening};
use record::{Carried, Outcome};

/// From power on to the agent's first word.
const BOOT_MAX_KVM: Duration = Duration::from_secs(20);
/// An idle host translates a boot in seconds; a busy one takes many times as long.
const BOOT_MAX_TCG: Duration = Duration::from_secs(300);
/// What a guest may need beyond the command's own time, to build, collect and send.
const GRACE_KVM: Duration = Duration::from_secs(30);
const GRACE_TCG: Duration = Duration::from_secs(240);
/// What the guest's kernel and agent need beside the command's memory.
const GUEST_OWN_BYTES: u64 = 512 << 20;
/// How often signals are looked for while nothing is heard.
const TICK: Duration = Duration::from_millis(20);
/// Threads of the monitor.
const VMM_TASKS: u32 = 64;

pub(crate) fn run(spec: &Spec, ready: &Ready) -> Result<Recording, RunError> {
    tell(spec, "build");
    if let Some(pause) = &spec.pause {
        pause.unavailable();
    }
    ready.guest.can(spec)?;
    let signals = Signals::catch().map_err(|source| setup("catch signals", source))?;
    let packed = root::pack(spec, &ready.guest.busybox())?;
    let image = disk(&ready.guest.folder, &packed.tree)
        .map_err(|source| setup("write the guest's disk", source))?;
    let made = Made { spec, packed: &packed, image: &image };
    match made.boot(ready, &signals) {
        // Nothing of the command has run: it is tried again without what does not carry it.
        Err(Unbooted::Lost(reason)) if ready.acceleration == Acceleration::Kvm => {
            let ready = ready.without_kvm(&reason);
            let booted = made.boot(&ready, &signals)?;
            made.follow(&ready, booted, &signals)
        }
        booted => made.follow(ready, booted?, &signals),
    }
}

/// Everything a guest is booted with that is this run's own.
struct Made<'a> {
    spec: &'a Spec,
    packed: &'a root::Packed,
    image: &'a File,
}

/// A running monitor and what goes after it, in this order.
struct Machine {
    vmm: Vmm,
    _folder: Option<machine::Folder>,
    _groups: Groups,
}

/// A guest that has its job, or was interrupted before.
struct Booted {
    machine: Machine,
    listening: Listening,
    walls: Walls,
    boot: Duration,
    interrupted: Option<i32>,
}

/// Why there is no guest.
enum Unbooted {
    /// It did not come up, in words.
    Lost(String),
    Failed(RunError),
}

impl From<Unbooted> for RunError {
    fn from(unbooted: Unbooted) -> Self {
        match unbooted {
            Unbooted::Lost(reason) => {
                setup("boot the guest", io::Error::new(io::ErrorKind::TimedOut, reason))
            }
            Unbooted::Failed(error) => error,
        }
    }
}

impl Made<'_> {
    /// Starts a guest and gives it its job, once it says that it is there.
    fn boot(&self, ready: &Ready, signals: &Signals) -> Result<Booted, Unbooted> {
        let spec = self.spec;
        let failed = |step| move |source| Unbooted::Failed(setup(step, source));
        let disks = [&ready.agent.disk, self.image].map(qemu::reopened);
        let disks = disks.into_iter().collect::<io::Result<Vec<File>>>();
        let disks = disks.map_err(failed("open the guest's disks"))?;
        let memory_mib = (spec.limits.memory_bytes + GUEST_OWN_BYTES).div_ceil(1 << 20);
        let started = Instant::now();
        let (vmm, folder, wires, mut walls) =
            power_on(spec, ready, disks, memory_mib).map_err(Unbooted::Failed)?;
        let groups = Groups::enter(spec, memory_mib << 20, vmm.pid(), &mut walls);
        let mut machine = Machine { vmm, _folder: folder, _groups: groups };
        let mut listening =
            Listening::start(wires, spec).map_err(failed("listen to the virtual machine"))?;
        let interrupted = hello(ready.acceleration, started, &mut machine.vmm, &listening, signals)
            .map_err(Unbooted::Lost)?;
        if interrupted.is_none() {
            let job = job(spec, &self.packed.tools);
            listening.give(&job).map_err(failed("give the guest its job"))?;
        }
        let boot = started.elapsed();
        Ok(Booted { machine, listening, walls, boot, interrupted })
    }

    /// Listens to a guest until it is over; nothing of it is left then.
    fn follow(
        &self,
        ready: &Ready,
        booted: Booted,
        signals: &Signals,
    ) -> Result<Recording, RunError> {
        let Booted { machine, listening, walls, boot, interrupted } = booted;
        let outcome = match interrupted {
            None => listen(self.spec, ready.acceleration, &listening, signals)?,
            Some(signal) => {
                let mut outcome = Outcome::default();
                let why = "shieldx was interrupted while it booted";
                outcome.cut(Ending::Interrupted { signal }, why);
                outcome
            }
        };
        if let Some(told) = outcome.output() {
            listening.await_output(told);
        }
        let said = machine.vmm.said();
        drop(machine);
        let wired = listening.end();
        let notes = self.packed.notes.clone();
        let carried = Carried { ready, boot, walls, notes, said };
        record::recording(self.spec, outcome, wired, &carried)
    }
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

/// Waits for the agent's first word, or for a signal. What went wrong is told in words.
fn hello(
    acceleration: Acceleration,
    started: Instant,
    vmm: &mut Vmm,
    listening: &Listening,
    signals: &Signals,
) -> Result<Option<i32>, String> {
    let deadline = started
        + match acceleration {
            Acceleration::Kvm => BOOT_MAX_KVM,
            Acceleration::Tcg => BOOT_MAX_TCG,
        };
    loop {
        match listening.next(TICK) {
            Ok(Heard::Message(message)) => match *message {
                Message::Hello { .. } => return Ok(None),
                _ => return Err("it talked before it was asked".to_owned()),
            },
            Ok(Heard::Ended(reason)) => {
                return Err(format!("{reason}; its console: {}", vmm.last_line()));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(format!("it ended: {}", vmm.last_line()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if vmm.ended() {
            return Err(format!("its monitor ended: {}", vmm.last_line()));
        }
        if let Some(signal) = signals.take() {
            return Ok(Some(signal));
        }
        if Instant::now() > deadline {
            return Err(format!(
                "its agent said nothing for {} s; its console: {}",
                started.elapsed().as_secs(),
                vmm.last_line()
            ));
        }
    }
}

/// Listens until the guest's last word, its end, the deadline or a signal.
fn listen(
    spec: &Spec,
    acceleration: Acceleration,
    listening: &Listening,
    signals: &Signals,
) -> Result<Outcome, RunError> {
    let grace = match acceleration {
        Acceleration::Kvm => GRACE_KVM,
        Acceleration::Tcg => GRACE_TCG,
    };
    let begun = Instant::now();
    let deadline = begun + Duration::from_millis(spec.limits.timeout_ms) + grace;
    let mut outcome = Outcome::default();
    loop {
        match listening.next(TICK) {
            Ok(Heard::Message(message)) => match *message {
                Message::End => break,
                Message::Error(refusal) => return Err(record::refusal(refusal)),
                message => outcome.take(message, spec),
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
        if let Some(signal) = signals.take() {
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
        mounts: spec.mounts.iter().map(|mount| wire::text(&mount.target)).collect(),
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
                modified: decoy.modified,
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
