//! From the object file to programs in the kernel.
//!
//! aya's object reader parses and relocates; maps are aya's. Its own loader is passed by because it
//! reads and parses the kernel's whole BTF before anyone can tell it not to, which takes longer
//! than everything else here together.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use ::ebpf::abi::{Control, Counters, Here, Total};
use ::ebpf::{KERNEL_TYPES, OBJECT};
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::{Btf, Endianness};
use aya_obj::btf::BtfFeatures;
use aya_obj::{EbpfSectionKind, Object};

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

pub(super) fn load(options: &Options) -> Result<Kernel, Unavailable> {
    let (kernel_types, typedef) = kernel_types()?;
    let broken = |what: &'static str| {
        move |error: &(dyn std::error::Error + 'static)| unavailable(what, error)
    };
    let parsing = broken("the eBPF object cannot be read");
    let mut object = Object::parse(OBJECT).map_err(|error| parsing(&error))?;
    set_globals(&mut object, options).map_err(|error| parsing(&error))?;
    // Everything but 64-bit enums (6.0), of which the object has none, is older than bpf_loop.
    let features = BtfFeatures::new(true, true, true, true, true, true, true, false);
    let own_types = object
        .fixup_and_sanitize_btf(&features)
        .map_err(|error| parsing(&error))?
        .map(Btf::to_bytes)
        .unwrap_or_default();
    let own_types = bpf::load_btf(&own_types)
        .map_err(|error| unavailable("the kernel refuses the eBPF programs' types", &error))?;
    let fitting = broken("the eBPF programs do not fit this kernel's structures");
    object.relocate_btf(&kernel_types).map_err(|error| fitting(&error))?;

    let maps = create_maps(&mut object, options, &own_types)?;
    let linking = broken("the eBPF programs cannot be linked");
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let known =
        maps.iter().map(|(name, (map, data))| (name.as_str(), data.fd().as_fd().as_raw_fd(), map));
    object.relocate_maps(known, &text).map_err(|error| linking(&error))?;
    object.relocate_calls(&text).map_err(|error| linking(&error))?;

    let (programs, entry) = load_programs(&object, &own_types, typedef)?;
    let packets = load_packets(&object, &own_types);
    sort_out(maps, programs, entry, packets)
        .map_err(|error| broken("the eBPF maps cannot be used")(&error))
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
fn sort_out(
    mut maps: HashMap<String, (aya_obj::Map, MapData)>,
    programs: Vec<OwnedFd>,
    entry: OwnedFd,
    packets: Vec<(bpf::Direction, OwnedFd)>,
) -> Result<Kernel, MapError> {
    let mut take = |name: &str| {
        let (_, data) =
            maps.remove(name).ok_or_else(|| MapError::InvalidName { name: name.into() })?;
        Ok::<_, MapError>(data)
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
    })
}

/// The structures of the running kernel that the programs look into, and the type of the tracepoint
/// whose arguments are typed.
fn kernel_types() -> Result<(Btf, u32), Unavailable> {
    let unreadable = |error: std::io::Error| Unavailable {
        reason: format!(
            "the kernel's type information {BTF_PATH} cannot be read ({error}); the kernel needs \
             CONFIG_DEBUG_INFO_BTF=y and /sys must be mounted"
        ),
    };
    let file = File::open(BTF_PATH).map_err(unreadable)?;
    // Kernels before 6.16 cannot map it.
    let reduced = match os::Mapped::new(&file) {
        Ok(mapped) => btf::reduce(mapped.bytes(), KERNEL_TYPES, TYPEDEF),
        Err(_) => btf::reduce(&std::fs::read(BTF_PATH).map_err(unreadable)?, KERNEL_TYPES, TYPEDEF),
    };
    let unusable = "the kernel's type information cannot be used";
    let found = reduced.map_err(|error| unavailable(unusable, &error))?;
    let typedef = found.typedef.ok_or_else(|| Unavailable {
        reason: format!("the kernel has no tracepoint {}", TYPED.to_string_lossy()),
    })?;
    let types = Btf::parse(&found.reduced, Endianness::default())
        .map_err(|error| unavailable(unusable, &error))?;
    Ok((types, typedef))
}

fn set_globals(object: &mut Object, options: &Options) -> Result<(), aya_obj::ParseError> {
    let recipes = calls::recipes(&options.refusable);
    let mut errnos = [0_u64; 2];
    for errno in &options.refusal_errnos {
        if let Ok(errno @ 0..128) = usize::try_from(*errno) {
            errnos[errno / 64] |= 1 << (errno % 64);
        }
    }
    let errnos = errnos.map(u64::to_ne_bytes).concat();
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX).to_ne_bytes();
    let bounds = DURATION_BOUNDS_NS.map(u64::to_ne_bytes).concat();
    let critical_len = options.critical_len.to_ne_bytes();
    let bulk_len = options.bulk_len.to_ne_bytes();
    object.patch_map_data(HashMap::from([
        ("recipes", (recipes.as_slice(), true)),
        ("refusal_errnos", (errnos.as_slice(), true)),
        ("duration_bounds", (bounds.as_slice(), true)),
        ("cpus", (cpus.as_slice(), true)),
        ("critical_len", (critical_len.as_slice(), true)),
        ("bulk_len", (bulk_len.as_slice(), true)),
    ]))
}

fn create_maps(
    object: &mut Object,
    options: &Options,
    types: &OwnedFd,
) -> Result<HashMap<String, (aya_obj::Map, MapData)>, Unavailable> {
    let mut maps = HashMap::new();
    for (name, mut map) in object.maps.drain() {
        match name.as_str() {
            "critical" => map.set_max_entries(options.critical_len),
            "bulk" => map.set_max_entries(options.bulk_len),
            _ => {}
        }
        let cannot = |error: &(dyn std::error::Error + 'static)| {
            unavailable(&format!("the kernel refuses the eBPF map {name}"), error)
        };
        let data = MapData::create(map.clone(), &name, Some(types.as_fd()))
            .map_err(|error| cannot(&error))?;
        if map.section_kind() == EbpfSectionKind::Rodata {
            bpf::set_and_freeze(data.fd().as_fd(), map.data()).map_err(|error| cannot(&error))?;
        }
        maps.insert(name, (map, data));
    }
    Ok(maps)
}

fn load_program(
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
        let said = CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy();
        let said = said.trim();
        let start = said.char_indices().rev().nth(LOG_SHOWN).map_or(0, |(at, _)| at);
        match &said[start..] {
            "" => refused,
            end => Unavailable { reason: format!("{}; the verifier: {end}", refused.reason) },
        }
    })
}
