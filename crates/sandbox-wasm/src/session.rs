//! One run of a compiled module: its host is built, its thread walled in, and it is called.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sandbox::landlock::Ruleset;
use sandbox::{Net, Spec, Stdin};
use tokio::time::timeout;
use types::{Counters, Ending, Event, Kind, Text};
use wasmtime::{Engine, Linker, ResourceLimiter, Store, Trap};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{FsPerms, HostMonotonicClock, HostWallClock, I32Exit, WasiCtxBuilder};

use crate::analysis::Analysis;
use crate::engine::Program;
use crate::grants::{Capability, Folder};
use crate::host::{Bounds, CALL_BYTES_MAX, Host, RANDOM_BYTES_MAX};
use crate::output::Capture;
use crate::preview1::Preview1;
use crate::preview2::{self, Allowed, Preview2};
use crate::trace::{Outcome, Trace};

/// How often a running module is looked at for its deadline.
const TICK: Duration = Duration::from_millis(5);
/// What clocks show in a deterministic run, in seconds since 1970 (2020-01-01) .
const FIXED_TIME_S: u64 = 1_577_836_800;
const FIXED_MONOTONIC_NS: u64 = 1_000_000_000;
/// Random bytes of a deterministic run, over and over.
const FIXED_RANDOM: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";
/// The signal that stands for a trap: a program that cannot go on.
const TRAP_SIGNAL: i32 = 6;
/// The signal that stands for spent fuel: SIGXCPU.
const FUEL_SIGNAL: i32 = 24;
/// What looking a name up reads.
const RESOLVER_FILES: [&str; 6] =
    ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/lib", "/usr/lib"];

/// Everything that a run needs, already decided.
pub(crate) struct Session<'a> {
    pub spec: &'a Spec,
    pub analysis: &'a Analysis,
    pub grants: &'a [Capability],
    pub folders: &'a [Folder],
    pub timeout: Duration,
    pub memory_bytes: u64,
    pub fuel: Option<u64>,
    pub stdout: Capture,
    pub stderr: Capture,
}

/// What became of it.
pub(crate) struct Ran {
    pub ending: Ending,
    /// Why it stopped, where it did not end by itself.
    pub trap: Option<String>,
    pub out_of_fuel: bool,
    pub fuel_used: u64,
    pub events: Vec<Event>,
    pub counters: Counters,
    pub reached: Vec<Kind>,
    pub memory_peak_bytes: u64,
    pub cpu_us: u64,
    pub duration_ns: u64,
    /// What the second wall is, in words; begins with `off: ` when there is none.
    pub landlock: String,
}

/// A step that failed before the module ran.
pub(crate) type StepError = (&'static str, io::Error);

impl Session<'_> {
    /// Runs to the end, on a thread of its own that can open no file but what was granted.
    pub(crate) fn run(&self, engine: &Engine, program: &Program) -> Result<Ran, StepError> {
        let panicked =
            || ("run the module: the engine panicked", io::Error::other("see standard error"));
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("wasm".to_owned())
                .spawn_scoped(scope, || self.on_thread(engine, program))
                .map_err(|error| ("start the module's thread", error))?;
            thread.join().map_err(|_| panicked())?
        })
    }

    fn on_thread(&self, engine: &Engine, program: &Program) -> Result<Ran, StepError> {
        let allowed = self.allowed()?;
        let (ctx, names) = self.context(&allowed)?;
        let landlock = self.wall_in(&allowed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| ("start the run's event loop", error))?;
        let ticker = Ticker::start(engine).map_err(|error| ("start the ticker", error))?;
        let mut host =
            Host::new(self.trace(), Bounds::new(self.memory_bytes, self.spec.limits.disk_bytes));
        host.trace.met(self.exec(), Outcome::Done);
        let began = Instant::now();
        let (outcome, host, fuel_used) = match program {
            Program::Module(module) => {
                let mut ctx = ctx;
                let state = Preview1::new(ctx.build_p1(), host, names.into_iter());
                let mut store = self.store(engine, state, |state| &mut state.host.bounds);
                let run = async { timeout(self.timeout, module_main(&mut store, module)).await };
                let outcome = runtime.block_on(run);
                let used = self.fuel_used(&store);
                (outcome, store.into_data().host, used)
            }
            Program::Component(component) => {
                let mut ctx = ctx;
                let state = Preview2::new(ctx.build(), host, allowed, &self.analysis.imports);
                let mut store = self.store(engine, state, |state| &mut state.host.bounds);
                let run = async { timeout(self.timeout, component_main(&mut store, component)).await };
                let outcome = runtime.block_on(run);
                let used = self.fuel_used(&store);
                (outcome, store.into_data().host, used)
            }
        };
        let duration_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        drop(ticker);
        // A call that still waits in the kernel (a pipe of the host's, a name server) is left behind.
        runtime.shutdown_background();
        Ok(self.ran(outcome, host, fuel_used, duration_ns, landlock))
    }

    fn ran(
        &self,
        outcome: Result<wasmtime::Result<()>, tokio::time::error::Elapsed>,
        mut host: Host,
        fuel_used: u64,
        duration_ns: u64,
        landlock: String,
    ) -> Ran {
        let End { ending, trap, out_of_fuel } = match outcome {
            Err(_) => End { ending: Ending::TimedOut, trap: None, out_of_fuel: false },
            Ok(result) => end(result),
        };
        let (code, signal) = match ending {
            Ending::Exited { code } => (Some(code), None),
            Ending::Signaled { signal } => (None, Some(signal)),
            Ending::TimedOut | Ending::Interrupted { .. } => (None, Some(9)),
        };
        host.trace.met(Kind::Exit { code, signal, thread: false }, Outcome::Done);
        let reached = host.bounds.reached();
        let memory_peak_bytes = host.bounds.memory_peak as u64;
        let (events, counters) = host.trace.finish();
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        let cpu_us = u64::try_from(cpu.tv_sec * 1_000_000 + cpu.tv_nsec / 1_000).unwrap_or(0);
        Ran {
            ending,
            trap,
            out_of_fuel,
            fuel_used,
            events,
            counters,
            reached,
            memory_peak_bytes,
            cpu_us,
            duration_ns,
            landlock,
        }
    }

    fn trace(&self) -> Trace {
        let comm = self.spec.program.file_name().unwrap_or_default().to_string_lossy();
        let uid = rustix::process::geteuid().as_raw();
        let observer = self.spec.observer.clone();
        Trace::new(Instant::now(), Text::from(comm.as_ref()), uid, self.spec.events_max, observer)
    }

    fn exec(&self) -> Kind {
        use std::os::unix::ffi::OsStrExt as _;
        let text = |text: &std::ffi::OsStr| Text::new(text.as_bytes());
        Kind::Exec {
            path: text(self.spec.program.as_os_str()),
            argv: self.spec.command.iter().map(|argument| text(argument)).collect(),
            cwd: text(self.spec.cwd.as_os_str()),
            memfd: false,
            deleted: false,
            stdio: Vec::new(),
        }
    }

    fn granted(&self, capability: &Capability) -> bool {
        self.grants.contains(capability)
    }

    /// The addresses behind the granted peers, as they are now.
    fn allowed(&self) -> Result<Allowed, StepError> {
        let mut allowed = Allowed::default();
        for grant in self.grants {
            let Capability::Network { host, port } = grant else { continue };
            if let Ok(ip) = host.parse() {
                allowed.addresses.push(SocketAddr::new(ip, *port));
            } else {
                let found = (host.as_str(), *port)
                    .to_socket_addrs()
                    .map_err(|error| ("find the address of a granted peer", error))?;
                allowed.addresses.extend(found);
                allowed.names.push(host.clone());
            }
        }
        Ok(allowed)
    }

    /// The engine's own context with what was granted, and the granted folders by their order in it.
    fn context(&self, allowed: &Allowed) -> Result<(WasiCtxBuilder, Vec<String>), StepError> {
        let mut ctx = WasiCtxBuilder::new();
        ctx.stdout(self.stdout.clone())
            .stderr(self.stderr.clone())
            .max_random_size(RANDOM_BYTES_MAX);
        let words = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        if self.granted(&Capability::Args) {
            ctx.args(&self.spec.command.iter().map(|argument| words(argument)).collect::<Vec<_>>());
        }
        if self.granted(&Capability::Env) {
            let env = self.spec.env.iter().map(|(name, value)| (words(name), words(value)));
            ctx.envs(&env.collect::<Vec<_>>());
        }
        if self.granted(&Capability::Stdin) && self.spec.stdin == Stdin::Inherit {
            ctx.inherit_stdin();
        }
        if self.spec.wasm.deterministic {
            ctx.wall_clock(Fixed).monotonic_clock(Fixed).insecure_random_seed(0);
            ctx.secure_random(wasmtime_wasi::random::Deterministic::new(FIXED_RANDOM.to_vec()));
            ctx.insecure_random(wasmtime_wasi::random::Deterministic::new(FIXED_RANDOM.to_vec()));
        }
        for folder in self.folders {
            let perms = if folder.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            ctx.preopened_dir(&folder.host, &folder.guest, perms).map_err(|error| {
                ("open a granted folder", io::Error::other(format!("{error:#}")))
            })?;
        }
        ctx.allow_tcp(!allowed.addresses.is_empty()).allow_udp(false);
        ctx.allow_ip_name_lookup(!allowed.names.is_empty());
        let addresses = allowed.addresses.clone();
        ctx.socket_addr_check(move |address, what| {
            let granted = match what {
                SocketAddrUse::TcpConnect => addresses.contains(&address),
                SocketAddrUse::TcpBind => preview2::any(address),
                _ => false,
            };
            Box::pin(async move { granted })
        });
        Ok((ctx, self.folders.iter().map(|folder| folder.guest.clone()).collect()))
    }

    /// Puts Landlock on this thread and on what it starts: should a path find its way out of the
    /// engine's own checks, the kernel still refuses it.
    fn wall_in(&self, allowed: &Allowed) -> Result<String, StepError> {
        let of = |writable: bool| {
            self.folders
                .iter()
                .filter(move |folder| folder.writable == writable)
                .map(|folder| folder.host.clone())
        };
        let mut readable: Vec<PathBuf> = of(false).collect();
        let writable: Vec<PathBuf> = of(true).collect();
        if !allowed.names.is_empty() {
            readable.extend(RESOLVER_FILES.iter().map(PathBuf::from));
        }
        let net = if allowed.addresses.is_empty() { Net::None } else { Net::Loopback };
        let ruleset = Ruleset::beneath(&readable, &writable, net)
            .map_err(|error| ("build the Landlock rules of the module's thread", error))?;
        if ruleset.describe().starts_with("off") {
            return Ok(ruleset.describe().to_owned());
        }
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| ("give up new privileges", error.into()))?;
        ruleset.restrict().map_err(|error| ("put Landlock on the module's thread", error))?;
        Ok(format!(
            "on the module's thread: reads below {} granted folders, writes below {}{}",
            self.folders.len(),
            writable.len(),
            if net == Net::None { ", no TCP" } else { "" }
        ))
    }

    fn store<T: 'static>(
        &self,
        engine: &Engine,
        state: T,
        bounds: impl Fn(&mut T) -> &mut Bounds + Send + Sync + 'static,
    ) -> Store<T> {
        let mut store = Store::new(engine, state);
        store.limiter(move |state| bounds(state) as &mut dyn ResourceLimiter);
        store.set_hostcall_fuel(CALL_BYTES_MAX);
        // Both can only fail where the engine was set up without them.
        let _ = store.set_fuel(self.fuel.unwrap_or(u64::MAX));
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }

    fn fuel_used<T: 'static>(&self, store: &Store<T>) -> u64 {
        let left = store.get_fuel().unwrap_or(0);
        self.fuel.unwrap_or(u64::MAX).saturating_sub(left)
    }
}

/// Instantiates a module and calls what it exports as its beginning.
async fn module_main(
    store: &mut Store<Preview1>,
    module: &wasmtime::Module,
) -> wasmtime::Result<()> {
    let mut linker = Linker::new(store.engine());
    wasmtime_wasi::p1::wasi_snapshot_preview1::add_to_linker(
        &mut linker,
        |host: &mut Preview1| host,
    )?;
    let instance = linker.instantiate_async(&mut *store, module).await?;
    for entry in ENTRIES {
        if instance.get_func(&mut *store, entry).is_some() {
            let function = instance.get_typed_func::<(), ()>(&mut *store, entry)?;
            return function.call_async(&mut *store, ()).await;
        }
    }
    Ok(())
}

/// A command's beginning, and a library's; the first that is there is called.
pub(crate) const ENTRIES: [&str; 2] = ["_start", "_initialize"];

async fn component_main(
    store: &mut Store<Preview2>,
    component: &wasmtime::component::Component,
) -> wasmtime::Result<()> {
    let mut linker = wasmtime::component::Linker::new(store.engine());
    preview2::add_to_linker(&mut linker)?;
    let command = Command::instantiate_async(&mut *store, component, &linker).await?;
    match command.wasi_cli_run().call_run(&mut *store).await? {
        Ok(()) => Ok(()),
        Err(()) => Err(I32Exit(1).into()),
    }
}

struct End {
    ending: Ending,
    trap: Option<String>,
    out_of_fuel: bool,
}

fn end(result: wasmtime::Result<()>) -> End {
    let Err(error) = result else {
        return End { ending: Ending::Exited { code: 0 }, trap: None, out_of_fuel: false };
    };
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return End { ending: Ending::Exited { code: *code }, trap: None, out_of_fuel: false };
    }
    let out_of_fuel = matches!(error.downcast_ref::<Trap>(), Some(Trap::OutOfFuel));
    let signal = if out_of_fuel { FUEL_SIGNAL } else { TRAP_SIGNAL };
    let trap =
        error.downcast_ref::<Trap>().map_or_else(|| format!("{error:#}"), ToString::to_string);
    End { ending: Ending::Signaled { signal }, trap: Some(trap), out_of_fuel }
}

/// Clocks that stand still.
struct Fixed;

impl HostWallClock for Fixed {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(FIXED_TIME_S)
    }
}

impl HostMonotonicClock for Fixed {
    fn resolution(&self) -> u64 {
        FIXED_MONOTONIC_NS
    }

    fn now(&self) -> u64 {
        FIXED_MONOTONIC_NS
    }
}

/// Makes a running module give way now and then, so that its deadline is seen. Stops when dropped.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: &Engine) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (engine.clone(), Arc::clone(&stop));
        let tick = move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new().name("wasm-ticker".to_owned()).spawn(tick)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
