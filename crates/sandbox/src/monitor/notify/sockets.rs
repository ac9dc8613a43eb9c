//! Addresses: read from a task's memory, and remembered for each socket, so that a later send or
//! a shell wired to the socket can be told with its far end.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::{Endpoint, Text};

use super::memory::Memory;
use super::procfs::ProcDir;

/// `sizeof(struct sockaddr_storage)`; the kernel takes no longer address.
const ADDRESS_LEN_MAX: usize = 128;
/// Sockets remembered; beyond it all are forgotten, and the kernel's tables are asked instead.
const SOCKETS_MAX: usize = 4096;

/// What is known about a socket, by its inode.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    known: HashMap<u64, Socket>,
}

#[derive(Debug, Default)]
struct Socket {
    peer: Option<Endpoint>,
    local: Option<Endpoint>,
    told: bool,
}

impl Sockets {
    pub(super) fn connected(&mut self, inode: u64, peer: Endpoint) {
        *self.entry(inode) = Socket { peer: Some(peer), local: None, told: false };
    }

    pub(super) fn bound(&mut self, inode: u64, local: Endpoint) {
        *self.entry(inode) = Socket { peer: None, local: Some(local), told: false };
    }

    pub(super) fn local(&self, inode: u64) -> Option<Endpoint> {
        self.known.get(&inode)?.local.clone()
    }

    /// The far end of a socket, as connect named it or as the kernel's tables have it.
    pub(super) fn peer(&mut self, dir: &ProcDir, inode: u64) -> Option<Endpoint> {
        if let Some(peer) = self.seen_peer(inode) {
            return Some(peer);
        }
        let peer = dir.peer(inode)?;
        let peer = Endpoint::Inet { ip: peer.ip(), port: peer.port() };
        self.entry(inode).peer = Some(peer.clone());
        Some(peer)
    }

    /// The far end as connect named it.
    pub(super) fn seen_peer(&self, inode: u64) -> Option<Endpoint> {
        self.known.get(&inode)?.peer.clone()
    }

    /// Whether this is the first send on the connected socket.
    pub(super) fn first_send(&mut self, inode: u64) -> bool {
        !std::mem::replace(&mut self.entry(inode).told, true)
    }

    fn entry(&mut self, inode: u64) -> &mut Socket {
        if self.known.len() >= SOCKETS_MAX && !self.known.contains_key(&inode) {
            self.known.clear();
        }
        self.known.entry(inode).or_default()
    }
}

/// The inode of a descriptor that is a socket.
pub(super) fn socket_inode(dir: &ProcDir, fd: i32) -> Option<u64> {
    inode_of(&dir.fd_link(fd).ok()?)
}

/// `socket:[123]`
pub(super) fn inode_of(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The address argument of connect, bind, sendto.
pub(super) fn read_address(memory: Memory, address: u64, len: u64) -> Option<Endpoint> {
    parse_address(&memory.bytes(address, len, ADDRESS_LEN_MAX).ok()?)
}

fn parse_address(bytes: &[u8]) -> Option<Endpoint> {
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    let number = u16::from_ne_bytes(*family);
    let endpoint = match i32::from(number) {
        libc::AF_INET => {
            inet(rest, |after| Some(IpAddr::from(Ipv4Addr::from(*after.first_chunk::<4>()?))))?
        }
        libc::AF_INET6 => inet(rest, |after| {
            // The flow label stands between port and address.
            Some(IpAddr::from(Ipv6Addr::from(*after.get(4..)?.first_chunk::<16>()?)))
        })?,
        libc::AF_UNIX => match rest.split_first() {
            Some((0, name)) => Endpoint::Unix { path: Text::from(name), abstract_name: true },
            _ => {
                let end = rest.iter().position(|&b| b == 0).unwrap_or(rest.len());
                Endpoint::Unix { path: Text::from(&rest[..end]), abstract_name: false }
            }
        },
        _ => Endpoint::Other { number },
    };
    Some(endpoint)
}

fn inet(rest: &[u8], ip: impl FnOnce(&[u8]) -> Option<IpAddr>) -> Option<Endpoint> {
    let (port, after) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    Some(Endpoint::Inet { ip: ip(after)?.to_canonical(), port })
}

#[cfg(test)]
mod tests {
    use types::{Endpoint, Text};

    use super::{Sockets, inode_of, parse_address};

    #[test]
    fn addresses_of_each_family() {
        let inet = |ip: &str, port| Some(Endpoint::Inet { ip: ip.parse().unwrap(), port });
        assert_eq!(parse_address(&[2, 0, 0, 53, 127, 0, 0, 1, 0, 0]), inet("127.0.0.1", 53));
        let mut six = vec![10, 0, 0x1f, 0x90, 0, 0, 0, 0];
        six.extend([0; 15]);
        assert_eq!(parse_address(&six), None);
        six.push(1);
        assert_eq!(parse_address(&six), inet("::1", 8080));
        let unix =
            |path: &str, abstract_name| Some(Endpoint::Unix { path: path.into(), abstract_name });
        assert_eq!(parse_address(b"\x01\0/run/x\0junk"), unix("/run/x", false));
        assert_eq!(parse_address(b"\x01\0\0name"), unix("name", true));
        assert_eq!(parse_address(&[40, 0]), Some(Endpoint::Other { number: 40 }));
        assert_eq!(parse_address(&[2]), None);
        assert_eq!(parse_address(&[2, 0, 1]), None);
    }

    #[test]
    fn a_socket_is_remembered_and_its_first_send_told() {
        let mut sockets = Sockets::default();
        let peer = Endpoint::Unix { path: Text::from("/x"), abstract_name: false };
        sockets.connected(7, peer.clone());
        assert_eq!(sockets.seen_peer(7), Some(peer.clone()));
        assert!(sockets.first_send(7) && !sockets.first_send(7));
        sockets.connected(7, peer.clone());
        assert!(sockets.first_send(7));
        for inode in 0..10_000 {
            sockets.bound(inode, peer.clone());
        }
        assert!(sockets.known.len() <= super::SOCKETS_MAX);
        assert_eq!(inode_of(b"socket:[42]"), Some(42));
        assert_eq!(inode_of(b"/tmp/socket:[42]"), None);
    }
}
