//! One connection that may be passed on: looked at first, then forwarded byte for byte.
//!
//! TLS is not opened; the name in its first message must be the allowed host's. Plain HTTP is
//! forwarded request by request, and each must be for the allowed host. Whatever else an allowed
//! host and port speak goes through as it is. Nothing is sent to the server before it was looked
//! at, and nothing is connected that the list does not name.

mod look;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use rustls::server::Acceptor;

use super::dial::Dialer;
use super::http::Reader;
use super::ledger::{Answer, Request};
use super::marks::Trace;
use super::room::{Began, Room};
use super::talk::take_head;
use super::tunnel::{PROXY, PROXY_PORT};

/// Bytes that wait for either side, at most; beyond, the other side is not read.
const HELD_MAX: usize = 256 << 10;
/// A first message of TLS that is longer is no greeting.
const HELLO_LEN_MAX: usize = 64 << 10;
const CHUNK: usize = 32 << 10;

enum Stage {
    Sniff(Vec<u8>),
    /// The bytes so far, and who reads them.
    Hello(Vec<u8>, Box<Acceptor>),
    Http(Reader),
    Through,
    Over,
}

/// Whom the other end shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
}

#[derive(Default)]
struct Pending {
    began: Option<Began>,
    protocol: &'static str,
    line: Vec<u8>,
    head: Vec<u8>,
    sent_bytes: u64,
    received_bytes: u64,
}

/// See the module.
pub(super) struct Passage {
    number: u64,
    peer: SocketAddr,
    pid: Option<u32>,
    /// The client speaks to the proxy and says itself where it wants to go.
    proxied: bool,
    target: Option<Target>,
    stage: Stage,
    server: Option<TcpStream>,
    /// The server's address, once it was reached.
    met: Option<SocketAddr>,
    dialing: bool,
    to_server: Vec<u8>,
    /// What shall be sent to the client.
    pub out: Vec<u8>,
    /// The client will send no more; told to the server when all is sent.
    client_ended: bool,
    server_told: bool,
    server_ended: bool,
    /// The connection shall be reset.
    pub reset: bool,
    now: Pending,
    trace: Trace,
}

impl std::fmt::Debug for Passage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passage").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Passage {
    /// To an allowed host and port, or with `None` to the proxy.
    pub(super) fn new(
        number: u64,
        peer: SocketAddr,
        pid: Option<u32>,
        target: Option<(String, u16)>,
        dialer: &Dialer,
    ) -> Self {
        let mut passage = Self {
            number,
            peer,
            pid,
            proxied: target.is_none(),
            target: target.map(|(host, port)| Target { host, port }),
            stage: Stage::Sniff(Vec::new()),
            server: None,
            met: None,
            dialing: false,
            to_server: Vec::new(),
            out: Vec::new(),
            client_ended: false,
            server_told: false,
            server_ended: false,
            reset: false,
            // As in a sink, the first request began with the connection.
            now: Pending { began: Some(Began::now()), protocol: "tcp", ..Pending::default() },
            trace: Trace::default(),
        };
        if passage.proxied {
            passage.stage = Stage::Http(Reader::new());
        } else {
            // At once: the server may be the one who speaks first.
            passage.dial(dialer);
        }
        passage
    }

    fn dial(&mut self, dialer: &Dialer) {
        if let Some(target) = &self.target {
            self.dialing = true;
            dialer.dial(self.number, &target.host, target.port);
        }
    }

    /// The server is there, or not.
    pub(super) fn dialed(&mut self, result: io::Result<TcpStream>, room: &mut Room) {
        self.dialing = false;
        match result {
            Ok(stream) => {
                self.met = stream.peer_addr().ok();
                self.server = Some(stream);
            }
            Err(error) => {
                let why = format!(" (not reached: {error})");
                self.refuse(&why, "502 Bad Gateway", room);
            }
        }
    }

    /// Whether more can be taken from the client.
    pub(super) fn takes(&self) -> bool {
        self.to_server.len() < HELD_MAX && !self.reset
    }

    /// Everything was said by the server and shall be the end for the client, too.
    pub(super) fn closes(&self) -> bool {
        self.server_ended || matches!(self.stage, Stage::Over)
    }

    /// What is waited for on the server's side: the socket, reading, writing.
    pub(super) fn waits(&self) -> Option<(&TcpStream, bool, bool)> {
        let server = self.server.as_ref().filter(|_| !self.reset)?;
        let reads = !self.server_ended && self.out.len() < HELD_MAX;
        let writes = !self.to_server.is_empty() || (self.client_ended && !self.server_told);
        (reads || writes).then_some((server, reads, writes))
    }

    /// What the client sent.
    pub(super) fn read(&mut self, bytes: &[u8], room: &mut Room, dialer: &Dialer) {
        self.now.began.get_or_insert_with(Began::now);
        self.trace.read(&room.marks, bytes);
        match &mut self.stage {
            Stage::Sniff(held) => {
                held.extend_from_slice(bytes);
                let held = std::mem::take(held);
                self.sniff(held, room, dialer);
            }
            Stage::Hello(held, _) => {
                held.extend_from_slice(bytes);
                self.greet(bytes, room);
            }
            Stage::Http(_) => self.http(bytes, room, dialer),
            Stage::Through => self.forward(bytes),
            Stage::Over => {}
        }
    }

    fn forward(&mut self, bytes: &[u8]) {
        self.now.sent_bytes += bytes.len() as u64;
        take_head(&mut self.now.head, bytes);
        self.to_server.extend_from_slice(bytes);
    }

    /// Moves bytes between the server and what waits here; returns how many.
    pub(super) fn pump(&mut self) -> u64 {
        let mut moved = 0;
        let Some(mut server) = self.server.as_ref() else { return 0 };
        while !self.to_server.is_empty() {
            match server.write(&self.to_server) {
                Ok(0) => break,
                Ok(count) => {
                    moved += count as u64;
                    self.to_server.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.to_server.clear();
                    self.server_ended = true;
                }
            }
        }
        if self.client_ended && self.to_server.is_empty() && !self.server_told {
            self.server_told = true;
            let _ = server.shutdown(std::net::Shutdown::Write);
        }
        let mut chunk = vec![0; CHUNK];
        while !self.server_ended && self.out.len() < HELD_MAX {
            match server.read(&mut chunk) {
                Ok(0) => self.server_ended = true,
                Ok(count) => {
                    moved += count as u64;
                    self.now.received_bytes += count as u64;
                    self.out.extend_from_slice(chunk.get(..count).unwrap_or(&[]));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.server_ended = true,
            }
        }
        moved
    }

    /// The client will send no more.
    pub(super) fn client_ended(&mut self) {
        self.client_ended = true;
    }

    /// The connection is over.
    pub(super) fn end(&mut self, room: &mut Room) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        if let Stage::Hello(held, _) | Stage::Sniff(held) = &self.stage
            && self.now.sent_bytes == 0
            && !held.is_empty()
        {
            return self.refuse(" (not complete)", "", room);
        }
        if self.target.is_some() && (self.server.is_some() || self.now.sent_bytes > 0) {
            self.record(Answer::Passed, room);
        }
    }

    /// Says no: to who speaks HTTP to the proxy in words, to everybody else by a reset.
    fn refuse(&mut self, why: &str, status: &str, room: &mut Room) {
        self.now.line.extend_from_slice(why.as_bytes());
        self.record(Answer::Refused, room);
        self.stage = Stage::Over;
        self.server = None;
        self.to_server.clear();
        if self.proxied && !status.is_empty() {
            let text = format!("sandbox:{why}\n");
            self.out.extend_from_slice(
                format!(
                    "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{text}",
                    text.len()
                )
                .as_bytes(),
            );
        } else {
            self.reset = true;
        }
    }

    fn record(&mut self, answer: Answer, room: &mut Room) {
        let now =
            std::mem::replace(&mut self.now, Pending { protocol: "tcp", ..Pending::default() });
        let target = self.target.as_ref();
        let peer = match target {
            // A client of the proxy means the host, whose address it need not know.
            Some(target) if self.peer == (PROXY, PROXY_PORT).into() => {
                let known = self.met.map(|met| met.ip()).or(target.host.parse().ok());
                SocketAddr::new(known.unwrap_or(self.peer.ip()), target.port)
            }
            _ => self.peer,
        };
        let request = Request {
            protocol: now.protocol,
            peer,
            host: target.map(|target| target.host.clone().into_bytes()),
            line: now.line,
            sent_bytes: now.sent_bytes,
            received_bytes: now.received_bytes,
            head: now.head,
            answer,
            carries: self.trace.take(&room.marks),
        };
        room.record_since(now.began.unwrap_or_else(Began::now), self.pid, request);
    }
}
