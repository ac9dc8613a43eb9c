//! What a module prints: kept up to a bound, counted to the end, and passed on when asked.
//!
//! Passing on happens on a thread of its own with a bounded queue. A reader that is slow slows the
//! module down; it cannot hold a run beyond its deadline.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamError, StreamResult};

/// Bytes one write may have.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// Bytes that wait to be passed on, at most.
const QUEUE_BYTES_MAX: usize = 256 << 10;
/// How often a module that waits for a slow reader looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// How long the reader gets to take what is left when the module has ended.
const LINGER: Duration = Duration::from_secs(2);

/// Which of our own streams output is passed on to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    Stdout,
    Stderr,
}

/// One output stream of a module.
#[derive(Debug, Clone)]
pub(crate) struct Capture(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    kept: Vec<u8>,
    total: u64,
    limit: u64,
    passing: bool,
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    /// No more will come.
    closed: bool,
    /// Nothing more can be passed on.
    gone: bool,
    failed: Option<String>,
}

/// What came out of a stream.
#[derive(Debug)]
pub(crate) struct Captured {
    pub kept: Vec<u8>,
    pub total: u64,
    pub failed: Option<String>,
}

impl Capture {
    pub(crate) fn new(limit: u64, pass: Option<Target>) -> io::Result<Self> {
        let state = State { limit, passing: pass.is_some(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        if let Some(target) = pass {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("wasm-output".to_owned())
                .spawn(move || shared.pass_on(target))?;
        }
        Ok(Self(shared))
    }

    /// Ends the stream and gives what it took.
    pub(crate) fn finish(self) -> Captured {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.changed.notify_all();
        let deadline = Instant::now() + LINGER;
        while state.passing && !state.gone && state.queued_bytes > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                state.failed.get_or_insert_with(|| "its reader took too long".to_owned());
                break;
            };
            state =
                self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Captured {
            kept: std::mem::take(&mut state.kept),
            total: state.total,
            failed: state.failed.take(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_on(&self, target: Target) {
        let mut state = self.lock();
        loop {
            if let Some(chunk) = state.queue.pop_front() {
                drop(state);
                let written = match target {
                    Target::Stdout => write(io::stdout().lock(), &chunk),
                    Target::Stderr => write(io::stderr().lock(), &chunk),
                };
                state = self.lock();
                state.queued_bytes = state.queued_bytes.saturating_sub(chunk.len());
                if let Err(error) = written {
                    // The reader of our output is gone: so is the reader of the module's.
                    state.gone = true;
                    state.queue.clear();
                    if error.kind() != io::ErrorKind::BrokenPipe {
                        state.failed = Some(error.to_string());
                    }
                }
                self.changed.notify_all();
            } else if state.closed || state.gone {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

fn write(mut stream: impl io::Write, chunk: &[u8]) -> io::Result<()> {
    stream.write_all(chunk)?;
    stream.flush()
}

impl OutputStream for Capture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut state = self.0.lock();
        state.total = state.total.saturating_add(bytes.len() as u64);
        let room = state.limit.saturating_sub(state.kept.len() as u64);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        state.kept.extend_from_slice(bytes.get(..room).unwrap_or(&[]));
        if state.passing && !state.gone && !bytes.is_empty() {
            state.queued_bytes += bytes.len();
            state.queue.push_back(bytes);
            self.0.changed.notify_all();
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let state = self.0.lock();
        if state.gone {
            return Err(StreamError::Closed);
        }
        Ok(if state.queued_bytes < QUEUE_BYTES_MAX { WRITE_BYTES_MAX } else { 0 })
    }
}

#[async_trait]
impl Pollable for Capture {
    async fn ready(&mut self) {
        loop {
            let full = {
                let state = self.0.lock();
                !state.gone && state.queued_bytes >= QUEUE_BYTES_MAX
            };
            if !full {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl IsTerminal for Capture {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Capture {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // For preview 3 only, of which the linker has nothing.
        Box::new(tokio::io::sink())
    }
}

#[cfg(test)]
mod tests {
    use super::{Capture, OutputStream as _};

    #[test]
    fn output_is_counted_beyond_what_is_kept() {
        let capture = Capture::new(4, None).unwrap();
        capture.clone().write("abc".into()).unwrap();
        capture.clone().write("def".into()).unwrap();
        let captured = capture.finish();
        assert_eq!((captured.kept.as_slice(), captured.total), (&b"abcd"[..], 6));
    }
}
