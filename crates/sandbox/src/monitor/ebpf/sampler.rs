//! How long system calls take, by samples.
//!
//! A program at every entry would cost every call, so it is attached for short windows only: one when
//! the run starts, then one a second. What is entered in a window is measured when it returns, also
//! after the window has closed. Which calls those are is not known here.

use std::collections::BTreeMap;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread::JoinHandle;

use ::ebpf::abi::{DURATION_BUCKETS, Duration, RECIPES_LEN, Sampling, Window};
use aya::maps::{Array, MapData, MapError};
use types::syscalls::{OTHER, name};
use types::{CallDurations, Durations};

use super::{bpf, os, unavailable};
use crate::monitor::Unavailable;

/// The program and its tracepoint.
pub(super) const PROGRAM: (&str, &std::ffi::CStr) = ("on_sys_enter", c"sys_enter");

/// How long a window is open, in steps of looking whether it has closed itself: until it is detached
/// the program costs every call on this host, sampled or not, some 15 ns.
const STEPS: u32 = 5;
const STEP_MS: i32 = 4;
/// So many calls close a window before its time: each costs some 0.1 µs.
const WINDOW_CALLS: i32 = 2048;
const BREAK_MS: i32 = 980;

/// The kernel's part.
pub(super) struct Gate {
    pub windows: Array<MapData, [u8; size_of::<Window>()]>,
    pub program: OwnedFd,
}

/// What was counted, for reading.
pub(super) struct Samples {
    pub books: Array<MapData, [u8; size_of::<Sampling>()]>,
    pub durations: Array<MapData, [u8; size_of::<Duration>()]>,
}

/// Who opens and closes windows.
struct Porter {
    gate: Gate,
    number: u32,
    /// Closing it detaches the program.
    link: Option<OwnedFd>,
}

impl Porter {
    fn turn(&mut self) -> Result<(), MapError> {
        self.number = self.number.wrapping_add(1);
        let window = Window { number: self.number, left: WINDOW_CALLS };
        self.gate.windows.set(0, window.to_bytes(), 0)
    }

    /// False when the kernel does not let us: then nothing is sampled from here on.
    fn open(&mut self) -> bool {
        let (_, tracepoint) = PROGRAM;
        self.link = bpf::attach(Some(tracepoint), self.gate.program.as_fd()).ok();
        self.link.is_some() && self.turn().is_ok()
    }

    /// Whether it has had all the calls it may have. What cannot be read is over.
    fn is_full(&self) -> bool {
        let bytes = self.gate.windows.get(&0, 0);
        !bytes.is_ok_and(|bytes| bytes.starts_with(&self.number.to_ne_bytes()))
    }

    /// By the number first, which holds from that moment on.
    fn close(&mut self) -> bool {
        let closed = self.turn().is_ok();
        self.link = None;
        closed
    }
}

/// Opens and closes windows until it is dropped.
pub(super) struct Sampler {
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Opens the first window before it returns, so that short runs are in it.
    pub(super) fn start(gate: Gate) -> Result<Self, Unavailable> {
        let no_thread = |error: std::io::Error| unavailable("no thread for the sampler", &error);
        let mut porter = Porter { gate, number: 0, link: None };
        let (stopped, stop) = std::io::pipe().map_err(no_thread)?;
        if !porter.open() {
            return Ok(Self { stop: None, thread: None });
        }
        let thread = std::thread::Builder::new()
            .name("ebpf-sampler".to_owned())
            .spawn(move || run(&mut porter, &stopped))
            .map_err(no_thread)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does nothing that panics.
            let _ = thread.join();
        }
    }
}

fn run(porter: &mut Porter, stopped: &PipeReader) {
    loop {
        let mut ended = false;
        for _ in 0..STEPS {
            [ended] = os::poll([stopped.as_fd()], STEP_MS);
            if ended || porter.is_full() {
                break;
            }
        }
        let closed = porter.close();
        if ended || !closed {
            return;
        }
        let [ended] = os::poll([stopped.as_fd()], BREAK_MS);
        if ended || !porter.open() {
            return;
        }
    }
}

impl Samples {
    /// What was measured, by name; `made` says by number which calls there were.
    pub(super) fn read(&self, made: &[u64]) -> Durations {
        let books = self.books.get(&0, 0).ok().and_then(|bytes| Sampling::parse(&bytes));
        let books = books.unwrap_or_default();
        let mut by_name = BTreeMap::<String, CallDurations>::new();
        for (nr, _) in (0..).zip(made.iter().take(RECIPES_LEN)).filter(|(_, made)| **made > 0) {
            let bytes = self.durations.get(&nr, 0).ok();
            let Some(one) = bytes.and_then(|bytes| Duration::parse(&bytes)) else { continue };
            if one.buckets != [0; DURATION_BUCKETS] {
                by_name
                    .entry(name(nr).unwrap_or(OTHER).to_owned())
                    .or_default()
                    .add(one.sum_ns, &one.buckets);
            }
        }
        let Sampling { entered, unmatched, untracked, threads } = books;
        let threads_left = threads.unsigned_abs();
        Durations { calls: by_name, entered, unmatched, untracked, threads_left }
    }
}
