//! From the object file to programs in the kernel.
//!
//! aya's object reader parses and relocates; maps are aya's. Its own loader is passed by because it
//! reads and parses the kernel's whole BTF before anyone can tell it not to, which takes longer
//! than everything else here together.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use ::ebpf::abi::{Control, Counters, Here, Total};
use ::ebpf::{HASHES, OBJECT};
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya_obj::{EbpfSectionKind, Object};

use super::guard::Guard;
use super::object::{Globals, KernelTypes, LOG_LEN, kernel_types, link, prepare, with_log};
use super::pins::{Lease, Place, Set};
use super::sampler::{self, Gate, Samples};
use super::{Options, PACKETS, PROGRAMS, TYPED, bpf, capture, guard, unavailable};
use crate::monitor::Unavailable;

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
    /// Those that capture what the kernel resolved, and none where that cannot be.
    pub captures: Vec<OwnedFd>,
    /// Why there are none.
    pub uncaptured: Option<Unavailable>,
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

/// Takes programs that are in the kernel already, or loads them.
pub(super) fn load(options: &Options) -> Result<Kernel, Unavailable> {
    let globals = Globals::new(options);
    let guarded = options.guard.bits().to_ne_bytes();
    let captured = [u8::from(options.capture)];
    let place = options.pins.as_ref().and_then(|folder| {
        let all = globals.all().map(|(_, bytes)| bytes);
        let configuration: Vec<&[u8]> =
            all.into_iter().chain([guarded.as_slice(), &captured]).collect();
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
    let captures = capture::hooks().map(|(name, _)| name);
    let first = PROGRAMS.iter().map(|(name, _)| *name).chain([sampler::PROGRAM.0]);
    first.chain(packets).chain(guards).chain(captures).collect()
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
    let refused = || Unavailable {
        reason: "the kernel did not take the programs of tier A when they were loaded".to_owned(),
    };
    let guards = guards.collect::<Option<_>>().ok_or_else(refused);
    let captures = capture::hooks().map(|(name, _)| set.programs.remove(name));
    let captures = captures.collect::<Option<_>>().ok_or_else(refused);
    let programs = Programs { programs, entry, packets, guards, captures };
    let mut kernel = sort_out(set.maps, programs).ok()?;
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
    /// In the order of `capture::hooks`.
    captures: Result<Vec<OwnedFd>, Unavailable>,
}

impl Programs {
    /// By name, in the order of `names`.
    fn listed(&self, guard: Guard) -> Vec<(&'static str, BorrowedFd<'_>)> {
        let programs = PROGRAMS.iter().map(|(name, _)| *name).zip(&self.programs);
        let packets = self.packets.iter().map(|(_, program)| program);
        let packets = PACKETS.iter().map(|(name, _)| *name).zip(packets);
        let guards = guard::hooks(guard).map(|(name, _)| name);
        let guards = guards.zip(self.guards.iter().flatten());
        let captures = capture::hooks().map(|(name, _)| name);
        let captures = captures.zip(self.captures.iter().flatten());
        let entry = [(sampler::PROGRAM.0, &self.entry)];
        programs
            .chain(entry)
            .chain(packets)
            .chain(guards)
            .chain(captures)
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
    let prefixes = [(guard::PREFIX, guarded), (capture::PREFIX, options.capture)];
    let prefixes = prefixes.iter().filter_map(|(prefix, wanted)| wanted.then_some(*prefix));
    let kernel = kernel_types(&prefixes.collect::<Vec<_>>())?;
    let (mut object, own_types) = prepare(OBJECT, globals, &kernel.types)?;
    let maps = create_maps(&mut object, options, &own_types)?;
    let number = |data: &MapData| data.fd().as_fd().as_raw_fd();
    link(&mut object, maps.iter().map(|(name, (map, data))| (name.as_str(), number(data), map)))?;
    let (programs, entry) = load_programs(&object, &own_types, kernel.typedef)?;
    let packets = load_packets(&object, &own_types);
    let guards =
        if guarded { guard::load(options.guard, globals, &kernel, &maps) } else { Ok(Vec::new()) };
    let captures = if options.capture {
        capture::load(globals, &kernel, &maps)
    } else {
        Err(Unavailable { reason: "nobody asked for it".to_owned() })
    };
    let maps = maps.into_iter().map(|(name, (_, data))| (name, data)).collect();
    Ok((maps, Programs { programs, entry, packets, guards, captures }))
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
    let Programs { programs, entry, packets, guards, captures } = programs;
    let (guards, unguarded) = match guards {
        Ok(guards) => (guards, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    let (captures, uncaptured) = match captures {
        Ok(captures) => (captures, None),
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
        captures,
        uncaptured,
    })
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

/// An object whose programs use the monitor's maps, and what must be there until they are loaded: its
/// types and its own maps.
pub(super) fn sharing(
    bytes: &[u8],
    globals: &Globals,
    kernel: &KernelTypes,
    shared: &Maps,
) -> Result<(Object, OwnedFd, Vec<MapData>), Unavailable> {
    let (mut object, types) = prepare(bytes, globals, &kernel.types)?;
    let mut own = Vec::new();
    let mut maps = Vec::new();
    for (name, map) in object.maps.drain() {
        // Constants are this object's own, and what the monitor has no use for.
        let number = match shared.get(&name).filter(|_| !name.starts_with('.')) {
            Some((_, data)) => data.fd().as_fd().as_raw_fd(),
            None => {
                let data = create_map(&name, &map, &types)?;
                let number = data.fd().as_fd().as_raw_fd();
                own.push(data);
                number
            }
        };
        maps.push((name, map, number));
    }
    link(&mut object, maps.iter().map(|(name, map, number)| (name.as_str(), *number, map)))?;
    Ok((object, types, own))
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
        btf: Some(types.as_fd()),
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
