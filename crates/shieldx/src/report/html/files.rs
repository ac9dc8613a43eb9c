//! The changed files of the page: what something points at by itself, and a long list by folder
//! first.

use types::FileChange;

use super::super::folders::{self, Row};
use super::{Digest, Markup, ROWS_MAX, clip, digest, html, rest, words};

/// A list of at most so many files is shown open.
const OPEN_MAX: usize = 40;
/// Rows of the summary by folder.
const FOLDERS_MAX: usize = 30;

pub(super) fn section(digest: &Digest<'_>) -> Markup {
    let files = &digest.files;
    let notable = |change: &FileChange| digest.notable(change);
    html! {
        section id="files" {
            h2 { "Files changed " span.count { (words::grouped(files.len() as u64)) } }
            @if files.is_empty() {
                p.none { "Nothing was changed." }
            } @else if files.len() <= OPEN_MAX {
                (table(files, notable))
            } @else {
                @let pointed: Vec<&FileChange> = files.iter().copied().filter(|c| notable(c)).collect();
                @if !pointed.is_empty() { (table(&pointed, notable)) }
                (by_folder(files))
                details {
                    summary { "All " (words::grouped(files.len() as u64)) " one by one" }
                    (table(files, notable))
                }
            }
        }
    }
}

fn by_folder(files: &[&FileChange]) -> Markup {
    html! {
        table {
            thead { tr { th { "change" } th { "path" } th { "what" } } }
            tbody {
                @for row in folders::rows(files, FOLDERS_MAX).iter().take(ROWS_MAX) {
                    @match row {
                        Row::File(change) => tr {
                            td { (words::safe(&change.change)) }
                            td.long { (clip(&change.path.to_string())) }
                            td.short {
                                (words::safe(&change.file_type))
                                @if change.file_type == "file" { ", " (words::size(change.size_bytes)) }
                            }
                        },
                        Row::Folder(folder) => tr {
                            td { (folder.change()) }
                            td.long { (clip(&folder.path.to_string())) }
                            td.short { (folder.sum()) }
                        },
                    }
                }
            }
        }
    }
}

fn table(files: &[&FileChange], notable: impl Fn(&FileChange) -> bool) -> Markup {
    html! {
        table {
            thead { tr {
                th { "change" } th { "path" } th { "type" } th.number { "size" } th.number { "mode" }
                th.number title="Shannon entropy of the content, bits per byte" { "entropy" }
                th { "sha256" }
            } }
            tbody {
                @for change in files.iter().take(ROWS_MAX) { (file(change, notable(change))) }
            }
        }
        (rest(files.len()))
    }
}

fn file(change: &FileChange, notable: bool) -> Markup {
    html! {
        tr class=(if notable { "evidence" } else { "" }) {
            td { (words::safe(&change.change)) }
            td.long {
                (clip(&change.path.to_string()))
                @if let Some(target) = &change.link_target { " → " (clip(&target.to_string())) }
                @if digest::sets_id(change) { span.tag { "setuid/setgid" } }
            }
            td { (words::safe(&change.file_type)) }
            td.number { @if change.file_type == "file" { (words::size(change.size_bytes)) } }
            td.number { (format!("{:04o}", change.mode & 0o7777)) }
            td.number {
                @if let Some(millibits) = change.entropy_millibits {
                    (format!("{}.{:03}", millibits / 1000, millibits % 1000))
                }
            }
            td.hash { @if let Some(hash) = &change.sha256 { (clip(&words::safe(hash))) } }
        }
    }
}
