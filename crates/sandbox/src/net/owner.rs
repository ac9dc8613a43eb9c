//! Which process of the sandbox is behind a socket.
//!
//! Asked while the connection is being made: the kernel's table of the namespace's sockets gives
//! the inode, the descriptors of the processes below the sandbox's init say who holds it. What
//! cannot be found so is matched with the monitor's events later.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Processes looked at for one socket, at most.
const PROCESSES_MAX: usize = 512;
/// Descriptors looked at in one process, at most.
const DESCRIPTORS_MAX: usize = 4096;
/// A search that is no longer than this needs no rest after it.
const SHORT: Duration = Duration::from_millis(5);
/// A larger table of sockets is not searched.
const TABLE_LEN_MAX: u64 = 1 << 20;

/// The processes below one init.
#[derive(Debug)]
pub(super) struct Owners {
    init: PathBuf,
    /// Whose socket the last one was; most follow each other.
    last: Option<u32>,
    /// No search before this moment: a crowd of processes with many descriptors must not keep the
    /// network busy with looking for them.
    rest_until: Instant,
}

/// After a search it is rested for this many times its length.
const REST: u32 = 4;

impl Owners {
    pub(super) fn new(init: libc::pid_t) -> Self {
        Self {
            init: Path::new("/proc").join(init.to_string()),
            last: None,
            rest_until: Instant::now(),
        }
    }

    /// The process id inside of whoever holds the socket of `protocol` (`tcp`, `udp`) that is bound
    /// to `local`.
    pub(super) fn of(
        &mut self,
        protocol: &str,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Option<u32> {
        let began = Instant::now();
        if began < self.rest_until {
            return None;
        }
        let found = self.search(protocol, local, peer);
        self.rest_until = Instant::now() + began.elapsed().saturating_sub(SHORT) * REST;
        found
    }

    fn search(&mut self, protocol: &str, local: SocketAddr, peer: SocketAddr) -> Option<u32> {
        let inode = self.inode(protocol, local, peer)?;
        let wanted = format!("socket:[{inode}]");
        let holder = self
            .last
            .filter(|&pid| holds(pid, &wanted))
            .or_else(|| self.processes().into_iter().find(|&pid| holds(pid, &wanted)))?;
        self.last = Some(holder);
        inside(holder)
    }

    fn inode(&self, protocol: &str, local: SocketAddr, peer: SocketAddr) -> Option<u64> {
        // An IPv6 socket may speak IPv4.
        [protocol.to_owned(), format!("{protocol}6")].iter().find_map(|table| {
            let path = self.init.join("net").join(table);
            let mut text = String::new();
            use std::io::Read as _;
            fs::File::open(path).ok()?.take(TABLE_LEN_MAX).read_to_string(&mut text).ok()?;
            let matching = |line: &str| socket(line, protocol, local, peer);
            text.lines().skip(1).find_map(matching)
        })
    }

    /// Init's descendants, in the order of their birth as far as the kernel tells it.
    fn processes(&self) -> Vec<u32> {
        let init = self.init.file_name().and_then(|name| name.to_str()?.parse().ok());
        let mut found: Vec<u32> = init.into_iter().collect();
        let mut next = 0;
        while let Some(&pid) = found.get(next)
            && found.len() < PROCESSES_MAX
        {
            next += 1;
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
        }
        found.get(1..).unwrap_or(&[]).to_vec()
    }
}

fn holds(pid: u32, wanted: &str) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors
        .take(DESCRIPTORS_MAX)
        .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == wanted))
}

/// The process id in the innermost namespace (proc_pid_status(5), `NSpid`).
fn inside(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

/// The inode in a line of the table (proc_pid_net(5)), when it is this socket.
fn socket(line: &str, protocol: &str, local: SocketAddr, peer: SocketAddr) -> Option<u64> {
    let mut fields = line.split_whitespace().skip(1);
    let (from, to) = (address(fields.next()?)?, address(fields.next()?)?);
    if from.port() != local.port() {
        return None;
    }
    // A datagram socket need be bound to no address and connected to none.
    let same = |seen: SocketAddr, wanted: SocketAddr| {
        let seen = SocketAddr::new(seen.ip().to_canonical(), seen.port());
        seen == wanted || protocol == "udp" && (seen.ip().is_unspecified() || seen.port() == 0)
    };
    if !same(from, local) || !same(to, peer) {
        return None;
    }
    fields.nth(6)?.parse().ok().filter(|inode| *inode != 0)
}

/// `0F02000A:1F90`: the address in the machine's own byte order by 32-bit words, the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = if ip.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(word(0)?))
    } else {
        let bytes: Vec<u8> = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::{holds, inside, socket};

    fn inode(
        protocol: &str,
        local: std::net::SocketAddr,
        peer: std::net::SocketAddr,
    ) -> Option<u64> {
        let table = std::fs::read_to_string(format!("/proc/self/net/{protocol}")).unwrap();
        table.lines().skip(1).find_map(|line| socket(line, protocol, local, peer))
    }

    #[test]
    fn our_own_sockets_are_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        let found = inode("tcp", local, peer).unwrap();
        let me = std::process::id();
        assert!(holds(me, &format!("socket:[{found}]")));
        assert_eq!(inode("tcp", local, "127.0.0.1:1".parse().unwrap()), None);
        let datagrams = UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = datagrams.local_addr().unwrap().port();
        let local = std::net::SocketAddr::new("127.0.0.1".parse().unwrap(), port);
        assert!(inode("udp", local, peer).is_some());
        assert!(inside(me).is_some());
    }
}
