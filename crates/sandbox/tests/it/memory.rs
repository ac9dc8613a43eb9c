//! Looks at the memory of whole runs: what malware does is found, what compilers at run time do is
//! stated without more, nothing is held for long, and core files are what debuggers read.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sandbox::memory::Demand;
use sandbox::runner::process::Process;
use sandbox::{
    Artifacts, Copied, EVENTS_MAX, Memory, MonitorChoice, Net, Root, Runner as _, Spec, Stdin, Wasm,
};
use types::ports::{Pattern, PortError, Scanner};
use types::{Ending, Event, Kind, Limits, Recording, RuleSet};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/memory/hostile.c");

fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIP memory: {reason}");
}

/// The program that does what its argument says; none where nothing can compile or run it.
fn hostile() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        if let Err(reason) = sandbox::probe::process_runner() {
            skip(&reason);
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("hostile");
        let compiler = ["cc", "gcc", "clang"].into_iter().find(|compiler| {
            Command::new(compiler)
                .args(["-w", "-O1", "-pthread", "-o"])
                .args([program.as_os_str(), SOURCE.as_ref()])
                .status()
                .is_ok_and(|status| status.success())
        });
        if compiler.is_none() {
            skip("no C compiler");
            return None;
        }
        Some((folder, program))
    });
    built.as_ref().map(|(_, program)| program.as_path())
}

fn spec(program: &Path, arguments: &[&str]) -> Spec {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut command = vec![program.as_os_str().to_owned()];
    command.extend(arguments.iter().map(OsString::from));
    Spec {
        id: format!("{:08}-memory{number:06}", std::process::id()),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        program: program.to_owned(),
        command,
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), "/work".into())],
        cwd: PathBuf::from("/work"),
        cwd_is_new: true,
        copies: Vec::new(),
        hidden: Vec::new(),
        tools: Vec::new(),
        mounts: Vec::new(),
        net: Net::None,
        allow: Vec::new(),
        root: Root::Host,
        layers: Vec::new(),
        pause: None,
        decoys: Vec::new(),
        scanner: None,
        memory: Memory::default(),
        demand: None,
        artifacts: Artifacts::default(),
        wasm: Wasm::default(),
        limits: Limits {
            timeout_ms: 60_000,
            memory_bytes: 2 << 30,
            pids: 512,
            cpu_percent: 0,
            output_bytes: 1 << 20,
            disk_bytes: 64 << 20,
        },
        stdin: Stdin::Null,
        keep: None,
        monitor: MonitorChoice::Auto,
        pass_output: false,
        events_max: EVENTS_MAX,
        observer: None,
    }
}

/// A run of the hostile program, which lies in the command's own folder.
fn deed(program: &Path, name: &str) -> Spec {
    let inside = PathBuf::from("/work/sample");
    let mut spec = spec(&inside, &[name]);
    spec.copies = vec![Copied { source: program.to_owned(), target: inside }];
    spec
}

fn run(spec: &Spec) -> Recording {
    let _turn = crate::turn();
    Process::new().run(spec).unwrap_or_else(|error| {
        panic!("{error}: {:?}", std::error::Error::source(&error));
    })
}

fn regions(recording: &Recording) -> Vec<(&Event, &str, &str, String)> {
    let mut list = Vec::new();
    for event in &recording.events {
        if let Kind::MemoryRegion { trigger, finding, detail, .. } = &event.kind {
            list.push((event, trigger.as_str(), finding.as_str(), detail.to_lossy().into_owned()));
        }
    }
    list
}

fn told(recording: &Recording) -> String {
    let lines: Vec<String> = regions(recording)
        .iter()
        .map(|(event, trigger, finding, detail)| {
            format!("{} {} {trigger} {finding}: {detail}", event.task.pid, event.task.comm)
        })
        .collect();
    let walls: Vec<&str> =
        recording.run.isolation.walls.iter().map(|wall| wall.detail.as_str()).collect();
    format!(
        "{}\n{walls:?}\n{:?} {:?} {:?}",
        lines.join("\n"),
        recording.run.ending,
        recording.faults,
        recording.output
    )
}

fn find(recording: &Recording, wanted: &str) -> bool {
    regions(recording).iter().any(|(_, _, finding, _)| *finding == wanted)
}

#[test]
fn what_malware_does_to_memory_is_found_before_the_process_is_gone() {
    let Some(program) = hostile() else { return };
    for (name, wanted) in [
        ("writable", &["direct_calls", "injected_thread", "write_execute"][..]),
        ("protect", &["direct_calls", "injected_thread", "anonymous_executable"]),
        ("last_thread", &["direct_calls", "injected_thread"]),
        ("shell", &["direct_calls", "injected_thread"]),
        ("reflective", &["image", "anonymous_executable"]),
        ("hollow", &["hollowed"]),
        ("patch", &["patched"]),
        ("thread", &["direct_calls", "injected_thread"]),
        ("stack", &["executable_stack", "injected_thread"]),
        ("memory_file", &["memfd"]),
    ] {
        for monitor in [MonitorChoice::Auto, MonitorChoice::Notify] {
            let recording = run(&Spec { monitor, ..deed(program, name) });
            let told = told(&recording);
            assert_eq!(recording.run.ending, Ending::Exited { code: 0 }, "{name}: {told}");
            assert!(recording.faults.is_empty(), "{name}: {told}");
            for finding in wanted {
                assert!(find(&recording, finding), "{name} with {monitor:?}: no {finding}: {told}");
            }
            check_events(&recording, &told);
        }
    }
}

/// The tasks of findings are the tasks of other events, in order, with ids of their own.
fn check_events(recording: &Recording, told: &str) {
    let ids: BTreeSet<u64> = recording.events.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), recording.events.len(), "{told}");
    assert!(recording.events.is_sorted_by_key(|event| event.time_ns), "{told}");
    for (event, ..) in regions(recording) {
        let known = recording.events.iter().any(|other| {
            matches!(other.kind, Kind::Exec { .. } | Kind::Exit { .. })
                && (other.task.pid, other.task.start_ns) == (event.task.pid, event.task.start_ns)
        });
        assert!(known, "{:?} is nobody's: {told}", event.task);
    }
}

#[test]
fn an_ordinary_program_is_only_glanced_at() {
    let Some(program) = hostile() else { return };
    for monitor in [MonitorChoice::Auto, MonitorChoice::Notify] {
        let recording = run(&Spec { monitor, ..deed(program, "nothing") });
        let told = told(&recording);
        assert!(regions(&recording).is_empty(), "{told}");
        assert!(told.contains("0 looked at closely"), "{told}");
        let script = "for i in 1 2 3 4 5 6 7 8 9; do /bin/true; done; ls / | wc -l; find /etc \
                      -maxdepth 1 | sort | tail -1; tar c /etc/hostname 2>/dev/null | gzip | wc -c";
        let recording = run(&Spec { monitor, ..spec(Path::new("/bin/sh"), &["-c", script]) });
        let told = self::told(&recording);
        assert!(regions(&recording).is_empty(), "{told}");
    }
}

/// Programs that want every processor, as long as this lives.
struct Burners(Vec<std::process::Child>);

impl Burners {
    fn light() -> Self {
        let burn = || Command::new("/bin/sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        Self((0..6).map(|_| burn()).collect())
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Node gives the memory of its compiler back before it ends: whoever looks late finds nothing. On a
/// busy host it found nothing, because the thread that looks got its turn when it was over.
#[test]
fn a_compiler_at_run_time_is_looked_at_in_time_on_a_busy_host() {
    if hostile().is_none() {
        return;
    }
    if !Path::new("/usr/bin/node").exists() {
        skip("node is not installed");
        return;
    }
    let _burners = Burners::light();
    for _ in 0..5 {
        let recording = run(&spec(Path::new("/usr/bin/node"), &["-e", "console.log(1)"]));
        let told = told(&recording);
        assert_eq!(recording.run.ending, Ending::Exited { code: 0 }, "{told}");
        let plain = find(&recording, "write_execute") || find(&recording, "anonymous_executable");
        assert!(plain, "{told}");
    }
}

#[test]
fn compilers_at_run_time_show_their_regions_and_nothing_telling() {
    if hostile().is_none() {
        return;
    }
    let node = "let s=0;function f(i){return i*i%7}for(let i=0;i<3e6;i++)s+=f(i);console.log(s)";
    let lua = "local s=0 for i=1,3e7 do s=s+i%7 end print(s)";
    let grep = "seq 1 200000 | grep -P '^(?:1|2)(3+|4)*5$' | wc -l";
    let ctypes =
        "import ctypes;f=ctypes.CFUNCTYPE(ctypes.c_int,ctypes.c_int)(lambda x:x);print(f(4))";
    for (program, arguments) in [
        ("/usr/bin/node", &["-e", node][..]),
        ("/usr/bin/luajit", &["-e", lua]),
        ("/usr/bin/java", &["-Xcomp", "-Xshare:off", "-version"]),
        ("/bin/sh", &["-c", grep]),
        ("/usr/bin/python3", &["-c", ctypes]),
    ] {
        if !Path::new(program).exists() {
            skip(&format!("{program} is not installed"));
            continue;
        }
        let recording = run(&spec(Path::new(program), arguments));
        let told = told(&recording);
        assert_eq!(recording.run.ending, Ending::Exited { code: 0 }, "{told}");
        let _ = writeln!(std::io::stderr(), "{program}: {told}");
        for finding in ["image", "hollowed", "patched", "injected_thread", "direct_calls"] {
            assert!(!find(&recording, finding), "{program}: {told}");
        }
        if program.ends_with("node") || program.ends_with("java") {
            let plain =
                find(&recording, "write_execute") || find(&recording, "anonymous_executable");
            assert!(plain, "{program}: {told}");
        }
        assert!(recording.faults.is_empty(), "{told}");
    }
}

#[test]
fn what_is_killed_at_its_deadline_or_left_behind_is_looked_at_first() {
    let Some(program) = hostile() else { return };
    for (name, monitor, trigger) in [
        ("forever", MonitorChoice::Auto, "timeout"),
        ("forever", MonitorChoice::Notify, "timeout"),
        ("background", MonitorChoice::Auto, "exit"),
        ("background", MonitorChoice::Notify, "exit"),
    ] {
        let mut spec = Spec { monitor, ..deed(program, name) };
        spec.limits.timeout_ms = if name == "forever" { 1500 } else { 60_000 };
        // Only the look in question shall tell.
        let recording = run(&spec);
        let told = told(&recording);
        let (_, found, ..) = *regions(&recording)
            .iter()
            .find(|(_, _, finding, _)| *finding == "injected_thread")
            .unwrap_or_else(|| panic!("{name} {monitor:?}: {told}"));
        assert!(found == trigger || found == "write_execute", "{name} {monitor:?}: {told}");
    }
}

#[derive(Debug)]
struct Dots;

impl Scanner for Dots {
    fn rule_set(&self) -> RuleSet {
        RuleSet {
            language: "yara".to_owned(),
            source: "built-in".to_owned(),
            rules: 1,
            skipped: 0,
            sha256: String::new(),
        }
    }

    fn scan(&self, place: &str, bytes: &[u8]) -> Result<Vec<Pattern>, PortError> {
        assert_eq!(place, "memory");
        let at = bytes.windows(4).position(|window| window == [0x6a, 0x2e, 0x48, 0x89]);
        Ok(at
            .map(|at| Pattern {
                rule: "dot".to_owned(),
                title: "Writes a dot".to_owned(),
                level: "high".to_owned(),
                techniques: vec!["T1620".to_owned()],
                offset: at as u64,
            })
            .into_iter()
            .collect())
    }
}

#[test]
fn patterns_are_looked_for_in_what_was_copied() {
    let Some(program) = hostile() else { return };
    let spec = Spec { scanner: Some(std::sync::Arc::new(Dots)), ..deed(program, "protect") };
    let recording = run(&spec);
    let told = told(&recording);
    let matches: Vec<&Kind> = recording
        .events
        .iter()
        .map(|event| &event.kind)
        .filter(|kind| matches!(kind, Kind::PatternMatch { .. }))
        .collect();
    let [Kind::PatternMatch { rule, place, target, offset, .. }] = matches.as_slice() else {
        panic!("{matches:?} {told}");
    };
    assert_eq!((rule.as_str(), place.as_str(), *offset), ("dot", "memory", 0), "{told}");
    assert!(target.to_lossy().contains("process 2: r-x anonymous memory at 0x"), "{target}");
}

#[test]
fn core_files_are_what_debuggers_read() {
    let Some(program) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut spec = deed(program, "protect");
    spec.artifacts.cores = Some(folder.path().to_owned());
    let recording = run(&spec);
    let core = folder.path().join("core.2.0");
    assert!(core.exists(), "{}", told(&recording));
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).arg(&core).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    match output("readelf", &["-W", "-n", "-l", "-h"]) {
        None => skip("no readelf"),
        Some(text) => {
            for wanted in ["CORE (Core file)", "NT_PRSTATUS", "NT_FILE", "LOAD"] {
                assert!(text.contains(wanted), "{wanted}: {text}");
            }
        }
    }
    let debugger = Command::new("gdb")
        .args(["-nx", "-batch", "-ex", "x/2i $pc", "-ex", "info proc mappings", "-c"])
        .arg(&core)
        .output();
    match debugger {
        Err(_) => skip("no gdb"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            // The call that waits is the last instruction, so the code behind it is what is shown.
            let wanted = text.contains("=> 0x") && text.contains("libc.so");
            assert!(wanted, "{text} {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn somebody_can_ask_for_a_look_while_a_run_goes_on() {
    let Some(program) = hostile() else { return };
    let demand = Demand::new();
    assert!(!demand.look(), "nothing runs yet");
    let mut spec = deed(program, "forever");
    spec.limits.timeout_ms = 3000;
    spec.demand = Some(demand.clone());
    let asking = std::thread::spawn({
        let demand = demand.clone();
        move || {
            for _ in 0..500 {
                std::thread::sleep(Duration::from_millis(10));
                if demand.look() {
                    std::thread::sleep(Duration::from_millis(300));
                    return demand.look();
                }
            }
            false
        }
    });
    let recording = run(&spec);
    let told = told(&recording);
    assert!(asking.join().unwrap(), "{told}");
    assert!(!demand.look(), "the run is over");
    assert!(told.contains("times everything was frozen"), "{told}");
    assert!(regions(&recording).iter().any(|(_, trigger, ..)| *trigger == "demand"), "{told}");
}

#[test]
fn without_looks_nothing_is_held_and_nothing_is_said() {
    let Some(program) = hostile() else { return };
    let mut spec = deed(program, "protect");
    spec.memory.scan = false;
    let recording = run(&spec);
    assert!(regions(&recording).is_empty());
    assert!(!recording.run.isolation.walls.iter().any(|wall| wall.name == "memory"));
}
