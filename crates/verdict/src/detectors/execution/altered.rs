//! Files made longer so that nobody recognises them: filler behind the end of a program.

use types::Kind;

use crate::detector::{Finding, Hits};
use crate::paths;
use crate::timeline::{Image, Timeline, stated};

/// Filler appended to a file away from the work, or anything appended to a copy of a system program.
pub(super) fn padded(timeline: &Timeline<'_>) -> Option<Finding> {
    let work = paths::clean(&timeline.recording.run.cwd);
    let copies = copies(timeline);
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let path = match &event.kind {
            Kind::Write { path, .. } => path,
            Kind::Truncate { path, length } if *length > 0 => path,
            _ => continue,
        };
        let (path, by) = (paths::clean(path), timeline.image(index));
        let copy = copies.iter().find(|(copied, copier)| *copied == path && *copier < index);
        let away = !paths::under(&path, &work) && !path.starts_with("/dev/");
        if let Some((_, copier)) = copy.filter(|_| fills(by)) {
            let run = timeline.executed().find(|i| i.path == path && i.event > index);
            hits.add(index, if run.is_some() { 15 } else { 13 }, &path);
            hits.context.push(*copier);
            hits.context.extend(run.map(|run| run.event));
        } else if away && is_filler(by) && appended(timeline, &path, index) {
            hits.add(index, 13, &path);
        }
    }
    for image in timeline.attempted().filter(|image| image.is(&["truncate"])) {
        // Disk images grow by megabytes; another hash takes a few bytes.
        let grows = image.args().any(|arg| {
            let by = arg.trim_start_matches("--size=").trim_start_matches("-s").strip_prefix('+');
            by.is_some_and(|by| by.parse::<u32>().is_ok_and(|bytes| bytes < 1 << 20))
        });
        for word in image.operands().filter(|word| grows && word.contains('/')) {
            let path = stated::absolute(word, &image.cwd);
            if !paths::under(&path, &work) {
                hits.add(image.event, 13, &path);
            }
        }
    }
    hits.finding("lengthened: ")
}

/// Programs that put bytes behind what is there.
fn fills(image: &Image<'_>) -> bool {
    image.is(&["dd", "head", "truncate", "printf", "tail", "cat", "openssl"])
}

/// Reads nothing but zeros or noise.
fn is_filler(image: &Image<'_>) -> bool {
    let source = |arg: &str| {
        ["/dev/zero", "/dev/urandom", "/dev/random"].iter().any(|device| arg.ends_with(device))
    };
    image.is(&["dd", "head"])
        && image.args().any(source)
        && !image.args().any(|arg| arg.starts_with("of="))
}

/// Whether the file was opened without being emptied before this event, and never emptied.
fn appended(timeline: &Timeline<'_>, path: &str, before: usize) -> bool {
    let opens = || {
        timeline.touches_of(path).filter(|touch| touch.event < before).filter_map(|touch| {
            match timeline.events[touch.event].kind {
                Kind::Open { truncate, .. } => Some(truncate),
                _ => None,
            }
        })
    };
    opens().any(|emptied| !emptied) && !opens().any(|emptied| emptied)
}

/// Copies of system programs, with the event of the copier.
fn copies(timeline: &Timeline<'_>) -> Vec<(String, usize)> {
    let copiers = timeline.executed().filter(|image| image.is(&["cp", "install"]));
    copiers
        .filter_map(|copier| {
            let words: Vec<&str> = copier.operands().collect();
            let [.., from, to] = words[..] else { return None };
            let from = stated::absolute(from, &copier.cwd);
            let program = ["/bin/", "/sbin/"].iter().any(|folder| from.contains(folder));
            let to = stated::absolute(to, &copier.cwd);
            (program && paths::is_system(&from)).then_some((to, copier.event))
        })
        .collect()
}
