//! Events and numbers in words. Everything returned is safe on a terminal; nothing is markup.

use std::borrow::Cow;
use std::fmt::Write as _;

use shieldx_types::{Access, Endpoint, Event, Kind, Text};

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
        | Kind::StdioSocket { .. } => network(&event.kind),
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

/// `1 B`, `12.3 KiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10 * 1024 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).unwrap_or(&"PiB");
    if tenths % 10 == 0 || tenths >= 1000 {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// `12 ms`, `1.8 s`, `2 min 05 s`.
#[must_use]
pub fn time(ns: u64) -> String {
    let ms = ns / 1_000_000;
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// Seconds with three decimals, for a timeline.
#[must_use]
pub fn seconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1000)
}

/// `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 process`, `2 processes`.
#[must_use]
pub fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// Cuts a line to `width` characters, with an ellipsis where something is missing.
#[must_use]
pub fn cut(line: &str, width: usize) -> Cow<'_, str> {
    if line.chars().count() <= width {
        return Cow::Borrowed(line);
    }
    let mut kept: String = line.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    Cow::Owned(kept)
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

/// The name of a negated errno.
#[must_use]
pub fn errno(ret: i64) -> Cow<'static, str> {
    let number = i32::try_from(ret.unsigned_abs()).unwrap_or(0);
    let name = match number {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ESRCH => "ESRCH",
        libc::EINTR => "EINTR",
        libc::EIO => "EIO",
        libc::ENXIO => "ENXIO",
        libc::E2BIG => "E2BIG",
        libc::ENOEXEC => "ENOEXEC",
        libc::EBADF => "EBADF",
        libc::ECHILD => "ECHILD",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EFAULT => "EFAULT",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::EXDEV => "EXDEV",
        libc::ENODEV => "ENODEV",
        libc::ENOTDIR => "ENOTDIR",
        libc::EISDIR => "EISDIR",
        libc::EINVAL => "EINVAL",
        libc::ENFILE => "ENFILE",
        libc::EMFILE => "EMFILE",
        libc::ENOTTY => "ENOTTY",
        libc::ETXTBSY => "ETXTBSY",
        libc::EFBIG => "EFBIG",
        libc::ENOSPC => "ENOSPC",
        libc::EROFS => "EROFS",
        libc::EMLINK => "EMLINK",
        libc::EPIPE => "EPIPE",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ENOSYS => "ENOSYS",
        libc::ENOTEMPTY => "ENOTEMPTY",
        libc::ELOOP => "ELOOP",
        libc::EPROTONOSUPPORT => "EPROTONOSUPPORT",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::EADDRINUSE => "EADDRINUSE",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        libc::ENETDOWN => "ENETDOWN",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ECONNRESET => "ECONNRESET",
        libc::ENOTCONN => "ENOTCONN",
        libc::ETIMEDOUT => "ETIMEDOUT",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::EINPROGRESS => "EINPROGRESS",
        libc::EDQUOT => "EDQUOT",
        other => return Cow::Owned(format!("errno {other}")),
    };
    Cow::Borrowed(name)
}

/// The name of a signal.
#[must_use]
pub fn signal(number: i32) -> Cow<'static, str> {
    let name = match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGCONT => "SIGCONT",
        libc::SIGSTOP => "SIGSTOP",
        libc::SIGTSTP => "SIGTSTP",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        other => return Cow::Owned(format!("signal {other}")),
    };
    Cow::Borrowed(name)
}

fn dns(record: u16) -> Cow<'static, str> {
    Cow::Borrowed(match record {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        65 => "HTTPS",
        255 => "ANY",
        other => return Cow::Owned(format!("TYPE{other}")),
    })
}

#[cfg(test)]
mod tests {
    use super::{command, cut, grouped, size, time};
    use shieldx_types::Text;

    #[test]
    fn numbers() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "16383 PiB");
        assert_eq!(time(12_400_000), "12 ms");
        assert_eq!(time(1_850_000_000), "1.8 s");
        assert_eq!(time(125_000_000_000), "2 min 05 s");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(cut("abcdef", 4), "abc…");
    }

    #[test]
    fn a_command_line_reads_like_a_shell_line() {
        let argv = ["sh", "-c", "id; ls", "", "it's", "\u{1b}[2J"].map(Text::from);
        assert_eq!(command(&argv), "sh -c 'id; ls' '' 'it'\\''s' '\\u{1b}[2J'");
    }
}
