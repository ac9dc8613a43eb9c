//! Words of a guest's that reports print as they are: bounded, and without what drives a terminal. An
//! honest agent never needs this; one that was taken over does. What is `Text` escapes itself.

use types::{Event, Kind, Recording};

/// Walls and faults, each.
const SENTENCES_MAX: usize = 256;
const SENTENCE_MAX_CHARS: usize = 500;

/// Cleans everything in a recording that is not `Text`.
pub(super) fn recording(recording: &mut Recording) {
    let walls = &mut recording.run.isolation.walls;
    walls.truncate(SENTENCES_MAX);
    for wall in walls {
        plain(&mut wall.name);
        plain(&mut wall.detail);
    }
    recording.faults.truncate(SENTENCES_MAX);
    recording.faults.iter_mut().for_each(plain);
    recording.events.iter_mut().for_each(event);
    // What the host applies itself comes later; a guest has no say in it.
    recording.rule_sets.clear();
    recording.matches.clear();
    recording.anomaly = None;
    if let Some(output) = &mut recording.output {
        output.not_passed_on = None;
    }
}

/// Cleans an event's plain words.
pub(super) fn event(event: &mut Event) {
    match &mut event.kind {
        Kind::Write { head, .. } => plain(head),
        Kind::Memory { call, .. }
        | Kind::MemoryExecuted { call, .. }
        | Kind::SetIds { call, .. }
        | Kind::Syscall { call, .. } => plain(call),
        Kind::Request { protocol, head, answer, .. } => each([protocol, head, answer]),
        Kind::MemoryRegion { trigger, finding, .. } => each([trigger, finding]),
        Kind::PatternMatch { rule, title, place, level, techniques, .. } => {
            each([rule, title, place, level]);
            each(techniques);
        }
        Kind::HostCall { interface, function, .. } => each([interface, function]),
        Kind::LimitReached { limit, detail } => each([limit, detail]),
        Kind::FileChanged(change) => {
            each([&mut change.change, &mut change.file_type]);
            each(change.sha256.iter_mut().chain(&mut change.format));
        }
        _ => {}
    }
}

fn each<'a>(words: impl IntoIterator<Item = &'a mut String>) {
    words.into_iter().for_each(plain);
}

/// Replaces what is no letter to be shown, and cuts.
pub(super) fn plain(text: &mut String) {
    if text.chars().any(char::is_control) || text.len() > SENTENCE_MAX_CHARS {
        let kept = text.chars().take(SENTENCE_MAX_CHARS);
        *text = kept.map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_cut_and_cannot_drive_a_terminal() {
        let mut text = format!("\u{1b}]0;title\u{7}{}", "x".repeat(1000));
        super::plain(&mut text);
        assert_eq!(text.chars().count(), super::SENTENCE_MAX_CHARS);
        assert!(!text.chars().any(char::is_control));
    }
}
