//! From the object file to programs in the kernel.
//!
//! aya's object reader parses and relocates; maps are aya's. Its own loader is passed by because it
//! reads and parses the kernel's whole BTF before anyone can tell it not to, which takes longer
//! than everything else here together.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use ::ebpf::abi::{Control, Counters, Here, Total};
use ::ebpf::{HASHES, KERNEL_TYPES, OBJECT};
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::{Btf, Endianness};
use aya_obj::btf::BtfFeatures;
use aya_obj::{EbpfSectionKind, Object};

use super::btf::Wanted;
use super::guard::{self, Guard};
use super::pins::{Lease, Place, Set};
use super::sampler::{self, Gate, Samples};
use super::{Options, PACKETS, PROGRAMS, TYPED, bpf, btf, calls, os, unavailable};
use crate::monitor::Unavailable;
use types::DURATION_BOUNDS_NS;

const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";
/// What the kernel calls the type of `TYPED`.
const TYPEDEF: &str = "btf_trace_sys_exit";
/// What the verifier says about a refused program; the end of it is what matters.
const LOG_LEN: usize = 1 << 20;
const LOG_SHOWN: usize = 600;

/// Programs and maps in the kernel, attached to nothing. Maps that only programs use live as long
/// as those.
pub(super) struct Kernel {
    pub critical: RingBuf<MapData>,
    pub bulk: RingBuf<MapData>,
    pub gate: Gate,
    pub rest: Rest,
    /// Where these outlive their user.
    pub lease: Option<Lease>,
    /// They were loaded for another run.
    pub reused: bool,
    /// Those of tier A, and none where it was not asked for or cannot be.
    pub guards: Vec<OwnedFd>,
    /// Why there are none although they were asked for, where that was tried.
    pub unguarded: Option<Unavailable>,
}

/// Everything but the rings, which their reader takes.
pub(super) struct Rest {
    pub control: Array<MapData, [u8; size_of::<Control>()]>,
    pub counters: PerCpuArray<MapData, [u8; size_of::<Counters>()]>,
    pub heres: PerCpuArray<MapData, [u8; size_of::<Here>()]>,
    pub totals: Array<MapData, [u8; size_of::<Total>()]>,
    /// In the order of `PROGRAMS`.
    pub programs: Vec<OwnedFd>,
    /// Bytes of packets, by `TRAFFIC_*`.
    pub traffic: PerCpuArray<MapData, u64>,
    /// Those of `PACKETS`, or none where this kernel has no such programs.
    pub packets: Vec<(bpf::Direction, OwnedFd)>,
    pub samples: Samples,
}

/// What is built into the programs for a run, as the kernel side has it.
pub(super) struct Globals {
    recipes: Vec<u8>,
    errnos: Vec<u8>,
    cpus: [u8; 4],
    bounds: Vec<u8>,
    critical_len: [u8; 4],
    bulk_len: [u8; 4],
}

/// Takes programs that are in the kernel already, or loads them.
pub(super) fn load(options: &Options) -> Result<Kernel, Unavailable> {
    let globals = Globals::new(options);
    let guarded = options.guard.bits().to_ne_bytes();
    let place = options.pins.as_ref().and_then(|folder| {
        let all = globals.all().map(|(_, bytes)| bytes);
        let configuration: Vec<&[u8]> = all.into_iter().chain([guarded.as_slice()]).collect();
        Place::open(folder, HASHES, &configuration)
    });
    let leased = place.as_ref().and_then(|place| place.lease(&names(options.guard)));
    if let Some((set, lease)) = leased
        && let Some(kernel) = from_set(set, lease, options.guard)
    {
        return Ok(kernel);
    }
    let (maps, programs) = load_new(options, &globals)?;
    let borrowed = maps.iter().map(|(name, map)| (name.clone(), map.fd().as_fd())).collect();
    let listed = programs.listed(options.guard);
    let lease = place.and_then(|place| place.keep(&borrowed, &listed));
    let mut kernel = sort_out(maps, programs)
        .map_err(|error| unavailable("the eBPF maps cannot be used", &error))?;
    kernel.lease = lease;
    Ok(kernel)
}

/// Everything that can be loaded, in a fixed order.
fn names(guard: Guard) -> Vec<&'static str> {
    let packets = PACKETS.iter().map(|(name, _)| *name);
    let guards = guard::hooks(guard).map(|(name, _)| name);
    let first = PROGRAMS.iter().map(|(name, _)| *name).chain([sampler::PROGRAM.0]);
    first.chain(packets).chain(guards).collect()
}

/// None when a program is missing that there must be.
fn from_set(mut set: Set, lease: Lease, guard: Guard) -> Option<Kernel> {
    let programs =
        PROGRAMS.iter().map(|(name, _)| set.programs.remove(*name)).collect::<Option<_>>()?;
    let entry = set.programs.remove(sampler::PROGRAM.0)?;
    let packets =
        PACKETS.iter().map(|(name, direction)| Some((*direction, set.programs.remove(*name)?)));
    let packets = packets.collect::<Option<_>>().unwrap_or_default();
    let guards = guard::hooks(guard).map(|(name, _)| set.programs.remove(name));
    let guards = guards.collect::<Option<_>>().ok_or_else(|| Unavailable {
        reason: "the kernel did not take the programs of tier A when they were loaded".to_owned(),
    });
    let mut kernel = sort_out(set.maps, Programs { programs, entry, packets, guards }).ok()?;
    kernel.lease = Some(lease);
    kernel.reused = true;
    Some(kernel)
}

/// Programs in the kernel.
struct Programs {
    /// In the order of `PROGRAMS`.
    programs: Vec<OwnedFd>,
    entry: OwnedFd,
    packets: Vec<(bpf::Direction, OwnedFd)>,
    /// In the order of `guard::hooks`.
    guards: Result<Vec<OwnedFd>, Unavailable>,
}

impl Programs {
    /// By name, in the order of `names`.
    fn listed(&self, guard: Guard) -> Vec<(&'static str, BorrowedFd<'_>)> {
        let programs = PROGRAMS.iter().map(|(name, _)| *name).zip(&self.programs);
        let packets = self.packets.iter().map(|(_, program)| program);
        let packets = PACKETS.iter().map(|(name, _)| *name).zip(packets);
        let guards = guard::hooks(guard).map(|(name, _)| name);
        let guards = guards.zip(self.guards.iter().flatten());
        let entry = [(sampler::PROGRAM.0, &self.entry)];
        programs
            .chain(entry)
            .chain(packets)
            .chain(guards)
            .map(|(name, program)| (name, program.as_fd()))
            .collect()
    }
}

pub(super) type Maps = HashMap<String, (aya_obj::Map, MapData)>;

fn load_new(
    options: &Options,
    globals: &Globals,
) -> Result<(HashMap<String, MapData>, Programs), Unavailable> {
    let guarded = !options.guard.is_empty();
    let kernel = kernel_types(if guarded { guard::PREFIX } else { "" })?;
    let (mut object, own_types) = prepare(OBJECT, globals, &kernel.types)?;
    let maps = create_maps(&mut object, options, &own_types)?;
    let number = |data: &MapData| data.fd().as_fd().as_raw_fd();
    link(&mut object, maps.iter().map(|(name, (map, data))| (name.as_str(), number(data), map)))?;
    let (programs, entry) = load_programs(&object, &own_types, kernel.typedef)?;
    let packets = load_packets(&object, &own_types);
    let guards =
        if guarded { guard::load(options.guard, globals, &kernel, &maps) } else { Ok(Vec::new()) };
    let maps = maps.into_iter().map(|(name, (_, data))| (name, data)).collect();
    Ok((maps, Programs { programs, entry, packets, guards }))
}

/// An object with its globals set and fitted to this kernel, and its types as the kernel has them.
pub(super) fn prepare(
    bytes: &[u8],
    globals: &Globals,
    kernel: &Btf,
) -> Result<(Object, OwnedFd), Unavailable> {
    let broken = |what: &'static str| {
        move |error: &(dyn std::error::Error + 'static)| unavailable(what, error)
    };
    let parsing = broken("the eBPF object cannot be read");
    let mut object = Object::parse(bytes).map_err(|error| parsing(&error))?;
    // Those that an object has not, it does not need.
    object
        .patch_map_data(globals.all().map(|(name, bytes)| (name, (bytes, false))).into())
        .map_err(|error| parsing(&error))?;
    // Everything but 64-bit enums (6.0), of which no object has any, is older than bpf_loop.
    let features = BtfFeatures::new(true, true, true, true, true, true, true, false);
    let own_types = object
        .fixup_and_sanitize_btf(&features)
        .map_err(|error| parsing(&error))?
        .map(Btf::to_bytes)
        .unwrap_or_default();
    let own_types = load_types(&own_types)?;
    let fitting = broken("the eBPF programs do not fit this kernel's structures");
    object.relocate_btf(kernel).map_err(|error| fitting(&error))?;
    Ok((object, own_types))
}

/// Puts the numbers of maps and the places of functions into the instructions.
pub(super) fn link<'a>(
    object: &mut Object,
    maps: impl Iterator<Item = (&'a str, RawFd, &'a aya_obj::Map)>,
) -> Result<(), Unavailable> {
    let linking = |error: &(dyn std::error::Error + 'static)| {
        unavailable("the eBPF programs cannot be linked", error)
    };
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(maps, &text).map_err(|error| linking(&error))?;
    object.relocate_calls(&text).map_err(|error| linking(&error))
}

fn load_types(types: &[u8]) -> Result<OwnedFd, Unavailable> {
    bpf::load_btf(types, &mut []).map_err(|error| {
        let refused = unavailable("the kernel refuses the eBPF programs' types", &error);
        // Loaded a second time, the kernel says why.
        let mut log = vec![0; LOG_LEN];
        let _ = bpf::load_btf(types, &mut log);
        with_log(refused, &log)
    })
}

/// The end of what the kernel said, which is what matters.
fn with_log(refused: Unavailable, log: &[u8]) -> Unavailable {
    let said = CStr::from_bytes_until_nul(log).unwrap_or_default().to_string_lossy();
    let said = said.trim();
    let start = said.char_indices().rev().nth(LOG_SHOWN).map_or(0, |(at, _)| at);
    match &said[start..] {
        "" => refused,
        end => Unavailable { reason: format!("{}; the verifier: {end}", refused.reason) },
    }
}

/// Loads all programs and the sampler's side by side: nearly all of the time is the verifier's, one CPU each.
fn load_programs(
    object: &Object,
    types: &OwnedFd,
    typedef: u32,
) -> Result<(Vec<OwnedFd>, OwnedFd), Unavailable> {
    std::thread::scope(|scope| {
        let loads = PROGRAMS.map(|(name, tracepoint)| {
            let kind = if tracepoint == TYPED {
                bpf::Kind::TypedTracepoint(typedef)
            } else {
                bpf::Kind::RawTracepoint
            };
            scope.spawn(move || load_program(object, name, types, kind))
        });
        let entry = load_program(object, sampler::PROGRAM.0, types, bpf::Kind::RawTracepoint)?;
        let crashed = |_| Err(Unavailable { reason: "a program's loader crashed".to_owned() });
        let programs = loads.into_iter().map(|load| load.join().unwrap_or_else(crashed));
        Ok((programs.collect::<Result<_, _>>()?, entry))
    })
}

/// The programs that count packets. A kernel may be built without what they need; then nobody counts,
/// and no evidence is the less for it.
fn load_packets(object: &Object, types: &OwnedFd) -> Vec<(bpf::Direction, OwnedFd)> {
    let load = |(name, direction)| {
        let program = load_program(object, name, types, bpf::Kind::Packets(direction));
        Some((direction, program.ok()?))
    };
    let programs = PACKETS.map(load).into_iter().collect::<Option<Vec<_>>>();
    programs.unwrap_or_default()
}

/// Gives every map its type.
fn sort_out(mut maps: HashMap<String, MapData>, programs: Programs) -> Result<Kernel, MapError> {
    let mut take =
        |name: &str| maps.remove(name).ok_or_else(|| MapError::InvalidName { name: name.into() });
    let Programs { programs, entry, packets, guards } = programs;
    let (guards, unguarded) = match guards {
        Ok(guards) => (guards, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    Ok(Kernel {
        critical: RingBuf::try_from(Map::RingBuf(take("critical")?))?,
        bulk: RingBuf::try_from(Map::RingBuf(take("bulk")?))?,
        gate: Gate { windows: Array::try_from(Map::Array(take("windows")?))?, program: entry },
        rest: Rest {
            samples: Samples {
                books: Array::try_from(Map::Array(take("samplings")?))?,
                durations: Array::try_from(Map::Array(take("durations")?))?,
            },
            control: Array::try_from(Map::Array(take("control")?))?,
            counters: PerCpuArray::try_from(Map::PerCpuArray(take("counters")?))?,
            heres: PerCpuArray::try_from(Map::PerCpuArray(take("heres")?))?,
            totals: Array::try_from(Map::Array(take("totals")?))?,
            traffic: PerCpuArray::try_from(Map::PerCpuArray(take("traffic")?))?,
            programs,
            packets,
        },
        lease: None,
        reused: false,
        guards,
        unguarded,
    })
}

/// What the running kernel says of itself.
pub(super) struct KernelTypes {
    /// The structures that the programs look into.
    pub types: Btf,
    /// The tracepoint whose arguments are typed.
    typedef: u32,
    /// Functions by name without the prefix that was asked for.
    pub functions: HashMap<String, u32>,
}

fn kernel_types(functions: &str) -> Result<KernelTypes, Unavailable> {
    let unreadable = |error: std::io::Error| Unavailable {
        reason: format!(
            "the kernel's type information {BTF_PATH} cannot be read ({error}); the kernel needs \
             CONFIG_DEBUG_INFO_BTF=y and /sys must be mounted"
        ),
    };
    let file = File::open(BTF_PATH).map_err(unreadable)?;
    let wanted = Wanted { structures: KERNEL_TYPES, typedef: TYPEDEF, functions };
    // Kernels before 6.16 cannot map it.
    let reduced = match os::Mapped::new(&file) {
        Ok(mapped) => btf::reduce(mapped.bytes(), wanted),
        Err(_) => btf::reduce(&std::fs::read(BTF_PATH).map_err(unreadable)?, wanted),
    };
    let unusable = "the kernel's type information cannot be used";
    let found = reduced.map_err(|error| unavailable(unusable, &error))?;
    let typedef = found.typedef.ok_or_else(|| Unavailable {
        reason: format!("the kernel has no tracepoint {}", TYPED.to_string_lossy()),
    })?;
    let types = Btf::parse(&found.reduced, Endianness::default())
        .map_err(|error| unavailable(unusable, &error))?;
    Ok(KernelTypes { types, typedef, functions: found.functions })
}

impl Globals {
    fn new(options: &Options) -> Self {
        let mut errnos = [0_u64; 2];
        for errno in &options.refusal_errnos {
            if let Ok(errno @ 0..128) = usize::try_from(*errno) {
                errnos[errno / 64] |= 1 << (errno % 64);
            }
        }
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
        Self {
            recipes: calls::recipes(&options.refusable),
            errnos: errnos.map(u64::to_ne_bytes).concat(),
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX).to_ne_bytes(),
            bounds: DURATION_BOUNDS_NS.map(u64::to_ne_bytes).concat(),
            critical_len: options.critical_len.to_ne_bytes(),
            bulk_len: options.bulk_len.to_ne_bytes(),
        }
    }

    /// By the names that the C sources give them.
    fn all(&self) -> [(&'static str, &[u8]); 6] {
        [
            ("recipes", &self.recipes),
            ("refusal_errnos", &self.errnos),
            ("duration_bounds", &self.bounds),
            ("cpus", &self.cpus),
            ("critical_len", &self.critical_len),
            ("bulk_len", &self.bulk_len),
        ]
    }
}

fn create_maps(
    object: &mut Object,
    options: &Options,
    types: &OwnedFd,
) -> Result<Maps, Unavailable> {
    let mut maps = HashMap::new();
    for (name, mut map) in object.maps.drain() {
        match name.as_str() {
            "critical" => map.set_max_entries(options.critical_len),
            "bulk" => map.set_max_entries(options.bulk_len),
            _ => {}
        }
        let data = create_map(&name, &map, types)?;
        maps.insert(name, (map, data));
    }
    Ok(maps)
}

pub(super) fn create_map(
    name: &str,
    map: &aya_obj::Map,
    types: &OwnedFd,
) -> Result<MapData, Unavailable> {
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        unavailable(&format!("the kernel refuses the eBPF map {name}"), error)
    };
    let data =
        MapData::create(map.clone(), name, Some(types.as_fd())).map_err(|error| cannot(&error))?;
    if map.section_kind() == EbpfSectionKind::Rodata {
        bpf::set_and_freeze(data.fd().as_fd(), map.data()).map_err(|error| cannot(&error))?;
    }
    Ok(data)
}

pub(super) fn load_program(
    object: &Object,
    name: &str,
    types: &OwnedFd,
    kind: bpf::Kind,
) -> Result<OwnedFd, Unavailable> {
    let found = object
        .programs
        .get(name)
        .and_then(|program| Some((program, object.functions.get(&program.function_key())?)));
    let Some((program, function)) = found else {
        return Err(Unavailable { reason: format!("the eBPF object has no program {name}") });
    };
    let functions = function.func_info.func_info_bytes();
    let size = |len: usize| u32::try_from(len).unwrap_or(0);
    let request = bpf::Program {
        name,
        instructions: &function.instructions,
        license: &program.license,
        btf: types.as_fd(),
        functions: &functions,
        function_len: size(function.func_info_rec_size),
        function_count: size(function.func_info.len()),
        kind,
    };
    bpf::load_program(&request, &mut []).map_err(|error| {
        let refused = unavailable(&format!("the kernel refuses the eBPF program {name}"), &error);
        // Loaded a second time, the verifier says why.
        let mut log = vec![0; LOG_LEN];
        let _ = bpf::load_program(&request, &mut log);
        with_log(refused, &log)
    })
}
