//! The other role of the `shieldx` program: the first process of a guest.
//!
//! Builds a world to run in, takes one job from the host, runs it with the `process` runner and its
//! monitor on the guest's own kernel, tells everything to the host and ends the machine. It believes
//! the host and holds nothing the host would miss: behind its walls are the guest's, too.

mod files;
mod spec;
mod voice;
mod vsock;
mod world;

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sandbox::runner::process::Process;
use sandbox::{RunError, Runner as _};
use types::ports::Scanner;

use crate::wire::{self, JOB_MAX_BYTES, Job, Message, Refusal};
use voice::Voice;

/// The end of a guest; there is nobody to return to.
pub use world::power_off;

/// Why a guest did no job. It goes to the guest's console.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("this is the first process of a guest, and here it would be number {0}")]
    NotFirst(u32),
    #[error("could not {step}: {source}")]
    World {
        step: String,
        #[source]
        source: io::Error,
    },
    #[error("the job cannot be understood: {0}")]
    Job(#[from] wire::Broken),
}

fn world(step: impl Into<String>) -> impl FnOnce(io::Error) -> AgentError {
    let step = step.into();
    move |source| AgentError::World { step, source }
}

/// How long a host may take to hear the last word.
const HEARD_MAX: Duration = Duration::from_secs(120);

/// Does one job from beginning to end. `scanner` looks at files and memory inside the guest.
///
/// # Errors
/// When there is no job to do, or nobody to tell.
pub fn work(scanner: Option<Arc<dyn Scanner>>) -> Result<(), AgentError> {
    let pid = std::process::id();
    if pid != 1 {
        return Err(AgentError::NotFirst(pid));
    }
    world::build()?;
    let talk = wire_to_host(wire::TALK, wire::TALK_PORT)?;
    for (name, number, stream) in
        [(wire::STDOUT, wire::STDOUT_PORT, 1), (wire::STDERR, wire::STDERR_PORT, 2)]
    {
        let file = wire_to_host(name, number)?;
        world::redirect(&file, stream).map_err(world("lay the output's wires"))?;
    }
    let ear = talk.try_clone().map_err(world("listen to the host"))?;
    let talk = Arc::new(Mutex::new(talk));
    tell(&talk, &Message::Hello { kernel: wire::text(world::release()) })?;
    let job: Job = wire::receive(&mut BufReader::new(ear), JOB_MAX_BYTES, 0)?;
    let (voice, observer) = Voice::start(talk.clone()).map_err(world("start to talk"))?;
    let spec = spec::spec(&job, observer, scanner).map_err(world("prepare the run"))?;
    let result = Process::new().run(&spec);
    voice.end();
    match result {
        Ok(recording) => {
            tell(&talk, &Message::Recording(Box::new(recording)))?;
            files::send(&spec, &talk).map_err(world("send files"))?;
        }
        Err(error) => tell(&talk, &Message::Error(refusal(&error)))?,
    }
    tell(&talk, &Message::End)?;
    world::reap();
    // What was said may still be on its way: a machine that goes by itself takes it along. The host
    // ends this one when it has heard all.
    std::thread::sleep(HEARD_MAX);
    Ok(())
}

fn tell(talk: &Mutex<File>, message: &Message) -> Result<(), AgentError> {
    let mut out = talk.lock().unwrap_or_else(PoisonError::into_inner);
    wire::send(&mut *out, message).map_err(world("talk to the host"))
}

fn refusal(error: &RunError) -> Refusal {
    match error {
        RunError::Setup { step, source } => Refusal::Setup {
            step: step.clone(),
            errno: source.raw_os_error(),
            reason: source.to_string(),
        },
        RunError::Refused { reason } => Refusal::Refused { reason: reason.clone() },
        RunError::Monitor { reason } => Refusal::Monitor { reason: reason.clone() },
        RunError::Unsupported(error) => Refusal::Refused { reason: error.to_string() },
    }
}

/// A vsock port where the kernel's command line says so, else the serial port of this name.
fn wire_to_host(name: &str, number: u32) -> Result<File, AgentError> {
    let words = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if words.split_whitespace().any(|word| word == wire::VSOCK_WORD) {
        return vsock::dial(vsock::HOST_CID, number)
            .map_err(world(format!("dial port {number} of the host")));
    }
    port(name)
}

/// Opens the port of this name.
fn port(name: &str) -> Result<File, AgentError> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "no port has this name");
    let path = find_port(Path::new("/sys/class/virtio-ports"), name)
        .and_then(|path| path.ok_or_else(missing))
        .map_err(world(format!("find port {name}")))?;
    OpenOptions::new().read(true).write(true).open(path).map_err(world(format!("open port {name}")))
}

fn find_port(folder: &Path, name: &str) -> io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let told = std::fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if told.trim_end() == name {
            return Ok(Some(Path::new("/dev").join(entry.file_name())));
        }
    }
    Ok(None)
}
