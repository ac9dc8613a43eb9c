//! Looking around: bursts of questions about the machine, and checks for being watched.

mod kept;

use std::collections::BTreeMap;

use crate::attack::{
    DOMAIN_ACCOUNTS, LOCAL_STAGING, SECURITY_SOFTWARE, SYSTEM_CHECKS, SYSTEM_DISCOVERY,
};
use crate::detector::{Detector, Finding, Hits, Info, TierC, list};
use crate::paths;
use crate::timeline::{Image, Timeline};

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: Info {
            id: "discovery-burst",
            title: "Burst of questions about the machine",
            attack: SYSTEM_DISCOVERY,
            looks_for: "commands about five or more different subjects (accounts, processes, network, \
                        mounts …) within a short time, among them what an intruder needs and a \
                        status report does not: rights, homes, defences, neighbours, account files",
            needs: &["exec"],
            tier_c: TierC::Sees,
        },
        find: burst,
    },
    Detector {
        info: Info {
            id: "sandbox-checks",
            title: "Checks for a virtual machine or sandbox",
            attack: SYSTEM_CHECKS,
            looks_for: "two or more different looks at what tells a virtual machine, container or \
                        debugger apart",
            needs: &["open", "exec"],
            tier_c: TierC::Sees,
        },
        find: checks,
    },
    Detector {
        info: Info {
            id: "security-software-search",
            title: "Search for security software",
            attack: SECURITY_SOFTWARE,
            looks_for: "three or more different security products looked for among processes, \
                        services or files",
            needs: &["exec", "open"],
            tier_c: TierC::Sees,
        },
        find: defenders,
    },
    Detector {
        info: Info {
            id: "answers-kept",
            title: "Findings kept in a scratch file",
            attack: LOCAL_STAGING,
            looks_for: "account files written into a scratch folder away from the work, or the answers of \
                        three or more commands that look around into a hidden file there",
            needs: &["exec", "open"],
            tier_c: TierC::Sees,
        },
        find: kept::answers,
    },
    Detector {
        info: Info {
            id: "directory-search",
            title: "Directory asked for its accounts",
            attack: DOMAIN_ACCOUNTS,
            looks_for: "ldapsearch under a name and a password on the command line, or a tool that dumps \
                        directories",
            needs: &["exec"],
            tier_c: TierC::Sees,
        },
        find: directory,
    },
];

/// Questions belong to one burst within this.
const BURST_NS: u64 = 30_000_000_000;
/// An everyday command line asks about one or two subjects.
const SUBJECTS_MIN: usize = 5;
/// How much a subject is an intruder's. Load, memory, disks, addresses and processes are in every
/// status report of an administrator, however many of them it asks for; those count nothing.
const INTRUDERS: &[(&str, u32)] = &[
    ("rights", 2),
    ("homes", 2),
    ("defences", 2),
    ("neighbours", 2),
    ("account files", 1),
    ("schedule", 1),
    ("containers", 1),
];
/// An inventory lists accounts, jobs and containers together, and that is not yet enough.
const INTRUDERS_MIN: u32 = 4;

/// Programs by the subject they ask about. What configure scripts ask about is one subject, so that
/// they never make a burst.
const QUESTIONS: &[(&str, &[&str])] = &[
    (
        "accounts",
        &[
            "whoami", "id", "w", "who", "last", "lastlog", "users", "groups", "getent", "finger",
            "logname", "lastb",
        ],
    ),
    (
        "system",
        &[
            "uname",
            "lsb_release",
            "hostnamectl",
            "arch",
            "hostname",
            "uptime",
            "nproc",
            "getconf",
            "date",
            "timedatectl",
        ],
    ),
    (
        "hardware",
        &["lscpu", "lspci", "lsusb", "dmidecode", "lshw", "inxi", "hwinfo", "lsmem", "free"],
    ),
    ("kernel", &["lsmod", "dmesg", "modinfo"]),
    ("network", &["ifconfig", "ip", "route", "nmcli", "iwconfig", "resolvectl"]),
    ("connections", &["netstat", "ss", "lsof", "arp"]),
    ("processes", &["ps", "pgrep", "top", "pstree", "htop"]),
    ("disks", &["mount", "df", "findmnt", "lsblk", "blkid", "fdisk"]),
    ("environment", &["env", "printenv"]),
    ("services", &["systemctl", "service", "chkconfig", "initctl", "rc-status"]),
    ("schedule", &["crontab", "atq"]),
    ("packages", &["dpkg", "rpm", "apt", "dnf", "yum", "pacman", "snap", "flatpak"]),
    (
        "defences",
        &[
            "iptables",
            "nft",
            "ufw",
            "sestatus",
            "getenforce",
            "aa-status",
            "auditctl",
            "firewall-cmd",
        ],
    ),
    ("containers", &["docker", "kubectl", "crictl", "podman", "lxc"]),
    (
        "neighbours",
        &["arp-scan", "nbtscan", "fping", "avahi-browse", "smbclient", "showmount", "rpcinfo"],
    ),
];

fn subject(image: &Image<'_>) -> Option<&'static str> {
    const READERS: &[&str] =
        &["cat", "head", "tail", "less", "more", "grep", "strings", "awk", "sed"];
    if image.only_asks() {
        return None;
    }
    if image.is(READERS) {
        return image.operands().find_map(file_subject);
    }
    if image.is(&["sudo"]) {
        return image.has_arg(&["-l", "--list"]).then_some("rights");
    }
    if image.is(&["find"]) {
        return image.has_arg(&["-perm", "-writable"]).then_some("rights");
    }
    if image.is(&["ls"]) {
        let telling =
            ["/home", "/root", "/etc/cron", "/var/spool/cron", "/etc/ssh", "/var/www", "/opt"];
        return image
            .operands()
            .any(|arg| telling.iter().any(|t| arg.starts_with(t)))
            .then_some("homes");
    }
    if image.is(&["env"]) && image.operands().count() > 0 {
        return None;
    }
    QUESTIONS.iter().find(|(_, programs)| image.is(programs)).map(|&(subject, _)| subject)
}

fn file_subject(path: &str) -> Option<&'static str> {
    match path {
        "/etc/passwd" | "/etc/group" | "/etc/shadow" => Some("account files"),
        "/etc/sudoers" => Some("rights"),
        "/etc/os-release"
        | "/etc/issue"
        | "/proc/version"
        | "/etc/lsb-release"
        | "/etc/debian_version"
        | "/etc/redhat-release"
        | "/etc/hostname" => Some("system"),
        "/proc/cpuinfo" | "/proc/meminfo" => Some("hardware"),
        "/etc/hosts" | "/etc/resolv.conf" | "/proc/net/arp" | "/proc/net/route" => Some("network"),
        "/proc/net/tcp" | "/proc/net/udp" | "/proc/net/tcp6" => Some("connections"),
        "/etc/fstab" | "/proc/mounts" | "/proc/self/mounts" => Some("disks"),
        "/etc/crontab" => Some("schedule"),
        "/etc/ssh/sshd_config" | "/etc/security/limits.conf" => Some("defences"),
        _ => None,
    }
}

/// Programs that build, install or report; their questions are part of the trade.
fn is_builder(image: &Image<'_>) -> bool {
    const BUILDERS: &[&str] = &[
        "make",
        "ninja",
        "cmake",
        "meson",
        "gcc",
        "cc",
        "autoconf",
        "automake",
        "config.guess",
        "bear",
        "libtool",
        "scons",
        "rustc",
        "ctest",
        "dkms",
        "reportbug",
        "neofetch",
        "fastfetch",
        "screenfetch",
        "inxi",
        "ansible",
        "puppet",
        "chef-client",
        "salt-call",
        "cloud-init",
        "landscape-sysinfo",
        "run-parts",
    ];
    let configures =
        |name: &str| matches!(name, "configure" | "config.guess" | "config.status" | "conftest");
    image.is_trusted(BUILDERS)
        || image.is_package_tool()
        || configures(image.exact_name())
        || image.script().is_some_and(|script| configures(paths::name(script)))
}

fn burst(timeline: &Timeline<'_>) -> Option<Finding> {
    let questions: Vec<(usize, &'static str)> = timeline
        .executed()
        .filter_map(|image| Some((image, subject(image)?)))
        .filter(|(image, _)| {
            let process = timeline.runner(image);
            !process.is_some_and(|p| timeline.ancestry(p).any(is_builder))
        })
        .map(|(image, subject)| (image.event, subject))
        .collect();
    // The window with the most subjects; every window starts at a question.
    let mut best: (usize, Vec<usize>, Vec<&str>) = (0, Vec::new(), Vec::new());
    let time = |event: usize| timeline.events[event].time_ns;
    for (start, &(first, _)) in questions.iter().enumerate() {
        let mut subjects: BTreeMap<&str, usize> = BTreeMap::new();
        for &(event, subject) in questions[start..]
            .iter()
            .take_while(|(event, _)| time(*event) - time(first) <= BURST_NS)
        {
            subjects.entry(subject).or_insert(event);
        }
        let asked = INTRUDERS.iter().filter(|(subject, _)| subjects.contains_key(subject));
        let intruders: u32 = asked.map(|(_, weight)| weight).sum();
        if subjects.len() > best.0 && intruders >= INTRUDERS_MIN {
            best = (
                subjects.len(),
                subjects.values().copied().collect(),
                subjects.into_keys().collect(),
            );
        }
        // Enough is enough: a longer list only repeats.
        if best.0 >= SUBJECTS_MIN * 2 {
            break;
        }
    }
    let (count, mut events, names) = best;
    if count < SUBJECTS_MIN {
        return None;
    }
    events.sort_unstable();
    let weight = if count >= 7 { 17 } else { 13 };
    Some(Finding::new(weight, format!("{count} subjects: {}", list(&names)), events))
}

/// Products that watch a machine, as their processes and folders are called.
const PRODUCTS: &[&str] = &[
    "falcon",
    "crowdstrike",
    "osquery",
    "sysdig",
    "falco",
    "wazuh",
    "ossec",
    "clamd",
    "clamav",
    "auditd",
    "cylance",
    "carbonblack",
    "cbagent",
    "sentinel",
    "mdatp",
    "tanium",
    "sysmon",
    "nessus",
    "snort",
    "suricata",
    "rkhunter",
    "chkrootkit",
    "aide",
    "fail2ban",
    "elastic-agent",
    "tetragon",
    "nessusd",
    "td-agent",
    "filebeat",
    "packetbeat",
    "auditbeat",
    "icinga2",
    "zabbix",
];

/// Who looks, and does not stop or install anything.
fn defenders(timeline: &Timeline<'_>) -> Option<Finding> {
    const LOOKERS: &[&str] = &[
        "grep",
        "egrep",
        "rg",
        "awk",
        "pgrep",
        "pidof",
        "ps",
        "which",
        "whereis",
        "ls",
        "find",
        "systemctl",
        "service",
        "stat",
        "test",
    ];
    let mut hits = Hits::default();
    let lookers = timeline.attempted().filter(|image| image.is(LOOKERS) && !image.only_asks());
    for image in lookers.filter(|image| image.text().is_none() || image.is(&["awk"])) {
        let words = || image.args().map(str::to_ascii_lowercase);
        for product in PRODUCTS {
            let is_it = |part: &str| {
                part.strip_prefix(product)
                    .is_some_and(|rest| matches!(rest, "" | "d") || rest.starts_with('-'))
            };
            let named = |word: &String| {
                word.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(is_it)
            };
            if words().any(|word| named(&word)) {
                hits.add(image.event, 13, product);
            }
        }
    }
    if hits.labels.len() < 3 {
        return None;
    }
    hits.finding("looked for: ")
}

fn directory(timeline: &Timeline<'_>) -> Option<Finding> {
    const DUMPERS: &[&str] = &[
        "ldapdomaindump",
        "bloodhound-python",
        "windapsearch",
        "enum4linux",
        "enum4linux-ng",
        "rpcclient",
        "adidnsdump",
    ];
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| !image.only_asks()) {
        // Whoever looks up one name needs none of their own.
        let searches =
            image.is(&["ldapsearch"]) && image.has_arg(&["-D"]) && image.has_arg(&["-w"]);
        if searches || image.is(DUMPERS) {
            hits.add(image.event, 13, image.exact_name());
        }
    }
    hits.finding("asked by ")
}

fn checks(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for read in &timeline.reads {
        let image = timeline.image(read.event);
        let path = read.path.as_ref();
        let own_will = image.is_own_will() || image.is(&["cat", "grep", "head"]);
        let sign = if paths::under_any(path, &["/sys/class/dmi/id", "/sys/devices/virtual/dmi/id"])
        {
            "firmware's names"
        } else if paths::under(path, "/sys/hypervisor") || path == "/proc/xen/capabilities" {
            "hypervisor"
        } else if path == "/.dockerenv" || path == "/run/.containerenv" {
            "container's marker"
        } else if path == "/proc/1/cgroup" || path == "/proc/1/sched" || path == "/proc/1/environ" {
            "first process"
        } else if path.starts_with("/proc/scsi") || path.starts_with("/sys/class/scsi") {
            "disk's names"
        } else {
            continue;
        };
        if own_will && !image.is_trusted(&["java", "node", "dotnet"]) {
            hits.add(read.event, 10, sign);
        }
    }
    /// What hypervisors call their devices and modules.
    const GUESTS: &[&str] = &[
        "vbox",
        "virtualbox",
        "vmware",
        "vmw_",
        "vmxnet",
        "xen-",
        "hvm domu",
        "virtio_",
        "hv_vmbus",
        "hv_utils",
        "parallels",
        "hyperv",
        "bhyve",
    ];
    for image in timeline.attempted().filter(|i| i.is(&["grep", "egrep", "rg", "awk"])) {
        let words = || image.args().map(str::to_ascii_lowercase);
        for guest in GUESTS.iter().filter(|guest| words().any(|word| word.contains(**guest))) {
            hits.add(image.event, 10, guest);
        }
    }
    for image in timeline.attempted() {
        let asks = image.is(&["systemd-detect-virt", "virt-what", "dmidecode", "imvirt", "facter"]);
        if asks && !image.only_asks() {
            hits.add(image.event, 10, image.exact_name());
        }
    }
    if hits.labels.len() < 2 {
        return None;
    }
    hits.weight = 14;
    hits.finding("looked at: ")
}
