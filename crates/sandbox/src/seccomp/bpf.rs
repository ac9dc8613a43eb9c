//! Turns the policy into a classic BPF program (`Documentation/networking/filter.rst`,
//! `man 2 seccomp`): a balanced search over ranges of numbers, then the tests of the one call.
//!
//! What the rules mean is the policy's business; this room only has to say the same in another
//! language, which the tests check by interpreting the result.

use libc::sock_filter;

use super::policy::{Case, Decision, Policy, Rule, Test};
use super::watch::{HELD, watched_when};
use super::{FOREIGN_ABI_ERRNO, Mode, names};

/// `AUDIT_ARCH_X86_64` of linux/audit.h.
const ARCH: u32 = 0xc000_003e;
/// Offsets in `struct seccomp_data`.
const NR: u32 = 0;
const ARCH_AT: u32 = 4;
const ARGS: u32 = 16;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const JUMP_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// The whole program.
pub(super) fn compile(policy: &Policy, mode: Mode) -> Vec<sock_filter> {
    let foreign = outcome(Decision::Refuse(FOREIGN_ABI_ERRNO), false, mode);
    let mut program = vec![
        statement(LOAD, ARCH_AT),
        jump(JUMP_EQUAL, ARCH, 1, 0),
        statement(RETURN, foreign),
        statement(LOAD, NR),
    ];
    program.extend(search(&ranges(policy, mode)));
    program
}

/// All calls from `first` up to the next range are answered by `code`.
struct Range {
    first: u32,
    code: Vec<sock_filter>,
}

/// The whole number space, neighbours with the same answer merged.
fn ranges(policy: &Policy, mode: Mode) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    let mut push = |first: u32, code: Vec<sock_filter>| {
        if ranges.last().is_none_or(|last| !same(&last.code, &code)) {
            ranges.push(Range { first, code });
        }
    };
    let unknown = |nr: u32| leaf(policy.rule(nr), None, mode);
    let mut next = 0;
    for (nr, name) in names::known() {
        if nr != next {
            push(next, unknown(next));
        }
        let watched = match mode {
            Mode::Enforce => None,
            Mode::Hold => HELD.contains(&name).then_some(&[][..]),
            Mode::Notify => watched_when(name),
        };
        push(nr, leaf(policy.rule(nr), watched, mode));
        next = nr + 1;
    }
    push(next, unknown(next));
    ranges
}

fn same(a: &[sock_filter], b: &[sock_filter]) -> bool {
    let key = |i: &sock_filter| (i.code, i.jt, i.jf, i.k);
    a.iter().map(key).eq(b.iter().map(key))
}

/// Halves the ranges until one is left. The accumulator holds the number.
fn search(ranges: &[Range]) -> Vec<sock_filter> {
    let [below, above] = match ranges {
        [] => return Vec::new(),
        [only] => return only.code.clone(),
        more => {
            let (below, above) = more.split_at(more.len() / 2);
            [below, above]
        }
    };
    let boundary = above.first().map_or(u32::MAX, |range| range.first);
    let below = search(below);
    let mut code = match u8::try_from(below.len()) {
        Ok(skip) => vec![jump(JUMP_AT_LEAST, boundary, skip, 0)],
        // Conditional jumps reach 255 instructions; beyond that an unconditional one carries on.
        Err(_) => vec![jump(JUMP_AT_LEAST, boundary, 0, 1), statement(JUMP, length(&below))],
    };
    code.extend(below);
    code.extend(search(above));
    code
}

/// The code of one call; every path through it returns.
fn leaf(rule: Rule, watched: Option<&[Case]>, mode: Mode) -> Vec<sock_filter> {
    let (cases, otherwise) = match rule {
        Rule::Always(decision) => (&[][..], decision),
        Rule::First(cases, otherwise) => (cases, otherwise),
    };
    let mut code = Vec::new();
    // Watched arguments come first: a watched call that is refused is told to the monitor anyway.
    let always = watched.is_some_and(<[Case]>::is_empty);
    for case in watched.unwrap_or_default() {
        code.extend(case_code(case.tests, outcome(case.outcome, true, mode)));
    }
    for case in cases {
        code.extend(case_code(case.tests, outcome(case.outcome, always, mode)));
    }
    code.push(statement(RETURN, outcome(otherwise, always, mode)));
    code
}

/// Returns `action` when every test holds and falls through to what follows when not.
fn case_code(tests: &[Test], action: u32) -> Vec<sock_filter> {
    let mut code = vec![statement(RETURN, action)];
    for test in tests.iter().rev() {
        let miss = short(code.len());
        let mut head = vec![statement(LOAD, ARGS + 8 * index(test.arg))];
        if test.mask != u32::MAX {
            head.push(statement(AND, test.mask));
        }
        for (at, &value) in test.values.iter().enumerate() {
            let left = short(test.values.len() - 1 - at);
            head.push(jump(JUMP_EQUAL, value, left, if left == 0 { miss } else { 0 }));
        }
        head.append(&mut code);
        code = head;
    }
    code
}

fn outcome(decision: Decision, watched: bool, mode: Mode) -> u32 {
    match (decision, mode) {
        (Decision::Allow, Mode::Notify | Mode::Hold) if watched => libc::SECCOMP_RET_USER_NOTIF,
        (Decision::Allow, _) => libc::SECCOMP_RET_ALLOW,
        (Decision::Refuse(_), Mode::Notify) => libc::SECCOMP_RET_USER_NOTIF,
        (Decision::Refuse(errno), Mode::Enforce | Mode::Hold) => {
            libc::SECCOMP_RET_ERRNO | (errno.unsigned_abs() & libc::SECCOMP_RET_DATA)
        }
    }
}

fn statement(code: u32, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    #[expect(clippy::cast_possible_truncation, reason = "every BPF opcode fits in 8 bits")]
    let code = code as u16;
    sock_filter { code, jt, jf, k }
}

/// Cases are a handful of instructions long; the tests compile every one of them.
fn short(len: usize) -> u8 {
    debug_assert!(len <= 255, "a case outgrew a conditional jump");
    u8::try_from(len).unwrap_or(u8::MAX)
}

fn length(code: &[sock_filter]) -> u32 {
    u32::try_from(code.len()).unwrap_or(u32::MAX)
}

fn index(arg: usize) -> u32 {
    u32::try_from(arg).unwrap_or(u32::MAX)
}
