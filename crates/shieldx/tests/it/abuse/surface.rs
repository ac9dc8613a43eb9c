//! Attempts 17–36 and their like: the kernel's own surface.

use types::{Ending, Tier};

use super::{attempt, expect, result};
use crate::lab::Outcome;

const SIGSYS: i32 = 31;

/// Inside: an error or death by SIGSYS. Evidence: an event of that call with `blocked`.
fn refused(attempted: &str, event: &str) {
    let Some((_, outcome)) = attempt(&[], &["surface", attempted]) else { return };
    match result(&outcome, attempted) {
        Some((value, errno)) => {
            assert!(value < 0 && errno != 0, "{attempted} gave {value}: {}", outcome.summary());
        }
        None => assert_eq!(
            outcome.run.ending,
            Ending::Signaled { signal: SIGSYS },
            "{attempted}: {}",
            outcome.summary()
        ),
    }
    assert!(
        recorded(&outcome, event),
        "{attempted}: no blocked event {event}: {:?}\n{}",
        outcome.events.iter().filter(|event| event.blocked).collect::<Vec<_>>(),
        outcome.summary()
    );
}

/// Whether the refusal of this kind or call is in the record; calls of another ABI have no name
/// that this test could know.
fn recorded(outcome: &Outcome, event: &str) -> bool {
    outcome.blocked(event) || (event == "any" && outcome.events.iter().any(|e| e.blocked))
}

/// Each row becomes a test: the attempt, and the kind or call of the event that must record it.
macro_rules! surface {
    ($all:ident; $($name:ident: $attempted:literal => $event:literal;)*) => {
        const $all: &[(&str, &str)] = &[$(($attempted, $event)),*];
        $(
            #[test]
            fn $name() {
                refused($attempted, $event);
            }
        )*
    };
}

surface! {
    SURFACE;
    n17_ptrace: "ptrace" => "ptrace";
    n18_process_vm_writev: "process_vm_writev" => "process_memory";
    n19_pidfd_getfd: "pidfd_getfd" => "pidfd_getfd";
    n20_bpf: "bpf" => "bpf";
    n21_perf_event_open: "perf_event_open" => "perf_event_open";
    n22_io_uring_setup: "io_uring_setup" => "io_uring_setup";
    n23_userfaultfd: "userfaultfd" => "userfaultfd";
    n24_keyctl: "keyctl" => "keyctl";
    n24_add_key: "add_key" => "add_key";
    n25_init_module: "init_module" => "init_module";
    n26_kexec_load: "kexec_load" => "kexec_load";
    n27_unshare_user: "unshare-user" => "unshare";
    n27_unshare_all: "unshare-all" => "unshare";
    n27_clone_user: "clone-user" => "clone";
    n28_setns: "setns" => "setns";
    n29_mount: "mount" => "mount";
    n29_umount: "umount" => "umount2";
    n29_remount: "remount" => "mount";
    n29_open_tree: "open_tree" => "open_tree";
    n29_move_mount: "move_mount" => "move_mount";
    n29_fsopen: "fsopen" => "fsopen";
    n29_mount_setattr: "mount_setattr" => "mount_setattr";
    n30_pivot_root: "pivot_root" => "pivot_root";
    n30_chroot: "chroot" => "chroot";
    n31_open_by_handle_at: "open_by_handle_at" => "open_by_handle_at";
    n32_time_namespace: "unshare-time" => "unshare";
    n32_settimeofday: "settimeofday" => "settimeofday";
    n32_clock_settime: "clock_settime" => "clock_settime";
    n34_tiocsti: "tiocsti" => "ioctl";
    n34_tiocsti_high_bits: "tiocsti-high" => "ioctl";
    n35_tioclinux: "tioclinux" => "ioctl";
    n36_clone3: "clone3" => "clone3";
    more_swapon: "swapon" => "swapon";
    more_reboot: "reboot" => "reboot";
    more_sethostname: "sethostname" => "sethostname";
    more_acct: "acct" => "acct";
    more_syslog: "syslog" => "syslog";
}

surface! {
    FOREIGN_SURFACE;
    n33_x32: "x32" => "any";
    n33_int80: "int80" => "any";
    more_iopl: "iopl" => "iopl";
}

/// The same attempts, all in one run, under the tier that an ordinary user has.
#[test]
fn every_refusal_is_recorded_in_tier_c() {
    let attempts: Vec<&str> = all().map(|(attempted, _)| attempted).collect();
    let mut words = vec!["surface"];
    words.extend(&attempts);
    let Some((_, outcome)) = attempt(&["--monitor", "notify"], &words) else { return };
    assert_eq!(outcome.assessment.evidence.tier, Tier::C);
    for (attempted, event) in all() {
        let (value, errno) = expect(&outcome, attempted);
        assert!(value < 0 && errno != 0, "{attempted} gave {value}: {}", outcome.summary());
        assert!(recorded(&outcome, event), "{attempted}: no blocked event {event}");
    }
}

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    SURFACE.iter().chain(FOREIGN_SURFACE).copied()
}
