//! The tunnel's file as a device of the stack, and the capture of what goes over it.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use super::pcapng::{Capture, Direction};
use super::tunnel::MTU;
use crate::sys::{self, monotonic_ns};

/// See the module.
#[derive(Debug)]
pub(super) struct Wire {
    file: OwnedFd,
    /// The packet that the stack shall read.
    pub next: Option<Vec<u8>>,
    pub capture: Option<Capture>,
    /// The interface is gone.
    pub dead: bool,
    /// Packets that the sandbox's kernel did not take.
    pub unsent: u64,
}

impl Wire {
    pub(super) fn new(file: OwnedFd, capture: Option<Capture>) -> Self {
        Self { file, next: None, capture, dead: false, unsent: 0 }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The next packet that the sandbox sent.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![0; usize::try_from(MTU).unwrap_or(0) + 64];
        match sys::read(self.file.as_fd(), &mut packet) {
            Ok(count) if count > 0 => {
                packet.truncate(count);
                Some(packet)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Ok(_) | Err(_) => {
                self.dead = true;
                None
            }
        }
    }

    /// Puts a packet of the sandbox into the capture.
    pub(super) fn note_in(&mut self, packet: &[u8], comment: &str) {
        if let Some(capture) = &mut self.capture {
            capture.packet(monotonic_ns(), Direction::Out, packet, comment);
        }
    }

    /// Sends a packet to the sandbox. A full queue is a lost packet, as on every wire; TCP sends it
    /// again.
    pub(super) fn send(&mut self, packet: &[u8]) {
        if let Some(capture) = &mut self.capture {
            capture.packet(monotonic_ns(), Direction::In, packet, "");
        }
        if sys::write_once(self.file.as_fd(), packet).is_err() {
            self.unsent += 1;
        }
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received, Sender<'_>)> {
        let packet = self.next.take()?;
        Some((Received(packet), Sender(self)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Sender<'_>> {
        Some(Sender(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = usize::try_from(MTU).unwrap_or(0);
        capabilities
    }
}

/// A packet for the stack.
#[derive(Debug)]
pub(super) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

/// The right to send one packet.
#[derive(Debug)]
pub(super) struct Sender<'a>(&'a mut Wire);

impl TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut packet = vec![0; length];
        let result = fill(&mut packet);
        self.0.send(&packet);
        result
    }
}
