//! What was packed or locked, and with what: archives under a password in places for staging,
//! files of the system made unreadable, archives of secrets by a library.

use super::is_sensitive;
use crate::detector::{Finding, Hits};
use crate::paths;
use crate::timeline::{Image, Timeline, stated};

/// A password in a packer's arguments, or one that is fed to it.
fn has_password(image: &Image<'_>) -> bool {
    let starts = |start: &str| image.args().any(|arg| arg.starts_with(start));
    if image.is(&["zip"]) {
        return starts("-P") || starts("--password");
    }
    if image.is(&["7z", "7za", "7zz", "7zr"]) {
        return image.args().any(|arg| arg.starts_with("-p") && arg.len() > 2);
    }
    if image.is(&["rar"]) {
        return starts("-p") || starts("-hp");
    }
    if image.is(&["gpg", "gpg2"]) {
        let symmetric = image.has_arg(&["-c", "--symmetric"]);
        return symmetric && starts("--passphrase");
    }
    if image.is(&["openssl"]) {
        let decrypts = image.has_arg(&["-d"]);
        return !decrypts && image.has_arg(&["enc"]) && (starts("-pass") || starts("-k"));
    }
    image.is(&["ccencrypt", "ccrypt", "mcrypt", "aescrypt", "bcrypt", "age"])
        && !image.has_arg(&["-d", "--decrypt"])
}

/// Files that the arguments name, as absolute paths.
fn named(image: &Image<'_>) -> Vec<String> {
    let words = image.args().filter(|word| word.contains('/') && !word.starts_with('-'));
    words.map(|word| stated::absolute(word, &image.cwd)).collect()
}

/// Files that the process of this program was given as its output.
fn outputs(timeline: &Timeline<'_>, image: &Image<'_>) -> Vec<String> {
    let Some(process) = timeline.runner(image).filter(|_| image.happened) else {
        return Vec::new();
    };
    let own = timeline.touches.iter().filter(|touch| {
        touch.event < image.event && timeline.process(touch.event) == Some(process)
    });
    own.map(|touch| touch.path.to_string()).collect()
}

/// An archive or copy under a password in a folder that anybody may write to, away from the work.
pub(super) fn locked(timeline: &Timeline<'_>) -> Option<Finding> {
    let work = paths::clean(&timeline.recording.run.cwd);
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| has_password(image) && !image.only_asks()) {
        let away = |path: &&String| paths::is_scratch(path) && !paths::under(path, &work);
        let mut files = named(image);
        files.extend(outputs(timeline, image));
        if let Some(path) = files.iter().find(away) {
            hits.add(image.event, 13, path);
        }
    }
    // The records of who was here, or everybody's passwords, packed up.
    for image in timeline.attempted().filter(|image| image.is(&["zip", "tar", "7z", "7za", "rar"]))
    {
        let telling = |path: &&String| {
            ["/var/log/wtmp", "/var/log/btmp", "/etc/passwd", "/etc/shadow"]
                .contains(&path.as_str())
        };
        if let Some(path) = named(image).iter().find(telling) {
            hits.add(image.event, 13, path);
        }
    }
    hits.finding("under a password, or telling: ")
}

/// Files of the system, or somebody's secrets, given to a program that encrypts.
pub(super) fn system_file(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| !image.only_asks()) {
        let by_key = image.is(&["openssl"])
            && image.has_arg(&["rsautl", "pkeyutl", "smime", "cms"])
            && image.has_arg(&["-encrypt"])
            || image.is(&["gpg", "gpg2"]) && image.has_arg(&["-e", "--encrypt"]);
        if !by_key && !has_password(image) {
            continue;
        }
        for path in named(image) {
            let system =
                paths::under_any(&path, &["/etc", "/var/log", "/var/lib", "/boot", "/srv"])
                    && !paths::under_any(&path, &["/etc/ssl", "/etc/pki"]);
            let copied = || copy_of_secret(timeline, &path);
            if system || is_sensitive(&path) || copied() {
                hits.add(image.event, 14, &path);
            }
        }
    }
    hits.finding("encrypted or tried: ")
}

/// Whether the run made this file as a copy of something sensitive.
fn copy_of_secret(timeline: &Timeline<'_>, path: &str) -> bool {
    timeline.executed().any(|copier| {
        copier.is(&["cp", "install", "dd"])
            && copier.args().any(is_sensitive)
            && copier.operands().last().is_some_and(|to| stated::absolute(to, &copier.cwd) == path)
    })
}

/// A one-liner that packs what is sensitive with a language's own library.
pub(super) fn by_library(timeline: &Timeline<'_>) -> Option<Finding> {
    const LIBRARIES: &[&str] =
        &["gzip", "bz2", "lzma", "zipfile", "tarfile", "zlib", "make_archive", "Archive::", "Zlib"];
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| !image.is_shell()) {
        let Some(text) = image.text() else { continue };
        if let Some(library) = LIBRARIES.iter().find(|library| text.contains(**library))
            && is_sensitive(text)
        {
            hits.add(image.event, 13, library);
        }
    }
    hits.finding("packed with ")
}
