//! The page holds what the sample wrote only as text.

use super::super::fixtures::{hostile_names, judged, reverse_shell};
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
fn a_long_recording_makes_a_bounded_page() {
    let (mut recording, assessment) = reverse_shell();
    let event = recording.events.last().unwrap().clone();
    for id in recording.events.len() as u64 + 1..=20_000 {
        recording.events.push(shieldx_types::Event { id, ..event.clone() });
    }
    let page = render(&judged(&recording, &assessment));
    assert_eq!(page.matches("<tr id=\"e").count(), super::TIMELINE_MAX);
    assert!(page.contains("The first 5,000 events are shown"));
}
