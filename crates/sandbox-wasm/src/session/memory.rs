//! A look at what a module had in its memory when it ended, for patterns: code and addresses that it
//! unpacked there are in no file.

use sandbox::Spec;
use types::{Kind, Text};
use wasmtime::Store;

use crate::preview1::Preview1;

/// What a look showed.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub found: Vec<Kind>,
    /// The look did not come to its end.
    pub fault: Option<String>,
    /// What was not looked at, where something was not.
    pub missed: Option<String>,
}

/// Matches kept of one run.
const FOUND_MAX: usize = 256;

fn wanted(spec: &Spec) -> bool {
    spec.memory.scan && spec.scanner.is_some()
}

/// Scans the memory that the module exports.
pub(super) fn look(spec: &Spec, store: &Store<Preview1>) -> Looked {
    let mut looked = Looked::default();
    let Some(scanner) = spec.scanner.as_ref().filter(|_| wanted(spec)) else { return looked };
    let Some(memory) = store.data().memory else {
        looked.missed =
            Some("the module did not get so far as to have memory, or exports none".to_owned());
        return looked;
    };
    let data = memory.data(store);
    let most = usize::try_from(spec.memory.read_bytes).unwrap_or(usize::MAX);
    let read = data.get(..most).unwrap_or(data);
    if read.len() < data.len() {
        looked.missed = Some(format!(
            "only the first {} of {} bytes of memory were scanned",
            read.len(),
            data.len()
        ));
    }
    match scanner.scan("memory", read) {
        Err(error) => {
            looked.fault = Some(format!("the scan of memory did not end: {}", error.reason))
        }
        Ok(mut patterns) => {
            if let Some(more) = patterns.len().checked_sub(FOUND_MAX).filter(|more| *more > 0) {
                // Of more than can be told the worst are.
                patterns.sort_by_key(|pattern| std::cmp::Reverse(rank(&pattern.level)));
                let more = format!("{more} more patterns were found in memory than are told");
                let missed =
                    looked.missed.take().map_or(more.clone(), |first| format!("{first}; {more}"));
                looked.missed = Some(missed);
            }
            let matched = patterns.into_iter().take(FOUND_MAX).map(|pattern| Kind::PatternMatch {
                rule: pattern.rule,
                title: pattern.title,
                place: "memory".to_owned(),
                target: Text::from("linear memory"),
                level: pattern.level,
                techniques: pattern.techniques,
                offset: pattern.offset,
            });
            looked.found.extend(matched);
        }
    }
    looked
}

/// By how bad the rule says it is.
fn rank(level: &str) -> Option<usize> {
    ["informational", "low", "medium", "high", "critical"].iter().position(|known| *known == level)
}

/// Says that a component's memories belong to its parts and are not shown to a host.
pub(super) fn hidden(spec: &Spec) -> Looked {
    let missed = "the memories of a component are not shown to its host and were not scanned";
    Looked { missed: wanted(spec).then(|| missed.to_owned()), ..Looked::default() }
}
