//! One connection that may be passed on: looked at first, then forwarded byte for byte.
//!
//! TLS is not opened; the name in its first message must be the allowed host's. Plain HTTP is
//! forwarded request by request, and each must be for the allowed host. Whatever else an allowed
//! host and port speak goes through as it is. Nothing is sent to the server before it was looked
//! at, and nothing is connected that the list does not name.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};

use rustls::server::Acceptor;

use super::answerer::{TLS_HANDSHAKE, protocols};
use super::dial::Dialer;
use super::http::{self, Head, Part, Reader};
use super::ledger::{Answer, Request};
use super::marks::Trace;
use super::room::Room;
use super::talk::take_head;

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
            dialing: false,
            to_server: Vec::new(),
            out: Vec::new(),
            client_ended: false,
            server_told: false,
            server_ended: false,
            reset: false,
            now: Pending { protocol: "tcp", ..Pending::default() },
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
            Ok(stream) => self.server = Some(stream),
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

    fn sniff(&mut self, held: Vec<u8>, room: &mut Room, dialer: &Dialer) {
        if held.first() == Some(&TLS_HANDSHAKE) {
            self.now.protocol = "tls";
            self.now.line = b"ClientHello".to_vec();
            self.stage = Stage::Hello(held.clone(), Box::default());
            return self.greet(&held, room);
        }
        match http::begins(&held) {
            None => self.stage = Stage::Sniff(held),
            Some(true) => {
                self.stage = Stage::Http(Reader::new());
                self.http(&held, room, dialer);
            }
            // HTTP/2 without TLS names its hosts where they are not read here.
            Some(false) if held.starts_with(b"PRI * HTTP/2") => {
                self.now.line = b"PRI * HTTP/2.0".to_vec();
                self.refuse(" (HTTP/2 without TLS is not passed on)", "", room);
            }
            Some(false) => {
                let line = held.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
                self.now.line = line.to_vec();
                self.stage = Stage::Through;
                self.forward(&held);
            }
        }
    }

    /// Reads on in the ClientHello; passes it on when it is whole and names the right host.
    fn greet(&mut self, mut bytes: &[u8], room: &mut Room) {
        let Stage::Hello(held, acceptor) = &mut self.stage else { return };
        let mut verdict = None;
        while !bytes.is_empty() && verdict.is_none() {
            let read = acceptor.read_tls(&mut bytes).is_ok();
            verdict = match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let hello = accepted.client_hello();
                    let name = hello.server_name().map(str::to_ascii_lowercase);
                    Some(Ok((name, protocols(hello.alpn()))))
                }
                Ok(None) if read && held.len() <= HELLO_LEN_MAX => None,
                Ok(None) | Err(_) => Some(Err(())),
            };
        }
        match verdict {
            None => {}
            Some(Err(())) => self.refuse(" (not readable)", "", room),
            Some(Ok((name, offered))) => {
                self.now.line = format!("ClientHello{offered}").into_bytes();
                let meant = self.target.as_ref().map_or("", |target| target.host.as_str());
                let by_address = meant.parse::<IpAddr>().is_ok() && name.is_none();
                if by_address || name.as_deref() == Some(meant) {
                    let held = std::mem::take(held);
                    self.stage = Stage::Through;
                    self.forward(&held);
                } else {
                    let named = name.map_or("no server".to_owned(), |name| format!("{name:?}"));
                    self.refuse(&format!(" (names {named})"), "", room);
                }
            }
        }
    }

    fn http(&mut self, bytes: &[u8], room: &mut Room, dialer: &Dialer) {
        let Stage::Http(reader) = &mut self.stage else { return };
        for part in reader.read(bytes) {
            if matches!(self.stage, Stage::Over) {
                return;
            }
            match part {
                Part::Head(head) => self.head(&head, room, dialer),
                Part::Body(bytes) => self.forward(&bytes),
                Part::End => {}
                Part::Broken => {
                    self.now.protocol = "http";
                    self.refuse(" (not readable as HTTP)", "400 Bad Request", room);
                }
            }
        }
    }

    fn head(&mut self, head: &Head, room: &mut Room, dialer: &Dialer) {
        if self.now.sent_bytes > 0 {
            self.record(Answer::Passed, room);
        }
        self.now.protocol = "http";
        self.now.line = head.line().into_bytes();
        let tunnel = head.method == "CONNECT";
        let wanted = head.host().map(|(host, port)| {
            let otherwise = match &self.target {
                Some(target) if !self.proxied => target.port,
                _ => {
                    if tunnel {
                        443
                    } else {
                        80
                    }
                }
            };
            Target { host, port: port.unwrap_or(otherwise) }
        });
        let Some(wanted) = wanted else {
            return self.refuse(" (for no host)", "400 Bad Request", room);
        };
        let listed = room.allow.as_ref().is_some_and(|a| a.permits(&wanted.host, wanted.port));
        let plain_to_proxy = self.proxied && !tunnel && !head.target.starts_with("http://");
        if !listed || plain_to_proxy || (tunnel && !self.proxied) {
            self.target.get_or_insert(wanted);
            return self.refuse(" (not allowed)", "403 Forbidden", room);
        }
        match &self.target {
            None => {
                self.target = Some(wanted);
                self.dial(dialer);
            }
            Some(target) if *target == wanted => {}
            Some(_) => {
                return self.refuse(
                    " (another host on the same connection)",
                    "403 Forbidden",
                    room,
                );
            }
        }
        if tunnel {
            return self.open_tunnel(room, dialer);
        }
        take_head(&mut self.now.head, head.line().as_bytes());
        self.forward(&rewritten(head));
    }

    fn open_tunnel(&mut self, room: &mut Room, dialer: &Dialer) {
        let rest = match &mut self.stage {
            Stage::Http(reader) => reader.rest(),
            _ => Vec::new(),
        };
        self.out.extend_from_slice(b"HTTP/1.1 200 Connection established\r\n\r\n");
        self.proxied = false;
        self.stage = Stage::Sniff(Vec::new());
        if !rest.is_empty() {
            self.sniff(rest, room, dialer);
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
            Some(target) => {
                let ip = target.host.parse().unwrap_or(self.peer.ip());
                SocketAddr::new(ip, target.port)
            }
            None => self.peer,
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
        room.record(self.pid, request);
    }
}

/// The head as the server gets it: the target without the host, no word for proxies, and no way to
/// turn the connection into something that is not read here.
fn rewritten(head: &Head) -> Vec<u8> {
    const DROPPED: [&str; 4] =
        ["proxy-connection", "proxy-authorization", "upgrade", "http2-settings"];
    let path = head.path();
    let slash = if path.starts_with('?') { "/" } else { "" };
    let mut text = format!("{} {slash}{path} {}\r\n", head.method, head.version);
    for (name, value) in &head.fields {
        if !DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped)) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    text.push_str("\r\n");
    // Back to the bytes that were read, one by one.
    text.chars().filter_map(|char| u8::try_from(u32::from(char)).ok()).collect()
}
