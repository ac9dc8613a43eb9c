//! What a run did, as a set of facts that two runs of the same program share: no ids, no times, no
//! numbers that differ from run to run. Two such sets are subtracted by `shieldx diff`.

use std::collections::{BTreeMap, BTreeSet};

use types::{Access, Assessment, Endpoint, Event, Kind, Recording, StdioKind, Text};

use super::words;

/// Facts of one aspect that a report shows; more are counted.
pub const FACTS_MAX: usize = 100_000;

/// An aspect of behaviour, in the order in which a person asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    Detections,
    Rules,
    Programs,
    Network,
    Refused,
    Kernel,
    Memory,
    Privileges,
    Reads,
    Writes,
    Files,
    Limits,
}

impl Aspect {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Aspect::Detections => "detections",
            Aspect::Rules => "rules",
            Aspect::Programs => "programs started",
            Aspect::Network => "network",
            Aspect::Refused => "refused by the sandbox",
            Aspect::Kernel => "kernel surface",
            Aspect::Memory => "memory",
            Aspect::Privileges => "privileges and other processes",
            Aspect::Reads => "telling files opened",
            Aspect::Writes => "files changed while it ran",
            Aspect::Files => "files left behind",
            Aspect::Limits => "limits reached",
        }
    }
}

/// The facts of a run, each with the ids of the first events that show it.
pub type Behaviour = BTreeMap<(Aspect, String), Vec<u64>>;

/// Ids kept for a fact.
const IDS_MAX: usize = 3;

/// Everything a recording and its assessment show.
#[must_use]
pub fn of(recording: &Recording, assessment: &Assessment) -> Behaviour {
    let mut behaviour = Behaviour::new();
    for detection in &assessment.detections {
        let blocked = if detection.blocked { ", blocked" } else { "" };
        let technique = &detection.technique.id;
        let fact = format!("{} ({technique}{blocked})", detection.title);
        add(&mut behaviour, Aspect::Detections, fact, &detection.events);
    }
    for hit in &recording.matches {
        add(&mut behaviour, Aspect::Rules, format!("{} ({})", hit.title, hit.level), &hit.events);
    }
    for event in &recording.events {
        for (aspect, fact) in facts(event) {
            add(&mut behaviour, aspect, fact, &[event.id]);
        }
    }
    behaviour
}

fn add(behaviour: &mut Behaviour, aspect: Aspect, fact: String, ids: &[u64]) {
    let key = (aspect, fact);
    if behaviour.len() >= FACTS_MAX && !behaviour.contains_key(&key) {
        return;
    }
    let known = behaviour.entry(key).or_default();
    let room = IDS_MAX.saturating_sub(known.len());
    known.extend(ids.iter().take(room));
}

/// What an event says about behaviour; most say one thing, many nothing.
fn facts(event: &Event) -> Vec<(Aspect, String)> {
    let refused = event.blocked.then(|| match &event.kind {
        Kind::Syscall { call, .. } => (Aspect::Refused, safe(call)),
        other => (Aspect::Refused, other.name().to_owned()),
    });
    refused.into_iter().chain(done(event)).collect()
}

fn done(event: &Event) -> Vec<(Aspect, String)> {
    let one = |aspect, fact: String| vec![(aspect, fact)];
    match &event.kind {
        Kind::Exec { path, argv, stdio, .. } => program(path, argv, stdio),
        Kind::Open { path, access: Access::Read, .. } => one(Aspect::Reads, masked(path)),
        Kind::Open { path, create: true, .. } | Kind::Write { path, .. } => {
            one(Aspect::Writes, format!("write {}", masked(path)))
        }
        Kind::Unlink { path, .. } => one(Aspect::Writes, format!("delete {}", masked(path))),
        Kind::Rename { from, to } => {
            one(Aspect::Writes, format!("rename {} to {}", masked(from), masked(to)))
        }
        Kind::Chmod { path, mode } => {
            one(Aspect::Writes, format!("chmod {mode:o} {}", masked(path)))
        }
        Kind::Link { from, to, .. } => {
            one(Aspect::Writes, format!("link {} to {}", masked(to), masked(from)))
        }
        Kind::SetXattr { path, name } => {
            one(Aspect::Writes, format!("attribute {name} of {}", masked(path)))
        }
        Kind::Connect { .. }
        | Kind::Bind { .. }
        | Kind::Listen { .. }
        | Kind::Send { .. }
        | Kind::Dns { .. }
        | Kind::Request { .. }
        | Kind::StdioSocket { .. } => network(&event.kind),
        Kind::Socket { family, .. } if !matches!(*family, 1 | 2 | 10) => {
            one(Aspect::Network, format!("socket of family {family}"))
        }
        Kind::Memory { call, write_execute: true, .. } => {
            one(Aspect::Memory, format!("{} of writable and executable memory", safe(call)))
        }
        Kind::MemoryExecuted { call, .. } => {
            one(Aspect::Memory, format!("{} called from memory without a file", safe(call)))
        }
        Kind::MemfdCreate { .. } => one(Aspect::Memory, "memory file".to_owned()),
        Kind::MemoryRegion { finding, .. } => one(Aspect::Memory, safe(finding)),
        Kind::PatternMatch { title, place, target, .. } => {
            let target = masked(target);
            one(Aspect::Rules, format!("{} in {} {target}", safe(title), safe(place)))
        }
        Kind::Ptrace { .. } => one(Aspect::Privileges, "ptrace".to_owned()),
        Kind::ProcessMemory { write, .. } => {
            let what = if *write { "write" } else { "read" };
            one(Aspect::Privileges, format!("{what} another process's memory"))
        }
        Kind::Kill { signal, .. } => {
            one(Aspect::Privileges, format!("send {}", words::signal(*signal)))
        }
        Kind::SetIds { call, .. } => one(Aspect::Privileges, safe(call)),
        Kind::Syscall { call, .. } if !event.blocked => one(Aspect::Kernel, safe(call)),
        Kind::HostCall { interface, function, .. } => {
            one(Aspect::Kernel, format!("{}.{}", safe(interface), safe(function)))
        }
        Kind::FileChanged(change) => {
            let format = change.format.as_deref().unwrap_or(&change.file_type);
            let fact =
                format!("{} {} ({})", safe(&change.change), masked(&change.path), safe(format));
            one(Aspect::Files, fact)
        }
        Kind::LimitReached { limit, .. } => one(Aspect::Limits, safe(limit)),
        _ => Vec::new(),
    }
}

fn program(path: &Text, argv: &[Text], stdio: &[StdioKind]) -> Vec<(Aspect, String)> {
    let mut facts = vec![(Aspect::Programs, masked(path))];
    if argv.len() > 1 {
        let line: Vec<String> = argv.iter().map(masked).collect();
        facts.push((Aspect::Programs, words::cut(&line.join(" "), LINE_CHARS_MAX).into_owned()));
    }
    if stdio.iter().any(|stream| matches!(stream, StdioKind::Socket { peer: Some(_) })) {
        facts.push((Aspect::Network, format!("{} talks over a socket", masked(path))));
    }
    facts
}

/// Longest command line of a fact, in characters.
const LINE_CHARS_MAX: usize = 160;

fn network(kind: &Kind) -> Vec<(Aspect, String)> {
    let fact = match kind {
        Kind::Connect { peer } => format!("connect to {}", endpoint(peer)),
        Kind::Bind { address } => format!("bind {}", endpoint(address)),
        Kind::Listen { address: Some(address) } => format!("listen on {}", endpoint(address)),
        Kind::Send { peer: Some(peer), .. } => format!("send to {}", endpoint(peer)),
        Kind::Dns { question, .. } => format!("ask for the name {question}"),
        Kind::Request { protocol, host, peer, line, answer, .. } => {
            let whom = host.as_ref().map_or_else(|| endpoint(peer), ToString::to_string);
            format!("{} {} to {whom} ({})", safe(protocol), masked(line), safe(answer))
        }
        Kind::StdioSocket { .. } => "a socket in the place of a standard stream".to_owned(),
        _ => return Vec::new(),
    };
    vec![(Aspect::Network, fact)]
}

/// Ports that the kernel chose say nothing; those a program chose do.
fn endpoint(endpoint: &Endpoint) -> String {
    /// `net.ipv4.ip_local_port_range` begins here by default.
    const EPHEMERAL: u16 = 32_768;
    match endpoint {
        Endpoint::Inet { ip, port } if *port >= EPHEMERAL => format!("{ip}, a high port"),
        Endpoint::Inet { ip, port } => format!("{ip} port {port}"),
        Endpoint::Unix { path, .. } => format!("socket {}", masked(path)),
        Endpoint::Other { number } => format!("family {number}"),
    }
}

fn safe(text: &str) -> String {
    words::safe(text)
}

/// The text with what differs from run to run as `*`: pieces of a path or word that are mostly
/// digits or hexadecimal, and made-up names (`tmp.Xy3…`, `pip-build-ab12…`).
fn masked(text: &Text) -> String {
    let shown = text.to_string();
    let mut out = String::with_capacity(shown.len());
    let mut word = String::new();
    for letter in shown.chars() {
        if letter.is_alphanumeric() {
            word.push(letter);
        } else {
            flush(&mut word, &mut out);
            out.push(letter);
        }
    }
    flush(&mut word, &mut out);
    out
}

fn flush(word: &mut String, out: &mut String) {
    out.push_str(if is_made_up(word) { "*" } else { word });
    word.clear();
}

/// A number of four digits or more, hexadecimal of eight or more, or a name of `mkstemp(3)`: six to
/// twelve letters in which digits or capitals stand between small letters.
fn is_made_up(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let all = word.len();
    if digits == all {
        return all >= 4;
    }
    if all >= 8 && digits > 0 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return true;
    }
    let letters: Vec<char> = word.chars().collect();
    let turns = letters.windows(2).filter(|pair| class(pair[0]) != class(pair[1])).count();
    (6..=24).contains(&all) && turns * 3 > all
}

fn class(letter: char) -> u8 {
    match letter {
        letter if letter.is_ascii_digit() => 0,
        letter if letter.is_uppercase() => 1,
        _ => 2,
    }
}

/// What only the second of two behaviours has, by aspect.
#[must_use]
pub fn added<'a>(
    old: &Behaviour,
    new: &'a Behaviour,
) -> BTreeMap<Aspect, Vec<(&'a str, &'a [u64])>> {
    let known: BTreeSet<_> = old.keys().collect();
    let mut added: BTreeMap<Aspect, Vec<_>> = BTreeMap::new();
    for (key, ids) in new.iter().filter(|(key, _)| !known.contains(key)) {
        added.entry(key.0).or_default().push((key.1.as_str(), ids.as_slice()));
    }
    added
}

#[cfg(test)]
mod tests {
    use types::Text;

    use super::masked;

    #[test]
    fn what_differs_from_run_to_run_is_no_fact() {
        let mask = |text: &str| masked(&Text::from(text));
        assert_eq!(mask("/tmp/tmp.aB3dE9xQ2w/setup.py"), "/tmp/tmp.*/setup.py");
        assert_eq!(mask("/proc/31337/maps"), "/proc/*/maps");
        assert_eq!(mask("/tmp/pip-build-0f3c9a1b2d"), "/tmp/pip-build-*");
        assert_eq!(mask("/usr/lib/python3.11/site.py"), "/usr/lib/python3.11/site.py");
        assert_eq!(mask("README.md"), "README.md");
        assert_eq!(mask("libX11.so.6"), "libX11.so.6");
        assert_eq!(mask("x86_64-linux-gnu"), "x86_64-linux-gnu");
    }
}
