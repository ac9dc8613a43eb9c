//! One run of a compiled module: its host is built, its thread walled in, and it is called.

mod context;
mod memory;
mod ticker;

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sandbox::Spec;
use sandbox::runner::process::supervise::Signals;
use tokio::time::timeout;
use types::{Counters, Ending, Event, Kind, Text};
use wasmtime::{Engine, Linker, ResourceLimiter, Store, Trap};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::Command;

use self::memory::Looked;
use self::ticker::Ticker;
use crate::analysis::Analysis;
use crate::engine::Program;
use crate::grants::{Capability, Folder};
use crate::host::{Bounds, CALL_BYTES_MAX, Host};
use crate::output::Capture;
use crate::preview1::Preview1;
use crate::preview2::{self, Preview2};
use crate::trace::{Outcome, Trace};

/// The signal that stands for a trap: a program that cannot go on.
const TRAP_SIGNAL: i32 = 6;
/// The signal that stands for spent fuel: SIGXCPU.
const FUEL_SIGNAL: i32 = 24;
/// How often signals to this process are looked for.
const TICK: Duration = Duration::from_millis(20);

/// Everything that a run needs, already decided.
pub(crate) struct Session<'a> {
    pub spec: &'a Spec,
    /// To this process: they end the run.
    pub signals: &'a Signals,
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
    pub memory: Looked,
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
        let ((outcome, length), host, fuel_used, memory) = match program {
            Program::Module(module) => {
                let mut ctx = ctx;
                let state = Preview1::new(ctx.build_p1(), host, names.into_iter());
                let mut store = self.store(engine, state, |state| &mut state.host.bounds);
                let run = self.bounded(module_main(&mut store, module));
                let outcome = (runtime.block_on(run), began.elapsed());
                let used = self.fuel_used(&store);
                let looked = memory::look(self.spec, &store);
                (outcome, store.into_data().host, used, looked)
            }
            Program::Component(component) => {
                let mut ctx = ctx;
                let state = Preview2::new(ctx.build(), host, allowed, &self.analysis.imports);
                let mut store = self.store(engine, state, |state| &mut state.host.bounds);
                let run = self.bounded(component_main(&mut store, component));
                let outcome = (runtime.block_on(run), began.elapsed());
                let used = self.fuel_used(&store);
                let looked = memory::hidden(self.spec);
                (outcome, store.into_data().host, used, looked)
            }
        };
        drop(ticker);
        // A call that still waits in the kernel (a pipe of the host's, a name server) is left behind.
        runtime.shutdown_background();
        let end = match outcome {
            Err(ending) => End { ending, trap: None, out_of_fuel: false },
            Ok(result) => end(result),
        };
        Ok(ran(end, host, Measured { fuel_used, length, landlock, memory }))
    }

    /// Runs to its end, or to how it was ended: by its deadline, or a signal to this process.
    async fn bounded(
        &self,
        main: impl Future<Output = wasmtime::Result<()>>,
    ) -> Result<wasmtime::Result<()>, Ending> {
        let (mut main, mut signal) = (pin!(main), pin!(self.signal()));
        let either = poll_fn(|context| match signal.as_mut().poll(context) {
            Poll::Ready(signal) => Poll::Ready(Err(Ending::Interrupted { signal })),
            Poll::Pending => main.as_mut().poll(context).map(Ok),
        });
        timeout(self.timeout, either).await.unwrap_or(Err(Ending::TimedOut))
    }

    async fn signal(&self) -> i32 {
        loop {
            if let Some(signal) = self.signals.take() {
                return signal;
            }
            tokio::time::sleep(TICK).await;
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
    store.data_mut().memory = instance.get_memory(&mut *store, "memory");
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

/// What is known of a run beside its host's books.
struct Measured {
    fuel_used: u64,
    length: Duration,
    landlock: String,
    memory: Looked,
}

/// Closes the books. On the module's thread: its processor time is read.
fn ran(end: End, mut host: Host, measured: Measured) -> Ran {
    let End { ending, trap, out_of_fuel } = end;
    let Measured { fuel_used, length, landlock, memory } = measured;
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
        duration_ns: u64::try_from(length.as_nanos()).unwrap_or(u64::MAX),
        memory,
        landlock,
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
