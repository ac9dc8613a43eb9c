//! Packages of three ecosystems: which commands install one, and which import what was installed.
//!
//! The two are runs of their own, because what a package does shows in different places: a hook or
//! a build script while it is installed, its code when somebody first uses it. This room only
//! writes down the commands; it starts nothing and judges nothing.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the package's file lies inside, and where commands start that have no folder of the host.
pub const PLACE: &str = "/package";
/// Where packages lie inside that the package needs.
pub const NEEDED: &str = "/needed";
/// What install fills and import reads, in the command's own home.
pub const INSTALLED: &str = "/home/sandbox/package";

/// Imports every module of a distribution, each in a process of its own.
const IMPORT_PY: &str = include_str!("package/import.py");
/// Loads a package the way a program would, whatever kind of module it is.
const IMPORT_JS: &str = include_str!("package/import.cjs");
/// Builds a crate, and a program that links it.
const INSTALL_SH: &str = include_str!("package/install.sh");
/// Starts the program, and those that the crate itself has.
const IMPORT_SH: &str = include_str!("package/import.sh");

/// Whose packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ecosystem {
    /// Node.js.
    Npm,
    /// Python.
    Pip,
    /// Rust.
    Cargo,
}

/// One of the two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Install,
    Import,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Install => "install",
            Phase::Import => "import",
        })
    }
}

/// Where a package comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An archive of this host.
    File(PathBuf),
    /// A folder with sources.
    Folder(PathBuf),
    /// A registry that the run may ask.
    Registry(String),
}

/// A package to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub ecosystem: Ecosystem,
    pub origin: Origin,
    /// File names, in [`NEEDED`], of packages that this one needs; absent where nobody gave any.
    pub needed: Option<Vec<OsString>>,
}

/// A tool that has to be there.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Any of these does.
    pub programs: &'static [&'static str],
    /// Debian's package with it.
    pub apt: &'static str,
}

impl Ecosystem {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Ecosystem::Npm => "npm",
            Ecosystem::Pip => "pip",
            Ecosystem::Cargo => "cargo",
        }
    }

    #[must_use]
    pub fn tools(self) -> &'static [Tool] {
        match self {
            Ecosystem::Npm => &[
                Tool { programs: &["npm"], apt: "npm" },
                Tool { programs: &["node"], apt: "nodejs" },
            ],
            Ecosystem::Pip => &[
                Tool { programs: &["python3"], apt: "python3" },
                Tool { programs: &["pip3", "pip"], apt: "python3-pip" },
            ],
            Ecosystem::Cargo => &[
                Tool { programs: &["cargo"], apt: "cargo" },
                Tool { programs: &["cc"], apt: "gcc" },
                Tool { programs: &["tar"], apt: "tar" },
            ],
        }
    }

    /// How the names of its archives end.
    #[must_use]
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Ecosystem::Npm => &[".tgz", ".tar.gz"],
            Ecosystem::Pip => &[".whl", ".tar.gz", ".zip"],
            Ecosystem::Cargo => &[".crate"],
        }
    }

    /// What a folder with sources has, one of these at least.
    #[must_use]
    pub fn manifests(self) -> &'static [&'static str] {
        match self {
            Ecosystem::Npm => &["package.json"],
            Ecosystem::Pip => &["setup.py", "pyproject.toml"],
            Ecosystem::Cargo => &["Cargo.toml"],
        }
    }
}

impl Package {
    /// What the package is called in reports: the archive, the folder or the name.
    #[must_use]
    pub fn name(&self) -> OsString {
        match &self.origin {
            Origin::File(path) | Origin::Folder(path) => {
                path.file_name().unwrap_or(path.as_os_str()).to_owned()
            }
            Origin::Registry(name) => name.into(),
        }
    }

    /// The file that tells what the package is, where there is one.
    #[must_use]
    pub fn artifact(&self) -> Option<PathBuf> {
        match &self.origin {
            Origin::File(path) => Some(path.clone()),
            Origin::Folder(folder) => {
                let names = self.ecosystem.manifests().iter().map(|name| folder.join(name));
                names.into_iter().find(|path| path.is_file())
            }
            Origin::Registry(_) => None,
        }
    }

    /// The command of a phase.
    #[must_use]
    pub fn command(&self, phase: Phase) -> Vec<OsString> {
        match (self.ecosystem, phase) {
            (Ecosystem::Npm, Phase::Install) => self.npm_install(),
            (Ecosystem::Npm, Phase::Import) => {
                // `import` of a name starts from the folder that the program was started in.
                let line = "cd \"$1\" && exec node -e \"$2\" \"$1\" \"$3\"";
                words(&["sh", "-c", line, "sh", INSTALLED, IMPORT_JS])
                    .chain([self.name()])
                    .collect()
            }
            (Ecosystem::Pip, Phase::Install) => self.pip_install(),
            (Ecosystem::Pip, Phase::Import) => {
                words(&["python3", "-c", IMPORT_PY, INSTALLED]).chain([self.asked()]).collect()
            }
            (Ecosystem::Cargo, Phase::Install) => self.cargo_install(),
            (Ecosystem::Cargo, Phase::Import) => {
                words(&["sh", "-c", IMPORT_SH, "sh", INSTALLED]).collect()
            }
        }
    }

    /// The name that a registry was asked for, or nothing.
    fn asked(&self) -> OsString {
        match &self.origin {
            Origin::Registry(name) => name.into(),
            _ => OsString::new(),
        }
    }

    fn asks_a_registry(&self) -> bool {
        matches!(self.origin, Origin::Registry(_))
    }

    /// What the tool is told to install.
    fn what(&self) -> OsString {
        match &self.origin {
            Origin::File(_) => Path::new(PLACE).join(self.name()).into_os_string(),
            Origin::Folder(path) => path.into(),
            Origin::Registry(name) => name.into(),
        }
    }

    fn needed_files(&self) -> impl Iterator<Item = OsString> {
        let names = self.needed.iter().flatten();
        names.map(|name| Path::new(NEEDED).join(name).into_os_string())
    }

    fn npm_install(&self) -> Vec<OsString> {
        let options = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
            // Hooks are what this is about; their output is part of the evidence.
            "--ignore-scripts=false",
            "--foreground-scripts",
            // A folder becomes a package like any other and not a link.
            "--install-links",
            "--prefix",
            INSTALLED,
        ];
        let offline = (!self.asks_a_registry()).then(|| OsString::from("--offline"));
        let all = words(&options).chain(offline).chain([self.what()]);
        all.chain(self.needed_files().filter(|name| ends_with(name, Ecosystem::Npm))).collect()
    }

    fn pip_install(&self) -> Vec<OsString> {
        // Isolated: a file of the package named like a module of pip's is not taken for it.
        let mut all: Vec<OsString> = words(&[
            "python3",
            "-I",
            "-m",
            "pip",
            "install",
            "--no-input",
            "--disable-pip-version-check",
            "--no-warn-script-location",
            "--root-user-action=ignore",
            "--target",
            INSTALLED,
        ])
        .collect();
        if !self.asks_a_registry() {
            all.extend(words(&["--no-index", "--no-build-isolation"]));
            match self.needed {
                Some(_) => all.extend(words(&["--find-links", NEEDED])),
                None => all.push("--no-deps".into()),
            }
        }
        all.push(self.what());
        all
    }

    fn cargo_install(&self) -> Vec<OsString> {
        let kind = match self.origin {
            Origin::File(_) => "file",
            Origin::Folder(_) => "folder",
            Origin::Registry(_) => "registry",
        };
        let head = words(&["sh", "-c", INSTALL_SH, "sh", INSTALLED, kind]);
        let mut all: Vec<OsString> = head.chain([self.what()]).collect();
        if !self.asks_a_registry() {
            all.push("--offline".into());
        }
        if self.needed.is_some() {
            all.extend(["--config".into(), "source.crates-io.replace-with=\"needed\"".into()]);
            all.extend(["--config".into(), format!("source.needed.directory=\"{NEEDED}\"").into()]);
        }
        all
    }
}

/// Whether a file is named like an archive of this ecosystem.
#[must_use]
pub fn ends_with(name: &std::ffi::OsStr, ecosystem: Ecosystem) -> bool {
    let name = name.as_encoded_bytes();
    ecosystem.endings().iter().any(|ending| name.ends_with(ending.as_bytes()))
}

fn words(list: &[&str]) -> impl Iterator<Item = OsString> + use<> {
    list.iter().map(OsString::from).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::{Ecosystem, Origin, Package, Phase};

    fn line(ecosystem: Ecosystem, origin: Origin, needed: bool) -> String {
        let needed = needed.then(|| vec!["a-1.tgz".into(), "README".into()]);
        let words = Package { ecosystem, origin, needed }.command(Phase::Install);
        // Scripts say more than what they are given.
        let words = words.iter().map(|word| word.to_string_lossy());
        words.filter(|word| !word.contains('\n')).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_a_name_asks_a_registry() {
        let (file, name) =
            (Origin::File("/home/me/a.tgz".into()), Origin::Registry("left-pad".into()));
        let npm = line(Ecosystem::Npm, file.clone(), true);
        assert!(npm.ends_with("--offline /package/a.tgz /needed/a-1.tgz"), "{npm}");
        let pip = line(Ecosystem::Pip, file.clone(), false);
        assert!(pip.ends_with("--no-index --no-build-isolation --no-deps /package/a.tgz"), "{pip}");
        let cargo = line(Ecosystem::Cargo, file, false);
        assert!(cargo.ends_with("file /package/a.tgz --offline"), "{cargo}");
        for ecosystem in [Ecosystem::Npm, Ecosystem::Pip, Ecosystem::Cargo] {
            let asks = line(ecosystem, name.clone(), false);
            assert!(!asks.contains("--offline") && !asks.contains("--no-index"), "{asks}");
            assert!(asks.ends_with("left-pad"), "{asks}");
        }
    }
}
