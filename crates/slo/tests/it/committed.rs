//! `deploy/observability` is what is generated from the shipped objectives; twice the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::catalogs::{files, odd, shipped};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/observability")
}

fn below(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            below(&path, root, found);
        } else {
            let path = path.strip_prefix(root).expect("below");
            found.insert(path.to_str().expect("a name").to_owned());
        }
    }
}

/// Writes what differs, and fails, so that somebody looks at the difference and commits it.
#[test]
fn the_committed_copy_is_what_is_generated() {
    let root = folder();
    let mut stale = BTreeSet::new();
    below(&root, &root, &mut stale);
    let mut changed = Vec::new();
    for file in files(&shipped()) {
        stale.remove(&file.path);
        let path = root.join(&file.path);
        if fs::read_to_string(&path).is_ok_and(|there| there == file.text) {
            continue;
        }
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, &file.text).expect("a file");
        changed.push(file.path);
    }
    for path in &stale {
        fs::remove_file(root.join(path)).expect("a stale file goes");
    }
    assert!(
        changed.is_empty() && stale.is_empty(),
        "deploy/observability was not what `shieldx slo generate --out deploy/observability` \
         writes; it is now, look at the difference and commit it. Written: {changed:?}; removed: \
         {stale:?}"
    );
}

#[test]
fn the_same_objectives_give_the_same_bytes() {
    for catalog in [shipped(), odd()] {
        let first = files(&catalog);
        assert_eq!(first, files(&catalog));
        let paths: Vec<_> = first.iter().map(|file| &file.path).collect();
        assert!(paths.is_sorted(), "{paths:?}");
        let unique: BTreeSet<_> = paths.iter().collect();
        assert_eq!(unique.len(), paths.len());
        for file in &first {
            assert!(file.text.ends_with('\n'), "{} ends within a line", file.path);
            assert!(!file.text.ends_with("\n\n"), "{} ends with an empty line", file.path);
        }
    }
}
