//! One script of the corpus: what its first lines say, and how it is started inside.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::Shown;

/// The exit code of a hostile script that finds itself outside.
pub(super) const NOT_INSIDE: i64 = 99;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Benign,
    Hostile,
}

#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// `hostile/cron_spool.sh`.
    pub(super) name: String,
    pub(super) kind: Kind,
    file: PathBuf,
    /// ATT&CK ids; the first is what the sample stands for, the others are other names for it.
    pub(super) techniques: Vec<String>,
    /// Programs the sample needs and this machine lacks.
    pub(super) missing: Vec<String>,
    net: String,
    options: Vec<String>,
}

/// All samples below `corpus`, by name.
pub(super) fn read(corpus: &Path) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (folder, kind) in [("benign", Kind::Benign), ("hostile", Kind::Hostile)] {
        let path = corpus.join(folder);
        let entries = std::fs::read_dir(&path).with_context(|| format!("{}", path.display()))?;
        for entry in entries {
            samples.push(parse(&entry?.path(), folder, kind)?);
        }
    }
    samples.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(samples)
}

fn parse(file: &Path, folder: &str, kind: Kind) -> anyhow::Result<Sample> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut sample = Sample {
        name: format!("{folder}/{}", name.unwrap_or_default()),
        kind,
        file: file.to_owned(),
        techniques: Vec::new(),
        missing: Vec::new(),
        net: "none".to_owned(),
        options: Vec::new(),
    };
    let head = text.lines().take_while(|line| line.starts_with('#') || line.starts_with("//"));
    for line in head.filter(|line| !line.starts_with("#!") && !line.starts_with("#include")) {
        let line = line.trim_start_matches(['#', '/']).trim();
        let words = |value: &str| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        match line.split_once(": ") {
            Some(("technique", value)) => sample.techniques = words(value),
            Some(("needs", value)) => sample.missing = words(value),
            Some(("net", value)) => value.clone_into(&mut sample.net),
            Some(("options", value)) => sample.options = words(value),
            _ => bail!("{}: {line:?} is no line of a sample's head", sample.name),
        }
    }
    if (kind == Kind::Hostile) == sample.techniques.is_empty() {
        bail!("{}: hostile samples name a technique, and only they", sample.name);
    }
    let interpreter = sample.interpreter().unwrap_or("cc").to_owned();
    sample.missing.push(interpreter);
    sample.missing.retain(|program| !installed(program));
    Ok(sample)
}

fn installed(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", "command -v \"$0\"", program])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl Sample {
    fn interpreter(&self) -> Option<&'static str> {
        match self.file.extension().and_then(|extension| extension.to_str()) {
            Some("sh") => Some("sh"),
            Some("bash") => Some("bash"),
            Some("py") => Some("python3"),
            Some("pl") => Some("perl"),
            Some("js") => Some("node"),
            _ => None,
        }
    }

    /// Puts the sample into `folder` and answers with the command that starts it there.
    pub(super) fn place(&self, folder: &Path) -> anyhow::Result<Vec<OsString>> {
        let name = self.file.file_name().context("a sample without a name")?;
        let Some(interpreter) = self.interpreter() else {
            let program = folder.join("sample");
            let status = Command::new("cc")
                .args(["-O1", "-D_GNU_SOURCE", "-o"])
                .arg(&program)
                .arg(&self.file)
                .status()
                .context("could not start cc")?;
            if !status.success() {
                bail!("cc ended with {status}");
            }
            return Ok(vec!["./sample".into()]);
        };
        let target = folder.join(name);
        std::fs::copy(&self.file, &target).with_context(|| format!("{}", target.display()))?;
        std::fs::set_permissions(&target, Permissions::from_mode(0o755))
            .with_context(|| format!("{}", target.display()))?;
        Ok(vec![interpreter.into(), name.into()])
    }

    /// Options of `shieldx run`; later ones win.
    pub(super) fn options(&self) -> Vec<String> {
        let timeout = ["--timeout".to_owned(), "45s".to_owned()];
        let timeout = timeout.into_iter().filter(|_| !self.options.contains(&"--timeout".into()));
        let net = ["--net".to_owned(), self.net.clone()];
        timeout.chain(net).chain(self.options.iter().cloned()).collect()
    }

    /// Called suspicious or malicious, with the technique (or its parent) among the detections.
    pub(super) fn detected(&self, shown: &Shown) -> bool {
        let parent = |id: &str| id.split('.').next().unwrap_or_default().to_owned();
        let named = |id: &str| self.techniques.iter().any(|own| parent(own) == parent(id));
        matches!(shown.verdict.as_str(), "suspicious" | "malicious")
            && shown.detections.iter().any(|(_, technique)| named(technique))
    }
}
