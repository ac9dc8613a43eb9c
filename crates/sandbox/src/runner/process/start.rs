//! From a spec to a started sandbox whose command waits for the word to go.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use super::cgroup::Cgroups;
use super::inside::{self, Inside};
use super::prepared::Prepared;
use super::rootfs::{Plan, Stood};
use super::supervise::Signals;
use super::wire::{Go, Inner, Message, Outer};
use super::{areas, ids, setup};
use crate::net::{self, tunnel::Tunnel};
use crate::runner::RunError;
use crate::seccomp::{Mode, Policy};
use crate::spec::{Spec, Stdin};
use crate::sys::{self, Fork};

/// A started sandbox whose command waits for the word to go.
pub(super) struct Built {
    pub init: libc::pid_t,
    pub command: libc::pid_t,
    pub stood: Stood,
    pub notes: String,
    pub tunnel: Option<Tunnel>,
}

/// What is left of the plan in the supervisor after the keeper took the rest.
pub(super) struct Layout {
    pub areas: Vec<areas::Area>,
    pub made: areas::Made,
    pub base: Option<u32>,
}

/// The keeper process: ends, and is waited for, when dropped.
pub(super) struct Keeper {
    life: Option<OwnedFd>,
    pid: libc::pid_t,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.life = None;
        let _ = sys::wait(self.pid, 0);
    }
}

pub(super) struct Start {
    pub signals: Signals,
    pub outer: Outer,
    pub keeper: Keeper,
    pub cgroups: Cgroups,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    pub plan: Layout,
}

impl Start {
    /// Makes everything that must exist before the fork, and forks the keeper.
    pub(super) fn prepare(
        spec: &Spec,
        policy: &Policy,
        network: Option<&net::Plan>,
        prepared: &mut Prepared,
    ) -> Result<Self, RunError> {
        let signals = Signals::catch().map_err(setup("catch signals"))?;
        let cgroups = Cgroups::plan(&spec.id);
        cgroups.sweep();
        let ids = if sys::effective_uid() == 0 {
            let made = ids::make(spec, prepared.shifted.take());
            Some(made.map_err(setup("create the run's user namespace"))?)
        } else {
            None
        };
        let base = ids.as_ref().map(|ids| ids.base);
        let mut plan = Plan::new(spec, ids);
        plan.network = network.map(net::Plan::files);
        let mut env = spec.env.clone();
        env.extend(network.map(|network| network.variables(&spec.env)).unwrap_or_default());
        let layout = Layout { areas: plan.areas.clone(), made: plan.made(), base };
        let (outer, inner) = sys::seqpacket_pair().map_err(setup("create a socket pair"))?;
        sys::pass_credentials(outer.as_fd()).map_err(setup("ask for credentials"))?;
        let pipe = || sys::pipe().map_err(setup("create a pipe"));
        let ((life_read, life), (stdout, stdout_write), (stderr, stderr_write)) =
            (pipe()?, pipe()?, pipe()?);
        let stdin = match spec.stdin {
            Stdin::Null => inside::null().map_err(setup("open /dev/null"))?,
            Stdin::Inherit => {
                io::stdin().as_fd().try_clone_to_owned().map_err(setup("share stdin"))?
            }
        };
        let inside = Inside {
            spec,
            spaces: prepared.spaces.take(),
            plan,
            cgroups: cgroups.clone(),
            inner: Inner(inner),
            life: life_read,
            stdin,
            stdout: stdout_write,
            stderr: stderr_write,
            enforce: policy.compile(Mode::Enforce),
            hold: policy.compile(Mode::Hold),
            notify: policy.compile(Mode::Notify),
            exec: sys::ExecArgs::new(&spec.program, &spec.command, &env)
                .map_err(setup("pass the command's arguments (a NUL byte inside?)"))?,
            bounded: base.is_some() && cgroups.bounds(),
        };
        match sys::fork().map_err(setup("start the keeper"))? {
            Fork::Child => {
                // The keeper must not hold what tells others that the supervisor is gone.
                drop((life, outer, stdout, stderr));
                inside.keeper()
            }
            Fork::Parent(pid) => {
                drop(inside);
                let keeper = Keeper { life: Some(life), pid };
                let outer = Outer(outer);
                Ok(Self { signals, outer, keeper, cgroups, stdout, stderr, plan: layout })
            }
        }
    }
}

/// Follows the building of the sandbox, and puts its init into the control groups meanwhile.
pub(super) fn wait_built(outer: &Outer, cgroups: &Cgroups) -> Result<Built, RunError> {
    let gone = || io::Error::from_raw_os_error(libc::ECHILD);
    let (mut init, mut root, mut tunnel, mut unmoved) = (None, None, None, None);
    loop {
        match outer.next().map_err(setup("hear from the sandbox"))? {
            Some(Message::InitPid(pid)) => {
                let failed = setup("move the sandbox into its control groups");
                match cgroups.add(pid) {
                    Ok(()) => unmoved = outer.go(Go::Enforce).map_err(failed).err(),
                    // An init that gave up says why in the next message.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                        unmoved = Some(failed(error));
                    }
                    // One that is there waits for a word that will not come.
                    Err(error) => return Err(failed(error)),
                }
                init = Some(pid);
            }
            Some(Message::Tunnel(made)) => tunnel = Some(made),
            Some(Message::Built { stood, notes }) => root = Some((stood, notes)),
            Some(Message::Refused(reason)) => return Err(RunError::Refused { reason }),
            Some(Message::Ready { pid }) => {
                let (Some(init), Some((stood, notes))) = (init, root) else {
                    return Err(setup("hear from the sandbox in order")(gone()));
                };
                return Ok(Built { init, command: pid, stood, notes, tunnel });
            }
            Some(Message::Failed { step, errno }) => {
                return Err(setup(step)(io::Error::from_raw_os_error(errno)));
            }
            Some(Message::InitGone) | None => {
                return Err(unmoved.unwrap_or_else(|| setup("build the sandbox")(gone())));
            }
            Some(Message::Listener(_) | Message::Status(_) | Message::Survivors) => {}
        }
    }
}
