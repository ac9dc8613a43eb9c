//! Takes what comes over a guest's wires, within bounds: messages, files, output.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sandbox::Spec;
use sandbox::beside::Beside;

use crate::vmm::Wires;
use crate::wire::{self, Job, LINE_MAX_BYTES, Message, Slot};

/// One recording.
const RECORDING_MAX_BYTES: u64 = 256 << 20;
/// Messages between the wire and the run.
const QUEUE_MAX: usize = 4096;
/// Output that is on its way may stand still for so long, before what has not come is lost.
const STILL_MAX: Duration = Duration::from_secs(30);
/// Files that are taken.
const FILES_MAX: u64 = 100_000;
/// A tar file or a capture is larger than what was written into it by at most this factor.
const FRAME_FACTOR: u64 = 2;

pub(super) enum Heard {
    Message(Box<Message>),
    /// The wire broke, in words.
    Ended(String),
}

/// What came over the output's wires, bounded.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub kept: Vec<u8>,
    pub bytes: u64,
    /// Why the caller did not get all of it.
    pub not_passed_on: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Wired {
    pub stdout: Stream,
    pub stderr: Stream,
    /// What of a guest's files was not written on this host, and why.
    pub unwritten: Vec<(&'static str, String)>,
}

pub(super) struct Listening {
    talk: UnixStream,
    heard: Receiver<Heard>,
    reader: JoinHandle<Vec<(&'static str, String)>>,
    stdout: JoinHandle<Stream>,
    stderr: JoinHandle<Stream>,
    /// Bytes that came over the two, so far.
    arrived: [Arc<AtomicU64>; 2],
}

impl Listening {
    pub(super) fn start(wires: Wires, spec: &Spec) -> io::Result<Self> {
        let (tell, heard) = sync_channel(QUEUE_MAX);
        let from = wires.talk.try_clone()?;
        let files = Files::new(spec);
        let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let reader = spawn("guest").spawn(move || read(from, files, &tell))?;
        let (pass, max) = (spec.pass_output, spec.limits.output_bytes);
        let (out, err) = (wires.stdout, wires.stderr);
        let arrived = [Arc::<AtomicU64>::default(), Arc::default()];
        let [of_out, of_err] = arrived.clone();
        let stdout = spawn("stdout").spawn(move || {
            take(out, max, &of_out, pass.then(|| Box::new(io::stdout()) as Box<_>))
        })?;
        let stderr = spawn("stderr").spawn(move || {
            take(err, max, &of_err, pass.then(|| Box::new(io::stderr()) as Box<_>))
        })?;
        Ok(Self { talk: wires.talk, heard, reader, stdout, stderr, arrived })
    }

    pub(super) fn next(&self, within: Duration) -> Result<Heard, RecvTimeoutError> {
        self.heard.recv_timeout(within)
    }

    pub(super) fn give(&mut self, job: &Job) -> io::Result<()> {
        wire::send(&mut self.talk, job)
    }

    /// Waits until as much output came as the guest says there was: its last word is no later than
    /// what a slow reader has not taken yet.
    pub(super) fn await_output(&self, told: [u64; 2]) {
        let arrived = || self.arrived.each_ref().map(|bytes| bytes.load(Ordering::Relaxed));
        let (mut last, mut moved) = (arrived(), Instant::now());
        while last.iter().zip(told).any(|(arrived, told)| *arrived < told)
            && moved.elapsed() < STILL_MAX
        {
            std::thread::sleep(Duration::from_millis(5));
            let now = arrived();
            if now != last {
                (last, moved) = (now, Instant::now());
            }
        }
    }

    /// Waits for the wires to close; the monitor must be gone.
    pub(super) fn end(self) -> Wired {
        let Self { talk, heard, reader, stdout, stderr, .. } = self;
        drop((talk, heard));
        Wired {
            unwritten: reader.join().unwrap_or_default(),
            stdout: stdout.join().unwrap_or_default(),
            stderr: stderr.join().unwrap_or_default(),
        }
    }
}

/// Returns what [`Wired::unwritten`] holds.
fn read(
    stream: UnixStream,
    mut files: Files,
    tell: &SyncSender<Heard>,
) -> Vec<(&'static str, String)> {
    let mut input = BufReader::with_capacity(256 << 10, stream);
    loop {
        let heard = match wire::receive(&mut input, LINE_MAX_BYTES, RECORDING_MAX_BYTES) {
            Ok(Message::File { slot, path, mode, size }) => {
                match files.take(slot, &wire::path(&path), mode, size, &mut input) {
                    Ok(()) => continue,
                    Err(error) => Heard::Ended(format!("a file of the guest's: {error}")),
                }
            }
            Ok(message) => Heard::Message(Box::new(message)),
            Err(error) => Heard::Ended(format!("the guest cannot be understood: {error}")),
        };
        let last = matches!(heard, Heard::Ended(_));
        if tell.send(heard).is_err() || last {
            return files.unwritten;
        }
    }
}

fn take(
    mut stream: UnixStream,
    max_bytes: u64,
    arrived: &AtomicU64,
    mut pass: Option<Box<dyn io::Write + Send>>,
) -> Stream {
    let mut taken = Stream::default();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        let part = buffer.get(..read).unwrap_or_default();
        let room = max_bytes.saturating_sub(taken.kept.len() as u64);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(part.len());
        taken.kept.extend_from_slice(part.get(..room).unwrap_or_default());
        taken.bytes += read as u64;
        if let Some(out) = &mut pass
            && let Err(error) = out.write_all(part).and_then(|()| out.flush())
        {
            if error.kind() != io::ErrorKind::BrokenPipe {
                taken.not_passed_on = Some(format!("the output could not be passed on: {error}"));
            }
            pass = None;
        }
        arrived.store(taken.bytes, Ordering::Relaxed);
    }
    taken
}

/// Where files of a guest go.
struct Files {
    keep: Option<PathBuf>,
    snapshot: Option<PathBuf>,
    packets: Option<PathBuf>,
    /// Bytes and files that are still taken.
    bytes: u64,
    files: u64,
    run: String,
    unwritten: Vec<(&'static str, String)>,
}

impl Files {
    fn new(spec: &Spec) -> Self {
        Self {
            keep: spec.keep.clone(),
            snapshot: spec.artifacts.snapshot.clone(),
            packets: spec.artifacts.packets.clone(),
            bytes: spec.limits.disk_bytes.saturating_mul(FRAME_FACTOR).saturating_add(64 << 20),
            files: FILES_MAX,
            run: spec.id.clone(),
            unwritten: Vec::new(),
        }
    }

    /// Takes one file off the wire. What nobody asked for is refused; what cannot be written here is
    /// no fault of the guest's and only said.
    fn take(
        &mut self,
        slot: Slot,
        path: &Path,
        mode: u32,
        size: u64,
        input: &mut impl io::Read,
    ) -> io::Result<()> {
        let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why.to_owned()));
        self.bytes = match self.bytes.checked_sub(size) {
            Some(left) => left,
            None => return refuse("more than the command may write"),
        };
        self.files = match self.files.checked_sub(1) {
            Some(left) => left,
            None => return refuse("too many"),
        };
        let mut content = input.take(size);
        let written = match slot {
            Slot::Keep => match (&self.keep, wire::below(path)) {
                (Some(folder), Some(relative)) => kept(folder, &relative, mode, &mut content)
                    .map_err(|error| {
                        self.keep = None;
                        let path = types::Text::from(path.as_os_str().as_bytes());
                        ("keep", format!("{path} and what comes after it was not kept: {error}"))
                    }),
                // It stopped before.
                (None, Some(_)) if self.unwritten.iter().any(|(slot, _)| *slot == "keep") => Ok(()),
                _ => return refuse("its name is not one"),
            },
            Slot::Snapshot => {
                let path = self.snapshot.take().ok_or(io::ErrorKind::InvalidData)?;
                let failed = |error| format!("the snapshot was not written: {error}");
                put(&path, &self.run, size, &mut content).map_err(|e| ("snapshot", failed(e)))
            }
            Slot::Packets => {
                let path = self.packets.take().ok_or(io::ErrorKind::InvalidData)?;
                let failed = |error| format!("the capture was not written: {error}");
                put(&path, &self.run, size, &mut content).map_err(|e| ("capture", failed(e)))
            }
        };
        // Whatever became of it here, the next message comes after it.
        io::copy(&mut content, &mut io::sink())?;
        if content.limit() > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unwritten.extend(written.err());
        Ok(())
    }
}

fn put(path: &Path, run: &str, size: u64, content: &mut impl io::Read) -> io::Result<()> {
    let beside = Beside::create(path, run)?;
    if io::copy(content, &mut beside.file())? < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    beside.put()
}

/// Writes a kept file; its parents are made. Nothing of a guest's becomes a link, so no name leads
/// out of the folder.
fn kept(folder: &Path, relative: &Path, mode: u32, content: &mut impl io::Read) -> io::Result<()> {
    let target = folder.join(relative);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut options = File::options();
    options.write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    let mut file = options.create_new(true).open(&target)?;
    io::copy(content, &mut file)?;
    file.set_permissions(fs::Permissions::from_mode(mode & 0o777))?;
    file.flush()
}
