//! The filter says what the policy says: every compiled program is interpreted over all numbers and
//! over random and deliberately chosen arguments.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "registers are cut on purpose, as the filter machine cuts them"
)]

use super::policy::{Decision, Policy};
use super::{FOREIGN_ABI_ERRNO, Filter, Mode, name};
use crate::spec::Net;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;

/// Interprets the instructions that the compiler emits; anything else is a failure.
/// Returns the action and how many instructions ran.
fn interpret(filter: &Filter, arch: u32, nr: u32, args: &[u64; 6]) -> (u32, usize) {
    let load = |at: u32| match at {
        0 => nr,
        4 => arch,
        16..64 if at.is_multiple_of(4) => {
            let arg = args[(at as usize - 16) / 8];
            (if at.is_multiple_of(8) { arg } else { arg >> 32 }) as u32
        }
        _ => panic!("load at {at}"),
    };
    let (mut at, mut acc) = (0, 0_u32);
    for steps in 1..=filter.0.len() {
        let i = filter.0[at];
        at += 1;
        let conditional = |holds: bool| usize::from(if holds { i.jt } else { i.jf });
        match i.code {
            0x20 => acc = load(i.k),
            0x54 => acc &= i.k,
            0x05 => at += i.k as usize,
            0x15 => at += conditional(acc == i.k),
            0x35 => at += conditional(acc >= i.k),
            0x06 => return (i.k, steps),
            other => panic!("instruction {other:#x}"),
        }
    }
    panic!("the program does not end");
}

/// xorshift64*: the same calls in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Mostly values near the ones that rules test for, also with high bits set.
    fn argument(&mut self) -> u64 {
        let interesting =
            [0, 1, 2, 3, 4, 6, 7, 9, 10, 15, 16, 17, 22, 32, 38, 40, 58, 262, 0x5412, 0x541c];
        let flags = [0x1000_0000, 0x2_0000, 0x80, 0x8_0000, 0x800, 0xffff_ffff, 0x0120_0011];
        let value = match self.next() % 4 {
            0 => interesting[self.next() as usize % interesting.len()],
            1 => flags[self.next() as usize % flags.len()],
            2 => {
                interesting[self.next() as usize % interesting.len()]
                    | flags[self.next() as usize % flags.len()]
            }
            _ => self.next(),
        };
        if self.next().is_multiple_of(3) { value | self.next() << 32 } else { value }
    }

    fn arguments(&mut self) -> [u64; 6] {
        std::array::from_fn(|_| self.argument())
    }
}

fn expected(decision: Decision) -> u32 {
    match decision {
        Decision::Allow => libc::SECCOMP_RET_ALLOW,
        Decision::Refuse(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
    }
}

#[test]
fn the_filter_agrees_with_the_policy() {
    let mut random = Random(0x5eed);
    for net in [Net::None, Net::Loopback] {
        let policy = Policy::standard(net);
        let enforce = policy.compile(Mode::Enforce);
        let notify = policy.compile(Mode::Notify);
        let numbers = (0..600).chain([1000, 0x3fff_ffff, 0x4000_0000, 0x4000_0065, u32::MAX]);
        for nr in numbers {
            for _ in 0..500 {
                let args = random.arguments();
                let decision = policy.decide(nr, &args);
                let (action, _) = interpret(&enforce, X86_64, nr, &args);
                assert_eq!(action, expected(decision), "{nr} {:?} {args:x?}", name(nr));
                let (told, _) = interpret(&notify, X86_64, nr, &args);
                match decision {
                    Decision::Refuse(_) => assert_eq!(told, libc::SECCOMP_RET_USER_NOTIF),
                    Decision::Allow => assert!(
                        [libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ALLOW].contains(&told)
                    ),
                }
            }
        }
    }
}

#[test]
fn every_watched_call_is_told_and_nothing_else_allowed_is() {
    let policy = Policy::standard(Net::None);
    let filter = policy.compile(Mode::Notify);
    let told = |nr, args| interpret(&filter, X86_64, nr, &args).0 != libc::SECCOMP_RET_ALLOW;
    for (nr, call) in super::names::known() {
        let mut random = Random(u64::from(nr) + 1);
        let any = (0..2000)
            .map(|_| random.arguments())
            .any(|args| policy.decide(nr, &args) == Decision::Allow && told(nr, args));
        assert_eq!(any, super::watch::watched_when(call).is_some(), "{call}");
    }
    let mmap = super::number("mmap").unwrap();
    let library = [0, 4096, 5, 0x802, 3, 0];
    assert!(!told(mmap, library), "the dynamic linker's mappings stay fast");
    assert!(told(mmap, [0, 4096, 7, 0x22, u64::MAX, 0]));
    assert!(told(mmap, [0, 4096, 5, 0x22, u64::MAX, 0]));
    assert!(!told(mmap, [0, 4096, 3, 0x22, u64::MAX, 0]));
}

#[test]
fn other_abis_are_refused() {
    let filter = Policy::standard(Net::None).compile(Mode::Enforce);
    let refused = libc::SECCOMP_RET_ERRNO | FOREIGN_ABI_ERRNO as u32;
    for nr in 0..500 {
        assert_eq!(interpret(&filter, I386, nr, &[0; 6]).0, refused);
    }
}

#[test]
fn the_way_to_an_answer_is_short() {
    for mode in [Mode::Enforce, Mode::Notify] {
        let filter = Policy::standard(Net::None).compile(mode);
        assert!(filter.0.len() <= 4096, "{} instructions", filter.0.len());
        for (nr, call) in super::names::known() {
            let (_, steps) = interpret(&filter, X86_64, nr, &[0; 6]);
            assert!(steps <= 32, "{call} takes {steps}");
        }
    }
}
