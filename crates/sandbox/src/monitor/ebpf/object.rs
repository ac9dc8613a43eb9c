//! An object file on its way to programs: its constants set, its field accesses moved to where the
//! running kernel has them, its maps and functions linked. Nothing is loaded here but its types.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{OwnedFd, RawFd};

use ::ebpf::KERNEL_TYPES;
use aya::{Btf, Endianness};
use aya_obj::Object;
use aya_obj::btf::BtfFeatures;
use types::DURATION_BOUNDS_NS;

use super::btf::Wanted;
use super::{Options, TYPED, bpf, btf, calls, os, unavailable};
use crate::monitor::Unavailable;

const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";
/// What the kernel calls the type of `TYPED`.
const TYPEDEF: &str = "btf_trace_sys_exit";
/// What the verifier says about a refused program; the end of it is what matters.
pub(super) const LOG_LEN: usize = 1 << 20;
const LOG_SHOWN: usize = 600;

/// What is built into the programs for a run, as the kernel side has it.
pub(super) struct Globals {
    recipes: Vec<u8>,
    errnos: Vec<u8>,
    cpus: [u8; 4],
    bounds: Vec<u8>,
    critical_len: [u8; 4],
    bulk_len: [u8; 4],
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
pub(super) fn with_log(refused: Unavailable, log: &[u8]) -> Unavailable {
    let said = CStr::from_bytes_until_nul(log).unwrap_or_default().to_string_lossy();
    let said = said.trim();
    let start = said.char_indices().rev().nth(LOG_SHOWN).map_or(0, |(at, _)| at);
    match &said[start..] {
        "" => refused,
        end => Unavailable { reason: format!("{}; the verifier: {end}", refused.reason) },
    }
}

/// What the running kernel says of itself.
pub(super) struct KernelTypes {
    /// The structures that the programs look into.
    pub types: Btf,
    /// The tracepoint whose arguments are typed.
    pub typedef: u32,
    /// Functions by name.
    pub functions: HashMap<String, u32>,
}

pub(super) fn kernel_types(functions: &[&str]) -> Result<KernelTypes, Unavailable> {
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
    pub(super) fn new(options: &Options) -> Self {
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
    pub(super) fn all(&self) -> [(&'static str, &[u8]); 6] {
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
