//! The shape of the workspace: what ARCHITECTURE.md says is what `cargo metadata` and the folders
//! say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Crate → the workspace crates that its normal and build dependencies name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata");
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |package: &Value| package["name"].as_str().expect("a name").to_owned();
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    packages
        .iter()
        .map(|package| {
            let needed = package["dependencies"].as_array().expect("dependencies");
            let needed = needed
                .iter()
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .map(name)
                .filter(|dependency| members.contains(dependency))
                .collect();
            (name(package), needed)
        })
        .collect()
}

/// The rows of the table of crates in ARCHITECTURE.md, top first.
fn rows() -> Vec<Vec<String>> {
    let text = read("ARCHITECTURE.md");
    let table = text.split("<!-- crates -->").nth(1).expect("the table of crates");
    let rows: Vec<Vec<String>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cell = line.split('|').nth(1).expect("a first cell");
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        })
        .collect();
    assert!(!rows.is_empty());
    rows
}

#[test]
fn the_table_of_crates_is_the_workspace() {
    let documented: BTreeSet<String> = rows().into_iter().flatten().collect();
    let mut real: BTreeSet<String> = dependencies().into_keys().collect();
    assert!(real.remove("xtask"), "xtask stands apart");
    assert_eq!(documented, real);
}

#[test]
fn a_row_depends_only_on_rows_below_it() {
    let rows = rows();
    let row_of = |name: &str| rows.iter().position(|row| row.iter().any(|entry| entry == name));
    for (package, needed) in dependencies() {
        if package == "xtask" {
            assert!(needed.is_empty(), "xtask depends on {needed:?}");
            continue;
        }
        for dependency in needed {
            assert!(
                row_of(&dependency) > row_of(&package),
                "{package} depends on {dependency}, which is not in a row below it"
            );
        }
    }
}

#[test]
fn the_sandbox_knows_no_verdict_and_types_does_no_io() {
    let dependencies = dependencies();
    assert!(!dependencies["sandbox"].contains("verdict"));
    assert!(!dependencies["verdict"].contains("sandbox"));
    assert!(dependencies["types"].is_empty());
    for (path, text) in sources(&root().join("crates/types/src")) {
        for word in ["std::fs", "std::io", "std::net::Tcp", "std::process", "std::env"] {
            assert!(!text.contains(word), "{} uses {word}", path.display());
        }
    }
}

/// All Rust sources below a folder, with their text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() && entry.file_name() != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn unsafe_code_lives_only_in_the_modules_that_are_named() {
    let text = read("ARCHITECTURE.md");
    let list = text.split("<!-- unsafe -->").nth(1).expect("the list of unsafe modules");
    let documented: BTreeSet<String> =
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let root = root();
    let mut real = BTreeSet::new();
    for folder in ["crates", "xtask"] {
        for (path, text) in sources(&root.join(folder)) {
            let path = path.strip_prefix(&root).expect("below the root").display().to_string();
            if path.contains("/tests/") {
                continue;
            }
            if text.contains("expect(\n    unsafe_code") || text.contains("expect(unsafe_code") {
                real.insert(path);
            }
        }
    }
    assert_eq!(documented, real, "ARCHITECTURE.md and the sources disagree");
}

#[test]
fn every_source_says_what_it_is_for() {
    let root = root();
    for folder in ["crates", "xtask"] {
        for (path, text) in sources(&root.join(folder)) {
            let generated = path.components().any(|part| part.as_os_str() == "generated");
            assert!(generated || text.starts_with("//!"), "{} has no //!", path.display());
            assert_ne!(path.file_name().and_then(|name| name.to_str()), Some("mod.rs"));
        }
    }
}

#[test]
fn documents_name_only_paths_that_exist() {
    let root = root();
    let mut documents = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned()];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let path = path.strip_prefix(&root).expect("below the root");
                documents.push(path.display().to_string());
            }
        }
    }
    let tops = ["crates/", "docs/", "xtask/", "benches/", ".ci/", ".cargo/"];
    for document in documents {
        let text = read(&document);
        for word in text.split('`').skip(1).step_by(2) {
            let named = tops.iter().any(|top| word.starts_with(top));
            if named && !word.contains(['*', '<', '{', ' ', '…', '\n']) {
                let path = word.split([':', '#']).next().unwrap_or(word);
                assert!(root.join(path).exists(), "{document} names {word}, which does not exist");
            }
        }
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or(target);
            if target.is_empty() || target.contains("://") || target.contains(['\n', ' ']) {
                continue;
            }
            let folder = root.join(&document).parent().expect("a folder").to_owned();
            assert!(folder.join(target).exists(), "{document} links to {target}");
        }
    }
}

/// A test's name is a sentence: whatever is written with so many underscores is one.
#[test]
fn architecture_names_only_tests_that_exist() {
    let text = read("ARCHITECTURE.md");
    let sources: Vec<String> =
        sources(&root().join("crates")).into_iter().map(|(_, text)| text).collect();
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let sentence = |word: &&str| word.matches('_').count() >= 4 && word.chars().all(letter);
    let mut names = text.split('`').skip(1).step_by(2).filter(sentence).peekable();
    assert!(names.peek().is_some());
    for name in names {
        let test = format!("fn {name}(");
        assert!(sources.iter().any(|source| source.contains(&test)), "there is no test {name}");
    }
}
