//! Files as they come from outside: whole, cut, forged, huge and of another kind.

use super::super::document::{write_events, write_report};
use super::super::fixtures::{hostile_names, judged, reverse_shell};
use super::super::terminal::{self, Style};
use super::{Unreadable, read};

fn files() -> [Vec<u8>; 2] {
    let (recording, assessment) = reverse_shell();
    let judged = judged(&recording, &assessment);
    let (mut report, mut events) = (Vec::new(), Vec::new());
    write_report(&judged, &mut report).unwrap();
    write_events(&judged, &mut events).unwrap();
    [report, events]
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).map(|_| ()).expect_err("should be refused").to_string()
}

#[test]
fn both_formats_give_the_recording_back() {
    for (recording, assessment) in [reverse_shell(), hostile_names()] {
        let judged = judged(&recording, &assessment);
        let mut bytes = Vec::new();
        write_report(&judged, &mut bytes).unwrap();
        let found = read(bytes.as_slice()).unwrap();
        assert_eq!(found.recording, recording);
        assert_eq!(found.verdict, assessment);

        let mut bytes = Vec::new();
        write_events(&judged, &mut bytes).unwrap();
        let found = read(bytes.as_slice()).unwrap();
        let without_output = types::Recording { output: None, ..recording };
        assert_eq!(found.recording, without_output);
        assert_eq!(found.verdict, assessment);
    }
}

/// `jq .` and editors lay JSON out anew; that changes nothing.
#[test]
fn the_layout_of_a_report_does_not_matter() {
    let [report, _] = files();
    let value: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let pretty = serde_json::to_vec_pretty(&value).unwrap();
    let (a, b) = (read(report.as_slice()).unwrap(), read(pretty.as_slice()).unwrap());
    assert_eq!(a.recording, b.recording);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for file in files() {
        // Every prefix near the ends, and a spread of those between; the last byte is a line end.
        let len = file.len() - 1;
        let near = (0..len.min(300)).chain(len.saturating_sub(300)..len);
        for end in near.chain((0..len).step_by(997)) {
            assert!(read(&file[..end]).is_err(), "cut at {end} of {len}");
        }
    }
    let [report, events] = files();
    assert!(refusal(&report[..report.len() / 2]).contains("cut off"));
    let line = events.iter().rposition(|&byte| byte == b'{').unwrap();
    assert!(refusal(&events[..line]).contains("cut off"));
    let lines: Vec<&[u8]> = events.split_inclusive(|&byte| byte == b'\n').collect();
    assert!(refusal(&lines[..lines.len() - 1].concat()).contains("not a trailer"));
    let mut without_one = lines.clone();
    without_one.remove(5);
    assert!(refusal(&without_one.concat()).contains("contradicts itself"));
}

#[test]
fn another_version_is_refused_by_name() {
    for file in files() {
        let text = String::from_utf8(file).unwrap();
        let newer = text.replacen("/1\"", "/2\"", 1);
        let error = read(newer.as_bytes()).unwrap_err();
        assert!(
            matches!(&error, Unreadable::UnknownSchema { newer: true, found } if found.ends_with("/2"))
        );
        assert!(error.hint().unwrap().contains("newer shieldx"));
    }
    // Half a file of another version is still of another version.
    let [report, events] = files().map(|file| String::from_utf8(file).unwrap());
    for (file, from, to) in [
        (&report, "shieldx.report/1", "shieldx.report/2"),
        (&events, "shieldx.events/1", "shieldx.events/3"),
    ] {
        let newer = file.replacen(from, to, 1);
        let schema_end = newer.find(to).unwrap() + to.len() + 1;
        for end in [schema_end, schema_end + 1, schema_end + 40, newer.len() / 2] {
            let error = read(&newer.as_bytes()[..end]).unwrap_err();
            assert!(
                matches!(&error, Unreadable::UnknownSchema { newer: true, found } if found == to),
                "cut at {end}: {error}"
            );
        }
        let error = read(&newer.as_bytes()[..schema_end - 3]).unwrap_err();
        assert!(matches!(error, Unreadable::CutOff { line: 1 }), "{error}");
    }
    let strange = br#"{"schema":"other/9","x":1}"#;
    assert!(matches!(read(&strange[..]), Err(Unreadable::UnknownSchema { newer: false, .. })));
    let unknown_shape = br#"{"schema":"shieldx.report/2","verdict":7,"events":"elsewhere"}"#;
    assert!(matches!(read(&unknown_shape[..]), Err(Unreadable::UnknownSchema { newer: true, .. })));
}

#[test]
fn what_is_no_recording_is_said_with_its_place() {
    assert_eq!(refusal(b""), "it is empty");
    assert!(refusal(b"\x7fELF\x02").contains("not a ShieldX recording: line 1"));
    assert!(refusal(b"hello\n").contains("line 1"));
    assert!(refusal(b"[1,2]").contains("line 1"));
    assert!(refusal(b"{}").contains("no \"schema\""));
    assert!(refusal(br#"{"schema":7}"#).contains("no \"schema\""));
    assert!(refusal(b"{\n\n  nonsense").contains("line 3"));
    let [report, events] = files();
    let report = String::from_utf8(report).unwrap();
    let bad = report.replacen("\"kind\":\"exec\"", "\"kind\":\"\\u001b[2J\"", 1);
    let message = refusal(bad.as_bytes());
    assert!(message.starts_with("line ") && !message.contains('\u{1b}'), "{message}");
    let events = String::from_utf8(events).unwrap();
    let bad = events.replacen("\"kind\":\"connect\"", "\"kind\":\"conect\"", 1);
    let line = events.lines().position(|line| line.contains("\"kind\":\"connect\"")).unwrap() + 1;
    assert!(refusal(bad.as_bytes()).contains(&format!("line {line}: ")));
    let twice = report.replacen("\"id\":2,", "\"id\":1,", 1);
    assert!(refusal(twice.as_bytes()).contains("event 1 stands where event 2 belongs"));
}

#[test]
fn deep_and_endless_input_is_bounded() {
    let deep = format!("{{\"schema\":{}", "[".repeat(100_000));
    assert!(refusal(deep.as_bytes()).contains("recursion limit"));
    let spaces = std::io::Read::take(std::io::repeat(b'x'), u64::MAX);
    assert!(read(spaces).is_err());
}

/// Whatever is in the file, reading ends with an answer. Every answer that is a recording can be
/// shown without a panic.
#[test]
fn no_changed_byte_makes_the_reader_panic() {
    for file in files() {
        for at in (0..file.len()).step_by(151) {
            for byte in [b'"', b'9', b'-', 0xff] {
                let mut bytes = file.clone();
                bytes[at] = byte;
                let Ok(found) = read(bytes.as_slice()) else { continue };
                let judged = judged(&found.recording, &found.verdict);
                let style = Style { color: true, width: 80, hint: None };
                assert!(!terminal::render(&judged, style).is_empty());
            }
        }
    }
}
