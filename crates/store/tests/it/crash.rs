//! `kill -9` at any moment: what was told is there afterwards. This shows what survives the death of
//! the process; the death of the machine rests on `synchronous=FULL` and fsync.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use store::artifacts::Artifacts;
use store::domain::{FeatureLog as _, NewVerification, Order, Outcome, State, Verifications as _};
use store::sqlite::Store;
use tokio::task::JoinSet;

use crate::support::{Dice, order, segment, summary, tenant, work};

/// Names the folder in which the child writes.
const FOLDER: &str = "STORE_CRASH_TEST_FOLDER";

/// How often the child is killed.
const KILLS: u64 = 50;

/// Not a test of its own: what the killed process does, when [`FOLDER`] says where.
#[test]
#[expect(clippy::disallowed_methods, reason = "a child is told its folder by its parent")]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(write_until_killed(Path::new(&folder)));
}

async fn write_until_killed(folder: &Path) {
    let store = Store::open_exclusive(folder).unwrap();
    let artifacts = Artifacts::open(&folder.join("artifacts")).unwrap();
    store.requeue_all().await.unwrap();
    let mut tasks = JoinSet::new();
    for lane in 0..4 {
        tasks.spawn(submit_for_ever(Arc::clone(&store), Arc::clone(&artifacts), lane));
        tasks.spawn(finish_for_ever(Arc::clone(&store)));
    }
    tasks.spawn(append_for_ever(store));
    while tasks.join_next().await.is_some() {}
}

/// One line in one write: the parent believes only whole lines.
fn tell(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

async fn submit_for_ever(store: Arc<Store>, artifacts: Arc<Artifacts>, lane: u64) {
    for number in 0.. {
        let id = format!("{}-{lane}-{number}", std::process::id());
        let mut upload = artifacts.begin(&tenant("a")).await.unwrap();
        upload.write(id.as_bytes()).await.unwrap();
        let stored = upload.finish().await.unwrap();
        let order = Order { sha256: stored.sha256.clone(), ..order("") };
        let new = NewVerification { order, ..work("a", &id) };
        store.submit(new, u64::MAX, u64::MAX).await.unwrap();
        tell(&format!("submitted {id}"));
    }
}

async fn finish_for_ever(store: Arc<Store>) {
    loop {
        let Some(lease) = store.claim(0, 1).await.unwrap() else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let id = lease.verification.id.clone();
        let report = format!("{id} {}", lease.token);
        let outcome = Outcome::Report { summary: summary(), report: report.clone().into_bytes() };
        // Under `claim(0, 1)` leases never end: nobody else can have it.
        assert!(store.finish(&lease, outcome, 1).await.unwrap());
        tell(&format!("finished {report}"));
    }
}

async fn append_for_ever(store: Arc<Store>) {
    loop {
        let position = store.append(segment("a", "runs", 0, 1)).await.unwrap();
        tell(&format!("appended {position}"));
    }
}

/// What the child told before it died.
#[derive(Debug, Default)]
struct Told {
    submitted: BTreeSet<String>,
    /// Id and token.
    finished: BTreeSet<(String, String)>,
    appended: BTreeSet<u64>,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["submitted", id] => _ = self.submitted.insert(id.to_owned()),
            ["finished", id, token] => {
                self.finished.insert((id.to_owned(), token.to_owned()));
            }
            ["appended", position] => _ = self.appended.insert(position.parse().unwrap()),
            _ => {}
        }
    }
}

/// Lets a child write for a while and kills it; hears what it told until then.
fn run_and_kill(folder: &Path, pause: Duration, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--quiet"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let mut begun = false;
    while lines.read_line(&mut line).unwrap() > 0 {
        if line.ends_with('\n') {
            told.hear(line.trim_end());
        }
        if !begun && line.starts_with("submitted") {
            begun = true;
            std::thread::sleep(pause);
            child.kill().unwrap();
        }
        line.clear();
    }
    let ended = child.wait().unwrap();
    assert!(begun && ended.code().is_none(), "it writes until it is killed: {ended:?}");
}

async fn verify(folder: &Path, told: &Told) {
    let a = tenant("a");
    let store = Store::open_exclusive(folder).unwrap();
    let artifacts = Artifacts::open(&folder.join("artifacts")).unwrap();
    for id in &told.submitted {
        let found = store.verification(&a, id).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("{id} was accepted and is gone"));
        let path = artifacts.path(&a, &found.order.sha256).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), id.as_bytes());
    }
    for (id, token) in &told.finished {
        let found = store.verification(&a, id).await.unwrap().unwrap();
        assert_eq!(found.state, State::Done, "{id}");
        let report = store.report(&a, id).await.unwrap();
        assert_eq!(report, Some(format!("{id} {token}").into_bytes()), "the report that was told");
    }
    let kept: BTreeSet<u64> = {
        let all = store.read_after(0, u32::MAX).await.unwrap();
        all.into_iter().map(|(position, _)| position).collect()
    };
    assert!(told.appended.is_subset(&kept));
}

#[test]
fn nothing_that_was_told_is_lost_by_kill_9_at_fifty_moments() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut told = Told::default();
    let mut dice = Dice(1);
    for kill in 0..KILLS {
        run_and_kill(&state, Duration::from_micros(dice.roll(60_000)), &mut told);
        if kill % 5 == 4 {
            runtime.block_on(verify(&state, &told));
        }
    }
    assert!(told.submitted.len() > 100 && told.finished.len() > 100, "{told:?}");
    runtime.block_on(finish_the_rest(&state, &told));
}

/// Everything accepted gets exactly one result in the end.
async fn finish_the_rest(folder: &Path, told: &Told) {
    let a = tenant("a");
    let store = Store::open_exclusive(folder).unwrap();
    store.requeue_all().await.unwrap();
    while let Some(lease) = store.claim(0, 1).await.unwrap() {
        assert!(!told.finished.iter().any(|(id, _)| *id == lease.verification.id));
        let outcome = Outcome::Report { summary: summary(), report: b"late".to_vec() };
        assert!(store.finish(&lease, outcome, 1).await.unwrap());
    }
    let all = store.verifications(&a, None, None, u32::MAX).await.unwrap().items;
    assert!(all.len() >= told.submitted.len());
    assert!(all.iter().all(|verification| verification.state == State::Done));
    let artifacts = Artifacts::open(&folder.join("artifacts")).unwrap();
    // Stored by a process that died before it submitted.
    let left = artifacts.remove_unused(&*store).await.unwrap();
    assert!(left <= 4 * KILLS, "{left}");
}
