//! What the walls around files refuse is told as such, and a bound that was reached is told even where
//! nothing shows of it in the end.

use sandbox::runner::process::Process;
use sandbox::{MonitorChoice, Root, Runner as _, Spec};
use types::{Access, Ending, Event, Kind, Recording};

fn run(script: &str) -> Option<Recording> {
    if !super::able("told") {
        return None;
    }
    if let Err(error) = sandbox::monitor::ebpf::probe() {
        println!("SKIP told: {error}");
        return None;
    }
    let _turn = crate::turn();
    let spec = Spec { monitor: MonitorChoice::Ebpf, ..super::spec(Root::Host, script) };
    let recording = Process::new().run(&spec).unwrap();
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 }, "{:?}", recording.output);
    assert!(recording.faults.is_empty(), "{:?}", recording.faults);
    Some(recording)
}

fn reached(recording: &Recording) -> Vec<&str> {
    let limits = recording.events.iter().filter_map(|event| match &event.kind {
        Kind::LimitReached { limit, .. } => Some(limit.as_str()),
        _ => None,
    });
    limits.collect()
}

#[test]
fn a_disk_that_was_filled_and_emptied_again_is_told() {
    let fill = "head -c 40M /dev/zero >/tmp/a; head -c 40M /dev/zero >/tmp/b; rm /tmp/a /tmp/b";
    let Some(recording) = run(&format!("{fill}; df /tmp; true")) else { return };
    assert_eq!(reached(&recording), ["disk"], "{:?}", recording.output);
    let full = "head -c 4M /dev/zero >/tmp/a; rm /tmp/a; head -c 1 /dev/zero >/dev/full; true";
    let recording = run(full).unwrap();
    assert!(reached(&recording).is_empty(), "a device is no disk");
}

#[track_caller]
fn one(recording: &Recording, wanted: impl Fn(&Kind) -> bool) -> &Event {
    let found: Vec<_> = recording.events.iter().filter(|event| wanted(&event.kind)).collect();
    match found.as_slice() {
        [one] => one,
        all => panic!("{all:#?} of {:#?}", recording.events),
    }
}

#[test]
fn what_a_wall_refuses_is_blocked_and_what_permissions_refuse_is_not() {
    let script = "echo 5 >/proc/self/oom_score_adj; echo 1 >/proc/sys/kernel/panic; mkdir /sys/x
                  mkdir own; chmod 0 own; mkdir own/x; echo x >/etc/passwd; true";
    let Some(recording) = run(script) else { return };
    let written = |wanted: &'static str| move |kind: &Kind| matches!(kind, Kind::Open { path, access: Access::Write, .. } if path.as_bytes() == wanted.as_bytes());
    for path in ["/proc/self/oom_score_adj", "/proc/sys/kernel/panic"] {
        let event = one(&recording, written(path));
        assert!(event.blocked && event.ret.is_some_and(|ret| ret < 0), "{event:?}");
    }
    let made = |wanted: &'static str| move |kind: &Kind| matches!(kind, Kind::Mkdir { path } if path.as_bytes() == wanted.as_bytes());
    let event = one(&recording, made("/sys/x"));
    assert!(event.blocked && event.ret.is_some_and(|ret| ret < 0), "{event:?}");
    let event = one(&recording, made("/work/own/x"));
    assert!(!event.blocked && event.ret == Some(-13), "{event:?}");
    assert!(!one(&recording, written("/etc/passwd")).blocked);
}
