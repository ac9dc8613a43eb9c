//! `cargo xtask corpus`: every script under `corpus/` in the sandbox, and a scorecard of what was
//! said about it.
//!
//! It knows the product only by its command line and its JSON report. Nothing of the corpus is ever
//! started outside `shieldx run`; C sources are compiled outside and run inside.

mod sample;
mod scorecard;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use serde_json::Value;

use sample::{Kind, Sample};

pub(crate) const USAGE: &str = "\
usage: cargo xtask corpus [--runs N] [--hostile-runs N] [--jobs N] [--shieldx FILE] [--only WORD]
                          [--no-scorecard]";

/// What one run of one sample showed.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) verdict: String,
    pub(crate) complete: bool,
    pub(crate) tier: String,
    /// Detectors that fired, and the techniques they stand for.
    pub(crate) detections: Vec<(String, String)>,
    /// Exit code of the command; `None` when it was ended.
    pub(crate) code: Option<i64>,
    /// Of the detectors, and of ATT&CK.
    pub(crate) versions: [String; 2],
}

struct Request {
    runs: usize,
    /// For hostile samples, where it differs.
    hostile_runs: Option<usize>,
    jobs: usize,
    shieldx: Option<PathBuf>,
    only: Option<String>,
    write: bool,
}

/// Runs the corpus and writes `docs/scorecard.md`.
pub(crate) fn run(root: &Path, words: &[&str]) -> anyhow::Result<()> {
    let request = request(words)?;
    let shieldx = match &request.shieldx {
        Some(file) => file.canonicalize().with_context(|| format!("{}", file.display()))?,
        None => build(root)?,
    };
    let mut samples = sample::read(&root.join("corpus"))?;
    if let Some(word) = &request.only {
        samples.retain(|sample| sample.name.contains(word.as_str()));
    }
    let (samples, skipped): (Vec<_>, Vec<_>) =
        samples.into_iter().partition(|sample| sample.missing.is_empty());
    for sample in &skipped {
        eprintln!("SKIP {}: {} not installed", sample.name, sample.missing.join(", "));
    }
    let shown = run_all(&shieldx, &samples, &request)?;
    let card = scorecard::render(&samples, &skipped, &shown)?;
    eprintln!("\n{}", card.summary);
    if request.write && request.only.is_none() {
        let path = root.join("docs/scorecard.md");
        std::fs::write(&path, &card.text).with_context(|| format!("{}", path.display()))?;
        eprintln!("xtask: wrote docs/scorecard.md");
    }
    Ok(())
}

fn request(words: &[&str]) -> anyhow::Result<Request> {
    let mut request =
        Request { runs: 1, hostile_runs: None, jobs: 2, shieldx: None, only: None, write: true };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let mut value = || rest.next().copied().with_context(|| format!("{word} needs a value"));
        match *word {
            "--runs" => request.runs = value()?.parse().context("--runs")?,
            "--hostile-runs" => {
                request.hostile_runs = Some(value()?.parse().context("--hostile-runs")?);
            }
            "--jobs" => request.jobs = value()?.parse().context("--jobs")?,
            "--shieldx" => request.shieldx = Some(value()?.into()),
            "--only" => request.only = Some(value()?.to_owned()),
            "--no-scorecard" => request.write = false,
            other => bail!("{other} is not known\n{USAGE}"),
        }
    }
    if request.runs == 0 || request.jobs == 0 || request.hostile_runs == Some(0) {
        bail!("--runs, --hostile-runs and --jobs count from 1");
    }
    Ok(request)
}

/// Builds the program that is measured, and answers with its file.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["build", "--release", "-p", "shieldx", "--bin", "shieldx"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("could not start cargo")?;
    if !output.status.success() {
        bail!("shieldx could not be built");
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let values = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut files = values.filter_map(|value| value["executable"].as_str().map(PathBuf::from));
    files.next_back().context("cargo did not say where shieldx is")
}

/// Every sample `runs` times; by sample, in the order of its runs.
fn run_all(
    shieldx: &Path,
    samples: &[Sample],
    request: &Request,
) -> anyhow::Result<BTreeMap<String, Vec<Shown>>> {
    let next = AtomicUsize::new(0);
    let shown = Mutex::new(BTreeMap::<String, Vec<Shown>>::new());
    let failures = Mutex::new(Vec::new());
    let most = request.runs.max(request.hostile_runs.unwrap_or(0));
    let wanted = |sample: &Sample| match sample.kind {
        Kind::Benign => request.runs,
        Kind::Hostile => request.hostile_runs.unwrap_or(request.runs),
    };
    let turns: Vec<&Sample> = (0..most)
        .flat_map(|turn| samples.iter().map(move |sample| (turn, sample)))
        .filter(|(turn, sample)| *turn < wanted(sample))
        .map(|(_, sample)| sample)
        .collect();
    let work = || {
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let Some(sample) = turns.get(turn).copied() else { break };
            match run_one(shieldx, sample) {
                Ok(one) => {
                    tell(sample, &one);
                    let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                    shown.entry(sample.name.clone()).or_default().push(one);
                }
                Err(error) => {
                    eprintln!("FAILED {}: {error:#}", sample.name);
                    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                    failures.push(sample.name.clone());
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..request.jobs {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failures.is_empty() {
        bail!("{} runs gave no report: {}", failures.len(), failures.join(", "));
    }
    Ok(shown.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// One line for who watches: what is not as it should be stands out.
fn tell(sample: &Sample, shown: &Shown) {
    let good = match sample.kind {
        Kind::Benign => shown.verdict == "benign",
        Kind::Hostile => sample.detected(shown),
    };
    let detectors: Vec<&str> = shown.detections.iter().map(|(name, _)| name.as_str()).collect();
    let code = shown.code.map_or_else(|| "ended".to_owned(), |code| format!("exit {code}"));
    let mark = if good { "ok  " } else { "MISS" };
    let incomplete = if shown.complete { "" } else { ", evidence incomplete" };
    eprintln!(
        "{mark} {:<44} {:<12} {code}{incomplete} {}",
        sample.name,
        shown.verdict,
        detectors.join(" ")
    );
}

fn run_one(shieldx: &Path, sample: &Sample) -> anyhow::Result<Shown> {
    let folder = Folder::new()?;
    let command = sample.place(&folder.0)?;
    let output = Command::new(shieldx)
        .args(["run", "--json"])
        .args(sample.options())
        .arg("--")
        .args(&command)
        .current_dir(&folder.0)
        .stdin(Stdio::null())
        .output()
        .context("shieldx could not be started")?;
    let report: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("no report: {}", String::from_utf8_lossy(&output.stderr).trim_end())
    })?;
    let verdict = &report["verdict"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let detections = verdict["detections"].as_array().cloned().unwrap_or_default();
    let shown = Shown {
        verdict: text(&verdict["verdict"]),
        complete: verdict["evidence"]["level"] == "full",
        tier: text(&verdict["evidence"]["tier"]),
        detections: detections
            .iter()
            .map(|one| (text(&one["detector"]), text(&one["technique"]["id"])))
            .collect(),
        code: report["run"]["ending"]["code"].as_i64(),
        versions: [&verdict["detectors_version"], &verdict["attack_version"]].map(text),
    };
    if shown.verdict.is_empty() {
        bail!("the report has no verdict");
    }
    if shown.code == Some(sample::NOT_INSIDE) {
        bail!("the sample did not take this for the inside of a sandbox");
    }
    Ok(shown)
}

/// A folder of its own for one run, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("shieldx-corpus-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("{}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
