//! What a person sees, compared line by line with files in tests/golden.

use types::{Assessment, Ending, Kind, Level, Recording, Tier, Verdict};

use super::super::fixtures::{
    Script, anomaly, assessment, busy_tree, changed, clone3, hostile_names, judged, reverse_shell,
    unusual,
};
use super::{Style, render};

fn check(name: &str, recording: &Recording, assessment: &Assessment) -> String {
    let text = render(
        &judged(recording, assessment),
        Style { color: false, width: 100, hint: Some("--html FILE") },
    );
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let path = format!("{folder}/{name}.txt");
    if update() {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{path} differs; UPDATE=1 writes it");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
        assert_eq!(line.trim_end(), line, "space at the end of a line");
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "UPDATE=1 rewrites the expected files")]
fn update() -> bool {
    std::env::var_os("UPDATE").is_some()
}

#[test]
fn a_quiet_run_is_told_in_a_few_lines() {
    let mut script = Script::new();
    script.process(2, 0, &["ls", "-la"], 0);
    let mut recording = script.recording(&["ls", "-la"]);
    recording.run.isolation.walls.pop();
    let reason = "nothing was detected and nothing was lost";
    let assessment = assessment(Verdict::Benign, reason, &recording);
    let text = check("quiet", &recording, &assessment);
    assert!(text.lines().count() <= 12);
}

#[test]
fn a_quiet_run_of_many_processes_and_files_is_told_in_a_few_lines() {
    let mut script = Script::new();
    script.process(2, 0, &["pip", "install", "./pk.whl"], 0);
    for pid in 3..45 {
        script.process(pid, pid - 1, &["bash", "/opt/env/bin/hook"], 0);
    }
    for n in 0..300 {
        let path = format!("/opt/environment/lib/python3.11/site-packages/pk/module{n}.py");
        script.event(0, 0, "shieldx", changed(&path, "created"));
    }
    script.event(0, 0, "shieldx", changed("/opt/environment/bin/pk", "created"));
    let mut recording = script.recording(&["pip", "install", "./pk.whl"]);
    recording.run.isolation.walls.pop();
    let reason = "nothing was detected and nothing was lost";
    let assessment = assessment(Verdict::Benign, reason, &recording);
    let text = check("quiet-install", &recording, &assessment);
    assert!(text.lines().count() <= 12);
}

#[test]
fn an_unusual_run_is_told_with_its_figure_and_what_differs() {
    let mut script = Script::new();
    script.process(2, 0, &["python3", "./report.py"], 0);
    let mut recording = script.recording(&["python3", "./report.py"]);
    recording.run.isolation.walls.pop();
    let assessment = unusual(&mut recording);
    check("unusual", &recording, &assessment);
}

#[test]
fn a_figure_that_weighs_nothing_takes_one_line() {
    let mut recording = Script::new().recording(&["x"]);
    let assessment = assessment(Verdict::Benign, "", &recording);
    let style = Style { color: false, width: 100, hint: None };
    let expect = [
        (Some(400_000), "p = 0.4 against 212 earlier runs of report.py with python3: as usual"),
        (None, "too few runs (3 of 20) of report.py with python3: weighs nothing"),
    ];
    for (p_ppm, text) in expect {
        let mut figure = anomaly(p_ppm);
        if p_ppm.is_none() {
            figure.basis = "too few runs (3 of 20)".into();
        }
        recording.anomaly = Some(figure);
        let shown = render(&judged(&recording, &assessment), style);
        assert!(shown.contains(&format!("  anomaly    {text}\n")), "{shown}");
    }
}

#[test]
fn evidence_is_shown_with_its_path_and_the_rest_is_summed_up() {
    let (recording, assessment) = busy_tree();
    check("busy", &recording, &assessment);
}

/// What is refused only so that the C library asks in an older way is no attempt.
#[test]
fn a_thread_is_no_attempt_and_a_namespace_is() {
    for (flags, attempt) in [(vec![0x3d_0f00], false), (vec![0x1000_0000], true), (vec![], true)] {
        let mut script = Script::new();
        script.process(2, 0, &["node"], 0);
        clone3(&mut script, 2, flags.clone());
        let recording = script.recording(&["node"]);
        let assessment = assessment(Verdict::Benign, "", &recording);
        let style = Style { color: false, width: 100, hint: None };
        let text = render(&judged(&recording, &assessment), style);
        assert_eq!(text.contains("clone3"), attempt, "{flags:x?}: {text}");
    }
}

#[test]
fn survivors_are_told_in_a_sentence() {
    let mut script = Script::new();
    script.process(2, 0, &["sh"], 0);
    let detail = "the command left processes running; they were watched 1.5 s and killed";
    let limit = Kind::LimitReached { limit: "survivors".into(), detail: detail.into() };
    script.event(0, 0, "shieldx", limit).ret = None;
    let recording = script.recording(&["sh"]);
    let assessment = assessment(Verdict::Benign, "", &recording);
    let style = Style { color: false, width: 100, hint: None };
    let text = render(&judged(&recording, &assessment), style);
    assert!(text.contains(&format!("  survivors  {detail}\n")), "{text}");
}

#[test]
fn a_hostile_run_shows_reasons_tree_and_refusals() {
    let (recording, assessment) = reverse_shell();
    check("hostile", &recording, &assessment);
}

#[test]
fn reduced_evidence_is_named_beside_the_verdict() {
    let mut script = Script::new();
    script.process(2, 0, &["make"], 2);
    for pid in 3..9 {
        script.process(
            pid,
            2,
            &[&format!("cc{pid}"), "-c", &format!("{}.c", "long".repeat(40))],
            0,
        );
    }
    let mut recording = script.recording(&["make"]);
    recording.run.ending = Ending::TimedOut;
    let mut assessment =
        assessment(Verdict::Inconclusive, "the time limit was reached", &recording);
    assessment.evidence.level = Level::Incomplete;
    assessment.evidence.tier = Tier::C;
    assessment.evidence.reasons = vec!["the time limit was reached".into(), "tier C".into()];
    assessment.evidence.blind_detectors = vec!["memory-exec".into(), "masquerade".into()];
    check("reduced", &recording, &assessment);
}

#[test]
fn nothing_of_the_sample_reaches_the_terminal_raw() {
    let (recording, assessment) = hostile_names();
    let text = render(
        &judged(&recording, &assessment),
        Style { color: false, width: 100, hint: Some("--html FILE") },
    );
    for c in text.chars() {
        assert!(c == '\n' || !(c.is_control() || c == '\u{202e}'), "{c:?} in {text}");
    }
    let colored = render(
        &judged(&recording, &assessment),
        Style { color: true, width: 100, hint: Some("--html FILE") },
    );
    assert!(!colored.contains("\u{1b}[2J"));
}

#[test]
fn a_made_up_tree_is_still_finite() {
    let mut script = Script::new();
    for (pid, parent) in [(2, 3), (3, 2), (4, 4)] {
        let fork = Kind::Fork {
            child_pid: pid,
            child_tid: pid,
            child_start_ns: u64::from(pid) * 1000,
            thread: false,
        };
        script.event(parent, parent, "x", fork);
    }
    for pid in 100..1000_u32 {
        script.process(pid + 1, pid, &["deep"], 0);
    }
    let recording = script.recording(&["x"]);
    let assessment = assessment(Verdict::Benign, "", &recording);
    let digest = super::Digest::new(&judged(&recording, &assessment));
    let nodes = super::tree::build(&recording.events, &digest);
    assert_eq!(super::tree::count(&nodes), 3 + 901);
}
