//! What the processes of one run say to each other, over one socket pair that keeps borders.
//!
//! Supervisor on one end; keeper, init and command share the other. Nothing untrusted holds the
//! socket: it closes when the command's program starts.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::below::Below;
use super::rootfs::Stood;
use crate::net::tunnel::Tunnel;
use crate::sys::{self, Interface};

/// A message to the supervisor.
#[derive(Debug)]
pub(crate) enum Message {
    /// From the keeper: the sandbox's init runs under this host pid.
    InitPid(i32),
    /// From init: the far end of the sandbox's network.
    Tunnel(Tunnel),
    /// From init: the root stands; descriptors of the memory behind it and of what lies below, and
    /// notes.
    Built { stood: Stood, notes: String },
    /// From the command's process, before it gives up its rights; its host pid.
    Ready { pid: i32 },
    /// From the command's process: its seccomp notification descriptor.
    Listener(RawFd),
    /// What was asked for is not done, and why.
    Refused(String),
    /// Something failed before the program started.
    Failed { step: String, errno: i32 },
    /// From init: the command's wait status.
    Status(i32),
    /// From init: something was still running well after the command's end.
    Survivors,
    /// From the keeper: init and everything in its pid namespace is gone.
    InitGone,
}

const INIT_PID: u8 = 1;
const BUILT: u8 = 2;
const READY: u8 = 3;
const LISTENER: u8 = 4;
const FAILED: u8 = 5;
const STATUS: u8 = 6;
const INIT_GONE: u8 = 7;
const SURVIVORS: u8 = 8;
const REFUSED: u8 = 9;
const TUNNEL: u8 = 10;

/// Which descriptors follow the staging memory's own.
const HAS_BASE: i32 = 1;
const HAS_LAYERS: i32 = 2;

/// A message's size in bytes, at most; longer notes are cut.
const SIZE_MAX: usize = 8192;

/// Which seccomp filter the command installs, decided by the supervisor while the root is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    Enforce,
    Hold,
    Notify,
}

/// The inner end of the socket.
#[derive(Debug)]
pub(crate) struct Inner(pub OwnedFd);

impl Inner {
    pub(crate) fn init_pid(&self, pid: i32) -> io::Result<()> {
        self.number(INIT_PID, pid)
    }

    pub(crate) fn built(&self, stood: &Stood, notes: &[String]) -> io::Result<()> {
        let Stood { staging, below } = stood;
        let (base, layers) = (below.base.as_ref(), below.layers.as_ref());
        let has = base.map_or(0, |_| HAS_BASE) | layers.map_or(0, |_| HAS_LAYERS);
        let mut data = vec![BUILT];
        data.extend_from_slice(&has.to_le_bytes());
        data.extend_from_slice(notes.join("\n").as_bytes());
        data.truncate(SIZE_MAX);
        let all = [Some(staging), base, layers];
        let fds: Vec<RawFd> = all.into_iter().flatten().map(AsRawFd::as_raw_fd).collect();
        sys::send(self.fd(), &data, &fds)
    }

    pub(crate) fn tunnel(&self, packets: RawFd, interface: &Interface) -> io::Result<()> {
        let mut data = vec![TUNNEL];
        data.extend_from_slice(&interface.index().to_le_bytes());
        sys::send(self.fd(), &data, &[packets, interface.socket().as_raw_fd()])
    }

    pub(crate) fn ready(&self) -> io::Result<()> {
        self.number(READY, 0)
    }

    /// Does not allocate, uses only `write`: the notification filter is already in place.
    pub(crate) fn listener(&self, fd: RawFd) -> io::Result<()> {
        let [a, b, c, d] = fd.to_le_bytes();
        sys::write_all(self.fd(), &[LISTENER, a, b, c, d])
    }

    pub(crate) fn failed(&self, step: &str, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        let mut data = vec![FAILED];
        data.extend_from_slice(&errno.to_le_bytes());
        data.extend_from_slice(step.as_bytes());
        data.truncate(SIZE_MAX);
        // The supervisor may be gone; there is nobody else to tell.
        let _ = sys::write_all(self.fd(), &data);
    }

    pub(crate) fn refused(&self, reason: &str) {
        let mut data = vec![REFUSED, 0, 0, 0, 0];
        data.extend_from_slice(reason.as_bytes());
        data.truncate(SIZE_MAX);
        let _ = sys::write_all(self.fd(), &data);
    }

    pub(crate) fn status(&self, status: i32) {
        let _ = self.number(STATUS, status);
    }

    pub(crate) fn survivors(&self) {
        let _ = self.number(SURVIVORS, 0);
    }

    pub(crate) fn init_gone(&self) {
        let _ = self.number(INIT_GONE, 0);
    }

    fn number(&self, tag: u8, number: i32) -> io::Result<()> {
        let [a, b, c, d] = number.to_le_bytes();
        sys::send(self.fd(), &[tag, a, b, c, d], &[])
    }

    /// Waits for the supervisor's word; an error when it is gone. Does not allocate.
    pub(crate) fn wait_go(&self) -> io::Result<Go> {
        let mut data = [0];
        match (sys::read(self.fd(), &mut data)?, data) {
            (1, [b'e']) => Ok(Go::Enforce),
            (1, [b'h']) => Ok(Go::Hold),
            (1, [b'n']) => Ok(Go::Notify),
            _ => Err(io::Error::from_raw_os_error(libc::EPIPE)),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd as _;
        self.0.as_fd()
    }
}

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct Outer(pub OwnedFd);

impl Outer {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd as _;
        self.0.as_fd()
    }

    pub(crate) fn go(&self, go: Go) -> io::Result<()> {
        let byte = match go {
            Go::Enforce => b'e',
            Go::Hold => b'h',
            Go::Notify => b'n',
        };
        sys::send(self.fd(), &[byte], &[])
    }

    /// The next message; `None` when everybody on the other end is gone.
    pub(crate) fn next(&self) -> io::Result<Option<Message>> {
        let mut data = vec![0; SIZE_MAX];
        let mut received = sys::receive(self.fd(), &mut data)?;
        data.truncate(received.len);
        let [tag, a, b, c, d, rest @ ..] = data.as_slice() else { return Ok(None) };
        let number = i32::from_le_bytes([*a, *b, *c, *d]);
        let text = || String::from_utf8_lossy(rest).into_owned();
        let broken = || io::Error::from_raw_os_error(libc::EBADMSG);
        Ok(Some(match *tag {
            INIT_PID => Message::InitPid(number),
            BUILT => {
                let mut fds = received.fds.drain(..);
                let staging = fds.next().ok_or_else(broken)?;
                let mut next = |bit: i32| if number & bit == 0 { None } else { fds.next() };
                let below = Below { base: next(HAS_BASE), layers: next(HAS_LAYERS) };
                Message::Built { stood: Stood { staging, below }, notes: text() }
            }
            REFUSED => Message::Refused(text()),
            TUNNEL => {
                let (control, packets) = (received.fds.pop(), received.fds.pop());
                Message::Tunnel(Tunnel {
                    packets: packets.ok_or_else(broken)?,
                    control: control.ok_or_else(broken)?,
                    index: number.unsigned_abs(),
                })
            }
            READY => Message::Ready { pid: received.pid.ok_or_else(broken)? },
            LISTENER => Message::Listener(number),
            FAILED => Message::Failed { step: text(), errno: number },
            STATUS => Message::Status(number),
            INIT_GONE => Message::InitGone,
            SURVIVORS => Message::Survivors,
            _ => return Err(broken()),
        }))
    }
}
