//! The only wire of a sandbox: a tunnel interface in its own network namespace.
//!
//! Made by the sandbox's init while it may; the other end of the wire is a file that goes to the
//! supervisor. Nothing in the namespace is connected to the host's network, so whoever reads the
//! file is all the network there is.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use crate::sys::{self, Interface};

/// As an ordinary machine calls its first card.
const NAME: &CStr = c"eth0";
/// Largest packet in bytes, as on ethernet.
pub(super) const MTU: u32 = 1500;
/// Packets that may wait to be read.
const QUEUE: u32 = 16_384;

/// The sandbox's own address, its gateway, its resolver, and the proxy of an allow list.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
pub(super) const PROXY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 4);
pub(super) const PROXY_PORT: u16 = 3128;
const PREFIX: u8 = 24;
/// Unique local addresses (RFC 4193) of the same network.
const ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd17, 0x625c, 0xf037, 2, 0, 0, 0, 0x15);
pub(super) const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd17, 0x625c, 0xf037, 2, 0, 0, 0, 2);
const PREFIX_V6: u8 = 64;

/// The supervisor's end of the wire.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// One packet per read and write.
    pub packets: OwnedFd,
    /// Tells what the interface dropped; the namespace lives as long as it does.
    pub control: OwnedFd,
    pub index: u32,
}

/// Makes the wire in the calling thread's network namespace, and every address reachable by it.
///
/// # Errors
/// The step that failed, in words, and why.
pub(crate) fn make() -> Result<(OwnedFd, Interface), (&'static str, io::Error)> {
    let packets = sys::tunnel(NAME)
        .map_err(|error| ("make a tunnel interface (is /dev/net/tun there?)", error))?;
    let interface = Interface::open(NAME).map_err(|error| ("find the tunnel", error))?;
    // No address of its own making: the kernel would talk to neighbours by itself. Where it cannot
    // be said the packets are only noise.
    let _ = std::fs::write("/proc/sys/net/ipv6/conf/eth0/addr_gen_mode", "1");
    interface
        .add_address(IpAddr::V4(ADDRESS), PREFIX)
        .and_then(|()| interface.up(MTU, QUEUE))
        .and_then(|()| interface.add_default_route(IpAddr::V4(GATEWAY)))
        .map_err(|error| ("configure the tunnel", error))?;
    // A kernel without IPv6 has nothing that could be missed.
    let _ = interface
        .add_address(IpAddr::V6(ADDRESS_V6), PREFIX_V6)
        .and_then(|()| interface.add_default_route(IpAddr::V6(GATEWAY_V6)));
    Ok((packets, interface))
}
