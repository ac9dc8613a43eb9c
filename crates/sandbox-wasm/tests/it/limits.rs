//! Time, fuel, memory, stack and output.

use types::ports::Pattern;
use types::{Ending, Kind};

use crate::kit::{Bench, limit, preview1, stdout};

#[test]
fn an_endless_loop_ends_at_its_deadline() {
    for text in [
        r#"(module (func (export "_start") (loop (br 0))))"#,
        r#"(module (func $f (loop (br 0))) (start $f))"#,
    ] {
        let mut bench = Bench::new(text);
        bench.spec.limits.timeout_ms = 200;
        let recording = bench.run();
        assert_eq!(recording.run.ending, Ending::TimedOut);
        assert!(limit(&recording, "time"));
    }
}

#[test]
fn sleeping_ends_at_the_deadline_too() {
    // One subscription: a relative clock with the longest time there is.
    let data = r#"(data (i32.const 16) "\01") (data (i32.const 24) "\ff\ff\ff\ff\ff\ff\ff\7f")"#;
    let body =
        "(drop (call $poll_oneoff (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200)))";
    let mut bench = Bench::new(&preview1("poll_oneoff", data, body));
    bench.spec.limits.timeout_ms = 200;
    assert_eq!(bench.run().run.ending, Ending::TimedOut);
}

#[test]
fn spent_fuel_ends_the_run_and_its_evidence_says_so() {
    let mut bench = Bench::new(r#"(module (func (export "_start") (loop (br 0))))"#);
    bench.spec.wasm.fuel = Some(10_000);
    let recording = bench.run();
    assert_eq!(recording.run.ending, Ending::Signaled { signal: 24 });
    assert!(limit(&recording, "fuel"));
    assert!(recording.faults[0].contains("fuel"), "{:?}", recording.faults);
    assert_eq!(recording.run.engine["fuel_used"], "10000");
}

#[test]
fn a_memory_bomb_meets_its_bound() {
    let grow = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
                (call $proc_exit (i32.const 7))";
    let recording = Bench::new(&preview1("proc_exit", "", grow)).run();
    assert_eq!(recording.run.ending, Ending::Exited { code: 7 });
    assert!(limit(&recording, "memory"));
    let peak = recording.run.memory_peak_bytes.unwrap();
    assert!(peak > 32 << 20 && peak <= 64 << 20, "{peak}");
    // All of 4 GiB from the beginning, and a table of ten million.
    for text in ["(memory 65536)", "(table 10000000 funcref)"] {
        let module = format!("(module {text} (func (export \"_start\")))");
        let recording = Bench::new(&module).run();
        assert!(limit(&recording, "memory"), "{text}");
        assert_eq!(recording.run.ending, Ending::Signaled { signal: 6 });
    }
    let table = r#"(module (table $t 1 funcref) (func (export "_start")
        (loop $again (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 10000)) (i32.const -1))))))"#;
    let recording = Bench::new(table).run();
    assert!(limit(&recording, "memory"));
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
}

#[test]
fn a_trap_says_what_it_was() {
    for (body, words) in [
        ("(unreachable)", "unreachable"),
        ("(drop (i32.div_s (i32.const 1) (i32.const 0)))", "divide by zero"),
        ("(drop (i32.load (i32.const 1000000)))", "out of bounds"),
    ] {
        let recording = Bench::new(&preview1("", "", body)).run();
        assert_eq!(recording.run.ending, Ending::Signaled { signal: 6 });
        assert!(recording.run.engine["trap"].contains(words), "{:?}", recording.run.engine);
    }
    let deep = r#"(module (func $f (export "_start") (call $f)))"#;
    assert!(Bench::new(deep).run().run.engine["trap"].contains("stack exhausted"));
}

#[test]
fn output_is_bounded_and_counted() {
    let data = r#"(data (i32.const 0) "\10\00\00\00\00\80\00\00")"#;
    let body = "(local $i i32) (loop $again
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))";
    let recording = Bench::new(&preview1("fd_write", data, body)).run();
    let output = recording.output.as_ref().unwrap();
    assert_eq!((output.stdout_bytes, output.stdout.as_bytes().len()), (100 << 15, 1 << 20));
    assert!(output.truncated && limit(&recording, "output"));
    assert_eq!(crate::kit::called(&recording, "fd_write"), 100);
}

#[test]
fn hello_is_a_whole_recording() {
    let data =
        r#"(data (i32.const 0) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "hello\0a")"#;
    let body = "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))";
    let recording = Bench::new(&preview1("fd_write", data, body)).run();
    assert_eq!(stdout(&recording), "hello\n");
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
    assert_eq!(recording.run.tier, types::Tier::H);
    assert_eq!(recording.run.engine["form"], "module");
    assert!(recording.faults.is_empty());
    let kinds: Vec<&str> = recording.events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(kinds, ["exec", "host_call", "exit"]);
    let Kind::HostCall { target, .. } = &recording.events[1].kind else { panic!() };
    assert_eq!(target.as_ref().unwrap().to_lossy(), "stdout");
    let landlock =
        recording.run.isolation.walls.iter().find(|wall| wall.name == "landlock").unwrap();
    assert_eq!(
        landlock.on,
        sandbox::landlock::abi().is_some_and(|abi| abi >= 2),
        "{}",
        landlock.detail
    );
}

#[test]
fn a_full_recording_says_what_is_missing() {
    let body = "(local $i i32) (loop $again
        (drop (call $fd_close (i32.add (local.get $i) (i32.const 100))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 50))))";
    let mut bench = Bench::new(&preview1("fd_close", "", body));
    bench.spec.events_max = 20;
    let recording = bench.run();
    assert_eq!(recording.events.iter().filter(|event| event.task.pid == 1).count(), 20);
    // 50 calls, the beginning and the end.
    assert_eq!((recording.counters.seen, recording.counters.dropped), (52, 32));
}

/// Finds three hundred things in everything, the worst of them last.
#[derive(Debug)]
struct Everything;

impl types::ports::Scanner for Everything {
    fn rule_set(&self) -> types::RuleSet {
        types::RuleSet {
            language: "yara".to_owned(),
            source: "test".to_owned(),
            rules: 300,
            skipped: 0,
            sha256: String::new(),
        }
    }

    fn scan(&self, _: &str, _: &[u8]) -> Result<Vec<Pattern>, types::ports::PortError> {
        let pattern = |number: u64| Pattern {
            rule: format!("rule{number}"),
            title: String::new(),
            level: if number == 299 { "critical" } else { "low" }.to_owned(),
            techniques: Vec::new(),
            offset: number,
        };
        Ok((0..300).map(pattern).collect())
    }
}

#[test]
fn of_more_patterns_than_are_told_the_worst_are_and_the_rest_is_counted() {
    let mut bench = Bench::new(r#"(module (memory (export "memory") 1) (func (export "_start")))"#);
    bench.spec.scanner = Some(std::sync::Arc::new(Everything));
    let recording = bench.run();
    let found: Vec<&str> = recording
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            Kind::PatternMatch { rule, .. } => Some(rule.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(found.len(), 256);
    assert_eq!((found[0], found[1]), ("rule299", "rule0"));
    let walls = &recording.run.isolation.walls;
    let memory = walls.iter().find(|wall| wall.name == "memory" && !wall.on).unwrap();
    assert_eq!(memory.detail, "44 more patterns were found in memory than are told");
}
