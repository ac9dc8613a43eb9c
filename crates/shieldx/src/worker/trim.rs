//! Keeps a recording within what a server takes. What is left out makes it incomplete and is said:
//! a run cannot buy its way out of a verdict by doing too much.

use std::io;

use types::Recording;

/// What stands around the events of a recording's line, beside the recording itself, in bytes.
const FRAME_BYTES: u64 = 4096;

/// Drops the last of the events until the rest are within `max_bytes` of JSON.
pub(super) fn to_size(recording: &mut Recording, max_bytes: u64) -> serde_json::Result<()> {
    let mut whole = Counter { bytes: 0, max_bytes: max_bytes.saturating_sub(FRAME_BYTES) };
    match serde_json::to_writer(&mut whole, recording) {
        Ok(()) => return Ok(()),
        Err(error) if !error.is_io() => return Err(error),
        Err(_) => {}
    }
    let events = std::mem::take(&mut recording.events);
    let before = events.len();
    let rest = size(recording)?.saturating_add(FRAME_BYTES);
    let room = max_bytes.saturating_sub(rest);
    // What the sandbox itself found after the run is short, and worth more than what comes last of
    // the rest.
    let (mut found, mut seen) = (room / 2, room / 2);
    let mut kept = Vec::new();
    for event in events {
        let left = if event.task.pid == 0 { &mut found } else { &mut seen };
        let bytes = size(&event)?.saturating_add(1);
        if let Some(less) = left.checked_sub(bytes) {
            *left = less;
            kept.push(event);
        } else {
            *left = 0;
        }
    }
    for (id, event) in (1..).zip(&mut kept) {
        event.id = id;
    }
    recording.events = kept;
    let lost = before - recording.events.len();
    recording.faults.push(format!(
        "the recording is too large: {lost} of {before} events were not kept (bound {max_bytes} \
         bytes)"
    ));
    Ok(())
}

fn size(value: &impl serde::Serialize) -> serde_json::Result<u64> {
    let mut counter = Counter { bytes: 0, max_bytes: u64::MAX };
    serde_json::to_writer(&mut counter, value)?;
    Ok(counter.bytes)
}

/// Counts what is written to it, up to a bound.
struct Counter {
    bytes: u64,
    max_bytes: u64,
}

impl io::Write for Counter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        if self.bytes > self.max_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use types::{Kind, Text};

    use super::{size, to_size};
    use crate::report::fixtures::{Script, changed};

    #[test]
    fn a_large_recording_keeps_its_beginning_and_what_was_found_afterwards() {
        let mut script = Script::new();
        script.process(2, 0, &["sh"], 0);
        for n in 0..2000 {
            let path = Text::from(format!("/tmp/{n}").as_str());
            script.event(2, 1, "sh", Kind::Mkdir { path });
        }
        script.event(0, 0, "shieldx", changed("/data/new", "created"));
        let mut recording = script.recording(&["sh"]);
        let (before, max_bytes) = (recording.events.clone(), 60_000);
        let mut small = recording.clone();
        to_size(&mut small, size(&recording).unwrap() + 5000).unwrap();
        assert_eq!(small, recording);
        to_size(&mut recording, max_bytes).unwrap();
        assert!(size(&recording).unwrap() <= max_bytes);
        let kept = &recording.events;
        assert!(kept.len() > 50 && kept.len() < before.len());
        assert_eq!(kept[..40], before[..40]);
        assert!(matches!(kept.last().unwrap().kind, Kind::FileChanged(_)));
        assert!(kept.iter().enumerate().all(|(index, event)| event.id == index as u64 + 1));
        assert!(recording.faults.last().unwrap().contains("events were not kept"));
    }
}
