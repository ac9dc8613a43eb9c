//! Events and numbers in words. Everything returned is safe on a terminal; nothing is markup.

use std::fmt::Write as _;

use types::{Access, Endpoint, Event, Kind, Text};

mod names;
mod numbers;

use names::dns;
pub use names::{errno, signal};
pub use numbers::{cut, cut_middle, grouped, path, plural, seconds, size, time, wrap};

/// What an event says, in one line without its result.
#[must_use]
pub fn event(event: &Event) -> String {
    match &event.kind {
        Kind::Exec { path, argv, memfd, deleted, .. } => {
            let line = if argv.is_empty() { path.to_string() } else { command(argv) };
            let image = match (memfd, deleted) {
                (true, _) => " (from memory)",
                (false, true) => " (deleted file)",
                _ => "",
            };
            format!("exec {line}{image}")
        }
        Kind::Fork { child_pid, child_tid, thread, .. } => {
            if *thread {
                format!("thread {child_tid}")
            } else {
                format!("fork → {child_pid}")
            }
        }
        Kind::Exit { code, signal, thread } => {
            let who = if *thread { "thread ended" } else { "exit" };
            match (code, signal) {
                (_, Some(signal)) => format!("{who} by {}", self::signal(*signal)),
                (Some(code), None) => format!("{who} {code}"),
                (None, None) => who.to_owned(),
            }
        }
        Kind::Connect { .. }
        | Kind::Bind { .. }
        | Kind::Listen { .. }
        | Kind::Accept { .. }
        | Kind::Send { .. }
        | Kind::Dns { .. }
        | Kind::Socket { .. }
        | Kind::Request { .. }
        | Kind::StdioSocket { .. } => network(&event.kind),
        Kind::MemoryRegion { .. } | Kind::PatternMatch { .. } | Kind::HostCall { .. } => {
            found(&event.kind)
        }
        Kind::Memory { .. }
        | Kind::MemoryExecuted { .. }
        | Kind::MemfdCreate { .. }
        | Kind::Ptrace { .. }
        | Kind::ProcessMemory { .. }
        | Kind::Kill { .. }
        | Kind::SetIds { .. }
        | Kind::SetName { .. }
        | Kind::Syscall { .. }
        | Kind::LimitReached { .. } => process(&event.kind),
        _ => file(&event.kind),
    }
}

fn file(kind: &Kind) -> String {
    match kind {
        Kind::Open { path, access, create, truncate } => {
            let how = match access {
                Access::Read => "read",
                Access::Write => "write",
                Access::ReadWrite => "read and write",
            };
            let more = match (create, truncate) {
                (true, _) => ", create",
                (false, true) => ", truncate",
                _ => "",
            };
            format!("open {path} ({how}{more})")
        }
        Kind::Write { path, writes, bytes, .. } => {
            format!("write {path} ({}, {} writes)", size(*bytes), grouped(*writes))
        }
        Kind::Unlink { path, directory } => {
            format!("{} {path}", if *directory { "remove folder" } else { "delete" })
        }
        Kind::Rename { from, to } => format!("rename {from} → {to}"),
        Kind::Mkdir { path } => format!("make folder {path}"),
        Kind::Chmod { path, mode } => format!("chmod {path} {:04o}", mode & 0o7777),
        Kind::Chown { path, uid, gid } => format!("chown {path} {uid}:{gid}"),
        Kind::Link { from, to, symbolic } => {
            format!("{} {to} → {from}", if *symbolic { "symlink" } else { "link" })
        }
        Kind::Mknod { path, mode } => format!("mknod {path} {mode:o}"),
        Kind::Truncate { path, length } => format!("truncate {path} to {}", size(*length)),
        Kind::SetXattr { path, name } => format!("set attribute {name} of {path}"),
        Kind::SetTimes { path, seconds } => format!("set times of {path} to {seconds}"),
        Kind::FileChanged(change) => {
            format!("{} {} {}", safe(&change.change), safe(&change.file_type), change.path)
        }
        other => other.name().to_owned(),
    }
}

fn network(kind: &Kind) -> String {
    let to = |peer: &Option<Endpoint>| peer.as_ref().map_or_else(String::new, endpoint);
    match kind {
        Kind::Socket { family, socket_type, protocol } => {
            format!("socket family {family}, type {socket_type}, protocol {protocol}")
        }
        Kind::Connect { peer } => format!("connect {}", endpoint(peer)),
        Kind::Bind { address } => format!("bind {}", endpoint(address)),
        Kind::Listen { address } => format!("listen {}", to(address)),
        Kind::Accept { peer } => format!("accept {}", to(peer)),
        Kind::Send { peer, bytes } => format!("send {} to {}", size(*bytes), to(peer)),
        Kind::Dns { question, record, .. } => format!("ask DNS for {question} {}", dns(*record)),
        Kind::Request {
            protocol, peer, host, line, sent_bytes, received_bytes, answer, ..
        } => {
            let name = host.as_ref().map_or_else(String::new, |host| format!("{host} at "));
            let (sent, got) = (size(*sent_bytes), size(*received_bytes));
            let (peer, answer) = (endpoint(peer), safe(answer));
            format!("{} {line} to {name}{peer}: sent {sent}, got {got} ({answer})", safe(protocol))
        }
        Kind::StdioSocket { stream, peer } => {
            let name = ["standard input", "standard output", "standard error"];
            let name = usize::try_from(*stream).ok().and_then(|n| name.get(n)).unwrap_or(&"stream");
            format!("{name} is a socket {}", to(peer))
        }
        other => other.name().to_owned(),
    }
    .trim_end()
    .to_owned()
}

fn process(kind: &Kind) -> String {
    match kind {
        Kind::Memory { call, length, write_execute, anonymous, file, .. } => {
            let what = if *write_execute { "writable and executable" } else { "executable" };
            let source = match (file, anonymous) {
                (Some(file), _) => format!(" of {file}"),
                (None, true) => ", no file behind it".to_owned(),
                _ => String::new(),
            };
            format!("{}: {} {what} memory{source}", safe(call), size(*length))
        }
        Kind::MemoryExecuted { address, call } => {
            format!("{} called by code at {address:#x} in such memory", safe(call))
        }
        Kind::MemfdCreate { name } => format!("memory file \"{name}\""),
        Kind::Ptrace { request, target_pid } => {
            let request = match request {
                0 => "TRACEME".into(),
                4 | 5 => "POKE".into(),
                12 => "GETREGS".into(),
                13 => "SETREGS".into(),
                16 => "ATTACH".into(),
                0x4206 => "SEIZE".into(),
                other => format!("request {other}"),
            };
            format!("ptrace {request} on process {target_pid}")
        }
        Kind::ProcessMemory { write, target_pid } => {
            let what = if *write { "write to" } else { "read" };
            format!("{what} the memory of process {target_pid}")
        }
        Kind::Kill { target_pid, signal } => {
            format!("send {} to {target_pid}", self::signal(*signal))
        }
        Kind::SetIds { call, ids } => {
            let ids: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
            format!("{}({})", safe(call), ids.join(", "))
        }
        Kind::SetName { name } => format!("rename itself to \"{name}\""),
        Kind::Syscall { call, target, .. } => match target {
            Some(target) => format!("{} {target}", safe(call)),
            None => safe(call),
        },
        Kind::LimitReached { limit, detail } => format!("limit {}: {}", safe(limit), safe(detail)),
        other => other.name().to_owned(),
    }
}

/// What a scan found, and what a module asked of its host.
fn found(kind: &Kind) -> String {
    match kind {
        Kind::MemoryRegion { finding, address, length, file, detail, trigger, .. } => {
            let file = file.as_ref().map_or_else(String::new, |file| format!(" ({file})"));
            let (what, when) = (safe(finding).replace('_', " "), safe(trigger).replace('_', " "));
            format!("memory at {address:#x}, {}: {what}{file}; {detail}; at {when}", size(*length))
        }
        Kind::PatternMatch { rule, title, place, target, level, .. } => {
            let (rule, title) = (safe(rule), safe(title));
            format!("{title} in {} {target} ({}, rule {rule})", safe(place), safe(level))
        }
        Kind::HostCall { interface, function, target } => {
            let target = target.as_ref().map_or_else(String::new, |target| format!(" {target}"));
            format!("{}.{}{target}", safe(interface), safe(function))
        }
        other => other.name().to_owned(),
    }
}

/// A limit that was reached, as a label and a sentence.
#[must_use]
pub fn limit(limit: &str, detail: &str) -> (&'static str, String) {
    match limit {
        // Nothing was asked for too much: the runner's detail tells what happened.
        "survivors" => ("survivors", safe(detail)),
        _ => ("limit", format!("{} reached: {}", safe(limit), safe(detail))),
    }
}

/// How the call ended, when that is worth saying: refused or failed.
#[must_use]
pub fn outcome(event: &Event) -> Option<String> {
    if event.ret == Some(-i64::from(libc::EINPROGRESS)) && !event.blocked {
        // How a connect on a non-blocking socket starts; not a failure.
        return Some("in progress".to_owned());
    }
    let name = || event.ret.filter(|ret| *ret < 0).map(errno);
    match (event.blocked, name()) {
        (true, Some(name)) => Some(format!("blocked, {name}")),
        (true, None) => Some("blocked".to_owned()),
        (false, Some(name)) => Some(name.into_owned()),
        (false, None) => None,
    }
}

/// A command line with shell-like quotes around what needs them.
#[must_use]
pub fn command(argv: &[Text]) -> String {
    let mut line = String::new();
    for argument in argv {
        if !line.is_empty() {
            line.push(' ');
        }
        let shown = argument.to_string();
        let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+^~\\".contains(c);
        if !shown.is_empty() && shown.chars().all(plain) {
            line.push_str(&shown);
        } else {
            let _ = write!(line, "'{}'", shown.replace('\'', "'\\''"));
        }
    }
    line
}

#[must_use]
pub fn endpoint(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Inet { ip, port } => std::net::SocketAddr::new(*ip, *port).to_string(),
        Endpoint::Unix { path, abstract_name } => {
            format!("unix:{}{path}", if *abstract_name { "@" } else { "" })
        }
        Endpoint::Other { number } => format!("address family {number}"),
    }
}

/// A string of our own vocabulary that came out of a file and may therefore be anything.
#[must_use]
pub fn safe(text: &str) -> String {
    Text::from(text).to_string()
}

/// Text that is promised to be escaped already. Backslashes stay as they are, so that an escape is
/// not escaped again; whatever a terminal would act on still is.
#[must_use]
pub fn safe_again(text: &str) -> String {
    text.split('\\').map(safe).collect::<Vec<_>>().join("\\")
}

#[cfg(test)]
mod tests {
    use super::command;
    use types::Text;

    #[test]
    fn a_command_line_reads_like_a_shell_line() {
        let argv = ["sh", "-c", "id; ls", "", "it's", "\u{1b}[2J"].map(Text::from);
        assert_eq!(command(&argv), "sh -c 'id; ls' '' 'it'\\''s' '\\u{1b}[2J'");
    }
}
