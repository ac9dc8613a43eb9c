//! Programs that hide or call themselves something else.

use types::Kind;

use crate::detector::{Finding, Hits};
use crate::paths;
use crate::timeline::{Image, Timeline, Trust};

pub(super) fn hidden(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in
        timeline.attempted().filter(|image| image.happened || image.trust == Trust::Written)
    {
        let name = image.exact_name();
        let dotted = name.starts_with('.') && name.len() > 1;
        let shared = paths::under_any(&image.path, &["/dev/shm", "/run/shm", "/dev/mqueue"])
            || (image.path.starts_with("/dev/") && !image.path.starts_with("/dev/fd/"));
        // `/tmp/.x/y`; images that mount themselves are known by their folder.
        let work = paths::clean(&timeline.recording.run.cwd);
        let within = image.path.strip_prefix(work.as_ref()).unwrap_or(&image.path);
        let folder = paths::is_scratch(&image.path)
            && paths::folder(within).split('/').any(|part| {
                part.len() > 1
                    && part.starts_with('.')
                    && !part.starts_with(".mount_")
                    && part != ".venv"
            });
        if image.trusted() || image.memfd || image.path.is_empty() {
            continue;
        }
        if dotted || shared {
            hits.add(image.event, 15, &image.path);
        } else if folder && !image.is_interpreter() && !image.is_package_tool() {
            hits.add(image.event, 14, &image.path);
        }
    }
    // The script itself may be the hidden program.
    for image in
        timeline.executed().filter(|image| image.is_interpreter() && !image.is_package_tool())
    {
        let Some(script) = image.script_path() else { continue };
        let name = paths::name(&script);
        let dotted = name.starts_with('.') && name.len() > 1 && !is_startup(name);
        if dotted || paths::under_any(&script, &["/dev/shm", "/run/shm"]) {
            hits.add(image.event, 14, &script);
        }
    }
    hits.finding("executed: ")
}

/// Programs and scripts whose path reads like another one.
pub(super) fn misleading(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| !image.path.is_empty()) {
        let script = image.script_path().filter(|_| image.is_interpreter());
        let mut paths = std::iter::once(image.path.as_ref()).chain(script.as_deref());
        if let Some(path) = paths.find(|path| is_odd(path)) {
            hits.add(image.event, 15, path);
        }
    }
    hits.finding("executed: ")
}

/// A part of the path that looks like another one: with spaces at its ends, or only dots.
fn is_odd(path: &str) -> bool {
    path.split('/').any(|part| {
        part.trim() != part || (part.len() >= 3 && part.bytes().all(|byte| byte == b'.'))
    })
}

fn is_startup(name: &str) -> bool {
    matches!(name, ".profile" | ".bashrc" | ".bash_profile" | ".zshrc" | ".envrc" | ".env")
}

pub(super) fn false_type(timeline: &Timeline<'_>) -> Option<Finding> {
    const DOCUMENTS: &[&str] = &[
        "jpg", "jpeg", "png", "gif", "bmp", "ico", "svg", "webp", "pdf", "doc", "docx", "xls",
        "xlsx", "ppt", "pptx", "odt", "mp3", "mp4", "avi", "mkv", "ttf", "woff", "css", "zip",
        "rar", "gz",
    ];
    const PROGRAMS: &[&str] = &["sh", "elf", "bin", "run", "py", "pl", "desktop", "exe", "out"];
    /// What interpreters are given all the same: archives of modules, and pages.
    const RUN_AS_SUCH: &[&str] = &["zip", "svg", "css", "gz"];
    let mut hits = Hits::default();
    for image in timeline.executed().filter(|image| image.is_interpreter()) {
        let Some(script) = image.script_path() else { continue };
        let name = paths::name(&script).to_ascii_lowercase();
        let endings: Vec<&str> = name.split('.').skip(1).collect();
        let document = |end: &&str| DOCUMENTS.contains(end) && !RUN_AS_SUCH.contains(end);
        let [.., before, last] = endings[..] else {
            if endings.last().is_some_and(document) {
                hits.add(image.event, 15, &script);
            }
            continue;
        };
        if document(&last) || document(&before) && PROGRAMS.contains(&last) {
            hits.add(image.event, 15, &script);
        }
    }
    for image in timeline.executed().filter(|image| !image.trusted()) {
        let name = image.exact_name().to_ascii_lowercase();
        let endings: Vec<&str> = name.split('.').skip(1).collect();
        let last = endings.last().is_some_and(|end| DOCUMENTS.contains(end));
        let double = endings.len() >= 2
            && DOCUMENTS.contains(&endings[endings.len() - 2])
            && PROGRAMS.contains(&endings[endings.len() - 1]);
        // Letters that reverse the reading order put another ending in front of the eye.
        let reversed = image.path.contains(['\u{202e}', '\u{202d}', '\u{2067}']);
        if last || double || reversed {
            hits.add(image.event, 15, &image.path);
        }
    }
    hits.finding("executed: ")
}

/// How kernel threads are called.
const KERNEL_THREADS: &[&str] = &[
    "kworker",
    "ksoftirqd",
    "kthreadd",
    "migration/",
    "rcu_",
    "kdevtmpfs",
    "watchdog/",
    "kswapd",
    "jbd2/",
    "kauditd",
    "khugepaged",
    "kblockd",
    "kcompactd",
    "cpuhp/",
    "kintegrityd",
    "khungtaskd",
    "scsi_eh_",
    "irq/",
    "ext4-rsv-",
    "oom_reaper",
    "writeback",
    "idle_inject/",
    "netns",
    "kstrp",
    "bioset",
    "xfsaild",
];

/// Services that run on most machines, which nobody builds by accident.
const SERVICES: &[&str] = &[
    "sshd",
    "systemd",
    "systemd-journald",
    "systemd-udevd",
    "systemd-logind",
    "systemd-resolved",
    "systemd-networkd",
    "systemd-timesyncd",
    "systemd-journal",
    "systemd-daemon",
    "cron",
    "crond",
    "init",
    "dbus-daemon",
    "rsyslogd",
    "auditd",
    "agetty",
    "udevd",
    "NetworkManager",
    "dockerd",
    "containerd",
    "polkitd",
    "accounts-daemon",
    "atd",
    "acpid",
    "irqbalance",
    "snapd",
    "syslogd",
    "rpcbind",
    "chronyd",
    "ntpd",
    "cupsd",
    "avahi-daemon",
    "gdm",
    "lightdm",
    "sd-pam",
    "(sd-pam)",
    "multipathd",
    "udisksd",
];

fn is_kernel_thread(name: &str) -> bool {
    let bracketed = name.starts_with('[') && name.ends_with(']') && name.len() > 3;
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bracketed || KERNEL_THREADS.iter().any(|thread| bare.starts_with(thread))
}

pub(super) fn task_name(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.executed() {
        let Some(given) = image.argv.first() else { continue };
        let given = given.split_whitespace().next().unwrap_or("");
        let name = paths::name(given);
        // A name of its own that merely differs (`-bash`, `sh` for dash) is everyday.
        if is_kernel_thread(given) && image.exact_name() != name {
            hits.add(image.event, 22, given);
        } else if SERVICES.contains(&name) && image.exact_name() != name && !is_service_link(image)
        {
            hits.add(image.event, 16, given);
        }
    }
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::SetName { name } = &event.kind else { continue };
        let (name, image) = (name.to_lossy(), timeline.image(index));
        let own = image.exact_name().starts_with(name.as_ref());
        if own || !image.is_own_will() {
            continue;
        }
        if is_kernel_thread(&name) {
            hits.add(index, 20, &name);
        } else if SERVICES.contains(&name.as_ref()) {
            hits.add(index, 15, &name);
        }
    }
    hits.finding("called itself ")
}

/// System programs that are also known by another service's name (`init` is systemd).
fn is_service_link(image: &Image<'_>) -> bool {
    image.trusted() && !image.is_interpreter()
}

pub(super) fn program_name(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.executed().filter(|image| !image.trusted()) {
        let name = image.exact_name();
        // In a folder of its own project a build of the real thing may run.
        let built = image.path.contains("/build/") || image.path.contains("/target/");
        if (SERVICES.contains(&name) || is_kernel_thread(name)) && !built {
            hits.add(image.event, 15, &image.path);
        }
    }
    for image in timeline.executed().filter(|image| image.is_interpreter()) {
        let script = image.script_path().filter(|path| !paths::is_system(path));
        if let Some(script) = script.filter(|path| SERVICES.contains(&paths::name(path))) {
            hits.add(image.event, 15, &script);
        }
    }
    hits.finding("executed: ")
}

/// System programs worth renaming.
const UTILITIES: &[&str] = &[
    "sh", "bash", "dash", "zsh", "python", "perl", "nc", "ncat", "socat", "curl", "wget",
    "busybox", "ssh", "nmap",
];

pub(super) fn renamed(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for copier in timeline.executed().filter(|image| image.is(&["cp", "ln", "install", "mv", "dd"]))
    {
        let words: Vec<&str> = copier.operands().collect();
        let [.., from, to] = words[..] else { continue };
        let utility = paths::versionless(paths::name(from));
        if !UTILITIES.contains(&utility) || !paths::is_system(&paths::normal(from)) {
            continue;
        }
        let new_name = paths::name(to);
        if new_name.starts_with(utility) || UTILITIES.contains(&paths::versionless(new_name)) {
            continue;
        }
        let run = timeline.executed().find(|image| {
            image.event > copier.event && image.exact_name() == new_name && !image.trusted()
        });
        if let Some(run) = run {
            hits.add(run.event, 15, new_name);
            hits.context.push(copier.event);
        }
    }
    hits.finding("executed under the name ")
}
