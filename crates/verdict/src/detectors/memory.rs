//! Code that runs from memory instead of a file, and code put into other processes.

pub(crate) mod regions;

use std::collections::BTreeSet;

use types::Kind;

use crate::attack::{DEBUGGER_EVASION, PROC_MEMORY, PTRACE, REFLECTIVE_LOADING};
use crate::detector::{Detector, Finding, Hits, Info, TierC, show};
use crate::paths;
use crate::timeline::{How, Image, Timeline};

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: Info {
            id: "memory-file-exec",
            title: "Program executed from a memory file",
            attack: REFLECTIVE_LOADING,
            looks_for: "exec of a memfd, or of a descriptor after one was made",
            needs: &["exec", "memfd_create"],
            tier_c: TierC::Sees,
        },
        find: memory_file,
    },
    Detector {
        info: Info {
            id: "deleted-file-exec",
            title: "Program executed after its file was deleted",
            attack: REFLECTIVE_LOADING,
            looks_for: "exec of an image whose file has no name any more",
            needs: &["exec", "unlink"],
            tier_c: TierC::Reduced("the image is judged by its name"),
        },
        find: deleted_file,
    },
    Detector {
        info: Info {
            id: "code-in-memory",
            title: "System calls from memory that was made executable",
            attack: REFLECTIVE_LOADING,
            looks_for: "a system call made by code in memory that was writable or anonymous",
            needs: &["memory", "memory_executed"],
            tier_c: TierC::Reduced("only calls that are watched are compared with the memory map"),
        },
        find: executed,
    },
    Detector {
        info: Info {
            id: "writable-code",
            title: "Memory writable and executable at once",
            attack: REFLECTIVE_LOADING,
            looks_for: "anonymous memory with write and execute permission in a program that does \
                        not come with the system",
            needs: &["memory"],
            tier_c: TierC::Sees,
        },
        find: writable,
    },
    Detector {
        info: Info {
            id: "process-injection",
            title: "Another process traced or rewritten",
            attack: PTRACE,
            looks_for: "ptrace attach or poke, or process_vm_writev, on another process by anything \
                        but a debugger",
            needs: &["ptrace", "process_memory"],
            tier_c: TierC::Sees,
        },
        find: injection,
    },
    Detector {
        info: Info {
            id: "process-memory-write",
            title: "Another process' memory opened for writing",
            attack: PROC_MEMORY,
            looks_for: "/proc/<pid>/mem of another process opened for writing",
            needs: &["open"],
            tier_c: TierC::Sees,
        },
        find: memory_write,
    },
    Detector {
        info: Info {
            id: "debugger-evasion",
            title: "Program traces itself",
            attack: DEBUGGER_EVASION,
            looks_for: "PTRACE_TRACEME in a program that no debugger started",
            needs: &["ptrace"],
            tier_c: TierC::Sees,
        },
        find: traces_itself,
    },
];

fn memory_file(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted() {
        let descriptor = image.path.starts_with("/proc/") && image.path.contains("/fd/")
            || image.path.starts_with("/dev/fd/");
        let made = || {
            let process = timeline.runner(image)?;
            timeline.events[..image.event].iter().enumerate().position(|(index, event)| {
                matches!(event.kind, Kind::MemfdCreate { .. })
                    && timeline.process(index).is_some_and(|p| timeline.related(p, process))
            })
        };
        let by_name = image.path.starts_with("/memfd:") || image.path.starts_with("memfd:");
        let made = if descriptor { made() } else { None };
        if image.memfd || by_name || made.is_some() {
            hits.add(image.event, 32, &image.path);
            hits.context.extend(made);
        }
    }
    hits.finding("executed: ")
}

fn deleted_file(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.executed().filter(|image| image.deleted && !image.memfd) {
        hits.add(image.event, 20, &image.path);
    }
    hits.finding("executed: ")
}

fn executed(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::MemoryExecuted { address, call } = &event.kind {
            let image = timeline.image(index);
            // Code that compilers write at run time calls the C library, not the kernel. Where it
            // does (an emulator of another kind), its trade is half an excuse.
            let weight = if image.trusted() && image.generates_code() { 24 } else { 32 };
            hits.add(index, weight, call);
            // One mapping explains it; looking for all of them would be quadratic.
            if !hits.context.is_empty() {
                continue;
            }
            hits.context.extend(timeline.events[..index].iter().position(|earlier| {
                matches!(&earlier.kind, Kind::Memory { address: start, length, .. }
                    if (*start..start.saturating_add(*length)).contains(address))
                    && earlier.task.pid == event.task.pid
            }));
        }
    }
    hits.finding("calls made from there: ")
}

fn writable(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let image = timeline.image(index);
        if let Kind::Memory { call, write_execute: true, anonymous: true, .. } = &event.kind
            && !image.trusted()
            && !image.is_interpreter()
            && !image.generates_code()
        {
            // A compiler that came with the sample does this, too: alone it must not suspect.
            hits.add(index, 8, call);
        }
    }
    hits.finding("asked for with ")
}

const TRACEME: u64 = 0;
const POKETEXT: u64 = 4;
const POKEDATA: u64 = 5;
const POKEUSER: u64 = 6;
const SETREGS: u64 = 13;
const SETFPREGS: u64 = 15;
const ATTACH: u64 = 16;
const SETREGSET: u64 = 0x4205;
const SEIZE: u64 = 0x4206;

/// Programs whose job is to look into others.
const DEBUGGERS: &[&str] = &[
    "strace",
    "ltrace",
    "gdb",
    "gdbserver",
    "lldb",
    "lldb-server",
    "rr",
    "perf",
    "bpftrace",
    "uftrace",
    "dlv",
    "py-spy",
    "rbspy",
    "criu",
    "gcore",
    "valgrind",
    "proot",
    "fakeroot-ng",
    "crash-handler",
    "systemd-coredump",
    "apport",
    "drgdb",
    "cgdb",
    "eu-stack",
    "pstack",
    "kcov",
    "catchsegv",
];

/// Whether a debugger is at work: the tracer itself, or what it started.
fn debugged(timeline: &Timeline<'_>, event: usize) -> bool {
    timeline
        .process(event)
        .is_some_and(|process| timeline.ancestry(process).any(|image| image.is_trusted(DEBUGGERS)))
}

fn injection(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    let mut targets = BTreeSet::new();
    for (index, event) in timeline.events.iter().enumerate() {
        let (target, weight, what) = match &event.kind {
            Kind::Ptrace { request, target_pid } => match *request {
                POKETEXT | POKEDATA | POKEUSER | SETREGS | SETFPREGS | SETREGSET => {
                    (*target_pid, 32, "a rewrite by ptrace")
                }
                ATTACH | SEIZE => (*target_pid, 24, "an attach by ptrace"),
                _ => continue,
            },
            Kind::ProcessMemory { write: true, target_pid } => {
                (*target_pid, 30, "a write by process_vm_writev")
            }
            Kind::ProcessMemory { write: false, target_pid } => {
                (*target_pid, 15, "a read by process_vm_readv")
            }
            _ => continue,
        };
        let task = &event.task;
        if target == task.pid || debugged(timeline, index) {
            continue;
        }
        // Leak checkers and crash handlers fork and attach to their parent, and only look.
        let looks_at_parent = target == task.ppid && weight == 24 && own_fork(timeline, index);
        if !looks_at_parent {
            targets.insert(target);
            hits.add(index, weight, what);
        }
    }
    let of =
        if targets.len() > 1 { format!("{} processes: ", targets.len()) } else { String::new() };
    hits.finding(&of)
}

/// Whether the event's process still runs the image it was forked with.
fn own_fork(timeline: &Timeline<'_>, event: usize) -> bool {
    timeline.process(event).is_some_and(|p| timeline.processes[p].executed.is_empty())
}

fn memory_write(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for touch in &timeline.touches {
        let event = &timeline.events[touch.event];
        let Some(rest) = touch.path.strip_prefix("/proc/") else { continue };
        if !rest.ends_with("/mem") || !matches!(touch.how, How::Open { .. } | How::Write) {
            continue;
        }
        let own = rest.starts_with("self/")
            || rest.starts_with("thread-self/")
            || paths::proc_entry(&touch.path).is_some_and(|(pid, _)| pid == event.task.pid);
        if debugged(timeline, touch.event) {
            continue;
        }
        if !own {
            hits.add(touch.event, 30, &touch.path);
        } else if timeline.image(touch.event).is_own_will() {
            // Writing through one's own memory file passes by page protection.
            hits.add(touch.event, 14, &touch.path);
        }
    }
    hits.finding("opened for writing: ")
}

fn traces_itself(timeline: &Timeline<'_>) -> Option<Finding> {
    let asks =
        |index: usize| matches!(timeline.events[index].kind, Kind::Ptrace { request: TRACEME, .. });
    // A debugger of the sample's own forks a child that asks to be traced and then executes.
    let own = |image: &Image<'_>| image.is_own_will();
    let events: Vec<usize> = (0..timeline.events.len())
        .filter(|&index| asks(index) && own(timeline.image(index)) && !debugged(timeline, index))
        .collect();
    let first = *events.first()?;
    let name = show(timeline.image(first).exact_name());
    Some(Finding::new(10, format!("{name} asked to be traced"), events))
}
