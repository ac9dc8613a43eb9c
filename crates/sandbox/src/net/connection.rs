//! One TCP connection of the sandbox: bytes between its socket and whoever speaks on the far end.

use smoltcp::socket::tcp::{Socket, State};

use super::answerer::Answerer;
use super::dial::Dialer;
use super::passage::Passage;
use super::room::Room;

/// Bytes that wait for a client that does not read them, at most; beyond, it is not read either.
const UNREAD_MAX: usize = 256 << 10;

/// Who speaks on the far end.
#[derive(Debug)]
pub(super) enum Talker {
    Answerer(Box<Answerer>),
    Passage(Box<Passage>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    pub number: u64,
    pub talker: Talker,
    /// The client's end of sending was seen.
    ended: bool,
}

impl Connection {
    pub(super) fn new(number: u64, talker: Talker) -> Self {
        Self { number, talker, ended: false }
    }

    /// Moves bytes in both directions; returns how many were passed on to a server or from it.
    pub(super) fn serve(
        &mut self,
        socket: &mut Socket<'_>,
        room: &mut Room,
        dialer: &Dialer,
    ) -> u64 {
        let mut chunk = vec![0; 16 << 10];
        while self.talker.takes()
            && socket.can_recv()
            && let Ok(count @ 1..) = socket.recv_slice(&mut chunk)
        {
            let bytes = chunk.get(..count).unwrap_or(&[]);
            match &mut self.talker {
                Talker::Answerer(answerer) => answerer.read(bytes, room),
                Talker::Passage(passage) => passage.read(bytes, room, dialer),
            }
        }
        let established = !matches!(socket.state(), State::Listen | State::SynReceived);
        if established && !socket.may_recv() && !self.ended {
            self.ended = true;
            if let Talker::Passage(passage) = &mut self.talker {
                passage.client_ended();
            }
        }
        let moved = match &mut self.talker {
            Talker::Answerer(_) => 0,
            Talker::Passage(passage) => passage.pump(),
        };
        let (out, closes, resets) = match &mut self.talker {
            Talker::Answerer(answerer) => {
                let closes = answerer.closes() || self.ended;
                (&mut answerer.out, closes, false)
            }
            Talker::Passage(passage) => {
                let (closes, resets) = (passage.closes(), passage.reset);
                (&mut passage.out, closes, resets)
            }
        };
        if resets {
            socket.abort();
        } else if !out.is_empty()
            && let Ok(count) = socket.send_slice(out)
        {
            out.drain(..count);
        }
        if closes && out.is_empty() && established {
            socket.close();
        }
        moved
    }

    pub(super) fn end(&mut self, room: &mut Room) {
        match &mut self.talker {
            Talker::Answerer(answerer) => answerer.end(room),
            Talker::Passage(passage) => passage.end(room),
        }
    }
}

impl Talker {
    fn takes(&self) -> bool {
        match self {
            Talker::Answerer(answerer) => answerer.out.len() < UNREAD_MAX,
            Talker::Passage(passage) => passage.takes(),
        }
    }
}
