//! Starts a virtual machine monitor and holds on to it: whatever happens, it ends with this process.

pub mod jail;
pub mod qemu;

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is kept of a guest's console, from its end.
const CONSOLE_MAX_BYTES: usize = 16 << 10;
/// A monitor that was killed is waited for this long before we go on without it.
const END_TRIES: u32 = 4000;

/// How guests are carried: by the host's processor, or by translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceleration {
    Kvm,
    Tcg,
}

impl Acceleration {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Acceleration::Kvm => "kvm",
            Acceleration::Tcg => "tcg",
        }
    }
}

/// Our ends of a guest's wires.
#[derive(Debug)]
pub struct Wires {
    pub talk: UnixStream,
    pub stdout: UnixStream,
    pub stderr: UnixStream,
}

/// A running monitor; killed and waited for when dropped.
#[derive(Debug)]
pub struct Vmm {
    child: Child,
    console: Console,
}

impl Vmm {
    pub(crate) fn new(child: Child, console: UnixStream) -> io::Result<Self> {
        // From here on the child is ours to end, whatever fails.
        let mut vmm = Self { child, console: Console::default() };
        vmm.console = Console::listen(console)?;
        Ok(vmm)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of what the guest's kernel said.
    pub(crate) fn said(&self) -> String {
        self.console.text()
    }

    /// Whether the guest's console has had this text, within a time.
    pub(crate) fn says(&mut self, text: &str, within: Duration) -> Result<Duration, String> {
        let start = Instant::now();
        loop {
            if self.console.text().contains(text) {
                return Ok(start.elapsed());
            }
            if start.elapsed() > within {
                return Err(format!("it did not boot within {} s", within.as_secs()));
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                // What it said last may still be on its way.
                std::thread::sleep(Duration::from_millis(50));
                if self.console.text().contains(text) {
                    return Ok(start.elapsed());
                }
                return Err(format!("its monitor ended with {status}: {}", self.last_line()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn last_line(&self) -> String {
        let text = self.console.text();
        text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing said").to_owned()
    }

    /// Whether the monitor has ended.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Vmm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        for _ in 0..END_TRIES {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.console.end();
    }
}

/// What a guest's kernel says on its serial line, and what the monitor itself does.
#[derive(Debug, Default)]
struct Console {
    kept: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Console {
    fn listen(mut stream: UnixStream) -> io::Result<Self> {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = kept.clone();
        let reader = std::thread::Builder::new().name("console".to_owned()).spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(buffer.get(..read).unwrap_or_default());
                let excess = kept.len().saturating_sub(CONSOLE_MAX_BYTES);
                kept.drain(..excess);
            }
        })?;
        Ok(Self { kept, reader: Some(reader) })
    }

    fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).replace('\r', "")
    }

    fn end(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
