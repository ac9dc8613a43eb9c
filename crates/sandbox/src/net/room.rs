//! What all conversations of one run share: names, trust, marks, and the book of requests.

use std::net::SocketAddr;

use super::allow::Allow;
use super::authority::Authority;
use super::ledger::{Answer, Ledger, Request};
use super::marks::Marks;
use super::names::{Names, Question};
use super::talk::question_line;
use crate::sys::monotonic_ns;

/// When something began, on the monotonic clock in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began(u64);

impl Began {
    pub(super) fn now() -> Self {
        Self(monotonic_ns())
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Room {
    pub ledger: Ledger,
    pub names: Names,
    pub marks: Marks,
    /// Answers TLS; only a sink has one.
    pub authority: Option<Authority>,
    /// Only these are reached, and nobody else answers; `None` for a sink.
    pub allow: Option<Allow>,
    pub questions: u64,
}

impl Room {
    /// Nothing is planted, nothing is passed on.
    #[cfg(test)]
    pub(super) fn sink(authority: Authority) -> Self {
        Self {
            ledger: Ledger::default(),
            names: Names::default(),
            marks: Marks::default(),
            authority: Some(authority),
            allow: None,
            questions: 0,
        }
    }

    /// Writes down what was asked just now.
    pub(super) fn record(&mut self, pid: Option<u32>, request: Request) {
        self.record_since(Began::now(), pid, request);
    }

    /// Writes down what was asked since then: that is its time, and whoever did it is looked for
    /// there.
    pub(super) fn record_since(&mut self, began: Began, pid: Option<u32>, request: Request) {
        self.ledger.add(began.0, pid, request);
    }

    /// Answers a DNS question and writes it down.
    pub(super) fn answer(
        &mut self,
        question: &Question<'_>,
        peer: SocketAddr,
        pid: Option<u32>,
        asked_len: usize,
    ) -> Vec<u8> {
        self.questions += 1;
        let allow = self.allow.as_ref();
        let known = |name: &str| allow.is_none_or(|allow| allow.names(name));
        let name = question.name.to_lossy().trim_end_matches('.').to_ascii_lowercase();
        let answer = if known(&name) { Answer::Sink } else { Answer::Refused };
        let reply = self.names.answer(question, known);
        self.record(
            pid,
            Request {
                protocol: "dns",
                peer,
                host: Some(question.name.as_bytes().to_vec()),
                line: question_line(question),
                sent_bytes: asked_len as u64,
                received_bytes: reply.len() as u64,
                head: Vec::new(),
                answer,
                carries: Vec::new(),
            },
        );
        reply
    }
}
