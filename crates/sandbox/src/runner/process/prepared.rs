//! What of a run can be there before anybody knows what will run: the monitor's programs in the
//! kernel, the run's ids, and the namespaces whose making waits for other processors.
//!
//! Everything is held by descriptors of this process. However it ends, nothing of it is left.
//! The mount namespace is not among them: it shows the host as it is when the run starts. An
//! ordinary user's namespaces belong to a user namespace that is made with the run.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use super::attach::{Loading, start_loading};
use super::ids;
use crate::seccomp::Policy;
use crate::spec::{MonitorChoice, Net};
use crate::sys::{self, Fork};

/// A run that waits for its spec.
#[derive(Debug)]
pub struct Prepared {
    net: Net,
    monitor: MonitorChoice,
    pub(super) loading: Option<Loading>,
    pub(super) shifted: Option<OwnedFd>,
    pub(super) spaces: Option<Spaces>,
}

/// Namespaces that nobody is in yet.
#[derive(Debug)]
pub(crate) struct Spaces {
    net: OwnedFd,
    ipc: OwnedFd,
    uts: OwnedFd,
}

impl Prepared {
    /// Makes what will be needed by a run with this network and monitor. Programs are loaded beside
    /// whatever the caller does next. What could not be made is tried again by the run, which says
    /// why it cannot be.
    pub(super) fn make(net: Net, monitor: MonitorChoice) -> Self {
        let loading = start_loading(monitor, &Policy::standard(net));
        let root = sys::effective_uid() == 0;
        let shifted = if root { ids::shifted().ok() } else { None };
        let spaces = if root { Spaces::make().ok() } else { None };
        Self { net, monitor, loading, shifted, spaces }
    }

    /// As [`Self::make`], without what the run makes as quickly beside the loading.
    pub(super) fn at_once(net: Net, monitor: MonitorChoice) -> Self {
        let loading = start_loading(monitor, &Policy::standard(net));
        Self { net, monitor, loading, shifted: None, spaces: None }
    }

    /// For another run than the expected one, the programs are loaded anew.
    pub(super) fn fit(&mut self, net: Net, monitor: MonitorChoice) {
        if (net, monitor) != (self.net, self.monitor) {
            self.loading = start_loading(monitor, &Policy::standard(net));
        }
    }
}

impl Spaces {
    /// A process of its own makes them and ends: they live as long as their descriptors.
    fn make() -> io::Result<Self> {
        let (ready_read, ready_write) = sys::pipe()?;
        let (hold_read, hold_write) = sys::pipe()?;
        let child = match sys::fork()? {
            Fork::Child => {
                drop((ready_read, hold_write));
                let flags = libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWNET;
                let made = sys::unshare(flags).and_then(|()| sys::set_hostname(c"sandbox"));
                let _ = sys::write_all(ready_write.as_fd(), &[u8::from(made.is_ok())]);
                let _ = sys::read(hold_read.as_fd(), &mut [0]);
                sys::exit_now(0)
            }
            Fork::Parent(pid) => pid,
        };
        drop((ready_write, hold_read));
        let mut made = [0];
        let spaces = sys::read(ready_read.as_fd(), &mut made).and_then(|_| {
            if made != [1] {
                return Err(io::Error::from_raw_os_error(libc::EPERM));
            }
            let folder = Path::new("/proc").join(child.to_string()).join("ns");
            let open = |name| File::open(folder.join(name)).map(OwnedFd::from);
            Ok(Self { net: open("net")?, ipc: open("ipc")?, uts: open("uts")? })
        });
        drop(hold_write);
        let _ = sys::wait(child, 0);
        spaces
    }

    /// Moves this process in.
    pub(super) fn enter(&self) -> io::Result<()> {
        sys::setns(self.net.as_fd(), libc::CLONE_NEWNET)?;
        sys::setns(self.ipc.as_fd(), libc::CLONE_NEWIPC)?;
        sys::setns(self.uts.as_fd(), libc::CLONE_NEWUTS)
    }
}
