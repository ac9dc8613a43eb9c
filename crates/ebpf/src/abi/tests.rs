//! The Rust half of the ABI against the C half.

use std::collections::BTreeMap;
use std::mem::offset_of;

use super::{
    CONSTANTS, Control, Counters, DATA_LEN_MAX, Duration, Here, Recipe, Record, SLOTS, Sampling,
    SockInfo, Stdio, Total, Window,
};

const HEADER: &str = include_str!("../../c/abi.h");

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[test]
fn every_number_of_the_header_is_ours() {
    let theirs: BTreeMap<&str, u64> = HEADER
        .lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix("#define ")?.split_whitespace();
            Some((words.next()?, number(words.next()?)?))
        })
        .collect();
    let ours: BTreeMap<&str, u64> = CONSTANTS.iter().copied().collect();
    assert_eq!(ours, theirs);
}

#[test]
fn every_layout_the_header_asserts_is_ours() {
    let ours = BTreeMap::from([
        ("sizeof(struct here)", size_of::<Here>()),
        ("sizeof(struct sock_info)", size_of::<SockInfo>()),
        ("sizeof(struct stdio)", size_of::<Stdio>()),
        ("sizeof(struct record)", size_of::<Record>()),
        ("sizeof(struct recipe)", size_of::<Recipe>()),
        ("sizeof(struct counters)", size_of::<Counters>()),
        ("sizeof(struct total)", size_of::<Total>()),
        ("sizeof(struct control)", size_of::<Control>()),
        ("sizeof(struct window)", size_of::<Window>()),
        ("sizeof(struct sampling)", size_of::<Sampling>()),
        ("sizeof(struct duration)", size_of::<Duration>()),
        ("__builtin_offsetof(struct record, comm)", offset_of!(Record, comm)),
        ("__builtin_offsetof(struct record, nr)", offset_of!(Record, nr)),
        ("__builtin_offsetof(struct record, args)", offset_of!(Record, args)),
        ("__builtin_offsetof(struct record, extra)", offset_of!(Record, extra)),
        ("__builtin_offsetof(struct record, sock)", offset_of!(Record, sock)),
        ("__builtin_offsetof(struct record, slot_len)", offset_of!(Record, slot_len)),
        ("__builtin_offsetof(struct record, slot_what)", offset_of!(Record, slot_what)),
        ("__builtin_offsetof(struct record, data_len)", offset_of!(Record, data_len)),
    ]);
    let theirs: BTreeMap<&str, usize> = HEADER
        .lines()
        .filter_map(|line| {
            let (what, value) = line
                .strip_prefix("_Static_assert(")?
                .strip_suffix(", \"\");")?
                .split_once(" == ")?;
            Some((what, value.parse().ok()?))
        })
        .collect();
    assert_eq!(ours, theirs);
}

#[test]
fn a_record_is_read_field_by_field_where_c_put_it() {
    let bytes: Vec<u8> = (0..size_of::<Record>()).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let mut bytes = bytes;
    let at = offset_of!(Record, data_len);
    bytes[at..at + 4].copy_from_slice(&3_u32.to_ne_bytes());
    bytes.extend_from_slice(b"abcd");
    let (record, data) = Record::parse(&bytes).unwrap();
    assert_eq!(data, b"abc");
    assert_eq!(record.comm[0], 32);
    assert_eq!(record.kind, 48);
    assert_eq!(record.nr, i32::from_ne_bytes([52, 53, 54, 55]));
    assert_eq!(record.extra[0].to_ne_bytes()[0], 112);
    assert_eq!(record.sock.family, u16::from_ne_bytes([152, 153]));
    assert_eq!(record.slot_len[0], u16::from_ne_bytes([200, 201]));
    assert_eq!(record.slot_what[SLOTS - 1], 214);
}

#[test]
fn short_bytes_are_no_record() {
    let bytes = vec![0xff; size_of::<Record>() + DATA_LEN_MAX];
    assert!(Record::parse(&bytes).is_none(), "data_len beyond the bytes");
    for len in 0..size_of::<Record>() {
        assert!(Record::parse(&bytes[..len]).is_none());
    }
}

#[test]
fn calls_are_added_up_over_cpus_and_nothing_else_is() {
    let mut cpu = vec![0; size_of::<Here>()];
    cpu[8..16].copy_from_slice(&3_u64.to_ne_bytes());
    cpu[offset_of!(Here, known)..].fill(0xff);
    let mut sums = vec![0; super::RECIPES_LEN];
    Here::add_calls(&cpu, &mut sums);
    Here::add_calls(&cpu, &mut sums);
    assert_eq!((sums[0], sums[1], sums[super::CALLS_OTHER]), (0, 6, 0));
}
