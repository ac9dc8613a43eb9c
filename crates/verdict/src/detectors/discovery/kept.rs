//! Answers that were kept: what was found out, written to a file away from the work.

use std::collections::{BTreeMap, BTreeSet};

use super::{is_builder, subject};
use crate::detector::{Finding, Hits, show};
use crate::paths;
use crate::timeline::{How, Timeline};

/// The file that a process's output was sent to before it became the program of `event`.
fn output_of<'t>(timeline: &'t Timeline<'_>, process: usize, event: usize) -> Option<&'t str> {
    let near = |touch: &&crate::timeline::Touch<'_>| {
        touch.event < event
            && matches!(touch.how, How::Open { .. })
            && timeline.process(touch.event).is_some_and(|opener| {
                opener == process || timeline.processes[process].parent == Some(opener)
            })
            // The shell opens right before it starts the program, not for an earlier one.
            && event - touch.event <= 12
    };
    timeline.touches.iter().rfind(near).map(|touch| touch.path.as_ref())
}

/// Account files copied or filtered into a scratch folder, and answers to several questions put into
/// one file there.
pub(super) fn answers(timeline: &Timeline<'_>) -> Option<Finding> {
    const ACCOUNTS: &[&str] = &["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/sudoers"];
    const APPENDED_MIN: usize = 3;
    let work = paths::clean(&timeline.recording.run.cwd);
    let mut hits = Hits::default();
    let mut files: BTreeMap<&str, (Vec<usize>, BTreeSet<&str>)> = BTreeMap::new();
    for image in timeline.executed() {
        let Some(process) = timeline.runner(image) else { continue };
        let Some(file) = output_of(timeline, process, image.event) else { continue };
        if !paths::is_scratch(file) || paths::under(file, &work) || work == "/tmp" {
            continue;
        }
        let copies = image.is(&["cat", "cp", "grep", "cut", "awk", "head", "sort", "sed"])
            && image.args().any(|arg| ACCOUNTS.contains(&arg));
        if copies {
            hits.add(image.event, 13, file);
        } else if let Some(subject) = subject(image)
            && !timeline.ancestry(process).any(is_builder)
        {
            let (events, subjects) = files.entry(file).or_default();
            events.push(image.event);
            subjects.insert(subject);
        }
    }
    for (file, (events, subjects)) in files {
        // Reports of a machine's state are everyday; who writes them hides them from nobody.
        let hidden = paths::name(file).starts_with('.') || !paths::under(file, "/tmp");
        if hidden && events.len() >= APPENDED_MIN && subjects.len() >= 2 {
            events.iter().for_each(|&event| hits.add(event, 13, &show(file)));
        }
    }
    hits.finding("kept in ")
}
