//! Kernel interfaces with a history of exploits: which are tried, and whose everyday they are.

use std::collections::BTreeMap;

use types::Kind;

use crate::detector::{Finding, Hits, list};
use crate::timeline::{Image, Timeline};

/// A call, what it weighs when the sample itself tries it, and programs that try it every day.
struct Call {
    name: &'static str,
    weight: u32,
    everyday: &'static [&'static str],
}

const fn call(name: &'static str, weight: u32, everyday: &'static [&'static str]) -> Call {
    Call { name, weight, everyday }
}

/// Runtimes that try io_uring by themselves when they start.
const RING_USERS: &[&str] = &[
    "node", "nodejs", "npm", "npx", "bun", "deno", "qemu-img", "postgres", "fio", "nginx", "samba",
    "smbd", "mariadbd", "mysqld", "cmake", "julia", "nvim", "fish", "claude", "code", "electron",
];

const KEY_USERS: &[&str] =
    &["keyctl", "kinit", "klist", "systemd", "su", "sudo", "login", "mount.cifs"];

const CALLS: &[Call] = &[
    call("kexec_load", 26, &[]),
    call("kexec_file_load", 26, &[]),
    call("userfaultfd", 18, &["qemu-system", "criu", "java"]),
    call("bpf", 16, &["bpftool", "bpftrace", "tc", "ip", "ss", "systemd", "perf"]),
    call("perf_event_open", 15, &["perf", "rr", "java", "bpftrace"]),
    call("io_uring_setup", 14, RING_USERS),
    call("io_uring_enter", 14, RING_USERS),
    call("io_uring_register", 14, RING_USERS),
    call("keyctl", 14, KEY_USERS),
    call("add_key", 14, KEY_USERS),
    call("request_key", 13, KEY_USERS),
    call("iopl", 14, &["Xorg", "hwclock", "dosemu"]),
    call("ioperm", 14, &["Xorg", "hwclock", "dosemu"]),
    call("modify_ldt", 14, &["wine", "wine-preloader"]),
    call("vm86", 14, &[]),
    call("uselib", 14, &[]),
    call("lookup_dcookie", 13, &[]),
    call("fanotify_init", 13, &["fatrace", "clamonacc", "fapolicyd"]),
    call("swapon", 13, &["swapon"]),
    call("swapoff", 13, &["swapoff"]),
    call("acct", 13, &["accton"]),
    call("quotactl", 13, &["quota", "repquota", "quotaon"]),
    call("settimeofday", 13, &["date", "hwclock", "chronyd", "ntpd"]),
    call("clock_settime", 13, &["date", "hwclock", "chronyd", "ntpd", "timedatectl"]),
    call("sethostname", 13, &["hostname", "hostnamectl", "systemd-hostnamed"]),
    call("setdomainname", 13, &["domainname", "hostname"]),
    call("reboot", 18, &["systemctl", "reboot", "shutdown", "halt", "poweroff"]),
];

pub(super) fn calls(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut met: BTreeMap<&str, u32> = BTreeMap::new();
    let mut events = Vec::new();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::Syscall { call, .. } = &event.kind else { continue };
        let Some(known) = CALLS.iter().find(|known| known.name == call) else { continue };
        if is_everyday(timeline.image(index), known) {
            continue;
        }
        met.insert(known.name, known.weight);
        events.push(index);
    }
    let strongest = met.values().copied().max()?;
    // The calls of one interface come together; a second interface is a second sign.
    let interfaces = met.keys().map(|name| name.split('_').next().unwrap_or(name));
    let mut interfaces: Vec<&str> = interfaces.collect();
    interfaces.dedup();
    let further = u32::try_from(interfaces.len() - 1).unwrap_or(u32::MAX).min(4) * 4;
    let names: Vec<&str> = met.keys().copied().collect();
    Some(Finding::new(strongest + further, format!("tried: {}", list(&names)), events))
}

fn is_everyday(image: &Image<'_>, call: &Call) -> bool {
    // A system tool does what it was made for; only what the sample decides can be its doing.
    if image.trusted() && !image.is_interpreter() {
        return true;
    }
    // A JavaScript runtime tries io_uring wherever it is installed.
    image.is(call.everyday) && (image.trusted() || call.name.starts_with("io_uring"))
}

const PACKET: u32 = 17;
const RAW: u32 = 3;

/// Families through which kernels were attacked, and what they are called.
const FAMILIES: &[(u32, &str)] = &[
    (3, "AX.25"),
    (4, "IPX"),
    (5, "AppleTalk"),
    (6, "NET/ROM"),
    (9, "X.25"),
    (11, "Rose"),
    (12, "DECnet"),
    (15, "key management"),
    (19, "Econet"),
    (21, "RDS"),
    (24, "PPPoX"),
    (26, "LLC"),
    (27, "InfiniBand"),
    (28, "MPLS"),
    (29, "CAN"),
    (30, "TIPC"),
    (31, "Bluetooth"),
    (33, "RxRPC"),
    (34, "ISDN"),
    (35, "Phonet"),
    (36, "IEEE 802.15.4"),
    (37, "CAIF"),
    (38, "kernel crypto"),
    (39, "NFC"),
    (40, "vsock"),
    (41, "KCM"),
    (42, "Qualcomm router"),
    (43, "SMC"),
    (44, "XDP"),
    (45, "MCTP"),
];

pub(super) fn sockets(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::Socket { family, socket_type, .. } = &event.kind else { continue };
        let image = timeline.image(index);
        // Raw and packet sockets are somebody else's to judge.
        if *family == PACKET
            || (socket_type & 0xf == RAW && matches!(family, 2 | 10))
            || !image.is_own_will()
        {
            continue;
        }
        if let Some((_, name)) = FAMILIES.iter().find(|(number, _)| number == family) {
            hits.add(index, 14, name);
        }
    }
    if hits.labels.len() >= 3 {
        hits.weight = 20;
    }
    hits.finding("asked for: ")
}
