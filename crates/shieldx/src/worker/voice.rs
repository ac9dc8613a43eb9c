//! Tells on standard output how the run goes on, without ever holding it up: what does not fit the
//! pace or the queue is left out here, the recording has it all.

use std::io::{self, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use sandbox::{Observer, Seen};
use types::{Access, Endpoint, Event, Kind};

use super::job::{Message, Phase};

/// Events told per second, in the long run and at once.
const EVENTS_PER_S: u32 = 50;
/// Events told in one run.
const EVENTS_MAX: u32 = 2_000;
/// Longer ones are left out; the executor takes no longer line but a recording's.
pub(crate) const LINE_MAX_BYTES: usize = 64 << 10;
/// Lines that wait for a slow reader.
const QUEUE_MAX: usize = 256;

/// The thread that writes.
pub(super) struct Voice {
    lines: SyncSender<Option<Vec<u8>>>,
    writer: JoinHandle<()>,
}

impl Voice {
    /// Starts to write what the observer hears.
    pub(super) fn start() -> io::Result<(Self, Observer)> {
        let (lines, queue) = sync_channel(QUEUE_MAX);
        let writer =
            std::thread::Builder::new().name("voice".to_owned()).spawn(move || write(&queue))?;
        let speaker = lines.clone();
        let pace = Mutex::new(Pace::new());
        let observer = Observer::new(move |seen| match seen {
            Seen::Phase(name) => {
                let line = Phase::named(name).and_then(|phase| Message::Phase(phase).line().ok());
                // Told by the thread that builds and collects, which may wait.
                let _ = line.map(|line| speaker.send(Some(line)));
            }
            Seen::Event(event) if notable(event) => {
                if !pace.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
                    return;
                }
                let line = Message::Event(Box::new(event.clone())).line().ok();
                let line = line.filter(|line| line.len() <= LINE_MAX_BYTES);
                let _ = line.map(|line| speaker.try_send(Some(line)));
            }
            Seen::Event(_) => {}
        });
        Ok((Self { lines, writer }, observer))
    }

    /// Everything told is written when this returns.
    pub(super) fn end(self) {
        let _ = self.lines.send(None);
        let _ = self.writer.join();
    }
}

/// Whoever does not read any more is gone, and the leash ends this process.
fn write(queue: &Receiver<Option<Vec<u8>>>) {
    while let Ok(Some(line)) = queue.recv() {
        let mut out = io::stdout().lock();
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// What a person who watches wants to see.
fn notable(event: &Event) -> bool {
    if event.blocked {
        return true;
    }
    match &event.kind {
        Kind::Exec { .. } => event.happened(),
        Kind::Dns { .. }
        | Kind::StdioSocket { .. }
        | Kind::MemoryExecuted { .. }
        | Kind::Connect { peer: Endpoint::Inet { .. } } => true,
        Kind::Open { path, access, create: true, .. } => {
            *access != Access::Read && event.happened() && !path.starts_with("/dev/")
        }
        _ => false,
    }
}

/// A token bucket that holds one second's worth.
struct Pace {
    tokens: f64,
    last: Instant,
    left: u32,
}

impl Pace {
    fn new() -> Self {
        Self { tokens: f64::from(EVENTS_PER_S), last: Instant::now(), left: EVENTS_MAX }
    }

    fn take(&mut self, now: Instant) -> bool {
        let gained = now.duration_since(self.last).as_secs_f64() * f64::from(EVENTS_PER_S);
        self.tokens = (self.tokens + gained).min(f64::from(EVENTS_PER_S));
        self.last = now;
        if self.tokens < 1.0 || self.left == 0 {
            return false;
        }
        self.tokens -= 1.0;
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{EVENTS_MAX, EVENTS_PER_S, Pace};

    #[test]
    fn a_burst_is_told_and_then_only_so_many_a_second_and_so_many_in_all() {
        let mut pace = Pace::new();
        let start = pace.last;
        let told = |pace: &mut Pace, second: u64| {
            let now = start + Duration::from_secs(second);
            u32::try_from((0..1000).filter(|_| pace.take(now)).count()).unwrap()
        };
        assert_eq!(told(&mut pace, 0), EVENTS_PER_S);
        assert_eq!(told(&mut pace, 0), 0);
        assert_eq!(told(&mut pace, 1), EVENTS_PER_S);
        assert_eq!(told(&mut pace, 60), EVENTS_PER_S);
        let all: u32 = (61..200).map(|second| told(&mut pace, second)).sum();
        assert_eq!(all, EVENTS_MAX - 3 * EVENTS_PER_S);
    }
}
