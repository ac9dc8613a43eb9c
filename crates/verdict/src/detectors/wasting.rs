//! Time and processors wasted on purpose: load for its own sake, and waiting dressed up as work.

use types::StdioKind;

use crate::attack::{COMPUTE_HIJACKING, TIME_EVASION};
use crate::detector::{Detector, Finding, Hits, Info, TierC};
use crate::timeline::{Image, Timeline};

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: Info {
            id: "processor-burned",
            title: "Processor kept busy for nothing",
            attack: COMPUTE_HIJACKING,
            looks_for: "an endless output that goes nowhere for more than two seconds, or a tool made \
                        for load",
            needs: &["exec", "exit"],
            tier_c: TierC::Reduced("where the output goes may be unknown"),
        },
        find: burned,
    },
    Detector {
        info: Info {
            id: "waiting-by-work",
            title: "Waiting dressed up as work",
            attack: TIME_EVASION,
            looks_for: "ping told to send a hundred packets or more with nobody to read the answers",
            needs: &["exec"],
            tier_c: TierC::Sees,
        },
        find: waiting,
    },
];

const BUSY_NS: u64 = 2_000_000_000;

fn burned(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    let end = timeline.recording.run.duration_ns;
    for image in timeline.executed() {
        let endless = image.is(&["yes"])
            || image.is(&["cat"]) && image.has_arg(&["/dev/zero", "/dev/urandom", "/dev/random"])
            || image.is(&["dd"])
                && image.args().any(|arg| arg.starts_with("if=/dev/"))
                && image.has_arg(&["of=/dev/null"])
                && !image.args().any(|arg| arg.starts_with("count="));
        // A pipe has a reader, and a file keeps what it gets.
        let nowhere = matches!(image.stdio.get(1), Some(StdioKind::Other | StdioKind::Closed))
            || image.has_arg(&["of=/dev/null"]);
        let load = image.is(&["stress", "stress-ng", "sysbench", "cpuburn"]) && !image.only_asks();
        if !(endless && nowhere || load) {
            continue;
        }
        let Some(process) = timeline.runner(image) else { continue };
        let exit = timeline.processes[process].exit;
        let until = exit.map_or(end, |exit| timeline.events[exit].time_ns);
        let lived = until.saturating_sub(timeline.events[image.event].time_ns);
        if lived >= BUSY_NS {
            hits.add(image.event, if load { 13 } else { 14 }, image.exact_name());
        }
    }
    hits.finding("kept busy by ")
}

fn waiting(timeline: &Timeline<'_>) -> Option<Finding> {
    const PACKETS_MIN: u32 = 100;
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is(&["ping", "ping6", "fping"])) {
        let count = image.args().skip_while(|arg| *arg != "-c").nth(1);
        let many = count.and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n >= PACKETS_MIN);
        if many && unread(timeline, image) {
            hits.add(image.event, 13, image.exact_name());
        }
    }
    hits.finding("by ")
}

/// Whether the answers go nowhere: by its streams, or by the text of the shell it comes from.
fn unread(timeline: &Timeline<'_>, image: &Image<'_>) -> bool {
    if image.happened {
        return matches!(image.stdio.get(1), Some(StdioKind::Other | StdioKind::Closed));
    }
    let shell = timeline.executed().find(|shell| shell.event == image.event);
    shell.and_then(Image::told).is_some_and(|text| text.contains("/dev/null"))
}
