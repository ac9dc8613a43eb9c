//! The files of a policy, read from a folder in OPA's bundle layout
//! (<https://www.openpolicyagent.org/docs/management-bundles#bundle-file-format>).

use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use types::text::hex;

use crate::error::PolicyError;
use crate::manifest::Manifest;

/// Files of a policy; a folder with more is refused.
const FILES_MAX: u64 = 4_096;
/// Bytes of all files together.
const BYTES_MAX: u64 = 64 << 20;
/// Folders within folders. Links are followed: this ends a circle.
const DEPTH_MAX: u64 = 16;

/// One file. The name is relative to the policy's folder, with `/`.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

impl File {
    pub(crate) fn text(&self) -> Result<&str, PolicyError> {
        let no_text = |error| PolicyError::Data {
            file: self.name.clone(),
            message: format!("the file is no UTF-8: {error}"),
        };
        str::from_utf8(&self.content).map_err(no_text)
    }

    /// The folders above the file: where `data.json` belongs in `data`.
    pub(crate) fn folders(&self) -> impl DoubleEndedIterator<Item = &str> {
        let folder = self.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        folder.split('/').filter(|name| !name.is_empty())
    }

    pub(crate) fn base(&self) -> &str {
        self.name.rsplit_once('/').map_or(&self.name, |(_, base)| base)
    }
}

/// What a file is for, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rego,
    Data,
    Manifest,
}

fn kind(name: &str, base: &str) -> Result<Option<Kind>, PolicyError> {
    // OPA takes every path that ends so for signatures.
    if name.ends_with("signatures.json") {
        return Err(PolicyError::Signed { file: name.to_owned() });
    }
    Ok(match base {
        "patch.json" => return Err(PolicyError::Delta { file: name.to_owned() }),
        ".manifest" if name == base => Some(Kind::Manifest),
        "data.json" | "data.yaml" | "data.yml" => Some(Kind::Data),
        _ if base.ends_with("_test.rego") || base.starts_with('.') => None,
        _ if base.ends_with(".rego") => Some(Kind::Rego),
        _ => None,
    })
}

/// All files that decide, sorted by name.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) rego: Vec<File>,
    pub(crate) data: Vec<File>,
    pub(crate) manifest: Option<Manifest>,
    digest: String,
}

impl Bundle {
    pub(crate) fn read(folder: &Path) -> Result<Self, PolicyError> {
        let mut reading = Reading { files: Vec::new(), bytes: 0, seen: 0 };
        reading.folder(folder, "", 0)?;
        let bundle = Self::of(reading.files)?;
        if bundle.rego.is_empty() {
            return Err(PolicyError::Empty { folder: folder.to_owned() });
        }
        Ok(bundle)
    }

    pub(crate) fn of(mut files: Vec<File>) -> Result<Self, PolicyError> {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let digest = digest(&files);
        let (mut rego, mut data, mut manifest) = (Vec::new(), Vec::new(), None);
        for file in files {
            match kind(&file.name, file.base())? {
                Some(Kind::Rego) => rego.push(file),
                Some(Kind::Data) => data.push(file),
                Some(Kind::Manifest) => manifest = Some(Manifest::read(&file)?),
                None => {}
            }
        }
        Ok(Self { rego, data, manifest, digest })
    }

    pub(crate) fn digest(&self) -> String {
        self.digest.clone()
    }

    pub(crate) fn revision(&self) -> Option<&str> {
        self.manifest.as_ref().and_then(|manifest| manifest.revision())
    }
}

/// Every name and content, each behind its length, so that no two policies say the same.
fn digest(files: &[File]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        for part in [file.name.as_bytes(), &file.content] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
    }
    format!("sha256:{}", hex(&hash.finalize()))
}

struct Reading {
    files: Vec<File>,
    bytes: u64,
    seen: u64,
}

impl Reading {
    fn folder(&mut self, path: &Path, prefix: &str, depth: u64) -> Result<(), PolicyError> {
        let too_much = |what, max| PolicyError::TooMuch { path: path.to_owned(), what, max };
        let unreadable = |source| PolicyError::Read { path: path.to_owned(), source };
        if depth > DEPTH_MAX {
            return Err(too_much("folders deep", DEPTH_MAX));
        }
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            self.seen += 1;
            if self.seen > FILES_MAX {
                return Err(too_much("files", FILES_MAX));
            }
            let path = entry.path();
            let Ok(base) = entry.file_name().into_string() else {
                return Err(PolicyError::Name { path });
            };
            let name = format!("{prefix}{base}");
            let about = fs::metadata(&path)
                .map_err(|source| PolicyError::Read { path: path.clone(), source })?;
            if about.is_dir() {
                // Version control, and the folders Kubernetes keeps a mounted map's versions in.
                if !base.starts_with('.') {
                    self.folder(&path, &format!("{name}/"), depth + 1)?;
                }
            } else if kind(&name, &base)?.is_some() {
                self.file(&path, name, about.len())?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: String, length: u64) -> Result<(), PolicyError> {
        self.bytes = self.bytes.saturating_add(length);
        if self.bytes > BYTES_MAX {
            return Err(PolicyError::TooMuch {
                path: path.to_owned(),
                what: "bytes",
                max: BYTES_MAX,
            });
        }
        let content =
            fs::read(path).map_err(|source| PolicyError::Read { path: path.to_owned(), source })?;
        self.files.push(File { name, content });
        Ok(())
    }
}
