//! The steps of one run, in order.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use bollard::container::AttachContainerResults;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, ContainerArchiveInfoOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use sandbox::runner::NO_INTERPRETER;
use sandbox::runner::process::LINGER;
use sandbox::runner::process::cgroup::Cgroups;
use sandbox::runner::process::supervise::Signals;
use sandbox::seccomp::{Mode, Policy};
use sandbox::{MonitorChoice, Net, RunError, Spec, monotonic_ns};
use types::Recording;
use types::run::Wall;

use crate::Docker;
use crate::container::{GATE, GATE_FOLDER, Request};
use crate::engine::{Engine, failed, is_missing};
use crate::follow::{First, Follow};
use crate::gate::{Launch, TOKEN_LEN};
use crate::image::{self, Image};
use crate::owner::Owner;
use crate::places::{self, Opened, Places, Planted, RUN_UID};
use crate::profile::profile;
use crate::record::{Parts, Phases, collect};
use crate::sweep::{Left, sweep};
use crate::watch::{self, Groups, Loading, Watcher};

/// The gate ends a command by itself when this has passed since its deadline: then nobody follows.
const ORPHANED: Duration = Duration::from_secs(5);
/// The gate waits this long to be killed after its report.
const HOLD: Duration = Duration::from_secs(20);
/// A daemon answers before the container's first process has become the gate; this bounds the wait.
const SETTLE: Duration = Duration::from_secs(5);

/// Runs a command from request to recording; whatever happens, nothing of it is left.
///
/// # Errors
/// As [`sandbox::Runner::run`].
pub(crate) async fn run(docker: &Docker, spec: &Spec) -> Result<Recording, RunError> {
    refuse(spec)?;
    let engine = docker.engine().await?;
    let signals = Signals::catch().map_err(setup("catch signals"))?;
    let mut phases = Phases::new(spec.observer.as_ref());
    phases.begin("build");
    let policy = Policy::standard(spec.net);
    let loading = watch::start_loading(spec, &policy);
    let mut missing = Vec::new();
    Cgroups::plan(&spec.id).sweep();
    if let Err(error) = sweep(&engine).await {
        missing.push(format!("what earlier runs left was not all removed: {error}"));
    }
    let token = watch::token().map_err(setup("read random bytes"))?;
    let mut left = Left::default();
    let session = Session { docker, spec, engine: &engine, policy, signals: &signals, token };
    let parts = session.steps(&mut left, loading, missing, phases).await;
    let unremoved = left.remove(&engine).await;
    let mut recording = parts?.recording(spec);
    let wall = |detail| Wall { name: "clean-up".to_owned(), on: false, detail };
    recording.run.isolation.walls.extend(unremoved.into_iter().map(wall));
    Ok(recording)
}

fn setup(step: impl Into<String>) -> impl FnOnce(io::Error) -> RunError {
    let step = step.into();
    move |source| RunError::Setup { step, source }
}

/// What this runner does not do at all.
fn refuse(spec: &Spec) -> Result<(), RunError> {
    let reason = match spec {
        Spec { net: Net::Sink | Net::Allow, .. } => {
            "runner docker gives a container no network: use runner process for --net sink or allow"
        }
        Spec { artifacts, .. } if artifacts.snapshot.is_some() => {
            "runner docker makes no snapshot of what was written: use --keep, or runner process"
        }
        Spec { layers, .. } if !layers.is_empty() => {
            "runner docker lays no tar files over a root: use runner process"
        }
        Spec { monitor: MonitorChoice::Notify, .. } => {
            let reason = "runner docker can be watched by eBPF only".to_owned();
            return Err(RunError::Monitor { reason });
        }
        _ => return outside_own_places(spec).and_then(|()| writable(spec)),
    };
    Err(RunError::Refused { reason: reason.to_owned() })
}

/// Nothing of the host may lie over what the runner itself, or the kernel, has in a container; and a
/// daemon takes one mount for one place.
fn outside_own_places(spec: &Spec) -> Result<(), RunError> {
    let refuse = |target: &Path, why: &str| {
        let target = target.display();
        let reason = format!("nothing can be mounted at {target} in a container: {why}");
        Err(RunError::Refused { reason })
    };
    for (number, mount) in spec.mounts.iter().enumerate() {
        let target = mount.target.as_path();
        let plain = target.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
        if !target.is_absolute() || !plain || target == Path::new("/") {
            return refuse(target, "name an absolute folder below / without dots");
        }
        if target.starts_with(GATE_FOLDER) {
            return refuse(target, "what starts the command lies there; mount it elsewhere");
        }
        if ["/proc", "/sys", "/dev"].iter().any(|folder| target.starts_with(folder)) {
            return refuse(target, "that is the kernel's; mount it elsewhere");
        }
        if spec.mounts.iter().take(number).any(|before| before.target == target) {
            return refuse(target, "two mounts have this place; give each its own");
        }
    }
    Ok(())
}

/// A container's user is nobody on this host: what only its owner may write stays closed to it.
fn writable(spec: &Spec) -> Result<(), RunError> {
    let closed = |mount: &&sandbox::Mount| {
        mount.writable
            && fs::metadata(&mount.source)
                .is_ok_and(|meta| meta.uid() != RUN_UID && meta.mode() & 0o002 == 0)
    };
    match spec.mounts.iter().find(closed) {
        Some(mount) => {
            let source = mount.source.display();
            Err(RunError::Refused {
                reason: format!(
                    "{source} would not be writable in a container, whose user is nobody here: make \
                     it writable for others (chmod o+w), or use runner process"
                ),
            })
        }
        None => Ok(()),
    }
}

struct Session<'a> {
    docker: &'a Docker,
    spec: &'a Spec,
    engine: &'a Engine,
    policy: Policy,
    signals: &'a Signals,
    token: [u8; TOKEN_LEN],
}

/// The inside of a container whose gate waits, where it can be reached. Dropped in this order: the
/// control group is empty when it is removed.
struct Inside {
    first: First,
    groups: Groups,
    places: Opened,
}

impl Session<'_> {
    async fn steps(
        self,
        left: &mut Left,
        loading: Option<Loading>,
        mut missing: Vec<String>,
        mut phases: Phases<'_>,
    ) -> Result<Parts, RunError> {
        let (spec, engine) = (self.spec, self.engine);
        let places = Places::plan(spec);
        let files = image::files(spec, &places)?;
        let planted = places::planted(spec, &places, &files.planted)?;
        let labels = Owner::own().labels(&spec.id);
        let image = Image::of(spec, engine, &files, &labels).await?;
        left.image = image.made.then(|| image.id.clone());
        let profile = engine.has_seccomp().then(|| profile(&self.policy));
        let profile = profile.as_deref();
        let request = Request {
            spec,
            image: &image,
            places: &places,
            planted: &planted,
            profile,
            labels: &labels,
        };
        let mut walls = request.walls(engine);
        let id = self.create(&request, left, &mut missing).await?;
        let program = self.program(&id).await?;
        self.upload(&id, &program).await?;
        let attached = self.attach(&id).await?;
        let start = engine.client.start_container(&id, None);
        start.await.map_err(failed("start the container"))?;
        let inside = self.enter(&id, &places, planted, &mut missing).await?;
        let start_ns = monotonic_ns();
        let pid = inside.as_ref().map_or(0, |inside| inside.first.pid);
        let groups = inside.as_ref().map(|inside| &inside.groups);
        let watcher = Watcher::attach(spec, loading, &self.policy, groups, (pid, start_ns))?;
        missing.extend(watcher.missing().map(str::to_owned));
        missing.extend(pausable(spec, groups));
        phases.begin("run");
        let follow = Follow {
            engine,
            id: &id,
            spec,
            signals: self.signals,
            first: inside.as_ref().map(|inside| &inside.first),
            groups,
            watcher: &watcher,
            token: self.token,
        };
        let followed = follow.run(attached).await;
        if let Some(pause) = &spec.pause {
            pause.detach();
        }
        let followed = match followed {
            Ok(followed) => followed,
            Err(error) => return Err(self.reworded(&id, &program, error).await),
        };
        phases.begin("collect");
        let (listing, full) = collect(inside.as_ref().map(|inside| &inside.places), spec)
            .map_err(setup("list what changed"))?;
        let missing = missing.into_iter();
        walls.extend(missing.map(|detail| Wall { name: "missing".to_owned(), on: false, detail }));
        let engine = self.facts(&image);
        Ok(Parts { walls, engine, followed, watcher, listing, full, phases_us: phases.end() })
    }

    fn facts(&self, image: &Image) -> BTreeMap<String, String> {
        let mut facts = self.engine.facts.clone();
        facts.insert("image".to_owned(), image.from.clone());
        facts.insert("image_id".to_owned(), image.id.clone());
        facts
    }

    async fn create(
        &self,
        request: &Request<'_>,
        left: &mut Left,
        missing: &mut Vec<String>,
    ) -> Result<String, RunError> {
        let created = self.engine.client.create_container(None, request.body()?).await;
        let created = created.map_err(failed("create the container"))?;
        left.container = Some(created.id.clone());
        // A limit that the host does not know, for one.
        missing.extend(created.warnings.into_iter().map(|line| format!("the daemon: {line}")));
        Ok(created.id)
    }

    /// The program's path inside: as it is given, or found along PATH.
    async fn program(&self, id: &str) -> Result<PathBuf, RunError> {
        let given = &self.spec.program;
        if given.as_os_str().as_bytes().contains(&b'/') {
            return Ok(given.clone());
        }
        let path = self.spec.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path);
        let folders = path.map(|path| path.as_bytes()).unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
        for folder in folders.split(|&byte| byte == b':').filter(|folder| !folder.is_empty()) {
            let candidate = Path::new(OsStr::from_bytes(folder)).join(given);
            if self.exists(id, &candidate).await? {
                return Ok(candidate);
            }
        }
        let missing = io::Error::from_raw_os_error(libc::ENOENT);
        let step = format!("start the program: no {} in the image, along PATH", given.display());
        Err(setup(step)(missing))
    }

    /// A program that is there and is not found lacks what starts it.
    async fn reworded(&self, id: &str, program: &Path, error: RunError) -> RunError {
        let RunError::Setup { step, source } = error else { return error };
        let missing = source.raw_os_error() == Some(libc::ENOENT) && step == "start the program";
        let given = self.spec.copies.iter().any(|copy| copy.target == program);
        if missing && (given || self.exists(id, program).await.unwrap_or(false)) {
            return RunError::Setup { step: NO_INTERPRETER.to_owned(), source };
        }
        RunError::Setup { step, source }
    }

    async fn exists(&self, id: &str, path: &Path) -> Result<bool, RunError> {
        let Some(text) = path.to_str() else { return Ok(false) };
        let options = ContainerArchiveInfoOptionsBuilder::default().path(text).build();
        match self.engine.client.get_container_archive_info(id, Some(options)).await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(failed("look for the program in the image")(error)),
        }
    }

    /// Puts the gate into its volume. The root itself takes nothing: it is read-only.
    async fn upload(&self, id: &str, program: &Path) -> Result<(), RunError> {
        let step = "put the gate into the container";
        let spec = self.spec;
        let filter = self.policy.compile(Mode::Enforce);
        let orphaned = u64::try_from(ORPHANED.as_millis()).unwrap_or(0);
        let launch = Launch {
            program: program.as_os_str(),
            command: &spec.command,
            env: &spec.env,
            cwd: spec.cwd.as_os_str(),
            filter: filter.instructions(),
            deadline_ms: spec.limits.timeout_ms.saturating_add(orphaned),
            linger_ms: u64::try_from(LINGER.as_millis()).unwrap_or(0),
            hold_ms: u64::try_from(HOLD.as_millis()).unwrap_or(0),
        };
        let nul = || io::Error::new(io::ErrorKind::InvalidInput, "a NUL byte in the command");
        let gate = launch.program().ok_or_else(nul).map_err(setup(step))?;
        let tar = archive(&gate).map_err(setup(step))?;
        let options = UploadToContainerOptionsBuilder::default().path(GATE_FOLDER).build();
        let body = bollard::body_full(tar.into());
        let upload = self.engine.client.upload_to_container(id, Some(options), body);
        upload.await.map_err(failed(step))
    }

    async fn attach(&self, id: &str) -> Result<AttachContainerResults, RunError> {
        let options = AttachContainerOptionsBuilder::default()
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .stream(true)
            .build();
        let attach = self.engine.client.attach_container(id, Some(options));
        attach.await.map_err(failed("attach to the container's streams"))
    }

    /// Reaches into the container while its gate waits, and plants what the command is given.
    /// `None` where its processes are not processes of this host that we may look at.
    ///
    /// # Errors
    /// When the container is not running, or something to plant cannot be.
    async fn enter(
        &self,
        id: &str,
        places: &Places,
        planted: Vec<Planted>,
        missing: &mut Vec<String>,
    ) -> Result<Option<Inside>, RunError> {
        let inspected = self.engine.client.inspect_container(id, None).await;
        let state = inspected.map_err(failed("look at the container"))?.state.unwrap_or_default();
        let pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid > 0);
        let Some(pid) = pid else {
            let error = io::Error::other(state.error.unwrap_or_default());
            return Err(setup("start the container: it ended at once")(error));
        };
        let entered = self.reach(pid, places).await;
        match entered {
            Ok(mut inside) => {
                let plant = inside.places.plant(planted);
                plant.map_err(setup("put files into the container"))?;
                Ok(Some(inside))
            }
            Err(error) if planted.is_empty() => {
                missing.push(format!("the container's folders cannot be reached: {error}"));
                Ok(None)
            }
            Err(error) => Err(setup("reach into the container, to put files there")(error)),
        }
    }

    async fn reach(&self, pid: u32, places: &Places) -> io::Result<Inside> {
        let first = First::open(pid)?;
        let settled = tokio::time::Instant::now() + SETTLE;
        while !watch::is_gate(pid, GATE, &self.spec.id) {
            if tokio::time::Instant::now() > settled {
                let other = "the daemon's process ids are not those of this host";
                return Err(io::Error::other(other));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let places = Opened::open(pid, places)?;
        let groups = Groups::of(pid, &self.spec.id, self.docker.own_group);
        Ok(Inside { first, groups, places })
    }
}

/// Takes a pause's handle; tells why the run cannot be paused, where that is so.
fn pausable(spec: &Spec, groups: Option<&Groups>) -> Option<String> {
    let pause = spec.pause.as_ref()?;
    let attached = pause.attach(groups.and_then(Groups::brake));
    attached.err().map(|error| format!("the run cannot be paused: {error}"))
}

/// The gate as the only file of a tar archive: root's, and nobody may write it.
fn archive(gate: &[u8]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(gate.len() as u64);
    header.set_mode(0o555);
    let name = Path::new(GATE).strip_prefix(GATE_FOLDER).unwrap_or(Path::new(GATE));
    tar.append_data(&mut header, name, gate)?;
    tar.into_inner()
}
