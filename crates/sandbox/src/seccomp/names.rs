//! System call numbers and names, as the rest of this room asks for them; the table is shared.

macro_rules! names {
    ($($name:ident)*) => { &[$(stringify!($name)),*] };
}
pub(super) use names;
pub(super) use types::syscalls::known;
pub use types::syscalls::{name, number};

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn the_table_agrees_with_libc() {
        let anchors = [
            ("read", libc::SYS_read),
            ("execve", libc::SYS_execve),
            ("pivot_root", libc::SYS_pivot_root),
            ("query_module", libc::SYS_quotactl - 1),
            ("openat", libc::SYS_openat),
            ("bpf", libc::SYS_bpf),
            ("io_pgetevents", libc::SYS_statx + 1),
            ("rseq", libc::SYS_rseq),
            ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
            ("clone3", libc::SYS_clone3),
            ("fchmodat2", libc::SYS_fchmodat2),
            ("mseal", libc::SYS_mseal),
        ];
        for (call, nr) in anchors {
            assert_eq!(number(call).map(i64::from), Some(nr), "{call}");
        }
    }
}
