//! What the sink says to somebody who talks plainly: HTTP, a few protocols of lines, or nothing.
//!
//! Answers just enough that a command goes on and shows what it would do next. Everything it reads
//! is hostile; what it keeps is bounded.

use std::net::SocketAddr;

use super::http::{self, Head, Part, Reader};
use super::ledger::{Answer, HEAD_LEN, LINE_LEN_MAX, Request};
use super::marks::Trace;
use super::names::{Question, type_name};
use super::room::{Began, Room};

/// Lines of a conversation that are kept, at most.
const LINES_MAX: usize = 12;
/// The longest line and the longest DNS message that are waited for, in bytes.
const HELD_MAX: usize = 66 << 10;

/// Who speaks first, and how, by port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Smtp,
    Ftp,
    Pop,
    Imap,
    Ssh,
    Telnet,
    /// DNS over TCP.
    Dns,
    /// Whoever connects speaks first.
    Silent,
}

impl Speech {
    fn of(port: u16) -> Self {
        match port {
            25 | 465 | 587 | 2525 => Self::Smtp,
            21 | 990 => Self::Ftp,
            110 | 995 => Self::Pop,
            143 | 993 => Self::Imap,
            22 | 2222 => Self::Ssh,
            23 | 2323 => Self::Telnet,
            53 => Self::Dns,
            _ => Self::Silent,
        }
    }

    fn banner(self) -> &'static [u8] {
        match self {
            Self::Smtp => b"220 mail ESMTP ready\r\n",
            Self::Ftp => b"220 FTP server ready\r\n",
            Self::Pop => b"+OK POP3 ready\r\n",
            Self::Imap => b"* OK IMAP4rev1 ready\r\n",
            Self::Ssh => b"SSH-2.0-OpenSSH_9.6\r\n",
            Self::Telnet => b"login: ",
            Self::Dns | Self::Silent => b"",
        }
    }

    /// The answer to one line; `data` is whether a message is being taken.
    fn answer(self, line: &str, data: &mut bool) -> String {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or("").to_ascii_uppercase();
        match self {
            Self::Smtp if *data => {
                *data = line != ".";
                if *data { String::new() } else { "250 Accepted\r\n".to_owned() }
            }
            Self::Smtp => match first.as_str() {
                "EHLO" => "250-mail\r\n250 AUTH PLAIN LOGIN\r\n".to_owned(),
                "AUTH" if words.count() < 2 => "334 \r\n".to_owned(),
                "AUTH" => "235 Accepted\r\n".to_owned(),
                "DATA" => {
                    *data = true;
                    "354 Go ahead\r\n".to_owned()
                }
                "QUIT" => "221 Bye\r\n".to_owned(),
                "STARTTLS" => "502 Not implemented\r\n".to_owned(),
                _ => "250 OK\r\n".to_owned(),
            },
            Self::Ftp => match first.as_str() {
                "USER" => "331 Password please\r\n".to_owned(),
                "PASS" => "230 Logged in\r\n".to_owned(),
                "SYST" => "215 UNIX Type: L8\r\n".to_owned(),
                "PWD" => "257 \"/\"\r\n".to_owned(),
                "QUIT" => "221 Bye\r\n".to_owned(),
                "PASV" | "EPSV" | "PORT" | "EPRT" | "AUTH" => "502 Not implemented\r\n".to_owned(),
                _ => "200 OK\r\n".to_owned(),
            },
            Self::Pop => "+OK\r\n".to_owned(),
            // The word is the tag here.
            Self::Imap => format!("{} OK done\r\n", line.split(' ').next().unwrap_or("*")),
            Self::Telnet => "Password: ".to_owned(),
            Self::Ssh | Self::Dns | Self::Silent => String::new(),
        }
    }
}

#[derive(Debug)]
enum Stage {
    /// Not enough bytes to tell.
    Sniff(Vec<u8>),
    Http(Reader),
    Lines {
        speech: Speech,
        held: Vec<u8>,
        data: bool,
    },
    Dns(Vec<u8>),
    /// Listens only.
    Mute,
}

/// One conversation, already without TLS.
#[derive(Debug)]
pub(super) struct Talk {
    peer: SocketAddr,
    pid: Option<u32>,
    /// The name that was asked for before the connection, or in the TLS handshake.
    host: Option<String>,
    stage: Stage,
    /// What shall be sent.
    pub reply: Vec<u8>,
    /// Nothing more will be said.
    pub close: bool,
    now: Pending,
    trace: Trace,
    said: bool,
}

/// The request that is going on.
#[derive(Debug, Default)]
struct Pending {
    began: Option<Began>,
    http: Option<Head>,
    lines: Vec<u8>,
    lines_count: usize,
    head: Vec<u8>,
    sent_bytes: u64,
    received_bytes: u64,
}

impl Talk {
    pub(super) fn new(peer: SocketAddr, pid: Option<u32>, host: Option<String>) -> Self {
        let speech = Speech::of(peer.port());
        let stage = match speech {
            Speech::Silent | Speech::Ssh => Stage::Sniff(Vec::new()),
            Speech::Dns => Stage::Dns(Vec::new()),
            speech => Stage::Lines { speech, held: Vec::new(), data: false },
        };
        // The first request began with the connection: whoever connected waited for it, and may be
        // another program by the time its first bytes are read here.
        let began = Some(Began::now());
        let received_bytes = speech.banner().len() as u64;
        let now = Pending { began, received_bytes, ..Pending::default() };
        let (reply, trace) = (speech.banner().to_vec(), Trace::default());
        Self { peer, pid, host, stage, reply, close: false, now, trace, said: false }
    }

    /// What the command sent.
    pub(super) fn read(&mut self, bytes: &[u8], room: &mut Room) {
        self.said = true;
        self.now.began.get_or_insert_with(Began::now);
        self.trace.read(&room.marks, bytes);
        match &mut self.stage {
            Stage::Sniff(held) => {
                held.extend_from_slice(bytes);
                match http::begins(held) {
                    None => {}
                    Some(true) => {
                        let held = std::mem::take(held);
                        self.stage = Stage::Http(Reader::new());
                        self.http(&held, room);
                    }
                    Some(false) => {
                        let held = std::mem::take(held);
                        self.stage = Stage::Mute;
                        self.note(&held);
                    }
                }
            }
            Stage::Http(_) => self.http(bytes, room),
            Stage::Lines { .. } => {
                self.note(bytes);
                self.lines(bytes);
            }
            Stage::Dns(held) => {
                held.extend_from_slice(bytes);
                self.dns(room);
            }
            Stage::Mute => self.note(bytes),
        }
    }

    /// The connection is over: what is still open is written down.
    pub(super) fn end(&mut self, room: &mut Room) {
        if let Stage::Sniff(held) = &mut self.stage {
            let held = std::mem::take(held);
            self.note(&held);
        }
        let open = self.now.http.is_some() || !matches!(self.stage, Stage::Http(_) | Stage::Dns(_));
        if open && (self.said || self.host.is_none()) {
            self.record(room);
        }
    }

    /// Counts bytes, and keeps the first lines of what is no HTTP.
    fn note(&mut self, bytes: &[u8]) {
        self.now.sent_bytes += bytes.len() as u64;
        take_head(&mut self.now.head, bytes);
        for &byte in bytes {
            if self.now.lines_count >= LINES_MAX || self.now.lines.len() >= LINE_LEN_MAX {
                break;
            }
            match byte {
                b'\r' => {}
                b'\n' => {
                    self.now.lines_count += 1;
                    self.now.lines.extend_from_slice(b"; ");
                }
                byte => self.now.lines.push(byte),
            }
        }
    }

    fn lines(&mut self, bytes: &[u8]) {
        let Stage::Lines { speech, held, data } = &mut self.stage else { return };
        held.extend_from_slice(bytes);
        let mut reply = String::new();
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            reply += &speech.answer(String::from_utf8_lossy(&line).trim_end(), data);
        }
        if held.len() > HELD_MAX {
            held.clear();
        }
        self.say(reply.as_bytes());
    }

    fn dns(&mut self, room: &mut Room) {
        loop {
            let Stage::Dns(held) = &mut self.stage else { return };
            let Some((length, rest)) = held.split_first_chunk::<2>() else { return };
            let length = usize::from(u16::from_be_bytes(*length));
            let Some(message) = rest.get(..length) else { return };
            let message = message.to_vec();
            held.drain(..length + 2);
            let Some(question) = Question::parse(&message) else {
                self.close = true;
                return;
            };
            let answer = room.answer(&question, self.peer, self.pid, message.len());
            let framed = u16::try_from(answer.len()).unwrap_or(0).to_be_bytes();
            self.reply.extend_from_slice(&framed);
            self.reply.extend_from_slice(&answer);
        }
    }

    fn http(&mut self, bytes: &[u8], room: &mut Room) {
        let Stage::Http(reader) = &mut self.stage else { return };
        for part in reader.read(bytes) {
            match part {
                Part::Head(head) => self.begin(head),
                Part::Body(bytes) => {
                    self.now.sent_bytes += bytes.len() as u64;
                    take_head(&mut self.now.head, &bytes);
                }
                Part::End => self.finish(room),
                Part::Broken => {
                    self.close = true;
                    self.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    self.now.lines = b"(not readable as HTTP)".to_vec();
                    self.record(room);
                }
            }
        }
    }

    fn begin(&mut self, head: Head) {
        self.now.began.get_or_insert_with(Began::now);
        self.now.sent_bytes = head.length as u64;
        if head.field("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.say(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.now.http = Some(head);
    }

    /// A whole request was read: answers it.
    fn finish(&mut self, room: &mut Room) {
        let Some(head) = &self.now.http else { return };
        if head.method == "CONNECT" {
            let next = head.host();
            self.say(b"HTTP/1.1 200 Connection established\r\n\r\n");
            self.record(room);
            // What follows is meant for somebody else.
            let rest = match &mut self.stage {
                Stage::Http(reader) => reader.rest(),
                _ => Vec::new(),
            };
            self.stage = Stage::Sniff(Vec::new());
            self.host = next.map(|(host, _)| host);
            if !rest.is_empty() {
                self.read(&rest, room);
            }
            return;
        }
        let body = body_for(head);
        let mut text = format!(
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            body.0,
            body.1.len()
        );
        let closing = head.field("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        self.close = closing || head.version == "HTTP/1.0";
        text += if self.close { "Connection: close\r\n\r\n" } else { "\r\n" };
        if head.method != "HEAD" {
            text += body.1;
        }
        self.say(text.as_bytes());
        self.record(room);
    }

    fn say(&mut self, bytes: &[u8]) {
        self.now.received_bytes += bytes.len() as u64;
        self.reply.extend_from_slice(bytes);
    }

    fn record(&mut self, room: &mut Room) {
        let now = std::mem::take(&mut self.now);
        let (protocol, host, line, head) = match now.http {
            Some(http) => {
                let host = http.host().map(|(host, _)| host).or_else(|| self.host.clone());
                let line = http.line().into_bytes();
                let head = if now.head.is_empty() { line.clone() } else { now.head };
                ("http", host, line, head)
            }
            None => ("tcp", self.host.clone(), now.lines, now.head),
        };
        let request = Request {
            protocol,
            peer: self.peer,
            host: host.map(String::into_bytes),
            line: line.strip_suffix(b"; ").map(<[u8]>::to_vec).unwrap_or(line),
            sent_bytes: now.sent_bytes,
            received_bytes: now.received_bytes,
            head,
            answer: Answer::Sink,
            carries: self.trace.take(&room.marks),
        };
        room.record_since(now.began.unwrap_or_else(Began::now), self.pid, request);
    }
}

/// Keeps the first bytes.
pub(super) fn take_head(head: &mut Vec<u8>, bytes: &[u8]) {
    let room = HEAD_LEN.saturating_sub(head.len()).min(bytes.len());
    head.extend_from_slice(bytes.get(..room).unwrap_or(&[]));
}

/// Type and text of an answer that is of some use to who asked.
fn body_for(head: &Head) -> (&'static str, &'static str) {
    let path = head.path();
    let path = path.split(['?', '#']).next().unwrap_or("");
    let accepts = |kind: &str| head.field("accept").is_some_and(|value| value.contains(kind));
    if path.ends_with(".json") || accepts("application/json") {
        ("application/json", "{}\n")
    } else if path.ends_with(".sh") {
        ("text/x-shellscript", "#!/bin/sh\n:\n")
    } else if accepts("html") || path.ends_with(".html") {
        (
            "text/html",
            "<!doctype html>\n<html><head><title>OK</title></head><body>OK</body></html>\n",
        )
    } else {
        ("text/plain", "OK\n")
    }
}

/// How a question is written down.
pub(super) fn question_line(question: &Question<'_>) -> Vec<u8> {
    type_name(question.record).into_bytes()
}
