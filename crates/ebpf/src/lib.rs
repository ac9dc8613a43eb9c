//! The kernel side of the monitor: its C sources (`c/`), the objects built from them
//! (`object/`, rebuilt by `cargo xtask ebpf`), and the one ABI both sides share.
//!
//! Nothing here loads or interprets anything; that is the business of `sandbox`.

pub mod abi;

/// The CO-RE object for x86_64, as `include_bytes!` gives it but aligned for an ELF reader.
pub static OBJECT: &[u8] = &ALIGNED.0;

/// The hash of the sources and that of each object: names what they are.
pub static HASHES: &str = include_str!("../object/monitor.sha256");

#[repr(C, align(16))]
struct Aligned<T: ?Sized>(T);

/// The programs of tier A that refuse, in the same way. They share maps with the others.
pub static GUARD: &[u8] = &ALIGNED_GUARD.0;

static ALIGNED_GUARD: Aligned<[u8; include_bytes!("../object/guard.bpf.o").len()]> =
    Aligned(*include_bytes!("../object/guard.bpf.o"));

/// The programs of tier A that capture what the kernel resolved. They share maps with the others, too.
pub static CAPTURE: &[u8] = &ALIGNED_CAPTURE.0;

static ALIGNED_CAPTURE: Aligned<[u8; include_bytes!("../object/capture.bpf.o").len()]> =
    Aligned(*include_bytes!("../object/capture.bpf.o"));

static ALIGNED: Aligned<[u8; include_bytes!("../object/monitor.bpf.o").len()]> =
    Aligned(*include_bytes!("../object/monitor.bpf.o"));

/// The kernel structures whose layout the object must be fitted to (the `struct`s of
/// `c/kernel.h`), sorted.
pub const KERNEL_TYPES: &[&str] = &[
    "cred",
    "dentry",
    "fdtable",
    "file",
    "files_struct",
    "fs_struct",
    "in6_addr",
    "inode",
    "linux_binprm",
    "mm_struct",
    "mount",
    "msghdr",
    "path",
    "pid",
    "pt_regs",
    "qstr",
    "signal_struct",
    "sock",
    "sock_common",
    "socket",
    "super_block",
    "task_struct",
    "thread_info",
    "upid",
    "vfsmount",
    "vm_area_struct",
];

#[cfg(test)]
mod tests {
    use super::KERNEL_TYPES;

    #[test]
    fn every_kernel_structure_of_the_header_is_listed() {
        let header = include_str!("../c/kernel.h");
        let mut defined: Vec<&str> = header
            .lines()
            .filter_map(|line| line.strip_prefix("struct ")?.strip_suffix(" {"))
            .filter(|name| !name.starts_with("user_"))
            .collect();
        defined.sort_unstable();
        assert_eq!(KERNEL_TYPES, defined);
    }
}
