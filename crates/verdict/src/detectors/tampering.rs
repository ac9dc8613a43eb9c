//! Traces removed and defences turned off: logs, histories, times, security tools, firewalls.

mod ages;
mod defences;

use types::Kind;

use crate::attack::{
    CLEAR_HISTORY, CLEAR_LOGS, CLEAR_MAILBOX, DISABLE_AUDIT, DISABLE_FIREWALL, DISABLE_TOOLS,
    FILE_DELETION, PREVENT_HISTORY, TIMESTOMP,
};
use crate::detector::{Detector, Finding, Hits, Info, TierC, show};
use crate::paths;
use crate::timeline::{How, Image, Timeline, spoken, stated};

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
            "deletion or truncation of a system mailbox, or a folder made among them",
            &["unlink", "truncate", "open", "mkdir", "exec"],
        ),
        find: mailbox,
    },
    Detector {
        info: info(
            "timestomp",
            "File given a false age",
            TIMESTOMP,
            "the times of a program or system file set to the past by something that does not \
             restore files, a file outside of the working folder made older by hand, or the clock \
             turned",
            &["set_times", "exec"],
        ),
        find: ages::timestomp,
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
            "file-shredded",
            "File destroyed beyond recovery",
            FILE_DELETION,
            "shred, wipe or srm of a file outside of the working folder",
            &["exec"],
        ),
        find: shredded,
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
            "firewall rules flushed, deleted or added, or the firewall turned off",
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
    direct
        .chain(told_to_remove(timeline))
        .filter(|(index, path)| timeline.written_before(path, *index).is_none())
}

/// Files that a program was told to take away or empty, and for which it asked nothing of the
/// kernel: `rm -f` of what is not there looks before it acts, and a program that is missing does
/// neither. Only plain paths; a pattern that the shell left as it is met nothing.
fn told_to_remove<'t>(
    timeline: &'t Timeline<'_>,
) -> impl Iterator<Item = (usize, std::borrow::Cow<'t, str>)> {
    let removes = |image: &&Image<'_>| {
        let overwrites = image.is(&["dd"]) && image.mentions("of=/");
        (overwrites || image.is(&["rm", "unlink", "shred", "truncate", "wipe", "srm"]))
            && !image.only_asks()
            && image.operands().count() <= OPERANDS_MAX
    };
    timeline.attempted().filter(removes).flat_map(|image| {
        let named = image.operands().filter(|word| word.contains('/'));
        named.map(|word| {
            let word = word.strip_prefix("of=").unwrap_or(word);
            (image.event, stated::absolute(word, &image.cwd).into())
        })
    })
}

/// A longer list is what a pattern stood for; those files exist.
const OPERANDS_MAX: usize = 64;

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
        || (paths::under(path, "/var/lib/docker/containers") && path.ends_with("-json.log"))
        || (paths::under(path, "/var/audit") && path != "/var/audit")
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
    for (event, path) in told_to_remove(timeline).filter(|(_, path)| is_history(path)) {
        hits.add(event, 15, &path);
    }
    for image in timeline.attempted().filter(|image| image.is_shell()) {
        let clears =
            |text: &str| text.contains("history -c") || text.contains("history -w /dev/null");
        if image.told().is_some_and(clears) {
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
        "HISTFILE=;",
        "HISTFILE=\n",
        "unset HISTORY",
    ];
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is_shell() || image.is(&["env"])) {
        let way = |text: &str| {
            let bare = text.replace(['"', '\''], "");
            let found = WAYS.iter().find(|way| bare.contains(**way)).copied();
            // Printed into a startup file, this is what distributions ship; set here and now it is
            // for the commands that follow.
            found.filter(|way| !way.starts_with("HISTCONTROL") || !printed(&bare, way))
        };
        let found = match image.told() {
            Some(text) => way(text),
            None if image.is(&["env"]) => image.args().find_map(way),
            None => None,
        };
        if let Some(way) = found {
            hits.add(image.event, 14, way);
        }
        // The same words in a startup file that is being written are everybody's default.
        let exports = |command: &spoken::Command| {
            let by = |word: &String| {
                matches!(word.as_str(), "HISTCONTROL=ignoreboth" | "HISTCONTROL=ignorespace")
            };
            command.words.first().is_some_and(|word| word == "export")
                && command.words.iter().any(by)
        };
        let told = image.told().filter(|text| text.contains("HISTCONTROL"));
        if told.is_some_and(|text| spoken::commands(text).iter().any(exports)) {
            hits.add(image.event, 13, "HISTCONTROL");
        }
    }
    hits.finding("by ")
}

/// Whether every command of a shell's text that has the word prints it.
fn printed(text: &str, word: &str) -> bool {
    let mut with = text.split([';', '\n', '&', '|']).filter(|command| command.contains(word));
    with.all(|command| ["echo ", "printf "].iter().any(|word| command.trim().starts_with(word)))
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
    // Nobody keeps folders among the mailboxes; copies and emptied boxes are hidden there.
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::Mkdir { path } = &event.kind
            && ["/var/mail", "/var/spool/mail"].iter().any(|f| paths::under(&paths::clean(path), f))
            && !timeline.image(index).is_package_tool()
        {
            hits.add(index, 13, &paths::clean(path));
        }
    }
    hits.finding("cleared or tried: ")
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

fn shredded(timeline: &Timeline<'_>) -> Option<Finding> {
    let work = paths::clean(&timeline.recording.run.cwd);
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|i| i.is(&["shred", "srm", "wipe"]) && !i.only_asks())
    {
        for word in image.operands().filter(|word| word.contains('/')) {
            let path = stated::absolute(word, &image.cwd);
            let own = paths::under(&path, &work) && work != "/";
            let made_here = timeline.written_before(&path, image.event).is_some();
            // Keys and secrets that a script made for itself are rightly destroyed.
            if !own && !made_here && !paths::under(&path, "/dev") {
                hits.add(image.event, 13, &path);
            }
        }
    }
    hits.finding("destroyed or tried: ")
}

/// For the summaries of this family.
fn named(image: &Image<'_>) -> String {
    show(&format!("{} {}", image.exact_name(), image.args().take(3).collect::<Vec<_>>().join(" ")))
}
