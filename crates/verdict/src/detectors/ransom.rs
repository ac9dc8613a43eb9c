//! Many files made unreadable, and what usually comes with it.
//!
//! A file is a victim when its readable form is gone and an unreadable one stands in its place. What
//! compressors, compilers and version control do fails one of the two halves: they keep the
//! original, or what they write announces its format, or they make new files only.

mod content;

use std::collections::{BTreeMap, BTreeSet};

use types::Kind;

use crate::attack::{DATA_DESTRUCTION, DATA_ENCRYPTED};
use crate::detector::{Detector, Finding, Hits, Info, TierC, show};
use crate::paths;
use crate::timeline::{How, Timeline};
use content::Content;

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: Info {
            id: "mass-encryption",
            title: "Files encrypted or renamed in bulk",
            attack: DATA_ENCRYPTED,
            looks_for: "many files overwritten in place with unreadable content, or replaced by \
                        copies with one unusual extension; ransom notes add to it",
            needs: &["write", "open", "rename", "unlink", "file_changed"],
            tier_c: TierC::Reduced(
                "what is written is unknown; renames, deletions and the files left behind remain",
            ),
        },
        find: encryption,
    },
    Detector {
        info: Info {
            id: "ransom-note",
            title: "Ransom note",
            attack: DATA_ENCRYPTED,
            looks_for: "a new file whose name tells how to get files back",
            needs: &["open", "write", "rename", "file_changed"],
            tier_c: TierC::Sees,
        },
        find: note,
    },
    Detector {
        info: Info {
            id: "mass-destruction",
            title: "Files destroyed in bulk",
            attack: DATA_DESTRUCTION,
            looks_for: "many existing files overwritten with filler or emptied, or deletion aimed at \
                        the system's or everybody's folders",
            needs: &["write", "open", "truncate", "unlink", "exec"],
            tier_c: TierC::Reduced("what is written is unknown"),
        },
        find: destruction,
    },
];

/// From here a set of victims is a pattern; below it, only with a ransom note.
const VICTIMS_MIN: usize = 8;
const VICTIMS_WITH_NOTE_MIN: usize = 4;
/// Planted files are nobody's work in progress: a few are enough.
const DECOYS_MIN: usize = 3;
const DECOYS_DECIBANS: u32 = 8;
const ENCRYPTION_DECIBANS: u32 = 32;
const ENCRYPTION_UNSEEN_DECIBANS: u32 = 20;
const NOTE_DECIBANS: u32 = 13;

/// What happened to one file name in the run.
#[derive(Debug, Default)]
struct File {
    /// Content of its writes, in order.
    contents: Vec<Content>,
    write_events: Vec<usize>,
    /// Successful opens for writing.
    opens: Vec<usize>,
    /// It was there before something in the run wrote to it.
    existed: bool,
    gone: Option<usize>,
    renamed: Option<(String, usize)>,
    /// What it looks like after the run.
    left: Option<(Content, usize)>,
}

impl File {
    fn unreadable(&self) -> bool {
        let last = self.contents.last().copied().or(self.left.map(|(content, _)| content));
        matches!(
            last,
            Some(Content::Opaque | Content::Encrypted | Content::Encoded | Content::Unknown)
        ) || matches!(self.left, Some((Content::Opaque, _)))
    }

    /// Overwritten where it stood, by something it was not before.
    fn spoiled_in_place(&self) -> bool {
        let turned = self.contents.first() == Some(&Content::Readable) && self.contents.len() > 1;
        // Noise over noise is a program at work on its own file.
        let noise = matches!(self.contents.first(), Some(Content::Opaque | Content::Encrypted));
        let rewritten = self.existed || turned || (self.opens.len() > 1 && !noise);
        let opaque = |content: &Content| matches!(content, Content::Opaque | Content::Encrypted);
        let last = self.contents.last();
        rewritten
            && (last.is_some_and(opaque)
                || (matches!(last, Some(Content::Unknown | Content::Encoded))
                    && (turned || self.existed))
                || self.left.is_some_and(|(content, _)| content == Content::Opaque))
    }
}

fn files(timeline: &Timeline<'_>) -> BTreeMap<String, File> {
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    for (index, event) in timeline.events.iter().enumerate() {
        if !event.happened() {
            continue;
        }
        match &event.kind {
            Kind::Open { path, access, create, .. } if *access != types::Access::Read => {
                let file = files.entry(paths::clean(path).into_owned()).or_default();
                // Without O_CREAT a successful open proves that the file was there.
                let first = file.opens.is_empty() && file.contents.is_empty();
                file.existed |= first && !create && event.ret.is_some();
                file.opens.push(index);
            }
            Kind::Write { path, head, .. } => {
                let path = paths::clean(path);
                let content = content::classify(&path, head);
                let file = files.entry(path.into_owned()).or_default();
                file.contents.push(content);
                file.write_events.push(index);
            }
            Kind::Unlink { path, directory: false } => {
                files.entry(paths::clean(path).into_owned()).or_default().gone = Some(index);
            }
            Kind::Rename { from, to } => {
                let to = paths::clean(to).into_owned();
                let from = paths::clean(from).into_owned();
                files.entry(from).or_default().renamed = Some((to, index));
            }
            Kind::FileChanged(change) if change.file_type == "file" => {
                let path = paths::clean(&change.path);
                let content = content::of_change(&path, change);
                let file = files.entry(path.into_owned()).or_default();
                file.existed |= change.change != "created";
                file.left = content.map(|content| (content, index));
            }
            _ => {}
        }
    }
    files
}

/// The victims of one habit: what now stands in their place, and the events that show it.
#[derive(Debug, Default)]
struct Victims {
    names: BTreeSet<String>,
    events: Vec<usize>,
    /// How many have content that was seen to be unreadable.
    unreadable: usize,
}

impl Victims {
    fn add(&mut self, name: &str, events: impl IntoIterator<Item = usize>, unreadable: bool) {
        if self.names.insert(name.to_owned()) {
            self.unreadable += usize::from(unreadable);
        }
        self.events.extend(events);
    }
}

fn encryption(timeline: &Timeline<'_>) -> Option<Finding> {
    let files = files(timeline);
    let notes = notes(timeline);
    let least = if notes.events.is_empty() { VICTIMS_MIN } else { VICTIMS_WITH_NOTE_MIN };

    let mut in_place = Victims::default();
    for (name, file) in files.iter().filter(|(_, file)| file.spoiled_in_place()) {
        let excused = file.write_events.first().is_some_and(|&event| overwrites(timeline, event));
        if !excused {
            let left = file.left.map(|(_, event)| event);
            in_place.add(name, file.write_events.iter().copied().chain(left), true);
        }
    }
    let mut best = in_place;
    let mut how = "overwritten with unreadable content".to_owned();
    for (ending, victims) in replaced(&files) {
        if victims.names.len() > best.names.len() {
            best = victims;
            how = format!("replaced by files ending in {}", show(&ending));
        }
    }
    let planted = super::decoys::planted(timeline);
    let decoys = best.names.iter().filter(|name| was_planted(&planted, name)).count() >= DECOYS_MIN;
    if best.names.len() < least && !decoys {
        return locked_away(timeline, &files);
    }
    // Where contents were seen, most must be unreadable: a plain bulk rename is no harm.
    let seen = files.values().any(|file| !file.contents.is_empty() || file.left.is_some());
    let proven = best.unreadable * 2 >= best.names.len();
    if (seen && !proven) || (!seen && !touched(timeline, &best)) {
        return None;
    }
    let base = if proven { ENCRYPTION_DECIBANS } else { ENCRYPTION_UNSEEN_DECIBANS };
    let weight = base
        + if notes.events.is_empty() { 0 } else { 6 }
        + if decoys && proven { DECOYS_DECIBANS } else { 0 };
    let among = if decoys { ", planted ones among them" } else { "" };
    let summary = format!("{} files were {how}{among}", best.names.len());
    Some(Finding::new(weight, summary, best.events).with_context(notes.events))
}

/// Whether the file, or the one it stands for with an ending more, was planted.
fn was_planted(planted: &BTreeSet<String>, name: &str) -> bool {
    let stem = |path: &str| {
        path.rsplit_once('.').map_or_else(|| path.to_owned(), |(stem, _)| stem.to_owned())
    };
    let own = stem(name);
    planted.iter().any(|path| name.starts_with(path.as_str()) || stem(path) == own)
}

/// Files packed under a password and then deleted.
fn locked_away(timeline: &Timeline<'_>, files: &BTreeMap<String, File>) -> Option<Finding> {
    let packer = timeline.attempted().find(|image| {
        (image.is(&["zip"]) && image.has_arg(&["-P", "-e", "--encrypt", "--password"]))
            || (image.is(&["7z", "7za", "7zz"])
                && image.args().any(|arg| arg.starts_with("-p") && arg.len() > 2))
            || (image.is(&["rar"]) && image.args().any(|arg| arg.starts_with("-hp")))
    })?;
    let gone: Vec<usize> =
        files.values().filter(|file| file.existed).filter_map(|file| file.gone).collect();
    let after = gone.iter().filter(|event| **event > packer.event).count();
    (after >= VICTIMS_MIN).then(|| {
        let summary = format!("{after} files were packed under a password and deleted");
        Finding::new(ENCRYPTION_UNSEEN_DECIBANS, summary, gone).with_context([packer.event])
    })
}

/// Whether, with contents unseen (tier C), the victims or their replacements were at least opened
/// for writing by the run.
fn touched(timeline: &Timeline<'_>, victims: &Victims) -> bool {
    let opened: BTreeSet<&str> = timeline
        .touches
        .iter()
        .filter(|touch| matches!(touch.how, How::Open { .. }))
        .map(|touch| touch.path.as_ref())
        .collect();
    // `a.txt` comes right before `a.txt.locked` in order.
    let written = victims.names.iter().filter(|name| {
        opened.range(..=name.as_str()).next_back().is_some_and(|before| name.starts_with(before))
    });
    written.count() * 2 >= victims.names.len()
}

/// Files that are gone under their name while `name + ending` stands in their place, by ending.
fn replaced(files: &BTreeMap<String, File>) -> BTreeMap<String, Victims> {
    let mut by_ending: BTreeMap<String, Victims> = BTreeMap::new();
    for (name, file) in files {
        if let Some((to, event)) = &file.renamed
            && let Some(ending) = content::added_ending(name, to)
        {
            let unreadable = file.unreadable() || files.get(to).is_some_and(File::unreadable);
            let events = std::iter::once(*event).chain(file.write_events.first().copied());
            by_ending.entry(ending.to_owned()).or_default().add(to, events, unreadable);
        }
        let Some(gone) = file.gone else { continue };
        // The copies of `name` follow it in order: `name.x` comes after `name`.
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        let copies = files
            .range(stem.to_owned()..)
            .take(16)
            .take_while(|(other, _)| other.starts_with(stem))
            .filter(|(other, copy)| {
                let written = !copy.opens.is_empty() || !copy.contents.is_empty();
                *other != name && written && copy.gone.is_none()
            });
        for (other, copy) in copies {
            if let Some(ending) = content::added_ending(name, other) {
                let events = std::iter::once(gone)
                    .chain(copy.write_events.first().or(copy.opens.first()).copied());
                let victims = by_ending.entry(ending.to_owned()).or_default();
                victims.add(other, events, copy.unreadable());
                break;
            }
        }
    }
    by_ending
}

/// Programs that overwrite what they are given because that is their job; whether that is
/// destruction is judged apart.
fn overwrites(timeline: &Timeline<'_>, event: usize) -> bool {
    timeline.image(event).is_trusted(&["shred", "wipe", "srm", "dd", "rsync", "git", "sqlite"])
}

fn notes(timeline: &Timeline<'_>) -> Hits {
    let mut hits = Hits::default();
    for touch in &timeline.touches {
        let done = timeline.events[touch.event].happened();
        if done && content::is_ransom_note(paths::name(&touch.path)) {
            hits.add(touch.event, NOTE_DECIBANS, paths::name(&touch.path));
        }
    }
    hits
}

fn note(timeline: &Timeline<'_>) -> Option<Finding> {
    let hits = notes(timeline);
    hits.events.iter().any(|&event| timeline.image(event).is_own_will()).then_some(())?;
    hits.finding("written: ")
}

/// From here deletions in the system's folders are a pattern.
const DELETIONS_MIN: usize = 10;

fn destruction(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut best: Option<Finding> = None;
    let mut keep = |finding: Option<Finding>| {
        if let Some(finding) = finding
            && best.as_ref().is_none_or(|known| known.weight < finding.weight)
        {
            best = Some(finding);
        }
    };
    keep(deletes_everything(timeline));
    keep(overwritten(timeline));
    keep(deletions(timeline));
    keep(decoys_gone(timeline));
    best
}

/// Many deletions, tried or done, of files that belong to the system.
fn deletions(timeline: &Timeline<'_>) -> Option<Finding> {
    const SYSTEM: &[&str] =
        &["/etc", "/usr", "/bin", "/sbin", "/lib", "/boot", "/var/lib", "/opt", "/srv"];
    let work = paths::clean(&timeline.recording.run.cwd);
    let mut deleted = Victims::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::Unlink { path, .. } = &event.kind else { continue };
        let path = paths::clean(path);
        let image = timeline.image(index);
        if paths::under_any(&path, SYSTEM)
            && !paths::under(&path, "/usr/local")
            && (work.len() <= 1 || !paths::under(&path, &work))
            && timeline.written_before(&path, index).is_none()
            && !image.is_package_tool()
            && !image.is_trusted(&["make", "ldconfig", "update-alternatives", "ccache"])
        {
            deleted.add(&path, [index], false);
        }
    }
    (deleted.names.len() >= DELETIONS_MIN).then(|| {
        let summary = format!("{} deletions in the system's folders", deleted.names.len());
        Finding::new(20, summary, deleted.events)
    })
}

/// Most of the planted files deleted, by whatever program.
fn decoys_gone(timeline: &Timeline<'_>) -> Option<Finding> {
    const GONE_MIN: usize = 6;
    let planted = super::decoys::planted(timeline);
    let mut gone = Victims::default();
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::Unlink { path, directory: false } = &event.kind
            && event.happened()
            && planted.contains(paths::clean(path).as_ref())
        {
            gone.add(&paths::clean(path), [index], false);
        }
    }
    (gone.names.len() >= GONE_MIN).then(|| {
        let summary = format!("{} files of the home were deleted", gone.names.len());
        Finding::new(18, summary, gone.events)
    })
}

/// Existing files overwritten with one byte, with random bytes by a wiping program, or emptied.
fn overwritten(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut victims = Victims::default();
    for (name, file) in &files(timeline) {
        let filler = file.contents.last() == Some(&Content::Filler);
        let wiped = file.contents.last() == Some(&Content::Opaque)
            && file.write_events.last().is_some_and(|&event| overwrites(timeline, event));
        let before = file.existed || file.contents.first() == Some(&Content::Readable);
        if (filler || wiped) && before {
            victims.add(name, file.write_events.iter().copied(), true);
        }
    }
    for (index, event) in timeline.events.iter().enumerate() {
        // What is not there cannot be emptied: databases try the parts that a table might have.
        if let Kind::Truncate { path, length: 0 } = &event.kind
            && event.ret.is_none_or(|ret| ret != -2)
            && timeline.written_before(&paths::clean(path), index).is_none()
        {
            victims.add(&paths::clean(path), [index], true);
        }
    }
    (victims.names.len() >= VICTIMS_MIN).then(|| {
        let summary = format!("{} existing files were overwritten or emptied", victims.names.len());
        Finding::new(24, summary, victims.events)
    })
}

/// `rm -rf /`, `rm -rf /home`, `find / -delete`: aimed at everybody's files.
fn deletes_everything(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted() {
        let aimed = image.operands().any(|arg| {
            let place = arg.trim_end_matches(['/', '*', '.']);
            (place.is_empty() && arg.starts_with('/'))
                || matches!(
                    place,
                    "/etc"
                        | "/usr"
                        | "/bin"
                        | "/sbin"
                        | "/lib"
                        | "/lib64"
                        | "/boot"
                        | "/home"
                        | "/root"
                        | "/var"
                        | "/var/lib"
                        | "/opt"
                        | "/srv"
                        | "/dev"
                        | "/home/sandbox"
                )
        });
        let recursive = image.args().any(|arg| {
            arg == "--recursive"
                || (arg.starts_with('-') && !arg.starts_with("--") && arg.contains(['r', 'R']))
        });
        let removes = (image.is(&["rm", "shred", "srm", "wipe"]) && recursive)
            || image.has_arg(&["--no-preserve-root"])
            || (image.is(&["find"]) && image.has_arg(&["-delete"]) && !image.mentions("name"));
        if aimed && removes {
            hits.add(image.event, 26, image.exact_name());
        }
    }
    hits.finding("aimed at everybody's files: ")
}
