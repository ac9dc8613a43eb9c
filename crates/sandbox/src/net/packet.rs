//! What an IP packet is about, and the few packets that are written by hand.
//!
//! The bytes come from the sample's kernel; whatever is not plainly one TCP segment or UDP datagram
//! is `Other` and left to the stack.

use std::net::{IpAddr, SocketAddr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, TcpPacket, UdpPacket,
    UdpRepr,
};

const UDP_HEADER_LEN: usize = 8;
const HOP_LIMIT: u8 = 64;

/// One packet out of the sandbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'p> {
    Tcp {
        from: SocketAddr,
        to: SocketAddr,
        /// It asks for a new connection.
        opens: bool,
    },
    /// Of a datagram in fragments only the first; `length` is that of the whole payload.
    Udp {
        from: SocketAddr,
        to: SocketAddr,
        payload: &'p [u8],
        length: usize,
    },
    /// An echo request.
    Echo {
        to: IpAddr,
        payload: &'p [u8],
    },
    /// What follows the first fragment of a datagram.
    Fragment,
    Other,
}

pub(super) fn parse(bytes: &[u8]) -> Packet<'_> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => parse_v4(bytes),
        Some(6) => parse_v6(bytes),
        _ => None,
    }
    .unwrap_or(Packet::Other)
}

fn parse_v4(bytes: &[u8]) -> Option<Packet<'_>> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    if packet.frag_offset() != 0 {
        return Some(Packet::Fragment);
    }
    let (from, to) = (IpAddr::V4(packet.src_addr()), IpAddr::V4(packet.dst_addr()));
    inner(packet.next_header(), from, to, packet.payload())
}

fn parse_v6(bytes: &[u8]) -> Option<Packet<'_>> {
    let packet = Ipv6Packet::new_checked(bytes).ok()?;
    let (from, to) = (IpAddr::V6(packet.src_addr()), IpAddr::V6(packet.dst_addr()));
    let (next, payload) = (packet.next_header(), packet.payload());
    if next != IpProtocol::Ipv6Frag {
        return inner(next, from, to, payload);
    }
    // RFC 8200 §4.5: next header, reserved, offset and flags, identification.
    let (header, rest) = payload.split_first_chunk::<8>()?;
    let [next, _, high, low, ..] = *header;
    if u16::from_be_bytes([high, low]) & 0xfff8 != 0 {
        return Some(Packet::Fragment);
    }
    inner(IpProtocol::from(next), from, to, rest)
}

fn inner(next: IpProtocol, from: IpAddr, to: IpAddr, payload: &[u8]) -> Option<Packet<'_>> {
    match next {
        IpProtocol::Tcp => {
            let segment = TcpPacket::new_checked(payload).ok()?;
            Some(Packet::Tcp {
                from: SocketAddr::new(from, segment.src_port()),
                to: SocketAddr::new(to, segment.dst_port()),
                opens: segment.syn() && !segment.ack() && !segment.rst(),
            })
        }
        IpProtocol::Udp => {
            let (header, rest) = payload.split_first_chunk::<UDP_HEADER_LEN>()?;
            let [a, b, c, d, e, f, ..] = *header;
            let length = usize::from(u16::from_be_bytes([e, f])).checked_sub(UDP_HEADER_LEN)?;
            Some(Packet::Udp {
                from: SocketAddr::new(from, u16::from_be_bytes([a, b])),
                to: SocketAddr::new(to, u16::from_be_bytes([c, d])),
                payload: rest.get(..length).unwrap_or(rest),
                length,
            })
        }
        // RFC 792 and RFC 4443: type, code, checksum, identifier, sequence number.
        IpProtocol::Icmp | IpProtocol::Icmpv6 => {
            let asks = if next == IpProtocol::Icmp { 8 } else { 128 };
            let (header, rest) = payload.split_first_chunk::<8>()?;
            (header[0] == asks).then_some(Packet::Echo { to, payload: rest })
        }
        _ => None,
    }
}

/// A datagram; `None` when the two ends are of different families or it is too long.
pub(super) fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    let udp = UdpRepr { src_port: from.port(), dst_port: to.port() };
    let payload_len = UDP_HEADER_LEN + payload.len();
    u16::try_from(payload_len).ok()?;
    let checksums = ChecksumCapabilities::default();
    let (source, target) = (IpAddress::from(from.ip()), IpAddress::from(to.ip()));
    let fill = |bytes: &mut [u8]| {
        let mut packet = UdpPacket::new_unchecked(bytes);
        let put = |room: &mut [u8]| room.copy_from_slice(payload);
        udp.emit(&mut packet, &source, &target, payload.len(), put, &checksums);
    };
    let (next_header, hop_limit) = (IpProtocol::Udp, HOP_LIMIT);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(src_addr), IpAddr::V4(dst_addr)) => {
            let ip = Ipv4Repr { src_addr, dst_addr, next_header, payload_len, hop_limit };
            let mut bytes = vec![0; ip.buffer_len() + payload_len];
            let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
            ip.emit(&mut packet, &checksums);
            fill(packet.payload_mut());
            Some(bytes)
        }
        (IpAddr::V6(src_addr), IpAddr::V6(dst_addr)) => {
            let ip = Ipv6Repr { src_addr, dst_addr, next_header, payload_len, hop_limit };
            let mut bytes = vec![0; ip.buffer_len() + payload_len];
            let mut packet = Ipv6Packet::new_unchecked(&mut bytes[..]);
            ip.emit(&mut packet);
            fill(packet.payload_mut());
            Some(bytes)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Packet, datagram, parse};

    #[test]
    fn a_datagram_is_read_as_it_was_written() {
        for (from, to) in [("10.0.2.15:4000", "1.2.3.4:53"), ("[fd17::1]:4000", "[2001:db8::1]:53")]
        {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            let bytes = datagram(from, to, b"hello").unwrap();
            let expect = Packet::Udp { from, to, payload: b"hello", length: 5 };
            assert_eq!(parse(&bytes), expect);
        }
        let mixed = datagram("10.0.2.15:1".parse().unwrap(), "[::1]:2".parse().unwrap(), b"");
        assert_eq!(mixed, None);
    }

    #[test]
    fn no_cut_and_no_flipped_byte_panics() {
        let from = "10.0.2.15:4000".parse().unwrap();
        let bytes = datagram(from, "1.2.3.4:53".parse().unwrap(), b"hello").unwrap();
        for end in 0..bytes.len() {
            let _ = parse(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut bent = bytes.clone();
                bent[at] = value;
                let _ = parse(&bent);
            }
        }
    }
}
