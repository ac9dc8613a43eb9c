//! Lists of changed files, from one to thousands, in a few rows.

use types::{FileChange, Text};

use super::{Row, rows};

fn change(path: &str, change: &str, file_type: &str) -> FileChange {
    FileChange {
        path: Text::from(path),
        change: change.into(),
        file_type: file_type.into(),
        size_bytes: 10,
        mode: 0o644,
        sha256: None,
        entropy_millibits: None,
        link_target: None,
        format: None,
    }
}

fn check(files: &[FileChange], max: usize, expected: &[&str]) {
    let files: Vec<&FileChange> = files.iter().collect();
    let shown: Vec<String> = rows(&files, max)
        .iter()
        .map(|row| match row {
            Row::File(file) => format!("{} {}", file.change, file.path),
            Row::Folder(folder) => format!("{} {} {}", folder.change(), folder.path, folder.sum()),
        })
        .collect();
    assert_eq!(shown, expected);
}

fn created(paths: &[String]) -> Vec<FileChange> {
    paths
        .iter()
        .map(|path| match path.strip_suffix('/') {
            Some(folder) => change(folder, "created", "directory"),
            None => change(path, "created", "file"),
        })
        .collect()
}

fn numbered(folder: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{folder}/{n}")).collect()
}

#[test]
fn few_files_are_told_one_by_one() {
    check(&[], 9, &[]);
    let paths = ["/tmp/x/", "/tmp/x/a", "/tmp/y", "/etc/z"].map(str::to_owned);
    check(&created(&paths), 9, &["created /etc/z", "created /tmp/x/a", "created /tmp/y"]);
    check(&created(&["/tmp/x/".to_owned()]), 9, &["created /tmp/x"]);
}

#[test]
fn a_full_folder_is_summed_up() {
    let mut paths = numbered("/home/me/pk", 11);
    paths.push("/home/me/other".to_owned());
    check(&created(&paths), 9, &["created /home/me/other", "created /home/me/pk/ 11 files, 110 B"]);
}

#[test]
fn a_large_tree_fits_into_the_rows_there_are() {
    let mut paths = vec!["/tmp/v/".to_owned(), "/tmp/v/cfg".to_owned(), "/tmp/v.x".to_owned()];
    for folder in ["bin", "lib/a", "lib/b", "lib/c"] {
        paths.push(format!("/tmp/v/{folder}/"));
        paths.extend(numbered(&format!("/tmp/v/{folder}"), 100));
    }
    let files = created(&paths);
    check(&files, 1, &["created /tmp/ 402 files, 5 folders, 3.9 KiB"]);
    check(&files, 3, &["created /tmp/v.x", "created /tmp/v/ 401 files, 5 folders, 3.9 KiB"]);
    check(
        &files,
        8,
        &[
            "created /tmp/v.x",
            "created /tmp/v/bin/ 100 files, 1 folder, 1000 B",
            "created /tmp/v/cfg",
            "created /tmp/v/lib/a/ 100 files, 1 folder, 1000 B",
            "created /tmp/v/lib/b/ 100 files, 1 folder, 1000 B",
            "created /tmp/v/lib/c/ 100 files, 1 folder, 1000 B",
        ],
    );
}

#[test]
fn changes_of_several_kinds_are_counted_apart() {
    let mut files = created(&numbered("/d", 8));
    files.extend((0..9).map(|n| change(&format!("/d/old{n}"), "deleted", "file")));
    check(&files, 9, &["changed /d/ 9 deleted, 8 created, 170 B"]);
}

/// Names come from a file and need not be paths at all.
#[test]
fn strange_paths_lose_no_file() {
    let deep = "/a".repeat(50_000);
    let paths = ["", "/", "//", "a", "a/", "a//b", "/a", "../x", &deep].map(str::to_owned);
    for max in [1, 3, 20] {
        let mut files = created(&paths);
        files.push(change("a/", "created", "file"));
        let files: Vec<&FileChange> = files.iter().collect();
        let told: usize = rows(&files, max)
            .iter()
            .map(|row| match row {
                Row::File(_) => 1,
                Row::Folder(folder) => folder.files.len(),
            })
            .sum();
        assert!(told >= 7, "{told} of {}", files.len());
    }
}
