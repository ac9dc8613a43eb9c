//! Components: they run, and their calls are on the record under the names they use.

use std::net::TcpListener;

use types::{Ending, Endpoint, Event, Kind};

use crate::kit::{Bench, called, stdout};

#[test]
fn a_component_runs() {
    let recording = Bench::new(include_str!("wat/random.wat")).grant("random").run();
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
    assert_eq!(recording.run.engine["form"], "component");
    let call = recording.events.iter().find(|event| event.kind.name() == "host_call").unwrap();
    let expect = Kind::HostCall {
        interface: "wasi:random/random@0.2.3".into(),
        function: "get-random-u64".into(),
        target: None,
    };
    assert_eq!(call.kind, expect);
    assert_eq!(recording.counters.seen, 3);
}

#[test]
fn a_component_without_its_grant_is_refused_by_name() {
    let reason = Bench::new(include_str!("wat/random.wat")).refusal();
    let expect =
        "imports wasi:random/random@0.2.3.get-random-u64, which is not granted; --grant random";
    assert!(reason.contains(expect), "{reason}");
}

#[test]
fn a_component_prints_through_a_stream() {
    let recording = Bench::new(include_str!("wat/stdout.wat")).run();
    assert_eq!(stdout(&recording), "hi\n");
    assert_eq!(called(&recording, "get-stdout"), 1);
    assert_eq!(called(&recording, "[method]output-stream.blocking-write-and-flush"), 1);
    assert_eq!(called(&recording, "[resource-drop]output-stream"), 1);
    assert_eq!(recording.counters.seen, 5);
}

/// The command that connects, with a listener's port and a grant.
fn connecting(granted: bool) -> (types::Recording, TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let text = include_str!("wat/connect.wat").replace("PORT", &address.port().to_string());
    // Another port, so that sockets are there at all.
    let port = if granted { address.port() } else { address.port() ^ 1 };
    let recording = Bench::new(&text).grant(&format!("network:127.0.0.1:{port}")).run();
    (recording, listener, Endpoint::Inet { ip: address.ip(), port: address.port() })
}

#[test]
fn a_granted_peer_is_reached() {
    let (recording, listener, peer) = connecting(true);
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 }, "{:#?}", recording.events);
    let connect = recording.events.iter().find(|event| event.kind.name() == "connect").unwrap();
    assert_eq!(
        (&connect.kind, connect.ret, connect.blocked),
        (&Kind::Connect { peer }, Some(0), false)
    );
    listener.accept().unwrap();
}

#[test]
fn any_other_peer_is_refused_and_shown() {
    let (recording, listener, peer) = connecting(false);
    assert_eq!(recording.run.ending, Ending::Exited { code: 1 });
    let connects: Vec<&Event> =
        recording.events.iter().filter(|event| event.kind.name() == "connect").collect();
    assert_eq!(connects.len(), 1);
    assert_eq!((&connects[0].kind, connects[0].ret), (&Kind::Connect { peer }, Some(-13)));
    assert!(connects[0].blocked);
    assert!(listener.accept().is_err(), "nobody may have come");
}
