//! Tier B: eBPF programs on raw tracepoints, for one cgroup.
//!
//! [`load`] puts the programs into the kernel, [`Loaded::attach`] points them at a cgroup and
//! starts the thread that takes events out, [`Running::finish`] takes the rest, closes the books
//! and detaches. Works without kprobes, fentry and BPF LSM; x86_64 only.
//!
//! This room knows system calls and kernel events; it does not know what they are evidence of.

mod books;
mod bpf;
mod btf;
mod calls;
mod capture;
mod decode;
mod guard;
mod loader;
mod object;
mod options;
mod os;
mod pins;
mod probe;
mod pump;
mod sampler;

use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::fs::File;
use std::io::PipeWriter;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::ebpf::abi::{
    Control, Counters, Here, KIND_COUNT, RECIPES_LEN, TOTALS_LEN, TRAFFIC_ICMP, TRAFFIC_IN,
    TRAFFIC_OTHER, TRAFFIC_OUT, TRAFFIC_TCP, TRAFFIC_UDP, Total,
};

use types::{Tier, Traffic};

pub use self::guard::Guard;
pub use self::options::{HELD_MAX, Options, Target};
pub use self::probe::{Probe, probe, probe_capture, probe_guard};

use self::decode::{Decoder, Held};
use self::loader::{Kernel, Rest};
use self::pins::Lease;
use self::pump::{Blocked, Freezer, Pump, Ring};
use self::sampler::Sampler;
use super::{Sink, Summary, Unavailable};

/// Program and the raw tracepoint it is attached to; the one that sees most comes last.
const PROGRAMS: [(&str, &CStr); 4] = [
    ("on_exec", c"sched_process_exec"),
    ("on_fork", c"sched_process_fork"),
    ("on_exit", c"sched_process_exit"),
    ("on_sys_exit", TYPED),
];

/// Programs that count the packets of the run's cgroup.
const PACKETS: [(&str, bpf::Direction); 2] =
    [("on_packet_in", bpf::Direction::In), ("on_packet_out", bpf::Direction::Out)];

/// The tracepoint whose program has typed arguments.
const TYPED: &CStr = c"sys_exit";

/// Programs in the kernel, attached and watching nobody yet.
pub struct Loaded {
    kernel: Kernel,
    links: Vec<OwnedFd>,
    /// How long attaching them took.
    attaching: Duration,
    critical_len: u32,
    bulk_len: u32,
    guard: Guard,
    held_max: Duration,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").finish_non_exhaustive()
    }
}

/// Programs at work and the thread that takes their events. Dropping it stops both.
pub struct Running<S> {
    kernel: Rest,
    /// The programs are attached for as long as these are open.
    links: Vec<OwnedFd>,
    /// Closing it tells the thread to take what is left and end.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<Pump<S>>>,
    sampler: Option<Sampler>,
    /// Somebody counts packets.
    packets: bool,
    lease: Option<Lease>,
    /// What `recursion_misses` said before this run.
    misses_before: u64,
    tier: Tier,
    attachments: Option<String>,
}

impl<S> std::fmt::Debug for Running<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

/// Loads the programs and attaches them to their tracepoints. Attached this early because the kernel
/// lets a grace period pass before it uses a tracepoint that somebody has just left: that takes ten
/// milliseconds and more, in which the caller can build the sandbox.
///
/// # Errors
/// When the kernel, its configuration or the caller's privileges do not allow it; the reason names
/// what is missing.
pub fn load(options: &Options) -> Result<Loaded, Unavailable> {
    if cfg!(not(target_arch = "x86_64")) {
        return Err(Unavailable {
            reason: "the eBPF monitor knows the system calls of x86_64 only".to_owned(),
        });
    }
    let kernel = loader::load(options)?;
    let start = Instant::now();
    let links = attach_all(&kernel.rest)?;
    let attaching = start.elapsed();
    let Options { critical_len, bulk_len, guard, held_max, .. } = *options;
    let mut loaded = Loaded { kernel, links, attaching, critical_len, bulk_len, guard, held_max };
    loaded.hang();
    Ok(loaded)
}

/// The whole chain of causes, and for a refusal what would allow it.
fn unavailable(what: &str, error: &(dyn std::error::Error + 'static)) -> Unavailable {
    let mut reason = what.to_owned();
    let mut refused = false;
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !reason.contains(text.trim()) {
            reason = format!("{reason}: {}", text.trim());
        }
        refused |= error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
        cause = error.source();
    }
    if refused && crate::sys::effective_uid() != 0 {
        reason.push_str("; run as root, or with CAP_BPF and CAP_PERFMON");
    }
    Unavailable { reason }
}

impl Loaded {
    /// An earlier run left these programs in the kernel; nothing had to be verified.
    #[must_use]
    pub fn reused(&self) -> bool {
        self.kernel.reused
    }

    /// Hangs the guards on their hooks and the captures on their functions; of either none where the
    /// kernel does not take them all.
    fn hang(&mut self) {
        let hang = |guard: &OwnedFd| bpf::attach(None, guard.as_fd());
        match self.kernel.guards.iter().map(hang).collect::<Result<Vec<_>, _>>() {
            Ok(links) => self.links.extend(links),
            Err(error) => {
                self.kernel.unguarded =
                    Some(unavailable("the kernel refuses to hang guards on its hooks", &error));
                self.kernel.guards.clear();
            }
        }
        match self.kernel.captures.iter().map(hang).collect::<Result<Vec<_>, _>>() {
            Ok(links) => self.links.extend(links),
            Err(error) => {
                let what = "the kernel refuses to hang programs on the end of its functions";
                self.kernel.uncaptured = Some(unavailable(what, &error));
                self.kernel.captures.clear();
            }
        }
    }

    /// Refuses to the run only this, of what the options named.
    #[must_use]
    pub fn refusing(mut self, guard: Guard) -> Self {
        self.guard = self.guard.within(guard);
        self
    }

    /// A when something can be refused in the kernel, else B.
    #[must_use]
    pub fn tier(&self) -> Tier {
        if self.kernel.guards.is_empty() { Tier::B } else { Tier::A }
    }

    /// Why nothing can be refused in the kernel although that was asked for.
    #[must_use]
    pub fn unguarded(&self) -> Option<&str> {
        self.kernel.unguarded.as_ref().map(|reason| reason.reason.as_str())
    }

    /// Why paths are not captured as the kernel resolved them.
    #[must_use]
    pub fn uncaptured(&self) -> Option<&str> {
        self.kernel.uncaptured.as_ref().map(|reason| reason.reason.as_str())
    }

    /// What of tier A is at work, in words; none where nothing is.
    fn attachments(&self) -> Option<String> {
        let names = |hooks: Vec<&str>| hooks.join(", ");
        let mut parts = Vec::new();
        if !self.kernel.guards.is_empty() {
            let hooks = guard::hooks(self.guard).map(|(_, hook)| hook).collect();
            parts.push(format!("refuses by BPF LSM at {}", names(hooks)));
        }
        if !self.kernel.captures.is_empty() {
            let hooks = capture::hooks().map(|(_, hook)| hook).collect();
            parts.push(format!("paths as the kernel resolved them by fexit at {}", names(hooks)));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Points the programs at a cgroup and starts taking events.
    ///
    /// # Errors
    /// When the kernel refuses to attach a program or the thread cannot be started.
    pub fn attach<S: Sink + 'static>(
        self,
        target: Target,
        sink: S,
    ) -> Result<Running<S>, Unavailable> {
        let (tier, attachments) = (self.tier(), self.attachments());
        let deny = if tier == Tier::A { self.guard.bits() } else { 0 };
        let captures = u32::from(!self.kernel.captures.is_empty());
        let Kernel { critical, bulk, gate, rest: mut kernel, lease, .. } = self.kernel;
        let misses_before = recursion_misses(&kernel.programs);
        let mut links = self.links;
        let control = Control { deny, captures, ..Control::watching(target.cgroup_id) };
        set_control(&mut kernel, control)?;
        let counting = target.cgroup.as_ref().and_then(|cgroup| attach_packets(&kernel, cgroup));
        let packets = counting.is_some();
        links.extend(counting.unwrap_or_default());
        let pump = Pump {
            rings: [
                Ring { buffer: critical, len: self.critical_len },
                Ring { buffer: bulk, len: self.bulk_len },
            ],
            decoder: Decoder {
                start_ns: target.start_ns,
                realtime_offset_ns: os::realtime_offset_ns(),
                refusal: target.refusal,
                wall: target.wall,
                uid_map: target.uid_map,
            },
            held: Held::default(),
            sink,
            freezer: Freezer::new(target.freezer, target.cgroup, self.held_max),
            received: [0; KIND_COUNT as usize],
            malformed: 0,
            blocked: Blocked::new(),
        };
        let no_thread = |error: std::io::Error| unavailable("no thread for the monitor", &error);
        let (stopped, stop) = std::io::pipe().map_err(no_thread)?;
        let thread = std::thread::Builder::new()
            .name("ebpf-monitor".to_owned())
            .spawn(move || pump.run(&stopped))
            .map_err(no_thread)?;
        let (stop, thread) = (Some(stop), Some(thread));
        let mut running = Running {
            kernel,
            links,
            stop,
            thread,
            sampler: None,
            packets,
            lease,
            misses_before,
            tier,
            attachments,
        };
        running.sampler = Some(Sampler::start(gate)?);
        Ok(running)
    }
}

fn attach_all(kernel: &Rest) -> Result<Vec<OwnedFd>, Unavailable> {
    let pairs = PROGRAMS.iter().zip(&kernel.programs);
    let attach = |((_, tracepoint), program): (&(&str, &CStr), &OwnedFd)| {
        bpf::attach((*tracepoint != TYPED).then_some(*tracepoint), program.as_fd()).map_err(
            |error| {
                let tracepoint = tracepoint.to_string_lossy();
                unavailable(&format!("the kernel refuses to attach to {tracepoint}"), &error)
            },
        )
    };
    pairs.map(attach).collect()
}

/// Both directions or none: `None` when the kernel has no such programs or does not attach them.
fn attach_packets(kernel: &Rest, cgroup: &File) -> Option<Vec<OwnedFd>> {
    let attach = |(direction, program): &(bpf::Direction, OwnedFd)| {
        bpf::attach_packets(cgroup.as_fd(), *direction, program.as_fd()).ok()
    };
    let links = kernel.packets.iter().map(attach).collect::<Option<Vec<_>>>()?;
    (links.len() == PACKETS.len()).then_some(links)
}

fn set_control(kernel: &mut Rest, control: Control) -> Result<(), Unavailable> {
    kernel
        .control
        .set(0, control.to_bytes(), 0)
        .map_err(|error| unavailable("the control map cannot be set", &error))
}

impl<S: Sink> Running<S> {
    /// A when something can be refused in the kernel, else B.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Takes what is left in the rings, folds the totals in, and detaches. To be called when every
    /// task of the cgroup is dead; of what living ones still do, nothing is recorded any more.
    ///
    /// # Panics
    /// When the sink panicked, with the sink's panic.
    pub fn finish(mut self) -> (S, Summary) {
        drop(self.sampler.take());
        let control = self.control();
        // Tasks that should not be there any more must not unbalance the books: nobody is watched,
        // and as after many exits no CPU knows the task it saw last.
        let exits = control.exits.wrapping_add(1 << 32);
        let silent = set_control(&mut self.kernel, Control { cgroup_id: 0, exits, ..control });
        drop(self.stop.take());
        let mut pump = match self.thread.take().map(JoinHandle::join) {
            Some(Ok(pump)) => pump,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => unreachable!("the thread is taken here only"),
        };
        let totals = self.totals(control.totals_used);
        for (nr, event) in std::mem::take(&mut pump.held).release(&totals) {
            pump.blocked.count(nr, &event);
            pump.sink.event(event);
        }
        let mut faults: Vec<_> = pump.freezer.fault().into_iter().collect();
        if let Err(error) = silent {
            faults.push(error.reason);
        }
        let counters = self.counters();
        if counters.is_none() {
            faults.push("the monitor's counters could not be read".to_owned());
        }
        let mut summary = books::close(
            &counters.unwrap_or_default(),
            &pump.received,
            pump.freezer.count,
            pump.malformed,
            recursion_misses(&self.kernel.programs).saturating_sub(self.misses_before),
        );
        self.links.clear();
        if let Some(made) = self.calls() {
            summary.calls = books::by_name(&made, &pump.blocked.0);
            summary.durations = self.kernel.samples.read(&made);
        }
        summary.traffic = self.traffic();
        summary.no_room = self.no_room();
        summary.attachments = self.attachments.take();
        summary.faults.append(&mut faults);
        let drained = pump.rings.iter_mut().all(|ring| ring.buffer.next().is_none());
        if let Some(lease) = self.lease.take().filter(|_| drained) {
            lease.give_back(control.totals_used);
        }
        (pump.sink, summary)
    }

    fn control(&self) -> Control {
        let bytes = self.kernel.control.get(&0, 0).ok();
        bytes.and_then(|bytes| Control::parse(&bytes)).unwrap_or_default()
    }

    fn totals(&self, used: u32) -> HashMap<u32, Total> {
        let get = |index: u32| Total::parse(&self.kernel.totals.get(&index, 0).ok()?);
        (0..used.min(TOTALS_LEN)).filter_map(|index| Some((index, get(index)?))).collect()
    }

    /// The books of the kernel side, summed over all CPUs.
    fn counters(&self) -> Option<Vec<Counters>> {
        let sum = |kind| {
            let cpus = self.kernel.counters.get(&kind, 0).ok()?;
            Some(books::sum(cpus.iter().filter_map(|bytes| Counters::parse(bytes))))
        };
        (0..KIND_COUNT).map(sum).collect()
    }

    /// System calls that returned, by number, summed over all CPUs.
    fn calls(&self) -> Option<Vec<u64>> {
        let cpus = self.kernel.heres.get(&0, 0).ok()?;
        let mut sums = vec![0; RECIPES_LEN];
        for cpu in cpus.iter() {
            Here::add_calls(cpu, &mut sums);
        }
        Some(sums)
    }

    fn no_room(&self) -> u64 {
        let cpus = self.kernel.heres.get(&0, 0).ok();
        cpus.map_or(0, |cpus| cpus.iter().map(|cpu| Here::no_room(cpu)).sum())
    }

    /// Bytes of packets by protocol; nothing where nobody counts.
    fn traffic(&self) -> BTreeMap<String, Traffic> {
        let bytes =
            |index: u32| self.kernel.traffic.get(&index, 0).map_or(0, |cpus| cpus.iter().sum());
        let protocols = [
            ("tcp", TRAFFIC_TCP),
            ("udp", TRAFFIC_UDP),
            ("icmp", TRAFFIC_ICMP),
            ("other", TRAFFIC_OTHER),
        ];
        let counted = protocols.into_iter().filter(|_| self.packets).map(|(name, protocol)| {
            let received_bytes = bytes(TRAFFIC_IN + protocol);
            let sent_bytes = bytes(TRAFFIC_OUT + protocol);
            (name.to_owned(), Traffic { received_bytes, sent_bytes })
        });
        counted.collect()
    }
}

fn recursion_misses(programs: &[OwnedFd]) -> u64 {
    let misses = |program: &OwnedFd| bpf::recursion_misses(program.as_fd()).ok();
    programs.iter().filter_map(misses).sum()
}

impl<S> Drop for Running<S> {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A sink that panicked has been told of by finish, or nobody wants to know.
            let _ = thread.join();
        }
    }
}
