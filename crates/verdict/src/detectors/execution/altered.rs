//! Files made longer so that nobody recognises them: filler behind the end of a program.

use types::{Access, Kind};

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
            Kind::Open { path, access, truncate: false, .. } if *access != Access::Read => path,
            Kind::Truncate { path, length } if *length > 0 => path,
            _ => continue,
        };
        let path = paths::clean(path);
        // The shell opens what it appends to before it becomes the program that writes.
        let Some(process) = timeline.process(index) else { continue };
        let writer = timeline.images_of(process).find(|image| image.event >= index && fills(image));
        let by = writer.or_else(|| Some(timeline.image(index)).filter(|image| fills(image)));
        let Some(by) = by else { continue };
        let copy = copies.iter().find(|(copied, from, _)| *copied == path && *from < index);
        let away = !paths::under(&path, &work) && !path.starts_with("/dev/");
        if let Some((.., copier)) = copy {
            let run = timeline.executed().find(|i| i.path == path && i.event > index);
            hits.add(index, if run.is_some() { 15 } else { 13 }, &path);
            hits.context.extend([*copier]);
            hits.context.extend(run.map(|run| run.event));
        } else if away && is_filler(by) {
            hits.add(index, 13, &path);
        }
    }
    for image in timeline.attempted().filter(|image| image.is(&["truncate"])) {
        let grows = image.args().any(|arg| arg.trim_start_matches("-s").starts_with('+'));
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

/// Copies of system programs: where they are now, and the copier's event twice, as order and proof.
fn copies(timeline: &Timeline<'_>) -> Vec<(String, usize, usize)> {
    let copiers = timeline.executed().filter(|image| image.is(&["cp", "install"]));
    copiers
        .filter_map(|copier| {
            let words: Vec<&str> = copier.operands().collect();
            let [.., from, to] = words[..] else { return None };
            let from_path = stated::absolute(from, &copier.cwd);
            let program = ["/bin/", "/sbin/"].iter().any(|folder| from_path.contains(folder));
            let to = stated::absolute(to, &copier.cwd);
            (program && paths::is_system(&from_path)).then_some((to, copier.event, copier.event))
        })
        .collect()
}
