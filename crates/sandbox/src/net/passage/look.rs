//! The look at what a client says before it is passed on.

use std::net::IpAddr;

use super::{HELLO_LEN_MAX, Passage, Stage, Target};
use crate::net::answerer::{TLS_HANDSHAKE, protocols};
use crate::net::dial::Dialer;
use crate::net::http::{self, Head, Part, Reader};
use crate::net::ledger::Answer;
use crate::net::room::Room;
use crate::net::talk::take_head;

impl Passage {
    pub(super) fn sniff(&mut self, held: Vec<u8>, room: &mut Room, dialer: &Dialer) {
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
    pub(super) fn greet(&mut self, mut bytes: &[u8], room: &mut Room) {
        let Stage::Hello(held, acceptor) = &mut self.stage else { return };
        let mut verdict = None;
        while !bytes.is_empty() && verdict.is_none() {
            let read = matches!(acceptor.read_tls(&mut bytes), Ok(1..));
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

    pub(super) fn http(&mut self, bytes: &[u8], room: &mut Room, dialer: &Dialer) {
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
        self.now.sent_bytes += head.length as u64;
        self.to_server.extend_from_slice(&rewritten(head));
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
