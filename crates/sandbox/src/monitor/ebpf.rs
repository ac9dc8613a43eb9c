//! Tier B: eBPF programs on raw tracepoints, for one cgroup.
//!
//! [`load`] puts the programs into the kernel, [`Loaded::attach`] points them at a cgroup and
//! starts the thread that takes events out, [`Running::finish`] takes the rest, closes the books
//! and detaches. Works without kprobes, fentry and BPF LSM; x86_64 only.
//!
//! This room knows system calls and kernel events; it does not know what they are evidence of.

mod books;
mod btf;
mod calls;
mod decode;
mod os;
mod probe;
mod pump;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::PipeWriter;
use std::os::fd::AsFd as _;
use std::thread::JoinHandle;

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use aya::programs::RawTracePoint;
use aya::{Btf, Ebpf, EbpfLoader, Endianness, VerifierLogLevel};
use shieldx_ebpf::abi::{Control, Counters, KIND_COUNT, RECIPES_LEN, TOTALS_LEN, Total};
use shieldx_ebpf::{KERNEL_TYPES, OBJECT};

pub use self::probe::{Probe, probe};

use self::decode::{Decoder, Held};
use self::pump::{Freezer, Pump, Ring};
use super::{Refusal, Sink, Summary, Unavailable};

/// Program and the raw tracepoint it is attached to; the one that sees most comes last.
const PROGRAMS: [(&str, &str); 4] = [
    ("on_exec", "sched_process_exec"),
    ("on_fork", "sched_process_fork"),
    ("on_exit", "sched_process_exit"),
    ("on_sys_exit", "sys_exit"),
];

const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// What must be known before the programs are loaded.
#[derive(Debug, Clone)]
pub struct Options {
    /// Calls that the sandbox's policy may refuse, by number: their refusals are always events.
    pub refusable: Vec<u32>,
    /// The errnos a refusal can have.
    pub refusal_errnos: Vec<i32>,
    /// Ring sizes in bytes, powers of two.
    pub critical_len: u32,
    pub bulk_len: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            refusable: Vec::new(),
            refusal_errnos: vec![libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EAFNOSUPPORT],
            critical_len: 4 << 20,
            bulk_len: 4 << 20,
        }
    }
}

/// The run to watch.
pub struct Target {
    /// Its cgroup-v2 id, which is the inode number of the cgroup's folder.
    pub cgroup_id: u64,
    /// CLOCK_MONOTONIC at the run's start.
    pub start_ns: u64,
    /// The cgroup's `cgroup.freeze`, open for writing: without it a flood of events may be lost.
    pub freezer: Option<File>,
    pub refusal: Refusal,
    /// (inside, outside, count) lines of the sandbox's user namespace; empty when it has none of
    /// its own.
    pub uid_map: Vec<(u32, u32, u32)>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("cgroup_id", &self.cgroup_id).finish_non_exhaustive()
    }
}

/// Programs in the kernel, watching nobody yet.
#[derive(Debug)]
pub struct Loaded {
    ebpf: Ebpf,
    critical_len: u32,
    bulk_len: u32,
}

/// Programs at work and the thread that takes their events. Dropping it stops both.
pub struct Running<S> {
    ebpf: Ebpf,
    /// Closing it tells the thread to take what is left and end.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<Pump<S>>>,
}

impl<S> std::fmt::Debug for Running<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

/// Loads the programs.
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
    let vmlinux = fs::read(BTF_PATH).map_err(|error| Unavailable {
        reason: format!(
            "the kernel's type information {BTF_PATH} cannot be read ({error}); the kernel needs \
             CONFIG_DEBUG_INFO_BTF=y and /sys must be mounted"
        ),
    })?;
    let reduced = btf::reduce(&vmlinux, KERNEL_TYPES)
        .map_err(|error| Unavailable { reason: error.to_string() })?;
    let btf = Btf::parse(&reduced, Endianness::default())
        .map_err(|error| unavailable("the kernel's type information cannot be used", &error))?;
    let mut ebpf = load_object(options, &btf, VerifierLogLevel::DISABLE)
        .map_err(|error| unavailable("the eBPF maps cannot be created", &error))?;
    for (name, _) in PROGRAMS {
        let program = program(&mut ebpf, name)?;
        program.load().map_err(|error| {
            unavailable(&format!("the kernel refuses the eBPF program {name}"), &error)
        })?;
    }
    Ok(Loaded { ebpf, critical_len: options.critical_len, bulk_len: options.bulk_len })
}

fn load_object(
    options: &Options,
    btf: &Btf,
    log: VerifierLogLevel,
) -> Result<Ebpf, aya::EbpfError> {
    let recipes = calls::recipes(&options.refusable);
    debug_assert_eq!(recipes.len(), RECIPES_LEN * 16);
    let mut errnos = [0_u64; 2];
    for errno in &options.refusal_errnos {
        if let Ok(errno @ 0..128) = usize::try_from(*errno) {
            errnos[errno / 64] |= 1 << (errno % 64);
        }
    }
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    EbpfLoader::new()
        .btf(Some(btf))
        .verifier_log_level(log)
        .override_global("recipes", recipes.as_slice(), true)
        .override_global("refusal_errnos", errnos.as_slice(), true)
        .override_global("cpus", &cpus, true)
        .override_global("critical_len", &options.critical_len, true)
        .override_global("bulk_len", &options.bulk_len, true)
        .map_max_entries("critical", options.critical_len)
        .map_max_entries("bulk", options.bulk_len)
        .load(OBJECT)
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut RawTracePoint, Unavailable> {
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| Unavailable { reason: format!("the eBPF object has no program {name}") })
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
    if refused {
        reason.push_str("; run as root, or with CAP_BPF and CAP_PERFMON");
    }
    Unavailable { reason }
}

impl Loaded {
    /// Points the programs at a cgroup and starts taking events.
    ///
    /// # Errors
    /// When the kernel refuses to attach a program or the thread cannot be started.
    pub fn attach<S: Sink + 'static>(
        mut self,
        target: Target,
        sink: S,
    ) -> Result<Running<S>, Unavailable> {
        let rings = [
            Ring { buffer: self.take_ring("critical")?, len: self.critical_len },
            Ring { buffer: self.take_ring("bulk")?, len: self.bulk_len },
        ];
        let control = Control { cgroup_id: target.cgroup_id, ..Control::default() };
        set_control(&mut self.ebpf, control)?;
        for (name, tracepoint) in PROGRAMS {
            program(&mut self.ebpf, name)?.attach(tracepoint).map_err(|error| {
                unavailable(&format!("the kernel refuses to attach to {tracepoint}"), &error)
            })?;
        }
        let pump = Pump {
            rings,
            decoder: Decoder {
                start_ns: target.start_ns,
                realtime_offset_ns: os::realtime_offset_ns(),
                refusal: target.refusal,
                uid_map: target.uid_map,
            },
            held: Held::default(),
            sink,
            freezer: Freezer::new(target.freezer),
            received: [0; KIND_COUNT as usize],
            malformed: 0,
        };
        let no_thread = |error: std::io::Error| unavailable("no thread for the monitor", &error);
        let (stopped, stop) = std::io::pipe().map_err(no_thread)?;
        let thread = std::thread::Builder::new()
            .name("ebpf-monitor".to_owned())
            .spawn(move || pump.run(&stopped))
            .map_err(no_thread)?;
        Ok(Running { ebpf: self.ebpf, stop: Some(stop), thread: Some(thread) })
    }

    fn take_ring(&mut self, name: &str) -> Result<RingBuf<MapData>, Unavailable> {
        let map = self
            .ebpf
            .take_map(name)
            .ok_or_else(|| Unavailable { reason: format!("the eBPF object has no map {name}") })?;
        RingBuf::try_from(map).map_err(|error| unavailable("a ring cannot be mapped", &error))
    }
}

fn set_control(ebpf: &mut Ebpf, control: Control) -> Result<(), Unavailable> {
    let cannot = |error: aya::maps::MapError| unavailable("the control map cannot be set", &error);
    let map = ebpf
        .map_mut("control")
        .ok_or_else(|| Unavailable { reason: "the eBPF object has no map control".to_owned() })?;
    let mut array: Array<_, [u8; size_of::<Control>()]> = Array::try_from(map).map_err(cannot)?;
    array.set(0, control.to_bytes(), 0).map_err(cannot)
}

impl<S: Sink> Running<S> {
    /// Takes what is left in the rings, folds the totals in, and detaches. To be called when every
    /// task of the cgroup is dead; of what living ones still do, nothing is recorded any more.
    ///
    /// # Panics
    /// When the sink panicked, with the sink's panic.
    pub fn finish(mut self) -> (S, Summary) {
        let control = self.control();
        // Tasks that should not be there any more must not unbalance the books.
        let silent = set_control(&mut self.ebpf, Control { cgroup_id: 0, ..control });
        drop(self.stop.take());
        let mut pump = match self.thread.take().map(JoinHandle::join) {
            Some(Ok(pump)) => pump,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => unreachable!("the thread is taken here only"),
        };
        let totals = self.totals(control.totals_used);
        for event in std::mem::take(&mut pump.held).release(&totals) {
            pump.sink.event(event);
        }
        let mut faults = Vec::new();
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
            self.recursion_misses(),
        );
        summary.faults.append(&mut faults);
        (pump.sink, summary)
    }

    fn control(&self) -> Control {
        let array = self.ebpf.map("control").and_then(|map| {
            let array: Array<_, [u8; size_of::<Control>()]> = Array::try_from(map).ok()?;
            array.get(&0, 0).ok()
        });
        array.and_then(|bytes| Control::parse(&bytes)).unwrap_or_default()
    }

    fn totals(&self, used: u32) -> HashMap<u32, Total> {
        let Some(map) = self.ebpf.map("totals") else { return HashMap::new() };
        let Ok(array) = Array::<_, [u8; size_of::<Total>()]>::try_from(map) else {
            return HashMap::new();
        };
        (0..used.min(TOTALS_LEN))
            .filter_map(|index| Some((index, Total::parse(&array.get(&index, 0).ok()?)?)))
            .collect()
    }

    /// The books of the kernel side, summed over all CPUs.
    fn counters(&self) -> Option<Vec<Counters>> {
        let map = self.ebpf.map("counters")?;
        let array: PerCpuArray<_, [u8; size_of::<Counters>()]> = PerCpuArray::try_from(map).ok()?;
        (0..KIND_COUNT)
            .map(|kind| {
                let cpus = array.get(&kind, 0).ok()?;
                Some(books::sum(cpus.iter().filter_map(|bytes| Counters::parse(bytes))))
            })
            .collect()
    }

    fn recursion_misses(&self) -> u64 {
        let misses = PROGRAMS.iter().filter_map(|(name, _)| {
            let fd = self.ebpf.program(name)?.fd().ok()?;
            os::recursion_misses(fd.as_fd()).ok()
        });
        misses.sum()
    }
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
