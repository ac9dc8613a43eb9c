//! The rules of others around one run: loaded beside it, applied to the artifact before it, to what
//! it leaves and to its memory while it goes on, to its events after it.

mod artifact;
mod kept;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;

use rules::{Options, Set};
use sandbox::content::{Scanned, scan_artifact};
use types::ports::{Pattern, PortError, Scanner};
use types::run::Wall;
use types::{Event, Kind, Recording, RuleSet, Task, Text};

use crate::exit::Exit;
use crate::failure::Failure;
pub use artifact::{Artifact, InRoot};
pub use kept::keep_in_cache_of;

/// The rules of the program, made once, by whoever needs them first.
static BUILT_IN: LazyLock<Set> = LazyLock::new(|| {
    // Nothing of ours can be wrong, so this is never the other one.
    Set::load(&options(None)).unwrap_or_else(|_| Set::built_in())
});

/// The rules that are applied to one run. Those of the program cannot be wrong: they are made
/// beside whatever goes on, and only who asks them something waits until they are there.
#[derive(Debug, Clone)]
pub enum Rules {
    BuiltIn,
    With(Set),
}

/// Looks with the rules of the program.
#[derive(Debug)]
struct BuiltIn;

impl Scanner for BuiltIn {
    fn rule_set(&self) -> RuleSet {
        BUILT_IN.scanner().rule_set()
    }

    fn scan(&self, place: &str, bytes: &[u8]) -> Result<Vec<Pattern>, PortError> {
        BUILT_IN.scanner().scan(place, bytes)
    }
}

impl Rules {
    /// Looks for the YARA rules in bytes. Waits for nothing; looking does.
    #[must_use]
    pub fn scanner(&self) -> Arc<dyn Scanner> {
        match self {
            Self::BuiltIn => Arc::new(BuiltIn),
            Self::With(set) => set.scanner(),
        }
    }

    /// The set, once it is made.
    #[must_use]
    pub fn set(&self) -> &Set {
        match self {
            Self::BuiltIn => &BUILT_IN,
            Self::With(set) => set,
        }
    }
}

/// Rules on their way, and what they say of the artifact.
#[derive(Debug)]
pub struct Matching {
    loading: JoinHandle<Found>,
}

/// What there was to say before the run was over.
#[derive(Debug)]
struct Found {
    rules: Rules,
    matches: Vec<Kind>,
    faults: Vec<String>,
    /// What of the artifact was not looked at.
    unseen: Vec<String>,
    /// The beginning of the artifact, where it is text.
    script: Option<Text>,
}

impl Found {
    fn of(rules: Rules) -> Self {
        let (matches, faults, unseen) = (Vec::new(), Vec::new(), Vec::new());
        Self { rules, matches, faults, unseen, script: None }
    }

    fn take(&mut self, scanned: Scanned) {
        self.matches.extend(scanned.found);
        self.unseen.extend(scanned.notes);
        self.faults.extend(scanned.faults);
    }
}

/// The rules of the program and of a folder.
///
/// # Errors
/// When the folder cannot be read or its rules not be compiled.
pub fn load(folder: Option<PathBuf>) -> Result<Rules, Failure> {
    let Some(folder) = folder else { return Ok(Rules::BuiltIn) };
    Set::load(&options(Some(folder))).map(Rules::With).map_err(|error| {
        Failure::of(Exit::BadData, &error)
            .hint("`shieldx rules test DIR` names what is wrong in a folder of rules")
    })
}

fn options(folder: Option<PathBuf>) -> Options {
    Options { folder, cache: kept::cache(), ..Options::default() }
}

impl Matching {
    /// Makes the rules and looks at the artifact, on a thread of its own: a run does not wait for
    /// rules.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn start(rules: Rules, artifact: Artifact) -> Result<Self, Failure> {
        let loading = std::thread::Builder::new()
            .name("rules".to_owned())
            .spawn(move || look(rules, &artifact))
            .map_err(|error| Failure::of(Exit::Failed, &error))?;
        Ok(Self { loading })
    }

    /// Puts into a recording what the rules say of it. Ids are given anew, since what was found in
    /// the artifact comes first.
    pub fn finish(self, recording: &mut Recording) {
        let Ok(found) = self.loading.join() else {
            recording.faults.push("the rules were not applied: their thread crashed".to_owned());
            return;
        };
        recording.faults.extend(found.faults);
        recording.run.script = found.script;
        let unseen = |detail| Wall { name: "artifact".to_owned(), on: false, detail };
        recording.run.isolation.walls.extend(found.unseen.into_iter().map(unseen));
        let before = found.matches.into_iter().map(|kind| stated(recording, kind));
        let before: Vec<Event> = before.collect();
        recording.events.splice(0..0, before);
        for (index, event) in recording.events.iter_mut().enumerate() {
            event.id = index as u64 + 1;
        }
        found.rules.set().apply(recording);
    }
}

/// Said of the run as a whole, before its first process did anything.
fn stated(recording: &Recording, kind: Kind) -> Event {
    let first = recording.events.first().map(|event| event.task.clone());
    let nobody = Task { pid: 0, tid: 0, ppid: 0, start_ns: 0, uid: 0, comm: Text::from("shieldx") };
    Event {
        id: 0,
        time_ns: 0,
        task: first.unwrap_or(nobody),
        kind,
        ret: None,
        blocked: false,
        advisory: false,
        truncated: false,
        count: 1,
    }
}

fn look(rules: Rules, artifact: &Artifact) -> Found {
    // Made now even where there is no artifact to look at: after the run it would be waited for.
    let scanner = rules.set().scanner();
    let mut found = Found::of(rules);
    if let Some(place) = &artifact.inside {
        place.scan(&scanner, &mut found);
    }
    // A program of the system is not what somebody submitted; its file is everybody's.
    if let Some(path) = artifact.on_host.as_ref().filter(|path| !is_systems(path)) {
        let shown = Text::from(path.as_os_str().as_encoded_bytes());
        found.script = text_of(path);
        match scan_artifact(&scanner, path, &shown) {
            Ok(scanned) => found.take(scanned),
            Err(error) => found.faults.push(format!("the artifact was not scanned: {error}")),
        }
    }
    found
}

/// Of a script so much is kept in the recording.
const SCRIPT_BYTES_MAX: u64 = 64 * 1024;

/// The beginning of a file that is text. What cannot be read is said by whoever scans it.
fn text_of(path: &Path) -> Option<Text> {
    // A pipe would be waited for.
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(SCRIPT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty() && !bytes.contains(&0)).then(|| Text::from(bytes.as_slice()))
}

fn is_systems(artifact: &Path) -> bool {
    const SYSTEM: [&str; 7] =
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/lib", "/usr/libexec", "/lib"];
    SYSTEM.iter().any(|folder| artifact.starts_with(folder))
}
