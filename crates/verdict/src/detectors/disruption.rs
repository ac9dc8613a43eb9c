//! Making the machine unusable: resources eaten up, processes and services killed, backups gone.

use std::collections::BTreeMap;

use types::Kind;

use crate::attack::{EXHAUSTION, INHIBIT_RECOVERY, SERVICE_STOP, SHUTDOWN};
use crate::detector::{Detector, Finding, Hits, Info, TierC, show};
use crate::paths;
use crate::timeline::{Image, Timeline};

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: Info {
            id: "resource-exhaustion",
            title: "Resources exhausted",
            attack: EXHAUSTION,
            looks_for: "the sandbox's limit on processes, memory or disk reached, or a flood of forks \
                        that execute nothing",
            needs: &["limit_reached", "fork"],
            tier_c: TierC::Reduced("forks are not seen, limits are"),
        },
        find: exhaustion,
    },
    Detector {
        info: Info {
            id: "mass-kill",
            title: "Many processes killed",
            attack: SERVICE_STOP,
            looks_for: "a signal to every process, or to many that the sender did not start; services \
                        of others stopped",
            needs: &["kill", "exec"],
            tier_c: TierC::Sees,
        },
        find: kills,
    },
    Detector {
        info: Info {
            id: "shutdown",
            title: "Machine shut down",
            attack: SHUTDOWN,
            looks_for: "programs or calls that stop or restart the machine",
            needs: &["exec", "syscall"],
            tier_c: TierC::Sees,
        },
        find: shutdown,
    },
    Detector {
        info: Info {
            id: "recovery-inhibited",
            title: "Backups or snapshots removed",
            attack: INHIBIT_RECOVERY,
            looks_for: "snapshots destroyed or backup folders emptied",
            needs: &["exec", "unlink"],
            tier_c: TierC::Sees,
        },
        find: recovery,
    },
];

/// So many children of one program, alive together and executing nothing, are a flood: no pool of
/// workers is that large.
const IDLE_FORKS_MIN: usize = 300;

fn exhaustion(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::LimitReached { limit, .. } = &event.kind {
            match limit.as_str() {
                "pids" => hits.add(index, 18, "processes"),
                "memory" => hits.add(index, 13, "memory"),
                "disk" => hits.add(index, 13, "disk"),
                _ => {}
            }
        }
    }
    if let Some(flood) = idle_forks(timeline) {
        hits.events.extend(flood);
        hits.labels.push("forks".to_owned());
        hits.weight = hits.weight.max(18);
    }
    hits.finding("eaten up: ")
}

/// The forks of an image most of whose children executed nothing and were alive together.
fn idle_forks(timeline: &Timeline<'_>) -> Option<Vec<usize>> {
    // By image: births and deaths of idle children, in order of events.
    let mut lives: BTreeMap<usize, Vec<(usize, bool)>> = BTreeMap::new();
    for process in timeline.processes.iter().filter(|p| p.executed.is_empty() && p.inherited != 0) {
        let changes = lives.entry(process.inherited).or_default();
        changes.push((process.first, true));
        changes.extend(process.exit.map(|exit| (exit, false)));
    }
    lives.into_values().find_map(|mut changes| {
        changes.sort_unstable();
        let (mut alive, mut most) = (0_usize, 0);
        for (_, born) in &changes {
            alive = if *born { alive + 1 } else { alive.saturating_sub(1) };
            most = alive.max(most);
        }
        let births = changes.into_iter().filter(|(_, born)| *born).map(|(event, _)| event);
        (most >= IDLE_FORKS_MIN).then(|| births.collect())
    })
}

/// From here targets that the sender did not start are many.
const STRANGERS_MIN: usize = 5;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGSTOP: i32 = 19;

fn kills(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    let mut strangers: BTreeMap<usize, BTreeMap<i64, usize>> = BTreeMap::new();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::Kill { target_pid, signal } = &event.kind else { continue };
        if !matches!(*signal, SIGKILL | SIGTERM | SIGSTOP) {
            continue;
        }
        if *target_pid == -1 {
            hits.add(index, 20, "every process");
        } else if *target_pid == 1 && *signal == SIGKILL {
            hits.add(index, 13, "the first process");
        } else if let Some(process) = timeline.process(index)
            && *target_pid > 1
            && !started(timeline, process, *target_pid)
        {
            strangers.entry(process).or_default().insert(*target_pid, index);
        }
    }
    if let Some(most) =
        strangers.values().max_by_key(|met| met.len()).filter(|met| met.len() >= STRANGERS_MIN)
    {
        most.values().for_each(|&index| hits.add(index, 14, "processes of others"));
    }
    for image in timeline.attempted().filter(|image| stops_service(image)) {
        let what = show(image.operands().last().unwrap_or("service"));
        hits.add(image.event, 13, &what);
    }
    hits.finding("stopped or tried: ")
}

/// Whether the process, or one that started it, started the target: job control is everyday.
fn started(timeline: &Timeline<'_>, process: usize, target: i64) -> bool {
    let root = timeline.lineage(process).nth(1).unwrap_or(process);
    timeline
        .processes
        .iter()
        .enumerate()
        .any(|(index, other)| i64::from(other.pid) == target && timeline.descends(index, root))
}

/// Services whose end hurts: databases, mail, web, logins.
fn stops_service(image: &Image<'_>) -> bool {
    const SERVICES: &[&str] = &[
        "mysql",
        "mysqld",
        "mariadb",
        "postgresql",
        "postgres",
        "mongod",
        "redis",
        "redis-server",
        "docker",
        "containerd",
        "kubelet",
        "ssh",
        "sshd",
        "cron",
        "crond",
        "nginx",
        "apache2",
        "httpd",
        "postfix",
        "dovecot",
        "oracle",
        "elasticsearch",
        "veeam",
        "bareos-fd",
        "bacula-fd",
        "nfs-server",
        "smbd",
        "vmtoolsd",
    ];
    // Patterns of pkill are anchored.
    let bare = |word: &str| word.trim_matches(['^', '$']).trim_end_matches(".service").to_owned();
    let named = || image.operands().any(|word| SERVICES.contains(&bare(word).as_str()));
    let control = image.is(&["systemctl", "service", "rc-service"])
        && image.has_arg(&["stop", "disable", "mask", "kill"]);
    (control || image.is(&["pkill", "killall"])) && named()
        // The same file is pidof(1), which only asks; it goes by the name it is called by.
        || image.is(&["killall5"])
            && !image.only_asks()
            && image.argv.first().is_none_or(|name| paths::name(name) != "pidof")
}

fn shutdown(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted() {
        let asks = image
            .args()
            .any(|arg| matches!(arg, "--help" | "--version" | "-c" | "-k" | "--show" | "-w"));
        let program = image.is(&["shutdown", "reboot", "halt", "poweroff"]) && !asks;
        let level = image.is(&["init", "telinit"]) && image.has_arg(&["0", "6"]);
        let control = image.is(&["systemctl"])
            && image.has_arg(&[
                "reboot",
                "poweroff",
                "halt",
                "kexec",
                "suspend",
                "hibernate",
                "emergency",
                "rescue",
            ]);
        if program || level || control {
            hits.add(image.event, 16, image.exact_name());
        }
    }
    for touch in &timeline.touches {
        if touch.path == "/proc/sysrq-trigger" {
            hits.add(touch.event, 16, &touch.path);
        }
    }
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::Syscall { call, .. } = &event.kind
            && call == "reboot"
        {
            hits.add(index, 18, "reboot");
        }
    }
    hits.finding("tried by ")
}

fn recovery(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted() {
        let snapshot = (image.is(&["btrfs"])
            && image.has_arg(&["delete"])
            && image.has_arg(&["subvolume", "sub", "su"]))
            || (image.is(&["zfs", "zpool"]) && image.has_arg(&["destroy"]))
            || (image.is(&["lvremove", "vgremove"]) && image.operands().count() > 0)
            || (image.is(&["timeshift"]) && image.mentions("--delete"))
            || (image.is(&["snapper"]) && image.has_arg(&["delete"]))
            || (image.is(&["restic", "borg"])
                && image.has_arg(&["forget", "prune", "delete"])
                && image.has_arg(&["--all", "--force"]))
            || (image.is(&["vim-cmd", "virsh"])
                && image.mentions("snapshot")
                && image.mentions("delete"));
        if snapshot {
            hits.add(image.event, 14, image.exact_name());
        }
    }
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::Unlink { path, .. } = &event.kind {
            let path = paths::clean(path);
            let backup = paths::under_any(
                &path,
                &["/var/backups", "/backup", "/backups", "/var/lib/snapper", "/timeshift"],
            );
            if backup
                && timeline.written_before(&path, index).is_none()
                && !timeline.image(index).is_package_tool()
            {
                hits.add(index, 15, &path);
            }
        }
    }
    hits.finding("removed or tried: ")
}
