//! Things put where nobody looks: hidden folders in places for everybody, processes behind mounts.

use types::Kind;

use crate::attack::{BIND_MOUNTS, HIDDEN_FILES};
use crate::detector::{Detector, Finding, Hits, Info, TierC};
use crate::paths;
use crate::timeline::Timeline;

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: Info {
            id: "hidden-folder",
            title: "Hidden file in a hidden scratch folder",
            attack: HIDDEN_FILES,
            looks_for: "a folder whose name starts with a dot, made in a scratch folder by mkdir, and a \
                        hidden file written into it",
            needs: &["mkdir", "open", "exec"],
            tier_c: TierC::Sees,
        },
        find: folder,
    },
    Detector {
        info: Info {
            id: "process-behind-mount",
            title: "Process hidden by a mount",
            attack: BIND_MOUNTS,
            looks_for: "mount(8) told to lay something over a process's folder in /proc",
            needs: &["exec"],
            tier_c: TierC::Sees,
        },
        find: mounts,
    },
];

/// Folders that desktops and test tools make there.
const KNOWN: &[&str] = &[
    ".X11-unix",
    ".ICE-unix",
    ".XIM-unix",
    ".font-unix",
    ".Test-unix",
    ".cache",
    ".git",
    ".venv",
    ".npm",
    ".config",
    ".local",
    ".cargo",
    ".gnupg",
    ".ssh",
];

fn folder(timeline: &Timeline<'_>) -> Option<Finding> {
    let work = paths::clean(&timeline.recording.run.cwd);
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::Mkdir { path } = &event.kind else { continue };
        let (path, name) = (paths::clean(path), paths::clean(path));
        let name = paths::name(&name);
        let hidden = name.starts_with('.') && name.len() > 2 && !KNOWN.contains(&name);
        let by_hand = timeline.image(index).is(&["mkdir", "install", "cp"]);
        if !hidden || !by_hand || !paths::is_scratch(&path) || paths::under(&path, &work) {
            continue;
        }
        let file = timeline.touches.iter().find(|touch| {
            touch.event > index
                && paths::folder(&touch.path) == path
                && paths::name(&touch.path).starts_with('.')
        });
        if let Some(file) = file {
            hits.add(index, 13, &file.path);
            hits.context.push(file.event);
        }
    }
    hits.finding("written: ")
}

fn mounts(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is(&["mount"])) {
        let binds = image.has_arg(&["-B", "--bind", "--rbind", "-o"]);
        let target = image.operands().last().unwrap_or("");
        let process = target.strip_prefix("/proc/").is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '$' | '`'))
        });
        if process && (binds || image.has_arg(&["-t"])) {
            hits.add(image.event, 15, target);
        }
    }
    hits.finding("mount over ")
}
