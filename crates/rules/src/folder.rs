//! The files of a folder of rules: found in a fixed order, bounded, never through a link.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use types::Text;

use crate::report::{Report, Skipped};

/// Files read from one folder, at most. A checkout of SigmaHQ has about 4,500.
const FILES_MAX: usize = 20_000;
const DEPTH_MAX: usize = 32;
/// A file's size, at most; the largest public collections of YARA rules in one file are below it.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// All files together.
const TOTAL_BYTES_MAX: u64 = 128 << 20;

/// Brackets in each other in one file, at most: the time to read YAML grows with their square.
const NESTED_MAX: usize = 1000;

/// The language of a file, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Sigma,
    Yara,
}

impl Language {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "yml" | "yaml" => Some(Self::Sigma),
            "yar" | "yara" => Some(Self::Yara),
            _ => None,
        }
    }
}

/// One file of rules.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) language: Language,
    /// Below the folder, safe to print.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) built_in: bool,
}

/// Reads a folder, or one file, in the order of the names. Hidden entries are left out: `.git`,
/// `.github` and the like hold no rules.
///
/// # Errors
/// When the folder itself cannot be read; what lies in it and cannot is in the report.
pub(crate) fn read(path: &Path, report: &mut Report) -> io::Result<Vec<Source>> {
    let mut walk = Walk { sources: Vec::new(), left: TOTAL_BYTES_MAX, report };
    if fs::metadata(path)?.is_dir() {
        walk.folder(path, path, 0)?;
    } else {
        let name = Text::new(path.file_name().unwrap_or_default().as_bytes()).to_string();
        let Some(language) = Language::of(path) else {
            let what = "rules end in .yml, .yaml, .yar or .yara";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        };
        walk.file(path, name, language);
    }
    Ok(walk.sources)
}

struct Walk<'a> {
    sources: Vec<Source>,
    left: u64,
    report: &'a mut Report,
}

impl Walk<'_> {
    fn folder(&mut self, top: &Path, folder: &Path, depth: usize) -> io::Result<()> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        paths.sort();
        for path in paths {
            let hidden = path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."));
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            let below = path.strip_prefix(top).unwrap_or(&path);
            let name = Text::new(below.as_os_str().as_bytes()).to_string();
            if hidden {
                continue;
            }
            if meta.is_dir() {
                if depth >= DEPTH_MAX {
                    self.skip(&name, "too deep", format!("folders are read {DEPTH_MAX} deep"));
                } else if let Err(error) = self.folder(top, &path, depth + 1) {
                    self.skip(&name, "not readable", error.to_string());
                }
                continue;
            }
            // Through a link a folder could lead back to itself, or out to a disk of other things.
            if meta.is_symlink() && fs::metadata(&path).is_ok_and(|target| target.is_dir()) {
                self.skip(&name, "a link to a folder", "name that folder itself".to_owned());
            }
            let Some(language) = Language::of(&path) else { continue };
            if meta.is_symlink() {
                self.skip(&name, "a link", "rules are not read through links".to_owned());
            } else if meta.is_file() {
                self.file(&path, name, language);
            } else {
                self.skip(&name, "no regular file", String::new());
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: String, language: Language) {
        if self.sources.len() >= FILES_MAX {
            return self.skip(&name, "too many files", format!("only {FILES_MAX} are read"));
        }
        let bound = FILE_BYTES_MAX.min(self.left);
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(bound + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return self.skip(&name, "not readable", error.to_string());
        }
        if bytes.len() as u64 > bound {
            let what =
                format!("a file may have {FILE_BYTES_MAX} bytes, all together {TOTAL_BYTES_MAX}");
            return self.skip(&name, "too large", what);
        }
        self.left -= bytes.len() as u64;
        self.report.files += 1;
        match String::from_utf8(bytes) {
            Ok(text) if language == Language::Sigma && nested(&text) > NESTED_MAX => {
                let what = format!("more than {NESTED_MAX} brackets are open at once");
                self.skip(&name, "nested too deep", what);
            }
            Ok(text) => self.sources.push(Source { language, name, text, built_in: false }),
            Err(error) => self.skip(&name, "not text", error.utf8_error().to_string()),
        }
    }

    fn skip(&mut self, name: &str, reason: &str, detail: String) {
        let mut skipped = Skipped::foreign(name, reason).because(detail);
        // Files that are there and were not looked at are never passed over in silence.
        skipped.broken = true;
        match Language::of(Path::new(name)) {
            Some(Language::Yara) => self.report.skip_yara(skipped),
            _ => self.report.skip_sigma(skipped),
        }
    }
}

/// The most brackets that are open at once. Those in texts count as well; no rule has so many.
fn nested(text: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::read;
    use crate::report::Report;

    #[test]
    fn files_come_in_order_and_what_is_hidden_a_link_or_binary_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("b/.git")).unwrap();
        for name in ["b/z.yml", "b/a.YAML", "c.yar", "b/.git/x.yml", "notes.txt"] {
            fs::write(at(name), "x").unwrap();
        }
        fs::write(at("bad.yara"), [0xff, 0xfe]).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", at("link.yml")).unwrap();
        std::os::unix::fs::symlink(folder.path(), at("loop")).unwrap();
        fs::write(at("deep.yml"), "[".repeat(1 << 20)).unwrap();
        drop(std::os::unix::net::UnixListener::bind(at("socket.yml")).unwrap());
        let mut report = Report::default();
        let sources = read(folder.path(), &mut report).unwrap();
        let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["b/a.YAML", "b/z.yml", "c.yar"]);
        let reasons =
            ["a link", "a link to a folder", "nested too deep", "no regular file", "not text"];
        assert_eq!(report.reasons.keys().collect::<Vec<_>>(), reasons);
        assert!(read(&at("notes.txt"), &mut report).is_err());
        assert!(read(&at("absent"), &mut report).is_err());
        assert_eq!(read(&at("c.yar"), &mut report).unwrap().len(), 1);
    }
}
