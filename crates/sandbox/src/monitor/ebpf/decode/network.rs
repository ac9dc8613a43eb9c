//! Events about sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ::ebpf::abi::{RECORD_ADDRESS_GIVEN, SockInfo};
use types::{Endpoint, Kind, Text};

use super::{Fact, View, fact};
use crate::monitor::dns;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const EINPROGRESS: i64 = 115;

impl View<'_> {
    pub(super) fn socket(&self) -> Fact {
        fact(Kind::Socket {
            family: self.arg32(0),
            socket_type: self.arg32(1),
            protocol: self.arg32(2),
        })
    }

    /// Once a connection is made or under way the kernel knows the peer; until then only the task.
    pub(super) fn connect(&self) -> Fact {
        let started = self.record.ret >= 0 || self.record.ret == -EINPROGRESS;
        match (self.remote(), self.given()) {
            (Some(peer), _) if started => fact(Kind::Connect { peer }),
            (_, Some(peer)) => Fact { kind: Kind::Connect { peer }, advisory: true },
            (_, None) => {
                let peer = Endpoint::Other { number: self.record.sock.family };
                Fact { kind: Kind::Connect { peer }, advisory: true }
            }
        }
    }

    pub(super) fn bind(&self) -> Fact {
        match (self.local(), self.given()) {
            (Some(address), _) if self.record.ret >= 0 => fact(Kind::Bind { address }),
            (_, Some(address)) => Fact { kind: Kind::Bind { address }, advisory: true },
            (_, None) => {
                let address = Endpoint::Other { number: self.record.sock.family };
                Fact { kind: Kind::Bind { address }, advisory: true }
            }
        }
    }

    pub(super) fn send(&self) -> Fact {
        let bytes = u64::try_from(self.record.ret).unwrap_or(0);
        let (peer, advisory) = self.destination();
        Fact { kind: Kind::Send { peer, bytes }, advisory }
    }

    /// What was sent to port 53; data that is no question is a send like any other.
    pub(super) fn dns(&self) -> Fact {
        let (server, _) = self.destination();
        match dns::question(self.slots.bytes(2)) {
            Some((question, record)) => {
                Fact { kind: Kind::Dns { question, record, server }, advisory: true }
            }
            None => self.send(),
        }
    }

    pub(super) fn stdio_socket(&self) -> Fact {
        let stream = u32::try_from(self.record.ret).unwrap_or(0);
        fact(Kind::StdioSocket { stream, peer: self.remote() })
    }

    /// Where the socket is connected to.
    pub(super) fn remote(&self) -> Option<Endpoint> {
        remote(&self.record.sock)
    }

    pub(super) fn local(&self) -> Option<Endpoint> {
        let sock = &self.record.sock;
        endpoint(sock.family, sock.local, sock.local_port)
    }

    fn destination(&self) -> (Option<Endpoint>, bool) {
        if self.record.flags & RECORD_ADDRESS_GIVEN != 0 {
            (self.given(), true)
        } else {
            (self.remote(), false)
        }
    }

    /// The address that the call was given.
    fn given(&self) -> Option<Endpoint> {
        given(self.slots.bytes(3))
    }
}

/// None for a socket that is not connected, or not of an internet family.
pub(super) fn remote(sock: &SockInfo) -> Option<Endpoint> {
    if sock.remote_port == 0 && sock.remote == [0; 16] {
        return None;
    }
    endpoint(sock.family, sock.remote, sock.remote_port)
}

fn endpoint(family: u16, address: [u8; 16], port: u16) -> Option<Endpoint> {
    let ip = match (family, address) {
        (AF_INET, [a, b, c, d, ..]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        (AF_INET6, address) => IpAddr::V6(Ipv6Addr::from(address)),
        _ => return None,
    };
    Some(Endpoint::Inet { ip, port })
}

/// A `struct sockaddr` from the task's memory.
fn given(bytes: &[u8]) -> Option<Endpoint> {
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    let family = u16::from_ne_bytes(*family);
    match family {
        AF_INET => {
            let (port, rest) = rest.split_first_chunk::<2>()?;
            let ip = IpAddr::from(*rest.first_chunk::<4>()?);
            Some(Endpoint::Inet { ip, port: u16::from_be_bytes(*port) })
        }
        AF_INET6 => {
            let (port, rest) = rest.split_first_chunk::<2>()?;
            let ip = IpAddr::from(*rest.get(4..)?.first_chunk::<16>()?);
            Some(Endpoint::Inet { ip, port: u16::from_be_bytes(*port) })
        }
        AF_UNIX => Some(match rest.split_first() {
            // An abstract name is all of its bytes; a path ends at a NUL (unix(7)).
            Some((0, name)) => Endpoint::Unix { path: Text::from(name), abstract_name: true },
            _ => {
                let path = rest.split(|&byte| byte == 0).next().unwrap_or_default();
                Endpoint::Unix { path: Text::from(path), abstract_name: false }
            }
        }),
        number => Some(Endpoint::Other { number }),
    }
}
