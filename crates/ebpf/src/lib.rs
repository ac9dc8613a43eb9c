//! The kernel side of the tier-B monitor: its C sources (`c/`), the object built from them
//! (`object/`, rebuilt by `cargo xtask ebpf`), and the one ABI both sides share.
//!
//! Nothing here loads or interprets anything; that is the business of `shieldx-sandbox`.

pub mod abi;

/// The CO-RE object for x86_64, as `include_bytes!` gives it but aligned for an ELF reader.
pub static OBJECT: &[u8] = &ALIGNED.0;

#[repr(C, align(16))]
struct Aligned<T: ?Sized>(T);

static ALIGNED: Aligned<[u8; include_bytes!("../object/monitor.bpf.o").len()]> =
    Aligned(*include_bytes!("../object/monitor.bpf.o"));
