//! The page holds what the sample wrote only as text.

use super::super::fixtures::{busy_tree, hostile_names, judged, reverse_shell, unusual};
use super::render;

#[test]
fn nothing_of_the_sample_becomes_markup() {
    let (recording, assessment) = hostile_names();
    let page = render(&judged(&recording, &assessment));
    assert!(page.contains("&lt;script&gt;"), "the name is shown");
    for forbidden in ["<script", "<img", "onerror=\"", "\u{202e}", "\u{1b}", "\u{0}"] {
        assert!(!page.contains(forbidden), "{forbidden:?}");
    }
    // Every quote inside an attribute is escaped, so the number of tags is that of the template.
    let plain = render(&judged(&recording, &assessment));
    assert_eq!(page, plain, "rendering is deterministic");
}

#[test]
fn an_unusual_run_shows_the_figure_and_what_differs() {
    let (mut recording, _) = reverse_shell();
    let assessment = unusual(&mut recording);
    let page = render(&judged(&recording, &assessment));
    for part in ["p = 0.004 against 212 earlier runs", "+28", "write_bytes", "52000", "14.2"] {
        assert!(page.contains(part), "{part}");
    }
    recording.anomaly = None;
    assert!(!render(&judged(&recording, &assessment)).contains("id=\"anomaly\""));
}

#[test]
fn the_page_stands_alone() {
    let (recording, assessment) = reverse_shell();
    let page = render(&judged(&recording, &assessment));
    for part in ["default-src 'none'", "prefers-color-scheme: dark", "T1059.004", "id=\"e1\""] {
        assert!(page.contains(part), "{part}");
    }
    for outside in ["href=\"http", "src=", "url(", "@import", "<link", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn quiet_branches_are_closed_and_evidence_is_open() {
    let (recording, assessment) = busy_tree();
    let page = render(&judged(&recording, &assessment));
    let closed = page.find("20 more processes, nothing to note: bash × 20").expect("a sum");
    let evidence = page.find("open /etc/shadow").expect("the evidence");
    assert!(evidence < closed, "what matters is above");
    assert!(page.contains("href=\"#e"), "and leads into the timeline");
    assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
    // A thread that the C library asks for in two ways is in the timeline and nowhere else.
    assert!(page.contains("Blocked <span class=\"count\">1</span>"));
    assert_eq!(page.matches("clone3").count(), 4, "two events, one tree line, one blocked row");
}

#[test]
fn late_evidence_still_has_a_row() {
    let (mut recording, mut assessment) = reverse_shell();
    let event = recording.events.last().unwrap().clone();
    for id in recording.events.len() as u64 + 1..=20_000 {
        recording.events.push(types::Event { id, ..event.clone() });
    }
    assessment.detections[0].events = vec![19_999];
    let page = render(&judged(&recording, &assessment));
    assert!(page.contains("href=\"#e19999\"") && page.contains("<tr id=\"e19999\""));
}

#[test]
fn a_long_recording_makes_a_bounded_page() {
    let (mut recording, assessment) = reverse_shell();
    let event = recording.events.last().unwrap().clone();
    for id in recording.events.len() as u64 + 1..=20_000 {
        recording.events.push(types::Event { id, ..event.clone() });
    }
    let page = render(&judged(&recording, &assessment));
    assert_eq!(page.matches("<tr id=\"e").count() as u64, super::TIMELINE_MAX);
    assert!(page.contains("The first 5,000 events are shown"));
}
