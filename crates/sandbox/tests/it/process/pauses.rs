//! Runs that stand still: not charged, not for ever.

use std::time::Duration;

use sandbox::Root;
use sandbox::pause::Pause;
use types::Ending;

use super::roots::busybox;
use super::{able, exited, run, spec};

#[test]
fn standing_still_is_not_charged_to_the_deadline() {
    if !able("a paused run") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    busybox(side.path());
    // Works for about a second of its own time, and may take three.
    let script = "i=0; while [ $i -lt 10 ]; do sleep 0.1; i=$((i+1)); done; echo done";
    let mut spec = spec(Root::Folder(side.path().to_owned()), script);
    spec.limits.timeout_ms = 3000;
    let pause = Pause::new();
    spec.pause = Some(pause.clone());
    pause.pause().unwrap();
    let other = std::thread::spawn(move || {
        while !pause.is_paused() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(4000));
        pause.resume().unwrap();
        pause
    });
    let (printed, recording) = run(&spec);
    let pause = other.join().unwrap();
    assert_eq!((exited(&recording), printed.as_str()), (0, "done\n"));
    assert!(pause.stood_still() >= Duration::from_millis(4000));
    // Over: nothing to stop any more.
    pause.pause().unwrap();
    assert!(!pause.is_paused());
}

#[test]
fn a_run_that_stands_still_for_too_long_is_ended_and_incomplete() {
    if !able("a run that is paused for ever") {
        return;
    }
    let side = tempfile::tempdir().unwrap();
    busybox(side.path());
    let mut spec = spec(Root::Folder(side.path().to_owned()), "sleep 30");
    let pause = Pause::bounded(Duration::from_millis(500));
    spec.pause = Some(pause.clone());
    pause.pause().unwrap();
    let (_, recording) = run(&spec);
    assert_eq!(recording.run.ending, Ending::Signaled { signal: 9 });
    let fault = "the run was ended: it was paused for 0.5 s in all";
    assert!(recording.faults.iter().any(|found| found == fault), "{:?}", recording.faults);
}
