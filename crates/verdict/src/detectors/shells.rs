//! Shells that somebody else talks to: over a socket, through pipes, or by a one-liner.

pub(crate) mod escapes;
mod parents;

use types::{Endpoint, Kind, StdioKind};

use crate::attack::{TRAP, UNIX_SHELL, WEB_PROTOCOLS};
use crate::detector::{Detector, Finding, Info, TierC, show};
use crate::timeline::{Image, Timeline};

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: Info {
            id: "shell-on-socket",
            title: "Interactive shell wired to a socket",
            attack: UNIX_SHELL,
            looks_for: "a shell or other program whose standard input and output are one network \
                        connection, made at its start or by replacing the streams of its process",
            needs: &["exec", "stdio_socket", "connect", "accept"],
            tier_c: TierC::Reduced(
                "streams of a new program are known only where it replaced them",
            ),
        },
        find: on_socket,
    },
    Detector {
        info: Info {
            id: "shell-behind-pipes",
            title: "Shell carried to the network by another program",
            attack: UNIX_SHELL,
            looks_for: "a shell that reads from and writes to pipes while a neighbour in the same \
                        pipeline connects to or listens on the network",
            needs: &["exec", "connect", "mknod"],
            tier_c: TierC::Reduced("the streams of the shell may be unknown"),
        },
        find: behind_pipes,
    },
    Detector {
        info: Info {
            id: "reverse-shell-command",
            title: "Command line of a reverse or bind shell",
            attack: UNIX_SHELL,
            looks_for: "program text in arguments that connects a shell to a socket, whether or not \
                        the connection succeeds",
            needs: &["exec"],
            tier_c: TierC::Sees,
        },
        find: by_command,
    },
    Detector {
        info: Info {
            id: "shell-for-network-client",
            title: "Shell fed by a program that is online",
            attack: UNIX_SHELL,
            looks_for: "a shell without a script of its own on pipes to the program that started it,                         while that program has a connection to another machine",
            needs: &["exec", "connect", "accept"],
            tier_c: TierC::Blind("the streams of a new program are unknown"),
        },
        find: parents::fed,
    },
    Detector {
        info: Info {
            id: "command-loop",
            title: "Commands fetched and run in turns",
            attack: WEB_PROTOCOLS,
            looks_for: "three or more turns of one program: a connection to another machine, then a \
                        shell",
            needs: &["exec", "connect"],
            tier_c: TierC::Sees,
        },
        find: parents::tasked,
    },
    Detector {
        info: Info {
            id: "escaped-shell",
            title: "Shell out of another program",
            attack: UNIX_SHELL,
            looks_for: "a bare shell below a program that edits, pages or computes and was told to start \
                        it, or a terminal made for a shell by a script",
            needs: &["exec"],
            tier_c: TierC::Sees,
        },
        find: escapes::escaped,
    },
    Detector {
        info: Info {
            id: "command-in-trap",
            title: "Program waiting in a trap",
            attack: TRAP,
            looks_for: "a shell's trap that starts something detached, reaches for the network or \
                        writes down every command",
            needs: &["exec"],
            tier_c: TierC::Sees,
        },
        find: escapes::trapped,
    },
];

const ON_SOCKET_DECIBANS: u32 = 36;
const OTHER_ON_SOCKET_DECIBANS: u32 = 18;
const PIPES_DECIBANS: u32 = 30;
const PIPES_ATTEMPT_DECIBANS: u32 = 22;
const COMMAND_DECIBANS: u32 = 22;

fn is_inet(peer: Option<&Endpoint>) -> bool {
    matches!(peer, Some(Endpoint::Inet { .. }))
}

fn is_network(stream: Option<&StdioKind>) -> bool {
    matches!(stream, Some(StdioKind::Socket { peer }) if is_inet(peer.as_ref()))
}

fn is_nameless_socket(stream: Option<&StdioKind>) -> bool {
    matches!(stream, Some(StdioKind::Socket { peer: None }))
}

/// Daemons whose job is to start programs on a connection.
const SUPER_SERVERS: &[&str] =
    &["inetd", "xinetd", "systemd", "sshd", "sshd-session", "rsync", "git-daemon", "telnetd"];

fn on_socket(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut best: Option<Finding> = None;
    let mut keep = |finding: Finding| {
        if best.as_ref().is_none_or(|known| known.weight < finding.weight) {
            best = Some(finding);
        }
    };
    for image in timeline.executed() {
        let Some(process) = timeline.runner(image) else { continue };
        if timeline.ancestry(process).any(|image| image.is_trusted(SUPER_SERVERS)) {
            continue;
        }
        let replaced = replaced_streams(timeline, process, image.event);
        let named = (0..2).filter(|&n| is_network(image.stdio.get(n))).count();
        let nameless = (0..2).filter(|&n| is_nameless_socket(image.stdio.get(n))).count();
        let connected = nameless == 2 && used_network(timeline, process, image.event).is_some();
        if named < 2 && !connected && replaced.len() < 2 {
            continue;
        }
        let shell = image.is_interpreter();
        let weight = if shell { ON_SOCKET_DECIBANS } else { OTHER_ON_SOCKET_DECIBANS };
        let what = show(image.exact_name());
        let summary = format!("{what} has a network connection as its standard input and output");
        keep(
            Finding::new(weight, summary, vec![image.event])
                .with_context(replaced)
                .with_context(used_network(timeline, process, image.event)),
        );
    }
    // A shell can also put the connection in place of its own streams (`exec 0<>/dev/tcp/…`).
    for (process, _) in timeline.processes.iter().enumerate() {
        let last = timeline.events.len();
        let replaced = replaced_streams(timeline, process, last);
        let own = |&event: &usize| timeline.process(event) == Some(process);
        let Some(&event) = replaced.iter().find(|e| own(e)) else { continue };
        if replaced.len() >= 2 && timeline.image(event).is_shell() {
            let summary = "a shell replaced its own standard streams by a network connection";
            keep(Finding::new(ON_SOCKET_DECIBANS, summary.to_owned(), replaced));
        }
    }
    best
}

/// Events before `until` by which the process or an ancestor put a network connection in place of
/// its standard streams.
fn replaced_streams(timeline: &Timeline<'_>, process: usize, until: usize) -> Vec<usize> {
    timeline
        .streams
        .iter()
        .copied()
        .take_while(|&event| event < until)
        .filter(|&event| {
            let Kind::StdioSocket { peer, .. } = &timeline.events[event].kind else { return false };
            let Some(owner) = timeline.process(event) else { return false };
            timeline.events[event].happened()
                && timeline.descends(process, owner)
                && (is_inet(peer.as_ref())
                    || (peer.is_none() && used_network(timeline, owner, event).is_some()))
        })
        .collect()
}

/// The event before `until` by which this very process got a network connection.
fn used_network(timeline: &Timeline<'_>, process: usize, until: usize) -> Option<usize> {
    timeline.connections.iter().copied().take_while(|&event| event < until).find(|&event| {
        let peer = match &timeline.events[event].kind {
            Kind::Connect { peer } => Some(peer),
            Kind::Accept { peer } => peer.as_ref(),
            _ => None,
        };
        timeline.process(event) == Some(process)
            && is_inet(peer)
            // A connection in progress (EINPROGRESS) is one.
            && (timeline.events[event].happened() || timeline.events[event].ret == Some(-115))
    })
}

/// Programs that carry bytes between streams and the network.
const CARRIERS: &[&str] =
    &["nc", "ncat", "netcat", "telnet", "openssl", "socat", "busybox", "curl"];

fn behind_pipes(timeline: &Timeline<'_>) -> Option<Finding> {
    for image in timeline.executed().filter(|image| image.is_shell() && image.text().is_none()) {
        let Some(process) = timeline.runner(image) else { continue };
        let pipe = |n: usize| image.stdio.get(n).is_none_or(|s| *s == StdioKind::Pipe);
        let interactive = image.args().any(|arg| arg == "-i");
        if !pipe(0) || !pipe(1) || image.script().is_some() {
            continue;
        }
        let Some((carrier, connection)) = carrier(timeline, process) else { continue };
        let fifo = timeline.events.iter().position(
            |event| matches!(event.kind, Kind::Mknod { mode, .. } if mode & 0o170_000 == 0o010_000),
        );
        // Without a way back it is `something | sh` next to a download, which others judge.
        if fifo.is_none() && !interactive {
            continue;
        }
        let reached = timeline.events[connection].happened();
        let weight = if reached { PIPES_DECIBANS } else { PIPES_ATTEMPT_DECIBANS };
        let summary = format!(
            "{} reads from and writes to pipes that {} carries to the network",
            show(image.exact_name()),
            show(carrier.exact_name()),
        );
        return Some(
            Finding::new(weight, summary, vec![image.event, connection])
                .with_context([carrier.event])
                .with_context(fifo),
        );
    }
    None
}

/// A neighbour in the pipeline that uses the network, and the event by which it does.
fn carrier<'t, 'r>(timeline: &'t Timeline<'r>, process: usize) -> Option<(&'t Image<'r>, usize)> {
    let neighbours: Vec<usize> = timeline.siblings(process).collect();
    timeline.connections.iter().copied().find_map(|event| {
        let inet = match &timeline.events[event].kind {
            Kind::Connect { peer } => is_inet(Some(peer)),
            Kind::Listen { address } => is_inet(address.as_ref()),
            _ => false,
        };
        let owner = timeline.process(event)?;
        let image = timeline.image(event);
        let carries = image.is(CARRIERS) || !image.trusted();
        // `timeout 9 nc …` is the neighbour's child.
        let near = timeline.lineage(owner).any(|process| neighbours.contains(&process));
        (inet && carries && near).then_some((image, event))
    })
}

fn by_command(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut events = Vec::new();
    let mut first = None;
    for image in timeline.attempted().filter(|image| is_shell_line(image)) {
        first.get_or_insert_with(|| show(image.text().unwrap_or_else(|| image.exact_name())));
        events.push(image.event);
    }
    let summary = format!("the command connects a shell to a socket: {}", first?);
    Some(Finding::new(COMMAND_DECIBANS, summary, events))
}

fn is_shell_line(image: &Image<'_>) -> bool {
    if image.is(&["nc", "ncat", "netcat", "socat"]) {
        return carries_shell(image);
    }
    image.text().is_some_and(|text| connects_shell(image, text))
}

/// `nc -e /bin/sh`, `ncat --sh-exec`, `socat … EXEC:/bin/sh`.
fn carries_shell(image: &Image<'_>) -> bool {
    let starts = image.args().any(|arg| {
        matches!(arg, "-e" | "-c" | "--exec" | "--sh-exec" | "--lua-exec")
            || arg.strip_prefix('-').is_some_and(|f| !f.starts_with('-') && f.ends_with('e'))
            || arg.to_ascii_uppercase().contains("EXEC:")
            || arg.to_ascii_uppercase().contains("SYSTEM:")
    });
    starts && image.args().any(names_shell)
}

fn names_shell(arg: &str) -> bool {
    arg.split(|c: char| !(c.is_ascii_alphanumeric() || "/_-.".contains(c))).any(|word| {
        matches!(word.rsplit('/').next(), Some("sh" | "bash" | "dash" | "zsh" | "ksh" | "ash"))
    })
}

fn connects_shell(image: &Image<'_>, text: &str) -> bool {
    let has = |part: &str| text.contains(part);
    let any = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if image.is_shell() {
        let device = any(&["/dev/tcp/", "/dev/udp/"])
            && (any(&["0>&1", "<&1", "0<&", "sh -i", "bash -i"])
                || (has("exec ") && any(&["while read", "sh <&", "bash <&"])));
        let netcat = any(&["nc ", "ncat ", "netcat ", "telnet ", "s_client"])
            && any(&["mkfifo", "mknod "])
            && names_shell(text);
        let started = text.split([';', '\n', '|', '&']).any(|command| {
            let words: Vec<&str> = command.split_whitespace().collect();
            let at = words.iter().position(|w| matches!(*w, "nc" | "ncat" | "netcat" | "socat"));
            at.is_some_and(|at| {
                let flag = |w: &&str| matches!(*w, "-e" | "-c" | "--exec" | "--sh-exec");
                let runs = |w: &&str| w.to_ascii_uppercase().contains("EXEC:");
                words[at..].iter().any(|w| flag(w) || runs(w))
                    && words[at..].iter().any(|w| names_shell(w))
            })
        });
        return device || netcat || started;
    }
    let runs = any(&["/bin/sh", "/bin/bash", "\"sh\"", "'sh'", "bash", "sh -i", "/bin/zsh"]);
    match image.name() {
        "python" | "pypy" => {
            has("socket")
                && has("connect")
                && any(&["dup2", "pty.spawn", "subprocess", "os.system"])
                && runs
        }
        "perl" => {
            has("Socket") && any(&["exec", "system"]) && any(&[">&S", "STDIN", "fdopen"]) && runs
        }
        "ruby" => has("TCPSocket") && any(&["exec", "popen", "spawn"]) && (runs || has("popen")),
        "php" => has("fsockopen") && any(&["exec", "proc_open", "system", "popen", "`"]) && runs,
        "node" | "nodejs" | "deno" | "bun" => {
            any(&["net.Socket", "net.connect", "createConnection"]) && has("child_process")
        }
        "lua" | "luajit" => has("socket") && any(&["os.execute", "io.popen"]),
        "awk" | "gawk" | "mawk" => any(&["/inet/tcp/", "/inet4/tcp/"]) && has("|&"),
        _ => false,
    }
}
