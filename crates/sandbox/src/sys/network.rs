//! The network interfaces of a namespace: the loopback, and a tunnel whose other end is a file.

#![expect(unsafe_code, reason = "ioctl and netlink have no safe functions")]

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use libc::{c_int, c_long};

use super::{check, owned, read, send};

/// The longest answer that is read from netlink, in bytes.
const ANSWER_LEN_MAX: usize = 16 << 10;

/// linux/rtnetlink.h, linux/if_addr.h.
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_CREATE: u16 = 0x400;
const IFA_F_NODAD: u8 = 0x02;
/// `tx_dropped` is the eighth number of `struct rtnl_link_stats64`.
const TX_DROPPED_AT: usize = 7 * 8;

/// A new tunnel interface of this thread's network namespace, without a header of its own: each
/// read is one IP packet that was sent into it, each write one that comes out of it.
pub(crate) fn tunnel(name: &CStr) -> io::Result<OwnedFd> {
    let device: OwnedFd =
        std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun")?.into();
    let mut request = request(name);
    #[expect(clippy::cast_possible_truncation, reason = "IFF_TUN | IFF_NO_PI is 0x1001")]
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: the request is a live ifreq with a NUL-terminated name.
    check(c_long::from(unsafe {
        libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw const request)
    }))?;
    Ok(device)
}

/// Brings the loopback interface of the current network namespace up.
pub(crate) fn loopback_up() -> io::Result<()> {
    // SAFETY: no pointers are passed.
    let socket = owned(c_long::from(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
    }))?;
    let mut request = request(c"lo");
    #[expect(clippy::cast_possible_truncation, reason = "IFF_UP | IFF_RUNNING is 0x41")]
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: the request is a live ifreq with a NUL-terminated name.
    check(c_long::from(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    }))
    .map(drop)
}

fn request(name: &CStr) -> libc::ifreq {
    // SAFETY: ifreq is a plain C struct for which all-zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero, however long the name is.
    let room = request.ifr_name.len() - 1;
    for (slot, byte) in request.ifr_name.iter_mut().take(room).zip(name.to_bytes()) {
        *slot = byte.cast_signed();
    }
    request
}

/// Routing netlink (rtnetlink(7)) of the current network namespace, for one interface.
#[derive(Debug)]
pub(crate) struct Interface {
    socket: OwnedFd,
    index: u32,
}

impl Interface {
    pub(crate) fn open(name: &CStr) -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let socket = owned(c_long::from(unsafe {
            libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)
        }))?;
        // SAFETY: the name is NUL-terminated.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { socket, index })
    }

    /// A socket that was opened in another network namespace, which lives as long as it does.
    pub(crate) fn adopt(socket: OwnedFd, index: u32) -> Self {
        Self { socket, index }
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sets the size of the largest packet and the number of those that wait, and the interface up.
    pub(crate) fn up(&self, mtu: u32, queue: u32) -> io::Result<()> {
        let up = u32::try_from(libc::IFF_UP).unwrap_or(1);
        let mut body = vec![0_u8; 4];
        body.extend_from_slice(&self.index.to_ne_bytes());
        body.extend_from_slice(&up.to_ne_bytes());
        body.extend_from_slice(&up.to_ne_bytes());
        attribute(&mut body, libc::IFLA_MTU, &mtu.to_ne_bytes());
        attribute(&mut body, libc::IFLA_TXQLEN, &queue.to_ne_bytes());
        self.ask(libc::RTM_NEWLINK, 0, &body)
    }

    /// Gives the interface an address, at once usable.
    pub(crate) fn add_address(&self, address: IpAddr, prefix: u8) -> io::Result<()> {
        let (family, bytes) = raw(address);
        let mut body = vec![family, prefix, IFA_F_NODAD, 0];
        body.extend_from_slice(&self.index.to_ne_bytes());
        attribute(&mut body, libc::IFA_LOCAL, &bytes);
        attribute(&mut body, libc::IFA_ADDRESS, &bytes);
        self.ask(libc::RTM_NEWADDR, NLM_F_CREATE, &body)
    }

    /// Sends everything that has no other way through this interface: to `gateway`, or directly.
    pub(crate) fn add_default_route(&self, gateway: IpAddr) -> io::Result<()> {
        let (family, bytes) = raw(gateway);
        let table = libc::RT_TABLE_MAIN;
        let mut body = vec![
            family,
            0,
            0,
            0,
            table,
            libc::RTPROT_BOOT,
            libc::RT_SCOPE_UNIVERSE,
            libc::RTN_UNICAST,
        ];
        body.extend_from_slice(&0_u32.to_ne_bytes());
        attribute(&mut body, libc::RTA_GATEWAY, &bytes);
        attribute(&mut body, libc::RTA_OIF, &self.index.to_ne_bytes());
        self.ask(libc::RTM_NEWROUTE, NLM_F_CREATE, &body)
    }

    /// How many packets were thrown away because they were not read in time.
    pub(crate) fn dropped(&self) -> io::Result<u64> {
        let mut body = vec![0_u8; 4];
        body.extend_from_slice(&self.index.to_ne_bytes());
        body.extend_from_slice(&[0; 8]);
        self.post(libc::RTM_GETLINK, NLM_F_REQUEST, &body)?;
        let answer = self.answer()?;
        let stats = answer.get(32..).and_then(|rest| find(rest, libc::IFLA_STATS64));
        let number = stats.and_then(|stats| stats.get(TX_DROPPED_AT..)?.first_chunk::<8>());
        number.map(|bytes| u64::from_ne_bytes(*bytes)).ok_or_else(broken)
    }

    /// One request, and the kernel's word on it.
    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.post(kind, NLM_F_REQUEST | NLM_F_ACK | flags, body)?;
        let answer = self.answer()?;
        let word = answer.get(16..).and_then(|rest| rest.first_chunk::<4>()).ok_or_else(broken)?;
        match c_int::from_ne_bytes(*word) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(-error)),
        }
    }

    fn answer(&self) -> io::Result<Vec<u8>> {
        let mut answer = vec![0; ANSWER_LEN_MAX];
        let count = read(self.socket.as_fd(), &mut answer)?;
        answer.truncate(count);
        Ok(answer)
    }

    fn post(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(16 + body.len()).map_err(|_| broken())?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&flags.to_ne_bytes());
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(body);
        send(self.socket.as_fd(), &message, &[])
    }
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADMSG)
}

/// The value of one attribute in a list of them.
fn find(mut list: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (length, rest) = list.split_first_chunk::<2>()?;
        let kind = rest.first_chunk::<2>()?;
        let length = usize::from(u16::from_ne_bytes(*length));
        if u16::from_ne_bytes(*kind) == wanted {
            return list.get(4..length);
        }
        list = list.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn raw(address: IpAddr) -> (u8, Vec<u8>) {
    let family = |family: c_int| u8::try_from(family).unwrap_or(0);
    match address {
        IpAddr::V4(v4) => (family(libc::AF_INET), Ipv4Addr::octets(&v4).to_vec()),
        IpAddr::V6(v6) => (family(libc::AF_INET6), Ipv6Addr::octets(&v6).to_vec()),
    }
}

/// Appends one attribute: length, type, value, padded to four bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(4);
    body.extend_from_slice(&length.to_ne_bytes());
    body.extend_from_slice(&kind.to_ne_bytes());
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// One packet out of the tunnel, or into it. The descriptor must not block.
pub(crate) fn write_once(fd: BorrowedFd<'_>, data: &[u8]) -> io::Result<usize> {
    // SAFETY: pointer and length describe a live slice.
    let ret = unsafe { libc::write(fd.as_raw_fd(), data.as_ptr().cast(), data.len()) };
    check(ret as c_long).map(|count| usize::try_from(count).unwrap_or(0))
}
