//! Every span has its place in its crate's list, so that a test over a whole server can tell which one
//! nothing makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each crate says of itself.
const LISTED: [(&str, &[&str]); 7] = [
    ("contauth", contauth::SPANS),
    ("gateway", gateway::SPANS),
    ("ingress", ingress::SPANS),
    ("ml-service", ml_service::SPANS),
    ("policy", policy::SPANS),
    ("runtime", runtime::http::observe::SPANS),
    ("verifier-pool", verifier_pool::SPANS),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let tests = path.file_name().is_some_and(|name| name == "tests.rs" || name == "tests");
        if path.is_dir() && !tests {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !tests {
            found.push(path);
        }
    }
}

/// The text between the next two quotes.
fn quoted(text: &str) -> &str {
    text.split('"').nth(1).expect("a text in quotes")
}

/// Names of spans that a source makes.
fn spans(source: &str) -> BTreeSet<String> {
    // What follows is for tests only.
    let source = source.split("#[cfg(test)]\nmod ").next().expect("a first part");
    let mut names = BTreeSet::new();
    for made in source.split("tracing::instrument").skip(1) {
        let attribute = made.split(")]").next().expect("an end");
        let named = attribute.split("name = ").nth(1);
        names.insert(quoted(named.expect("a span that is named")).to_owned());
    }
    for level in ["trace", "debug", "info", "warn", "error"] {
        for made in source.split(&format!("{level}_span!(")).skip(1) {
            names.insert(quoted(made).to_owned());
        }
    }
    names
}

#[test]
fn every_span_stands_in_the_list_of_its_crate_and_nothing_else_does() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut made = BTreeMap::new();
    for entry in fs::read_dir(&crates).expect("the crates") {
        let folder = entry.expect("a crate").path();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let mut files = Vec::new();
        sources(&folder.join("src"), &mut files);
        let read = |file: &PathBuf| spans(&fs::read_to_string(file).expect("a source"));
        let names: BTreeSet<String> = files.iter().flat_map(read).collect();
        if !names.is_empty() {
            made.insert(name, names);
        }
    }
    let listed: BTreeMap<String, BTreeSet<String>> = LISTED
        .into_iter()
        .map(|(name, spans)| {
            let set: BTreeSet<String> = spans.iter().map(|&span| span.to_owned()).collect();
            assert_eq!(set.len(), spans.len(), "{name} lists a span twice");
            (name.to_owned(), set)
        })
        .collect();
    assert_eq!(made, listed);
}

#[test]
fn spans_are_found_however_they_are_written() {
    let source = r##"
#[tracing::instrument(skip_all, name = "one", fields(a = Empty))]
#[tracing::instrument(
    skip_all,
    name = "two",
)]
    let span = tracing::info_span!(parent: None, "three", "x");
    let span = info_span!(
        parent: &run,
        "four",
        b = 1
    );
#[cfg(test)]
mod tests {
    let span = info_span!("not this one");
}
"##;
    let expected = ["four", "one", "three", "two"].map(str::to_owned);
    assert_eq!(spans(source).into_iter().collect::<Vec<_>>(), expected);
}
