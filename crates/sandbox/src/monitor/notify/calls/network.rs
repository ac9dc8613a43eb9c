//! Calls on sockets. The number of a descriptor is turned into the socket behind it, since forks
//! and dup pass sockets on.

use types::{Endpoint, Kind};

use super::{Call, Draft};
use crate::monitor::dns;
use crate::monitor::notify::memory::Memory;
use crate::monitor::notify::sockets::{read_address, socket_inode};

const DNS_PORT: u16 = 53;
/// A question is at most 273 bytes long, and two of length over TCP.
const PAYLOAD_LEN_MAX: usize = 512;
/// Pieces of one message that are looked at; the kernel takes up to 1024.
const PIECES_MAX: u64 = 16;
/// Messages of one sendmmsg that are looked at; name resolution sends two.
const MESSAGES_MAX: u64 = 16;
/// The type of a socket without `SOCK_CLOEXEC` and `SOCK_NONBLOCK`.
const TYPE_MASK: u32 = 0xf;

/// The facts; empty for a call that belongs elsewhere or says nothing new.
pub(super) fn facts(call: &mut Call<'_>) -> Vec<Draft> {
    match call.nr {
        libc::SYS_socket => vec![Draft::plain(socket(call))],
        libc::SYS_connect => connect(call),
        libc::SYS_bind => bind(call),
        libc::SYS_listen => {
            let inode = socket_inode(call.view.dir, call.int(0));
            let address = inode.and_then(|inode| call.sockets.local(inode));
            vec![Draft::plain(Kind::Listen { address })]
        }
        libc::SYS_accept | libc::SYS_accept4 => vec![Draft::plain(Kind::Accept { peer: None })],
        libc::SYS_sendto => {
            let payload = Payload { pieces: vec![(call.args[1], call.args[2])] };
            send(call, (call.args[4], call.args[5]), &payload)
        }
        libc::SYS_sendmsg => match message(call.memory, call.args[1]) {
            Some((name, payload)) => send(call, name, &payload),
            None => Vec::new(),
        },
        libc::SYS_sendmmsg => {
            // struct mmsghdr: a msghdr of 56 bytes, a length and padding.
            let count = u64::from(call.word(2)).min(MESSAGES_MAX);
            (0..count)
                .filter_map(|at| message(call.memory, call.args[1].wrapping_add(at * 64)))
                .collect::<Vec<_>>()
                .into_iter()
                .flat_map(|(name, payload)| send(call, name, &payload))
                .collect()
        }
        libc::SYS_dup2 | libc::SYS_dup3 => stream(call).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Also what a refused socket call states.
pub(super) fn socket(call: &Call<'_>) -> Kind {
    Kind::Socket {
        family: call.word(0),
        socket_type: call.word(1) & TYPE_MASK,
        protocol: call.word(2),
    }
}

fn connect(call: &mut Call<'_>) -> Vec<Draft> {
    let address = read_address(call.memory, call.args[1], u64::from(call.word(2)));
    let Some(peer) = address else { return Vec::new() };
    if let Some(inode) = socket_inode(call.view.dir, call.int(0)) {
        call.sockets.connected(inode, peer.clone());
    }
    vec![Draft::pointed(Kind::Connect { peer })]
}

fn bind(call: &mut Call<'_>) -> Vec<Draft> {
    let address = read_address(call.memory, call.args[1], u64::from(call.word(2)));
    let Some(address) = address else { return Vec::new() };
    if let Some(inode) = socket_inode(call.view.dir, call.int(0)) {
        call.sockets.bound(inode, address.clone());
    }
    vec![Draft::pointed(Kind::Bind { address })]
}

/// What a message says, as pieces of memory.
struct Payload {
    pieces: Vec<(u64, u64)>,
}

impl Payload {
    fn len(&self) -> u64 {
        self.pieces.iter().fold(0, |sum: u64, &(_, len)| sum.saturating_add(len))
    }

    fn head(&self, memory: Memory) -> Vec<u8> {
        let mut head = Vec::new();
        for &(address, len) in &self.pieces {
            let left = PAYLOAD_LEN_MAX - head.len();
            if left == 0 {
                break;
            }
            head.extend(memory.bytes(address, len, left).unwrap_or_default());
        }
        head
    }
}

/// Address and content of a `struct msghdr`.
fn message(memory: Memory, address: u64) -> Option<((u64, u64), Payload)> {
    let header = memory.array::<56>(address).ok()?;
    let long = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&header[at * 8..at * 8 + 8]);
        u64::from_ne_bytes(bytes)
    };
    let (name, name_len) = (long(0), long(1) & 0xffff_ffff);
    let (pieces_at, count) = (long(2), long(3).min(PIECES_MAX));
    let pieces = (0..count)
        .map_while(|at| {
            let piece = memory.array::<16>(pieces_at.wrapping_add(at * 16)).ok()?;
            let (base, len) = piece.split_first_chunk::<8>()?;
            Some((u64::from_ne_bytes(*base), u64::from_ne_bytes(*len.first_chunk()?)))
        })
        .collect();
    Some(((name, name_len), Payload { pieces }))
}

fn send(call: &mut Call<'_>, name: (u64, u64), payload: &Payload) -> Vec<Draft> {
    let bytes = payload.len();
    let named = if name.0 == 0 { None } else { read_address(call.memory, name.0, name.1) };
    let (peer, tell) = match named {
        Some(peer) => (peer, true),
        None => {
            let Some(inode) = socket_inode(call.view.dir, call.int(0)) else { return Vec::new() };
            let Some(peer) = call.sockets.seen_peer(inode) else { return Vec::new() };
            let internet = matches!(peer, Endpoint::Inet { .. });
            (peer, internet && call.sockets.first_send(inode))
        }
    };
    let question = match peer {
        Endpoint::Inet { port: DNS_PORT, .. } => dns::question(&payload.head(call.memory)),
        _ => None,
    };
    let mut facts = Vec::new();
    if tell {
        facts.push(Draft::pointed(Kind::Send { peer: Some(peer.clone()), bytes }));
    }
    if let Some((question, record)) = question {
        facts.push(Draft::pointed(Kind::Dns { question, record, server: Some(peer) }));
    }
    facts
}

/// A socket in the place of a standard stream.
fn stream(call: &mut Call<'_>) -> Option<Draft> {
    if call.word(0) == call.word(1) {
        return None;
    }
    let inode = socket_inode(call.view.dir, call.int(0))?;
    let peer = call.sockets.peer(call.view.dir, inode);
    Some(Draft::plain(Kind::StdioSocket { stream: call.word(1), peer }))
}
