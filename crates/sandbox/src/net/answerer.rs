//! One connection to the sink: TLS where it begins like TLS, plain otherwise, a [`Talk`] inside.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use rustls::server::{Accepted, Acceptor};
use rustls::{ProtocolVersion, ServerConnection};

use super::ledger::{Answer, HEAD_LEN, Request};
use super::room::{Began, Room};
use super::talk::{Talk, take_head};

/// The first byte of a TLS handshake record (RFC 8446 §5.1).
pub(super) const TLS_HANDSHAKE: u8 = 0x16;
/// Ports on which TLS comes before anything else.
const TLS_PORTS: [u16; 6] = [443, 465, 990, 993, 995, 8443];

enum Outer {
    Unknown,
    Hello(Box<Acceptor>),
    Secure(Box<ServerConnection>),
    Plain,
    /// The handshake failed; nothing that follows can be read.
    Lost,
}

/// The TLS side of a connection, until it is written down.
#[derive(Default)]
struct Hello {
    began: Option<Began>,
    name: Option<String>,
    protocols: String,
    head: Vec<u8>,
    sent_bytes: u64,
    received_bytes: u64,
    written: bool,
}

/// See the module.
pub(super) struct Answerer {
    peer: SocketAddr,
    pid: Option<u32>,
    name: Option<String>,
    outer: Outer,
    hello: Hello,
    talk: Talk,
    /// What shall be sent on the wire.
    pub out: Vec<u8>,
}

impl std::fmt::Debug for Answerer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answerer").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Answerer {
    pub(super) fn new(peer: SocketAddr, pid: Option<u32>, name: Option<String>) -> Self {
        // Before what it carries.
        let hello = Hello { began: Some(Began::now()), ..Hello::default() };
        let mut talk = Talk::new(peer, pid, name.clone());
        let mut out = Vec::new();
        if !TLS_PORTS.contains(&peer.port()) {
            out.append(&mut talk.reply);
        }
        Self { peer, pid, name, outer: Outer::Unknown, hello, talk, out }
    }

    /// Nothing more will be said.
    pub(super) fn closes(&self) -> bool {
        self.talk.close || matches!(self.outer, Outer::Lost)
    }

    pub(super) fn read(&mut self, bytes: &[u8], room: &mut Room) {
        if matches!(self.outer, Outer::Unknown) {
            self.outer = match bytes.first() {
                Some(&TLS_HANDSHAKE) if room.authority.is_some() => Outer::Hello(Box::default()),
                _ => Outer::Plain,
            };
        }
        match &mut self.outer {
            Outer::Plain => {
                self.talk.read(bytes, room);
                self.out.append(&mut self.talk.reply);
            }
            Outer::Hello(_) => self.greet(bytes, room),
            Outer::Secure(_) => self.secure(bytes, room),
            Outer::Unknown | Outer::Lost => {}
        }
    }

    pub(super) fn end(&mut self, room: &mut Room) {
        if !matches!(self.outer, Outer::Unknown | Outer::Plain) && !self.hello.written {
            self.write_hello(room, " (not completed)");
        }
        if !matches!(self.outer, Outer::Lost | Outer::Hello(_)) {
            self.talk.end(room);
        }
    }

    /// Bytes of the ClientHello.
    fn greet(&mut self, bytes: &[u8], room: &mut Room) {
        self.hello.sent_bytes += bytes.len() as u64;
        take_head(&mut self.hello.head, bytes);
        let Outer::Hello(acceptor) = &mut self.outer else { return };
        let mut rest = bytes;
        while !rest.is_empty() {
            if !matches!(acceptor.read_tls(&mut rest), Ok(1..)) {
                return self.lose(room, " (not readable)");
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    self.accept(accepted, room);
                    let rest = rest.to_vec();
                    return self.secure(&rest, room);
                }
                Ok(None) => {}
                Err((_, mut alert)) => {
                    let _ = alert.write_all(&mut self.out);
                    return self.lose(room, " (not readable)");
                }
            }
        }
    }

    fn accept(&mut self, accepted: Accepted, room: &mut Room) {
        let hello = accepted.client_hello();
        self.hello.name = hello.server_name().map(str::to_ascii_lowercase);
        self.hello.protocols = protocols(hello.alpn());
        let named = self.hello.name.clone().or_else(|| self.name.clone());
        let name = named.clone().unwrap_or_else(|| self.peer.ip().to_string());
        let config = room.authority.as_mut().and_then(|authority| authority.server(&name));
        let Some(config) = config else { return self.lose(room, " (no certificate)") };
        // What the port says first is said inside.
        self.talk = Talk::new(self.peer, self.pid, named);
        match accepted.into_connection(config) {
            Ok(connection) => self.outer = Outer::Secure(Box::new(connection)),
            Err((_, mut alert)) => {
                let _ = alert.write_all(&mut self.out);
                self.lose(room, " (no common version or cipher)");
            }
        }
    }

    fn secure(&mut self, mut bytes: &[u8], room: &mut Room) {
        if !self.hello.written {
            self.hello.sent_bytes += bytes.len() as u64;
        }
        let Outer::Secure(connection) = &mut self.outer else { return };
        let mut failed = None;
        loop {
            // After a farewell, or when it is too much at once, nothing is taken any more.
            let taken = bytes.is_empty() || matches!(connection.read_tls(&mut bytes), Ok(1..));
            if let Err(error) = connection.process_new_packets() {
                failed = Some(format!(" ({error})"));
                break;
            }
            if !connection.is_handshaking() && !self.hello.written {
                let how = version(connection.protocol_version());
                self.hello.write(self.peer, self.pid, self.name.as_deref(), room, how);
            }
            let mut plain = [0; 4096];
            while let Ok(count @ 1..) = connection.reader().read(&mut plain) {
                self.talk.read(plain.get(..count).unwrap_or(&[]), room);
            }
            if !connection.is_handshaking() && !self.talk.reply.is_empty() {
                let _ = connection.writer().write_all(&self.talk.reply);
                self.talk.reply.clear();
            }
            if self.talk.close {
                connection.send_close_notify();
            }
            if bytes.is_empty() || !taken {
                break;
            }
        }
        let before = self.out.len();
        while connection.wants_write() && connection.write_tls(&mut self.out).is_ok() {}
        if !self.hello.written {
            self.hello.received_bytes += (self.out.len() - before) as u64;
        }
        if let Some(failed) = failed {
            if self.hello.written {
                self.outer = Outer::Lost;
            } else {
                self.lose(room, &failed);
            }
        }
    }

    /// The handshake cannot go on.
    fn lose(&mut self, room: &mut Room, why: &str) {
        self.outer = Outer::Lost;
        self.write_hello(room, why);
    }

    fn write_hello(&mut self, room: &mut Room, how: &str) {
        self.hello.write(self.peer, self.pid, self.name.as_deref(), room, how);
    }
}

impl Hello {
    fn write(
        &mut self,
        peer: SocketAddr,
        pid: Option<u32>,
        known_as: Option<&str>,
        room: &mut Room,
        how: &str,
    ) {
        self.written = true;
        let host = self.name.as_deref().or(known_as);
        let request = Request {
            protocol: "tls",
            peer,
            host: host.map(|host| host.as_bytes().to_vec()),
            line: format!("ClientHello{how}{}", self.protocols).into_bytes(),
            sent_bytes: self.sent_bytes,
            received_bytes: self.received_bytes,
            head: self.head.get(..HEAD_LEN).unwrap_or(&self.head).to_vec(),
            answer: Answer::Sink,
            carries: Vec::new(),
        };
        room.record_since(self.began.unwrap_or_else(Began::now), pid, request);
    }
}

fn version(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_3) => " TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => " TLS 1.2",
        _ => "",
    }
}

/// The protocols that a client offers to speak inside (ALPN), in words.
pub(super) fn protocols<'p>(offered: Option<impl Iterator<Item = &'p [u8]>>) -> String {
    let Some(offered) = offered else { return String::new() };
    let names: Vec<String> =
        offered.take(8).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    format!(" alpn {}", names.join(","))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::Answerer;
    use crate::net::authority::Authority;
    use crate::net::room::Room;

    fn room() -> Room {
        Room::sink(Authority::new().unwrap())
    }

    fn client(room: &Room, name: &str) -> ClientConnection {
        let authority = room.authority.as_ref().unwrap().certificate().as_bytes();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap())
            .unwrap()
    }

    /// Moves bytes until nobody has any.
    fn exchange(client: &mut ClientConnection, server: &mut Answerer, room: &mut Room) {
        loop {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            if bytes.is_empty() && server.out.is_empty() {
                return;
            }
            server.read(&bytes, room);
            let out = std::mem::take(&mut server.out);
            let mut out = out.as_slice();
            while !out.is_empty() {
                client.read_tls(&mut out).unwrap();
                client.process_new_packets().unwrap();
            }
        }
    }

    #[test]
    fn a_client_that_trusts_the_authority_is_answered_and_written_down() {
        let mut room = room();
        let mut client = client(&room, "a.example");
        let mut server = Answerer::new("192.0.2.1:443".parse().unwrap(), None, None);
        client.writer().write_all(b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
        exchange(&mut client, &mut server, &mut room);
        let mut answer = [0; 12];
        client.reader().read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        let (entries, _) = room.ledger.close();
        let lines: Vec<&[u8]> = entries.iter().map(|entry| &entry.request.line[..]).collect();
        assert_eq!(lines, [&b"ClientHello TLS 1.3"[..], b"GET /x HTTP/1.1"]);
        assert_eq!(entries[1].request.host.as_deref(), Some(&b"a.example"[..]));
    }

    #[test]
    fn whoever_goes_on_after_a_farewell_is_not_listened_to_for_ever() {
        let mut room = room();
        let mut client = client(&room, "a.example");
        let mut server = Answerer::new("192.0.2.1:443".parse().unwrap(), None, None);
        exchange(&mut client, &mut server, &mut room);
        client.send_close_notify();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes.extend_from_slice(&[0x17, 3, 3, 0, 5, 1, 2, 3, 4, 5, 6, 7]);
        server.read(&bytes, &mut room);
        server.read(&[0x17, 3, 3, 0, 1, 0], &mut room);
        server.end(&mut room);
    }

    #[test]
    fn garbage_that_begins_like_tls_ends_the_conversation() {
        for garbage in
            [&[0x16, 3, 1, 0, 2, 1, 0][..], &[0x16; 70_000], &[0x16, 3, 1, 0xff, 0xff, 0]]
        {
            let mut room = room();
            let mut server = Answerer::new("192.0.2.1:443".parse().unwrap(), None, None);
            server.read(garbage, &mut room);
            server.end(&mut room);
            let (entries, _) = room.ledger.close();
            assert_eq!(entries.len(), 1);
            assert!(entries[0].request.line.starts_with(b"ClientHello ("), "{entries:?}");
        }
    }
}
