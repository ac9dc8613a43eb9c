//! False ages: times of files set to the past, by calls and by hand, and the clock itself.

use std::collections::BTreeSet;

use types::Kind;

use crate::detector::{Finding, Hits};
use crate::paths;
use crate::timeline::{Image, Timeline, stated};

/// The first days of ZIP archives and of npm's, which tools give to everything they pack.
const ARCHIVES_EPOCHS: &[i64] = &[315_532_800, 499_137_300, 1];

/// Times this far before the run started are the past.
const PAST_SECONDS: i64 = 24 * 3600;

pub(super) fn timestomp(timeline: &Timeline<'_>) -> Option<Finding> {
    let start = super::defences::seconds_since_epoch(&timeline.recording.run.started_at)?;
    let mut hits = Hits::default();
    let programs = programs(timeline);
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::SetTimes { path, seconds } = &event.kind else { continue };
        let (path, image) = (paths::clean(path), timeline.image(index));
        if *seconds >= start - PAST_SECONDS || image.is_package_tool() || *seconds == 0 {
            continue;
        }
        // Archivers, copiers and builders restore times they were given; a compiled program of the
        // sample's, touch(1) and one-liners choose them.
        let chooses = image.is(&["touch"]) || !image.trusted() || image.text().is_some();
        let program = programs.contains(path.as_ref());
        let system =
            paths::is_system(&path) || paths::under_any(&path, &["/etc", "/var/spool/cron"]);
        // A system tool may give an old script its old age back; what the run itself just wrote
        // has none.
        let fresh = timeline.written_before(&path, index).is_some();
        let telling = if image.trusted() {
            program && fresh
        } else {
            program || paths::name(&path).starts_with('.')
        };
        // A script that copies gives back the age of what it copied, to the second; an age that
        // somebody thought of is the start of a day. Archives made to be equal have a day of their
        // own.
        let thought_of = seconds % 86_400 == 0 && !ARCHIVES_EPOCHS.contains(seconds);
        if image.is_own_will() && program && fresh && thought_of {
            hits.add(index, 13, &path);
        } else if chooses && (system || telling) {
            hits.add(index, 14, &path);
        }
    }
    by_hand(timeline, &mut hits);
    hits.finding("set to the past: ")
}

/// Files that were executed or made executable in the run.
fn programs(timeline: &Timeline<'_>) -> BTreeSet<String> {
    let changed = timeline.events.iter().filter_map(|event| match &event.kind {
        Kind::Chmod { path, mode } if mode & 0o111 != 0 => Some(paths::clean(path).into_owned()),
        Kind::FileChanged(change) if change.file_type == "file" && change.mode & 0o111 != 0 => {
            Some(paths::clean(&change.path).into_owned())
        }
        _ => None,
    });
    changed.chain(timeline.attempted().map(|image| image.path.clone().into_owned())).collect()
}

/// What touch(1) and date(1) were told.
fn by_hand(timeline: &Timeline<'_>, hits: &mut Hits) {
    let work = paths::clean(&timeline.recording.run.cwd);
    let outside = |image: &Image<'_>| {
        image
            .operands()
            .filter(|word| word.contains('/'))
            .map(|word| stated::absolute(word, &image.cwd))
            .find(|path| {
                // The reference is an operand, too.
                !paths::under(path, &work) && !path.starts_with("/dev/") && !paths::is_system(path)
            })
    };
    for image in timeline.attempted().filter(|image| image.is(&["touch"])) {
        let packing = timeline.runner(image).is_some_and(|process| {
            timeline.ancestry(process).any(|i| i.is_package_tool() || i.is_trusted(&["make"]))
        });
        let words: Vec<&str> = image.args().collect();
        let short = |letter: char| {
            words.iter().find(|word| {
                word.starts_with('-') && !word.starts_with("--") && word.ends_with(letter)
            })
        };
        let like = words.iter().any(|word| word.starts_with("--reference")) || short('r').is_some();
        // What the reference is stands right behind the flag; only the system's files are a mask.
        let system = words.iter().any(|word| paths::is_system(word));
        let given =
            words.windows(2).find(|pair| pair[0].starts_with('-') && pair[0].ends_with(['t', 'd']));
        let year =
            given.and_then(|pair| pair[1].get(..4)).and_then(|year| year.parse::<i64>().ok());
        // Markers to compare with are years old, not older than the system.
        let old = year.is_some_and(|year| year > 1900 && year < OLDEST_YEAR);
        if let Some(path) = outside(image).filter(|_| !packing && (like && system || old)) {
            hits.add(image.event, 13, &path);
        }
    }
    for image in timeline.attempted().filter(|image| image.is(&["date", "hwclock", "timedatectl"]))
    {
        let set = image.has_arg(&["-s", "--set", "set-time", "--systohc"])
            || image.args().any(|arg| arg.starts_with("--set="))
            || image.is(&["date"])
                && image.operands().any(|word| {
                    matches!(word.len(), 8 | 10 | 12 | 15)
                        && word.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                });
        if set {
            hits.add(image.event, 13, "the clock");
        }
    }
}

/// No file of a machine in use was written before.
const OLDEST_YEAR: i64 = 1985;
