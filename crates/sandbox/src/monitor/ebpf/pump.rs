//! Takes records out of the rings, decodes them and hands them to the sink, on a thread of its own.
//!
//! Nothing may be lost: when the job fills a ring faster than this thread empties it, the job's
//! cgroup is frozen until both rings are empty. The kernel side waits as well, but it can only do
//! so for moments. While the job runs, this thread runs before ordinary ones, because the time it
//! waits for a processor is time in which a ring fills; while the job is frozen there is no hurry,
//! so a flood cannot take the processor from anyone else. What the events mean, or which are kept, is not known here.

use std::fs::File;
use std::io::{PipeReader, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use ::ebpf::abi::{CALLS_OTHER, KIND_COUNT, RECIPES_LEN, RECORD_COMPAT, Record};
use aya::maps::{MapData, RingBuf};
use types::Event;

use super::decode::{Decoder, Held};
use super::os;
use crate::monitor::Sink;

/// The rings wake this thread when an eighth is full; otherwise it looks this often.
const POLL_MS: i32 = 20;

/// One ring and how much may be taken from it in one go before the job counts as too fast.
pub(super) struct Ring {
    pub buffer: RingBuf<MapData>,
    pub len: u32,
}

/// The job's `cgroup.freeze`. Thaws when it goes away, however that happens.
pub(super) struct Freezer {
    file: Option<File>,
    /// The cgroup's folder.
    cgroup: Option<File>,
    since: Option<Instant>,
    held: Duration,
    held_max: Duration,
    pub count: u64,
    /// The job was held back for longer than it may be, and has been killed.
    pub spent: bool,
}

impl Freezer {
    pub(super) fn new(file: Option<File>, cgroup: Option<File>, held_max: Duration) -> Self {
        let held = Duration::ZERO;
        Self { file, cgroup, since: None, held, held_max, count: 0, spent: false }
    }

    fn freeze(&mut self) {
        if self.since.is_none() && self.write(b"1") {
            self.since = Some(Instant::now());
            self.count += 1;
            os::set_urgent(false);
        }
    }

    fn thaw(&mut self) {
        if let Some(since) = self.since.take() {
            self.held += since.elapsed();
            os::set_urgent(true);
            self.write(b"0");
        }
        if self.held > self.held_max && !self.spent {
            self.spent = true;
            self.kill();
        }
    }

    /// In words, when the job has been held back for too long.
    pub(super) fn fault(&self) -> Option<String> {
        self.spent.then(|| {
            format!(
                "the job made events faster than they could be taken for so long that it was held \
                 back for {} s, the most there is, and was ended",
                self.held_max.as_secs_f32()
            )
        })
    }

    /// Without the folder the job goes on and the fault stands by itself.
    fn kill(&self) {
        if let Some(cgroup) = &self.cgroup {
            let path = format!("/proc/self/fd/{}/cgroup.kill", cgroup.as_raw_fd());
            let _ = std::fs::write(path, "1");
        }
    }

    /// A cgroup that is gone has nothing left to freeze; other failures leave the in-kernel wait.
    fn write(&mut self, state: &[u8]) -> bool {
        self.file.as_mut().is_some_and(|file| file.write_all(state).is_ok())
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
    }
}

/// Everything the thread owns.
pub(super) struct Pump<S> {
    pub rings: [Ring; 2],
    pub decoder: Decoder,
    pub held: Held,
    pub sink: S,
    pub freezer: Freezer,
    /// Records taken, by `KIND_*`.
    pub received: [u64; KIND_COUNT as usize],
    /// Records that were not even a record; never seen unless the two halves disagree.
    pub malformed: u64,
    pub blocked: Blocked,
}

/// Calls that the policy refused, by number.
pub(super) struct Blocked(pub Vec<u64>);

impl Blocked {
    pub(super) fn new() -> Self {
        Self(vec![0; RECIPES_LEN])
    }

    /// Counts an event's calls. What the sandbox's init (process 1) was refused is no deed of the run.
    pub(super) fn count(&mut self, call: usize, event: &Event) {
        if event.blocked
            && event.task.pid > 1
            && let Some(blocked) = self.0.get_mut(call.min(CALLS_OTHER))
        {
            *blocked += event.count;
        }
    }
}

/// Under which number a record's call is counted.
pub(super) fn record_call(record: &Record) -> usize {
    if record.flags & RECORD_COMPAT != 0 {
        return CALLS_OTHER;
    }
    usize::try_from(record.nr).unwrap_or(CALLS_OTHER)
}

impl<S: Sink> Pump<S> {
    /// Runs until the other end of `stop` is closed, then takes what is left.
    pub(super) fn run(mut self, stop: &PipeReader) -> Self {
        os::raise_priority();
        os::set_urgent(self.freezer.file.is_some());
        loop {
            self.drain();
            let [critical, bulk] = &self.rings;
            let fds = [critical.buffer.as_fd(), bulk.buffer.as_fd(), stop.as_fd()];
            let [_, _, stopped] = os::poll(fds, POLL_MS);
            if stopped {
                break;
            }
        }
        self.drain();
        self
    }

    /// Empties both rings, freezing the job when that turns out to be a race.
    fn drain(&mut self) {
        loop {
            let mut taken = 0;
            for index in 0..self.rings.len() {
                taken += self.drain_one(index);
            }
            if taken == 0 {
                break;
            }
        }
        self.freezer.thaw();
    }

    fn drain_one(&mut self, index: usize) -> usize {
        let Some(ring) = self.rings.get_mut(index) else { return 0 };
        let too_much = usize::try_from(ring.len / 4).unwrap_or(usize::MAX);
        let mut taken = 0;
        while let Some(item) = ring.buffer.next() {
            taken += item.len();
            if taken > too_much {
                self.freezer.freeze();
            }
            let Some((record, data)) = Record::parse(&item) else {
                self.malformed += 1;
                continue;
            };
            if let Some(count) = self.received.get_mut(usize::from(record.kind)) {
                *count += 1;
            }
            let event = self.decoder.decode(&record, data);
            drop(item);
            if let Some(event) = event.and_then(|event| self.held.keep(&record, event)) {
                self.blocked.count(record_call(&record), &event);
                self.sink.event(event);
            }
        }
        taken
    }
}
