//! An event of a run in Sigma's words: the categories of its Linux log sources and the fields that
//! Sysmon for Linux gives them, which is what public rules are written for.
//!
//! Three things differ from a log of a host, and are meant to. Calls that the sandbox refused are
//! observations too: an attempt is what a rule is after. So are connections that found no network.
//! And a file that is written to counts as `file_event`, not only one that is made.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use types::{Access, Endpoint, Event, Kind, Recording, Task, Text};

/// Longest value of a field, in bytes; longer ones are cut.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// The categories an observation can have, and the fields of each.
pub(crate) const CATEGORIES: &[(&str, &[&str])] = &[
    (
        "process_creation",
        &[
            "Image",
            "CommandLine",
            "CurrentDirectory",
            "User",
            "ProcessId",
            "ParentImage",
            "ParentCommandLine",
            "ParentProcessId",
            "ParentUser",
        ],
    ),
    ("file_event", FILE_FIELDS),
    ("file_change", FILE_FIELDS),
    ("file_delete", FILE_FIELDS),
    ("file_rename", &["Image", "User", "ProcessId", "TargetFilename", "SourceFilename"]),
    ("file_access", &["Image", "User", "ProcessId", "TargetFilename", "FileName"]),
    (
        "network_connection",
        &[
            "Image",
            "User",
            "ProcessId",
            "DestinationIp",
            "DestinationPort",
            "DestinationHostname",
            "SourceIp",
            "SourcePort",
            "Initiated",
            "Protocol",
            "DestinationIsIpv6",
        ],
    ),
    ("dns_query", &["Image", "User", "ProcessId", "QueryName"]),
    ("dns", &["query", "record_type"]),
];

const FILE_FIELDS: &[&str] = &["Image", "User", "ProcessId", "TargetFilename"];

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Number(i64),
}

/// One event under one category.
#[derive(Debug)]
pub(crate) struct Observation<'a> {
    /// Index into the recording's events.
    pub(crate) event: usize,
    pub(crate) time_ns: u64,
    pub(crate) category: &'static str,
    pub(crate) fields: Vec<(&'static str, Value<'a>)>,
}

/// Tells every observation of a recording, in order, until `tell` says false. Returns whether it
/// was stopped.
pub(crate) fn observe<'r>(
    recording: &'r Recording,
    mut tell: impl FnMut(Observation<'r>) -> bool,
) -> bool {
    let mut processes = Processes::default();
    for (index, event) in recording.events.iter().enumerate() {
        let mut on = true;
        processes.observe(index, event, &mut |observation| on = on && tell(observation));
        if !on {
            return true;
        }
        processes.take(event);
    }
    false
}

/// What a process runs.
#[derive(Debug, Clone, Default)]
struct Program<'r> {
    image: Cow<'r, str>,
    command_line: String,
    uid: Option<u32>,
}

/// What every process runs at the moment.
#[derive(Debug, Default)]
struct Processes<'r> {
    /// By pid; a pid that is used again is a new fork, which replaces the entry.
    running: BTreeMap<u32, Program<'r>>,
}

type Tell<'t, 'r> = &'t mut dyn FnMut(Observation<'r>);

impl<'r> Processes<'r> {
    /// Follows the processes of the run.
    fn take(&mut self, event: &'r Event) {
        match &event.kind {
            Kind::Exec { path, argv, .. } if event.happened() => {
                let program = Program {
                    image: text(path),
                    command_line: command_line(argv),
                    uid: Some(event.task.uid),
                };
                self.running.insert(event.task.pid, program);
            }
            Kind::Fork { child_pid, thread: false, .. } if *child_pid != 0 => {
                if let Some(program) = self.running.get(&event.task.pid).cloned() {
                    self.running.insert(*child_pid, program);
                }
            }
            _ => {}
        }
    }

    fn observe(&self, index: usize, event: &'r Event, tell: Tell<'_, 'r>) {
        let attempted = event.happened() || event.blocked;
        let mut say = |category, mut fields: Vec<(&'static str, Value<'r>)>| {
            if category != "process_creation" && category != "dns" {
                fields.extend(self.who(&event.task));
            }
            tell(Observation { event: index, time_ns: event.time_ns, category, fields });
        };
        match &event.kind {
            // A shell tries a name in every folder of PATH: what is not there was not started.
            Kind::Exec { path, argv, cwd, .. } if attempted => {
                say("process_creation", self.created(event, path, argv, cwd));
            }
            Kind::Open { path, create, truncate, .. } if attempted && (*create || *truncate) => {
                say("file_event", target(path));
            }
            Kind::Open { path, access: Access::Read | Access::ReadWrite, .. } if attempted => {
                let mut fields = target(path);
                fields.push(("FileName", Value::Text(text(path))));
                say("file_access", fields);
            }
            Kind::Write { path, .. } | Kind::Link { to: path, .. } if attempted => {
                say("file_event", target(path));
            }
            Kind::Rename { from, to } if attempted => {
                say("file_event", target(to));
                let mut fields = target(to);
                fields.push(("SourceFilename", Value::Text(text(from))));
                say("file_rename", fields);
            }
            Kind::Unlink { path, directory: false } if attempted => {
                say("file_delete", target(path));
            }
            Kind::SetTimes { path, .. } if attempted => say("file_change", target(path)),
            _ => self.observe_network(event, &mut say),
        }
    }

    fn observe_network(
        &self,
        event: &'r Event,
        say: &mut dyn FnMut(&'static str, Vec<(&'static str, Value<'r>)>),
    ) {
        let word = |word: &'static str| Value::Text(Cow::Borrowed(word));
        match &event.kind {
            Kind::Connect { peer: Endpoint::Inet { ip, port } }
            | Kind::Send { peer: Some(Endpoint::Inet { ip, port }), .. } => {
                say("network_connection", destination(*ip, *port));
            }
            Kind::Accept { peer: Some(Endpoint::Inet { ip, port }) } => {
                let from = Value::Text(Cow::Owned(ip.to_canonical().to_string()));
                let port = Value::Number(i64::from(*port));
                let fields =
                    vec![("SourceIp", from), ("SourcePort", port), ("Initiated", word("false"))];
                say("network_connection", fields);
            }
            Kind::Dns { question, record, .. } => self.question(question, *record, say),
            Kind::Request { protocol, host: Some(host), line, .. } if protocol == "dns" => {
                self.question(host, record_number(&line.to_lossy()), say);
            }
            Kind::Request { protocol, peer: Endpoint::Inet { ip, port }, host, .. } => {
                let mut fields = destination(*ip, *port);
                let transport = if protocol == "udp" { "udp" } else { "tcp" };
                fields.push(("Protocol", word(transport)));
                if let Some(host) = host {
                    fields.push(("DestinationHostname", Value::Text(text(host))));
                }
                say("network_connection", fields);
            }
            _ => {}
        }
    }

    fn question(
        &self,
        name: &'r Text,
        record: u16,
        say: &mut dyn FnMut(&'static str, Vec<(&'static str, Value<'r>)>),
    ) {
        say("dns_query", vec![("QueryName", Value::Text(text(name)))]);
        let record = Value::Text(Cow::Borrowed(record_name(record)));
        say("dns", vec![("query", Value::Text(text(name))), ("record_type", record)]);
    }

    fn created(
        &self,
        event: &Event,
        path: &'r Text,
        argv: &[Text],
        cwd: &'r Text,
    ) -> Vec<(&'static str, Value<'r>)> {
        let task = &event.task;
        let mut fields = vec![
            ("Image", Value::Text(text(path))),
            ("CommandLine", Value::Text(Cow::Owned(command_line(argv)))),
            ("CurrentDirectory", Value::Text(text(cwd))),
            ("User", Value::Text(user(task.uid))),
            ("ProcessId", Value::Number(i64::from(task.pid))),
            ("ParentProcessId", Value::Number(i64::from(task.ppid))),
        ];
        if let Some(parent) = self.running.get(&task.ppid) {
            fields.push(("ParentImage", Value::Text(parent.image.clone())));
            let line = Value::Text(Cow::Owned(parent.command_line.clone()));
            fields.push(("ParentCommandLine", line));
            if let Some(uid) = parent.uid {
                fields.push(("ParentUser", Value::Text(user(uid))));
            }
        }
        fields
    }

    fn who(&self, task: &Task) -> Vec<(&'static str, Value<'r>)> {
        let mut fields = vec![
            ("User", Value::Text(user(task.uid))),
            ("ProcessId", Value::Number(i64::from(task.pid))),
        ];
        if let Some(program) = self.running.get(&task.pid) {
            fields.push(("Image", Value::Text(program.image.clone())));
        }
        fields
    }
}

fn target(path: &Text) -> Vec<(&'static str, Value<'_>)> {
    vec![("TargetFilename", Value::Text(text(path)))]
}

fn destination<'r>(ip: IpAddr, port: u16) -> Vec<(&'static str, Value<'r>)> {
    let ip = ip.to_canonical();
    let sixth = if ip.is_ipv6() { "true" } else { "false" };
    vec![
        ("DestinationIp", Value::Text(Cow::Owned(ip.to_string()))),
        ("DestinationPort", Value::Number(i64::from(port))),
        ("Initiated", Value::Text(Cow::Borrowed("true"))),
        ("DestinationIsIpv6", Value::Text(Cow::Borrowed(sixth))),
    ]
}

/// Bytes of a sample as a value: U+FFFD for what is no UTF-8, bounded.
fn text(text: &Text) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    String::from_utf8_lossy(bytes.get(..VALUE_BYTES_MAX).unwrap_or(bytes))
}

fn command_line(argv: &[Text]) -> String {
    let mut line = String::new();
    for argument in argv {
        if line.len() >= VALUE_BYTES_MAX {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&text(argument));
    }
    line
}

/// A recording has numbers, rules have names: those every Debian has.
fn user(uid: u32) -> Cow<'static, str> {
    match uid {
        0 => Cow::Borrowed("root"),
        1 => Cow::Borrowed("daemon"),
        33 => Cow::Borrowed("www-data"),
        65534 => Cow::Borrowed("nobody"),
        other => Cow::Owned(other.to_string()),
    }
}

/// Names of record types that rules ask for (RFC 1035, RFC 3596, RFC 2782, RFC 8482).
const RECORDS: &[(u16, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (10, "NULL"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (65, "HTTPS"),
    (255, "ANY"),
];

fn record_name(number: u16) -> &'static str {
    RECORDS.iter().find(|record| record.0 == number).map_or("OTHER", |record| record.1)
}

fn record_number(line: &str) -> u16 {
    let name = line.split_whitespace().next().unwrap_or_default();
    RECORDS.iter().find(|record| record.1 == name).map_or(0, |record| record.0)
}
