//! Traces removed and defences turned off: logs, histories, times, security tools, firewalls.

mod defences;

use std::collections::BTreeSet;

use types::Kind;

use crate::attack::{
    CLEAR_HISTORY, CLEAR_LOGS, CLEAR_MAILBOX, DISABLE_AUDIT, DISABLE_FIREWALL, DISABLE_TOOLS,
    FILE_DELETION, PREVENT_HISTORY, TIMESTOMP,
};
use crate::detector::{Detector, Finding, Hits, Info, TierC, show};
use crate::paths;
use crate::timeline::{How, Image, Timeline};

const fn info(
    id: &'static str,
    title: &'static str,
    attack: crate::attack::Attack,
    looks_for: &'static str,
    needs: &'static [&'static str],
) -> Info {
    Info { id, title, attack, looks_for, needs, tier_c: TierC::Sees }
}

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: info(
            "log-tampering",
            "System logs cleared",
            CLEAR_LOGS,
            "deletion, truncation or renaming of system logs, or writes to login records",
            &["unlink", "truncate", "open", "rename", "exec"],
        ),
        find: logs,
    },
    Detector {
        info: info(
            "history-cleared",
            "Command history cleared",
            CLEAR_HISTORY,
            "deletion, truncation or redirection of a shell's history",
            &["unlink", "truncate", "open", "link", "exec"],
        ),
        find: history,
    },
    Detector {
        info: info(
            "history-prevented",
            "Command history turned off",
            PREVENT_HISTORY,
            "commands that stop a shell from keeping its history",
            &["exec"],
        ),
        find: history_off,
    },
    Detector {
        info: info(
            "mailbox-cleared",
            "Mailbox cleared",
            CLEAR_MAILBOX,
            "deletion or truncation of a system mailbox",
            &["unlink", "truncate", "open"],
        ),
        find: mailbox,
    },
    Detector {
        info: info(
            "timestomp",
            "File given a false age",
            TIMESTOMP,
            "the times of a program or system file set to the past by something that does not \
             restore files",
            &["set_times"],
        ),
        find: timestomp,
    },
    Detector {
        info: info(
            "self-deletion",
            "Program deletes its own file",
            FILE_DELETION,
            "a running program's file, or a running script in a scratch folder, deleted by itself",
            &["unlink", "exec"],
        ),
        find: self_deletion,
    },
    Detector {
        info: info(
            "security-tool-stopped",
            "Security tool stopped",
            DISABLE_TOOLS,
            "security tools or kernel protections stopped, killed or turned off",
            &["exec", "open", "unlink"],
        ),
        find: defences::tools,
    },
    Detector {
        info: info(
            "audit-disabled",
            "Audit system changed",
            DISABLE_AUDIT,
            "audit rules deleted or the audit configuration written",
            &["exec", "open", "unlink"],
        ),
        find: defences::audit,
    },
    Detector {
        info: info(
            "firewall-disabled",
            "Firewall opened",
            DISABLE_FIREWALL,
            "firewall rules flushed or the firewall turned off",
            &["exec", "open"],
        ),
        find: defences::firewall,
    },
];

/// One way in which a path was emptied or taken away: the event and the path.
fn removals<'t>(
    timeline: &'t Timeline<'_>,
) -> impl Iterator<Item = (usize, std::borrow::Cow<'t, str>)> {
    let direct = timeline.events.iter().enumerate().filter_map(|(index, event)| {
        let path = match &event.kind {
            Kind::Unlink { path, .. } | Kind::Truncate { path, .. } => path,
            Kind::Open { path, truncate: true, .. } => path,
            Kind::Rename { from, .. } => from,
            _ => return None,
        };
        Some((index, paths::clean(path)))
    });
    direct.filter(|(index, path)| timeline.written_before(path, *index).is_none())
}

/// Programs that keep logs.
const LOGGERS: &[&str] = &[
    "logrotate",
    "rsyslogd",
    "syslog-ng",
    "systemd-journald",
    "apt",
    "apt-get",
    "dpkg",
    "dnf",
    "yum",
    "nginx",
    "apache2",
    "httpd",
    "postgres",
    "mysqld",
    "mariadbd",
    "cupsd",
    "savelog",
    "auditd",
    "unattended-upgrade",
    "Xorg",
    "samba",
    "smbd",
    "postrotate",
    "aptitude",
    "cloud-init",
    "fontconfig",
    "update-alternatives",
    "journalctl",
    "exim4",
    "clamd",
    "freshclam",
    "alternatives",
];

/// Programs that record logins.
const RECORDERS: &[&str] = &[
    "login",
    "sshd",
    "sshd-session",
    "su",
    "sudo",
    "utempter",
    "screen",
    "tmux",
    "init",
    "systemd",
    "systemd-update-utmp",
    "agetty",
    "getty",
    "script",
    "xterm",
    "gnome-session",
    "useradd",
    "last",
];

fn is_log(path: &str) -> bool {
    (paths::under(path, "/var/log") && path != "/var/log")
        || (paths::under(path, "/run/log/journal") && path != "/run/log/journal")
        || is_login_record(path)
}

fn is_login_record(path: &str) -> bool {
    matches!(
        path,
        "/var/log/wtmp"
            | "/var/log/btmp"
            | "/var/log/lastlog"
            | "/var/log/faillog"
            | "/var/log/utmp"
            | "/var/run/utmp"
            | "/run/utmp"
            | "/var/lib/lastlog/lastlog2.db"
            | "/var/lib/wtmpdb/wtmp.db"
            | "/var/log/wtmp.db"
    )
}

/// The logs that an investigation would start with.
fn is_core_log(path: &str) -> bool {
    const NAMES: &[&str] = &[
        "syslog",
        "auth.log",
        "secure",
        "messages",
        "kern.log",
        "daemon.log",
        "user.log",
        "cron",
        "cron.log",
        "maillog",
        "mail.log",
        "boot.log",
        "dmesg",
        "audit.log",
        "tallylog",
        "sudo.log",
        "access.log",
        "error.log",
        "access_log",
        "error_log",
        "ufw.log",
        "fail2ban.log",
    ];
    is_login_record(path) || NAMES.contains(&paths::name(path)) || path.contains("/journal")
}

fn logs(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (event, path) in removals(timeline).filter(|(_, path)| is_log(path)) {
        let image = timeline.image(event);
        if !image.is_trusted(LOGGERS) && !image.is_trusted(RECORDERS) {
            hits.add(event, if is_core_log(&path) { 18 } else { 14 }, &path);
        }
    }
    for touch in timeline.touches.iter().filter(|touch| is_login_record(&touch.path)) {
        let image = timeline.image(touch.event);
        let writes = matches!(touch.how, How::Open { .. } | How::Write | How::Placed);
        if writes && !image.is_trusted(RECORDERS) && !image.is_trusted(LOGGERS) {
            hits.add(touch.event, 18, &touch.path);
        }
    }
    for image in timeline.attempted() {
        let vacuums =
            image.is(&["journalctl"]) && image.args().any(|arg| arg.starts_with("--vacuum"));
        let clears =
            image.is(&["dmesg"]) && image.has_arg(&["-C", "-c", "--clear", "--read-clear"]);
        if vacuums || clears {
            hits.add(image.event, 13, image.exact_name());
        }
    }
    hits.finding("cleared or tried: ")
}

fn is_history(path: &str) -> bool {
    const NAMES: &[&str] = &[
        ".bash_history",
        ".zsh_history",
        ".zhistory",
        ".ash_history",
        ".sh_history",
        ".history",
        ".mksh_history",
        ".python_history",
        ".mysql_history",
        ".psql_history",
        ".rediscli_history",
        "fish_history",
    ];
    NAMES.contains(&paths::name(path))
}

/// A shell that a person sits at, which keeps its own history.
fn is_at_a_terminal(image: &Image<'_>) -> bool {
    image.is_shell()
        && image.trusted()
        && image.text().is_none()
        && image.script().is_none()
        && (image.argv.len() <= 1 || image.has_arg(&["-i", "-l", "-il", "--login"]))
}

fn history(timeline: &Timeline<'_>) -> Option<Finding> {
    const KEEPERS: &[&str] = &["less", "vim", "vi", "python", "mysql", "psql", "redis-cli", "fish"];
    let mut hits = Hits::default();
    let keeps = |event: usize| {
        let image = timeline.image(event);
        is_at_a_terminal(image) || (image.is_trusted(KEEPERS) && image.text().is_none())
    };
    for (index, event) in timeline.events.iter().enumerate() {
        let path = match &event.kind {
            Kind::Unlink { path, .. } | Kind::Truncate { path, .. } => path,
            Kind::Open { path, truncate: true, .. } => path,
            Kind::Link { to, symbolic: true, .. } => to,
            Kind::Rename { from, .. } => from,
            _ => continue,
        };
        let path = paths::clean(path);
        if is_history(&path) && !keeps(index) {
            hits.add(index, 15, &path);
        }
    }
    for image in timeline.attempted().filter(|image| image.is_shell()) {
        let clears =
            |text: &str| text.contains("history -c") || text.contains("history -w /dev/null");
        if image.text().is_some_and(clears) {
            hits.add(image.event, 14, "history -c");
        }
    }
    hits.finding("cleared or tried: ")
}

fn history_off(timeline: &Timeline<'_>) -> Option<Finding> {
    const WAYS: &[&str] = &[
        "unset HISTFILE",
        "HISTFILE=/dev/null",
        "HISTSIZE=0",
        "HISTFILESIZE=0",
        "set +o history",
        "HISTIGNORE=*",
        "HISTIGNORE='*'",
        "HISTFILE=;",
        "HISTFILE=\"\"",
        "unset HISTORY",
    ];
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is_shell() || image.is(&["env"])) {
        let way = |text: &str| WAYS.iter().find(|way| text.contains(**way)).copied();
        let found = match image.text() {
            Some(text) => way(text),
            None if image.is(&["env"]) => image.args().find_map(way),
            None => None,
        };
        if let Some(way) = found {
            hits.add(image.event, 14, way);
        }
    }
    hits.finding("by ")
}

fn mailbox(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (event, path) in removals(timeline) {
        let box_ =
            ["/var/mail", "/var/spool/mail"].iter().any(|f| paths::under(&path, f) && path != *f);
        if box_
            && !timeline.image(event).is_trusted(&["mail", "mailx", "procmail", "mutt", "userdel"])
        {
            hits.add(event, 13, &path);
        }
    }
    hits.finding("cleared or tried: ")
}

/// Times this far before the run started are the past.
const PAST_SECONDS: i64 = 24 * 3600;

fn timestomp(timeline: &Timeline<'_>) -> Option<Finding> {
    let start = defences::seconds_since_epoch(&timeline.recording.run.started_at)?;
    let mut hits = Hits::default();
    let programs = programs(timeline);
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::SetTimes { path, seconds } = &event.kind else { continue };
        let (path, image) = (paths::clean(path), timeline.image(index));
        if *seconds >= start - PAST_SECONDS || image.is_package_tool() || *seconds == 0 {
            continue;
        }
        // Archivers, copiers and builders restore times they were given; a compiled program of the
        // sample's, touch(1) and one-liners choose them.
        let chooses = image.is(&["touch"]) || !image.trusted() || image.text().is_some();
        let program = programs.contains(path.as_ref());
        let system =
            paths::is_system(&path) || paths::under_any(&path, &["/etc", "/var/spool/cron"]);
        // A system tool may give an old script its old age back; what the run itself just wrote
        // has none.
        let telling = if image.trusted() {
            program && timeline.written_before(&path, index).is_some()
        } else {
            program || paths::name(&path).starts_with('.')
        };
        if chooses && (system || telling) {
            hits.add(index, 14, &path);
        }
    }
    hits.finding("set to the past: ")
}

/// Files that were executed or made executable in the run.
fn programs(timeline: &Timeline<'_>) -> BTreeSet<String> {
    let changed = timeline.events.iter().filter_map(|event| match &event.kind {
        Kind::Chmod { path, mode } if mode & 0o111 != 0 => Some(paths::clean(path).into_owned()),
        Kind::FileChanged(change) if change.file_type == "file" && change.mode & 0o111 != 0 => {
            Some(paths::clean(&change.path).into_owned())
        }
        _ => None,
    });
    changed.chain(timeline.attempted().map(|image| image.path.clone().into_owned())).collect()
}

fn self_deletion(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::Unlink { path, directory: false } = &event.kind else { continue };
        let path = paths::clean(path);
        let Some(process) = timeline.process(index) else { continue };
        let remover = timeline.image(index);
        if remover.is_package_tool() {
            continue;
        }
        for ancestor in timeline.lineage(process) {
            let Some(image) =
                timeline.images_of(ancestor).last().filter(|image| image.event < index)
            else {
                continue;
            };
            let running = timeline.processes[ancestor].exit.is_none_or(|exit| exit > index);
            let scratch = paths::is_scratch(&path) || paths::name(&path).starts_with('.');
            let own_image = image.path == path && !image.path.is_empty();
            let own_script = image.is_shell()
                && image.script_path().is_some_and(|script| script == path)
                && scratch;
            // A build system removes what it has just run; the program itself does not.
            if running
                && (own_image && (ancestor == process || remover.is(&["rm", "unlink", "shred"]))
                    || own_script)
            {
                hits.add(index, 14, &path);
            }
        }
    }
    hits.finding("deleted while running: ")
}

/// For the summaries of this family.
fn named(image: &Image<'_>) -> String {
    show(&format!("{} {}", image.exact_name(), image.args().take(3).collect::<Vec<_>>().join(" ")))
}
