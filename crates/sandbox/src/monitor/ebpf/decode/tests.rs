//! Records made up for the tests: every event type, and bytes no sample should get past us.

use ::ebpf::abi::{
    KIND_CONNECT, KIND_COUNT, KIND_DNS, KIND_EXEC, KIND_EXIT, KIND_MKDIR, KIND_OPEN, KIND_RENAME,
    KIND_SEND, KIND_SYSCALL, KIND_WRITE, NO_TOTAL, RECORD_ADDRESS_GIVEN, RECORD_COMPAT, Record,
    SLOT_BYTES, SLOT_COMPONENTS, SLOT_STRING, SLOTS, Total,
};
use types::{Endpoint, Kind, Text};

use super::{Decoder, Held, kind_name};
use crate::seccomp::number;

fn decoder() -> Decoder {
    Decoder {
        start_ns: 1000,
        realtime_offset_ns: 0,
        refusal: Box::new(|nr, _| (Some(nr) == number("mount")).then_some(1)),
        wall: Box::new(|kind, errno| matches!(kind, Kind::Mkdir { .. }) && errno == 30),
        uid_map: vec![(0, 100_000, 10), (1000, 1000, 1)],
    }
}

fn record(kind: u8, call: &str, ret: i64) -> Record {
    let nr = number(call).map_or(-1, |nr| i32::try_from(nr).unwrap());
    Record { kind, nr, ret, total: NO_TOTAL, time_ns: 1500, start_ns: 500, ..Record::default() }
}

/// Puts slots into a record; returns their bytes.
fn with_slots(record: &mut Record, slots: &[(usize, u8, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (index, what, bytes) in slots {
        record.slot_what[*index] = *what;
        record.slot_len[*index] = u16::try_from(bytes.len()).unwrap();
        data.extend_from_slice(bytes);
    }
    data
}

#[test]
fn times_and_users_are_those_of_the_run() {
    let mut exit = record(KIND_EXIT, "", 0);
    exit.extra[0] = 3 << 8;
    for (outside, inside) in [(100_003, 3), (1000, 1000), (100_010, 65534), (0, 65534)] {
        exit.euid = outside;
        let event = decoder().decode(&exit, &[]).unwrap();
        assert_eq!((event.task.uid, event.time_ns, event.task.start_ns), (inside, 500, 0));
        assert_eq!(event.kind, Kind::Exit { code: Some(3), signal: None, thread: false });
        assert_eq!(event.ret, None);
    }
}

#[test]
fn a_relative_path_starts_from_its_folder() {
    let mut open = record(KIND_OPEN, "openat", -2);
    let data = with_slots(
        &mut open,
        &[(0, SLOT_STRING, b"../x\xff\0"), (1, SLOT_COMPONENTS, b"work\0srv\0")],
    );
    let event = decoder().decode(&open, &data).unwrap();
    let Kind::Open { path, .. } = event.kind else { panic!("{:?}", event.kind) };
    assert_eq!(path.as_bytes(), b"/srv/x\xff");
    assert!(event.advisory);
}

#[test]
fn a_wall_around_files_blocks_what_is_known_to_lie_behind_it() {
    for (errno, path, base, blocked) in [
        (30, &b"/sys/x\0"[..], &b""[..], true),
        (30, b"x\0", b"sys\0", true),
        (13, b"/sys/x\0", b"", false),
        (30, b"/sys/../x\0", b"", false),
    ] {
        let mut mkdir = record(KIND_MKDIR, "mkdir", -errno);
        let mut slots = vec![(0, SLOT_STRING, path)];
        if !base.is_empty() {
            slots.push((1, SLOT_COMPONENTS, base));
        }
        let data = with_slots(&mut mkdir, &slots);
        let event = decoder().decode(&mkdir, &data).unwrap();
        assert_eq!(event.blocked, blocked, "{event:?}");
        assert!(event.advisory, "{event:?}");
    }
    let mut relative = record(KIND_MKDIR, "mkdir", -30);
    let data = with_slots(&mut relative, &[(0, SLOT_STRING, b"x\0")]);
    assert!(!decoder().decode(&relative, &data).unwrap().blocked, "from no known folder");
}

#[test]
fn what_the_kernel_resolved_is_no_longer_advisory() {
    let mut rename = record(KIND_RENAME, "rename", 0);
    let given = with_slots(&mut rename, &[(0, SLOT_STRING, b"/a\0"), (2, SLOT_COMPONENTS, b"b\0")]);
    assert!(decoder().decode(&rename, &given).unwrap().advisory);
    let found =
        with_slots(&mut rename, &[(0, SLOT_COMPONENTS, b"a\0"), (2, SLOT_COMPONENTS, b"b\0")]);
    assert!(!decoder().decode(&rename, &found).unwrap().advisory);
    let mut open = record(KIND_OPEN, "open", 3);
    let data = with_slots(&mut open, &[(0, SLOT_COMPONENTS, b"a\0")]);
    assert!(!decoder().decode(&open, &data).unwrap().advisory);
    open.replaced = 1;
    assert!(decoder().decode(&open, &data).unwrap().advisory, "another thread had a hand in it");
}

#[test]
fn arguments_keep_empty_strings_and_every_byte() {
    let mut exec = record(KIND_EXEC, "", 0);
    let data = with_slots(
        &mut exec,
        &[
            (0, SLOT_COMPONENTS, b"sh\0bin\0"),
            (1, SLOT_COMPONENTS, b""),
            (2, SLOT_BYTES, b"sh\0\0\x1b[2J\0"),
        ],
    );
    let event = decoder().decode(&exec, &data).unwrap();
    let Kind::Exec { path, argv, cwd, stdio, .. } = event.kind else { panic!("{:?}", event.kind) };
    assert_eq!((path.as_bytes(), cwd.as_bytes()), (&b"/bin/sh"[..], &b"/"[..]));
    assert_eq!(argv, [Text::from("sh"), Text::from(""), Text::from("\x1b[2J")]);
    assert!(stdio.is_empty());
}

#[test]
fn only_the_policys_own_errno_makes_a_call_blocked() {
    let blocked = |ret| decoder().decode(&record(KIND_SYSCALL, "mount", ret), &[]).unwrap().blocked;
    assert!(blocked(-1));
    assert!(!blocked(-2) && !blocked(0));
    assert!(decoder().decode(&record(KIND_SYSCALL, "getpid", -1), &[]).is_none());
    let mut compat = record(KIND_SYSCALL, "mount", -38);
    compat.flags = RECORD_COMPAT;
    let event = decoder().decode(&compat, &[]).unwrap();
    assert!(event.blocked);
    assert!(matches!(event.kind, Kind::Syscall { call, .. } if call == "ia32_165"));
}

#[test]
fn the_peer_is_the_kernels_word_once_there_is_a_connection() {
    let mut connect = record(KIND_CONNECT, "connect", 0);
    connect.sock.family = 2;
    connect.sock.remote[..4].copy_from_slice(&[10, 0, 0, 1]);
    connect.sock.remote_port = 443;
    let given = b"\x02\0\0\x50\x7f\0\0\x01\0\0\0\0\0\0\0\0";
    let data = with_slots(&mut connect, &[(3, SLOT_BYTES, given)]);
    for (ret, ip, port, advisory) in
        [(0, [10, 0, 0, 1], 443, false), (-111, [127, 0, 0, 1], 80, true)]
    {
        connect.ret = ret;
        let event = decoder().decode(&connect, &data).unwrap();
        let peer = Endpoint::Inet { ip: ip.into(), port };
        assert_eq!((event.kind, event.advisory), (Kind::Connect { peer }, advisory));
    }
}

#[test]
fn what_goes_to_port_53_and_asks_nothing_is_a_send() {
    let mut send = record(KIND_DNS, "sendto", 4);
    send.flags = RECORD_ADDRESS_GIVEN;
    let address = b"\x0a\0\0\x35\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0";
    let data = with_slots(&mut send, &[(2, SLOT_BYTES, b"junk"), (3, SLOT_BYTES, address)]);
    let event = decoder().decode(&send, &data).unwrap();
    let peer = Endpoint::Inet { ip: std::net::Ipv6Addr::LOCALHOST.into(), port: 53 };
    assert_eq!(event.kind, Kind::Send { peer: Some(peer), bytes: 4 });
}

#[test]
fn totals_are_folded_into_the_first_event_of_each() {
    let mut held = Held::default();
    let mut write = record(KIND_WRITE, "write", 5);
    write.total = 7;
    let event = decoder().decode(&write, &[]).unwrap();
    assert!(held.keep(&write, event.clone()).is_none());
    assert_eq!(held.keep(&write, event.clone()), Some(event), "a second one stands for itself");
    let mut send = record(KIND_SEND, "sendto", 5);
    send.total = 8;
    assert!(held.keep(&send, decoder().decode(&send, &[]).unwrap()).is_none());
    let totals = [(7, Total { count: 3, bytes: 50 }), (8, Total { count: 2, bytes: 9 })].into();
    let mut events: Vec<_> = held.release(&totals).map(|(_, event)| event).collect();
    events.sort_by_key(|event| event.kind.name());
    assert!(matches!(events[0].kind, Kind::Send { bytes: 9, .. }) && events[0].count == 2);
    assert!(matches!(events[1].kind, Kind::Write { writes: 3, bytes: 50, .. }));
}

#[test]
fn every_counter_has_the_name_of_its_events() {
    for kind in 1..KIND_COUNT {
        let name = kind_name(usize::try_from(kind).unwrap());
        assert_ne!(name, "none", "{kind}");
        let mut sample = record(u8::try_from(kind).unwrap(), "getpid", 0);
        // The types that a record only has together with certain arguments.
        sample.args[0] = 15;
        sample.ret = 0;
        if kind == u32::from(KIND_SYSCALL) {
            sample.nr = i32::try_from(number("bpf").unwrap()).unwrap();
        }
        let event = decoder().decode(&sample, &[]).unwrap();
        let expect = match name {
            // Without a question in it.
            "dns" => "send",
            // A mode of zero is a regular file.
            "mknod" => "open",
            name => name,
        };
        assert_eq!(event.kind.name(), expect);
    }
}

/// A small generator (xorshift), so that a failure can be repeated.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn no_bytes_make_decoding_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let decoder = decoder();
    for round in 0..20_000_u32 {
        let len = size_of::<Record>() + usize::try_from(next(&mut state) % 512).unwrap();
        let mut bytes: Vec<u8> = (0..len).map(|_| next(&mut state).to_le_bytes()[0]).collect();
        let at = std::mem::offset_of!(Record, data_len);
        let data_len = u32::try_from(len - size_of::<Record>()).unwrap();
        bytes[at..at + 4].copy_from_slice(&data_len.to_ne_bytes());
        let (mut record, data) = Record::parse(&bytes).unwrap();
        record.kind = u8::try_from(round % KIND_COUNT).unwrap();
        record.nr = i32::try_from(next(&mut state) % 512).unwrap();
        for slot in 0..SLOTS {
            record.slot_len[slot] %= 128;
            record.slot_what[slot] %= 5;
        }
        let _ = decoder.decode(&record, data);
    }
}
