//! What looks at the memory of processes found.
//!
//! Memory that is executable, or writable as well, is a compiler's daily work and weighs nothing
//! here. Measured on node, Java, LuaJIT, PCRE and libffi: their code goes to a library for every
//! system call, begins with no program's header, and leaves the text of files as it is. Whatever
//! breaks one of these is no compiler, whatever its name.

use types::{Event, Kind};

use crate::attack::{PROCESS_INJECTION, REFLECTIVE_LOADING};
use crate::detector::{Detector, Finding, Hits, Info, TierC};
use crate::timeline::Timeline;

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: Info {
            id: "memory-implant",
            title: "Code in memory that no file holds",
            attack: REFLECTIVE_LOADING,
            looks_for: "a thread inside a system call made by memory without a file, code there \
                        that calls the kernel itself, a program's header before executable memory, \
                        or a stack that can be executed",
            needs: &["memory_region"],
            tier_c: TierC::Sees,
        },
        find: implant,
    },
    Detector {
        info: Info {
            id: "rewritten-text",
            title: "Text of a program or library rewritten in memory",
            attack: PROCESS_INJECTION,
            looks_for: "executable text that differs from the file it was mapped from, by more than \
                        a few bytes",
            needs: &["memory_region"],
            tier_c: TierC::Sees,
        },
        find: rewritten,
    },
];

/// What a finding is worth by itself, and in which words.
fn worth(finding: &str) -> Option<(u32, &'static str)> {
    Some(match finding {
        "injected_thread" => (30, "a system call made from memory without a file"),
        "image" => (28, "a program loaded by hand"),
        // Two bytes behind a number: once in some hundred runs a compiler's code has them by chance
        // (seen on node). It supports what else is seen and does not make a run suspicious alone.
        "direct_calls" => (12, "code that calls the kernel itself"),
        "executable_stack" => (6, "a stack that can be executed"),
        _ => return None,
    })
}

fn implant(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::MemoryRegion { finding, address, length, .. } = &event.kind else { continue };
        if let Some((weight, what)) = worth(finding) {
            hits.add(index, weight, what);
            if hits.context.is_empty() {
                hits.context.extend(origin(timeline, index, *address, *length));
            }
        }
    }
    hits.finding("found in memory: ")
}

/// The event that made this memory executable.
fn origin(timeline: &Timeline<'_>, found: usize, address: u64, length: u64) -> Option<usize> {
    let task = &timeline.events[found].task;
    let made = |event: &Event| {
        matches!(&event.kind, Kind::Memory { address: start, length: len, .. }
            if *start < address.saturating_add(length) && address < start.saturating_add(*len))
            && (event.task.pid, event.task.start_ns) == (task.pid, task.start_ns)
    };
    timeline.events[..found].iter().position(made)
}

fn rewritten(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::MemoryRegion { finding, file, .. } = &event.kind else { continue };
        let weight = match finding.as_str() {
            "hollowed" => 28,
            // A breakpoint, a hook of a profiler.
            "patched" => 8,
            _ => continue,
        };
        let file = file.as_ref().map(|file| file.to_lossy());
        hits.add(index, weight, file.as_deref().unwrap_or("memory"));
    }
    hits.finding("differs from its file: ")
}
