//! What this host lets the monitor do, for `shieldx doctor`.

use std::time::{Duration, Instant};

use super::{Guard, Options, PROGRAMS, Target, capture, guard, load};
use crate::monitor::{Sink, Unavailable};

/// The monitor was loaded, attached and taken down again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The raw tracepoints it is attached to.
    pub tracepoints: Vec<String>,
    /// An earlier run had left them in the kernel.
    pub reused: bool,
    pub load: Duration,
    pub attach: Duration,
    pub detach: Duration,
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "raw tracepoints {}; {} {:.1} ms, attach {:.1} ms, detach {:.1} ms",
            self.tracepoints.join(", "),
            if self.reused { "find what an earlier run loaded" } else { "load" },
            self.load.as_secs_f64() * 1e3,
            self.attach.as_secs_f64() * 1e3,
            self.detach.as_secs_f64() * 1e3
        )
    }
}

struct Nothing;

impl Sink for Nothing {
    fn event(&mut self, _: types::Event) {}
}

/// Tries everything a run would need of the kernel, watching nobody.
///
/// # Errors
/// The reason why a run would have no tier B.
pub fn probe() -> Result<Probe, Unavailable> {
    let start = Instant::now();
    let loaded = load(&Options::default())?;
    let load = start.elapsed().saturating_sub(loaded.attaching);
    let (reused, attaching) = (loaded.reused(), loaded.attaching);
    let start = Instant::now();
    let target = Target {
        cgroup_id: 0,
        cgroup: None,
        start_ns: 0,
        freezer: None,
        refusal: Box::new(|_, _| None),
        wall: Box::new(|_, _| false),
        uid_map: Vec::new(),
    };
    let running = loaded.attach(target, Nothing)?;
    let attach = start.elapsed() + attaching;
    let start = Instant::now();
    drop(running.finish());
    let detach = start.elapsed();
    let tracepoints =
        PROGRAMS.iter().map(|(_, name)| name.to_string_lossy().into_owned()).collect();
    Ok(Probe { tracepoints, reused, load, attach, detach })
}

/// Tries whether guards can be hung on the kernel's security hooks; gives the names of those.
///
/// # Errors
/// The reason why a run would have no tier A.
pub fn probe_guard() -> Result<Vec<String>, Unavailable> {
    let options = Options { guard: Guard::CONNECT, pins: None, ..Options::default() };
    let loaded = load(&options)?;
    match loaded.unguarded() {
        Some(reason) => Err(Unavailable { reason: reason.to_owned() }),
        None => Ok(guard::hooks(Guard::CONNECT).map(|(_, hook)| hook.to_owned()).collect()),
    }
}

/// Tries whether the kernel tells what it resolved; gives the names of the functions at whose end that
/// is captured.
///
/// # Errors
/// The reason why a run would have to do with what the task's memory says.
pub fn probe_capture() -> Result<Vec<String>, Unavailable> {
    let loaded = load(&Options { pins: None, ..Options::default() })?;
    match loaded.uncaptured() {
        Some(reason) => Err(Unavailable { reason: reason.to_owned() }),
        None => {
            Ok(capture::hooks().map(|(_, hook)| format!("{}{hook}", capture::PREFIX)).collect())
        }
    }
}
