//! Holds the calls that take a process' memory away (exit, exec) while it is looked at, where the
//! monitor itself does not wait for calls (tier B): a seccomp listener that lets all of them pass.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread::JoinHandle;

use super::watch::Handle;
use crate::monitor::notify::listener::{Answer, Listener, Next};

/// The thread at the gate. It must outlive every process behind the filter.
pub(crate) struct Gate {
    thread: JoinHandle<()>,
    stop: io::PipeWriter,
}

impl Gate {
    /// # Errors
    /// When the system has no thread or pipe left; the listener is closed then.
    pub(crate) fn open(listener: OwnedFd, watch: Handle) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let thread =
            std::thread::Builder::new().name("memory-gate".to_owned()).spawn(move || {
                crate::sys::run_before_others();
                let listener = Listener::new(listener);
                while let Ok(next) = listener.next(stopped.as_fd()) {
                    match next {
                        Next::Call(call) => {
                            watch.ends(call.tid, call.nr);
                            // One that was killed meanwhile needs no answer.
                            let _ = listener.answer(&call, Answer::Continue);
                        }
                        Next::Again => {}
                        Next::End => break,
                    }
                }
            })?;
        Ok(Self { thread, stop })
    }

    /// Lets go of the listener; to be called when everything behind the filter is dead.
    pub(crate) fn close(self) {
        drop(self.stop);
        // A gate that broke down let everybody fail who came; the run tells of that itself.
        let _ = self.thread.join();
    }
}
