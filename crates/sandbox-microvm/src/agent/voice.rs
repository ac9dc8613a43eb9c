//! Tells the host of every phase and event as it comes, so that what was seen is out of the guest
//! before anything can take it over or end it.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use sandbox::{Observer, Seen};
use types::Event;

use crate::wire::{self, LINE_MAX_BYTES, Message};

/// Messages that wait for the wire. Past it events are only in the recording.
const QUEUE_MAX: usize = 16_384;

pub(super) struct Voice {
    queue: SyncSender<Option<Message>>,
    writer: JoinHandle<()>,
}

impl Voice {
    pub(super) fn start(talk: Arc<Mutex<File>>) -> io::Result<(Self, Observer)> {
        let (queue, messages) = sync_channel(QUEUE_MAX);
        let writer = std::thread::Builder::new()
            .name("voice".to_owned())
            .spawn(move || write(&messages, &talk))?;
        let speaker = queue.clone();
        let observer = Observer::new(move |seen| match seen {
            Seen::Phase(name) => {
                let _ = speaker.send(Some(Message::Phase(name.to_owned())));
            }
            Seen::Event(event) => {
                let _ = speaker.try_send(Some(Message::Event(Box::new(Event::clone(event)))));
            }
        });
        Ok((Self { queue, writer }, observer))
    }

    /// Everything told is on the wire when this returns.
    pub(super) fn end(self) {
        let _ = self.queue.send(None);
        let _ = self.writer.join();
    }
}

fn write(messages: &Receiver<Option<Message>>, talk: &Mutex<File>) {
    while let Ok(Some(message)) = messages.recv() {
        let mut line = Vec::new();
        if wire::send(&mut line, &message).is_err() || line.len() as u64 > LINE_MAX_BYTES {
            continue;
        }
        let mut out = talk.lock().unwrap_or_else(PoisonError::into_inner);
        if io::Write::write_all(&mut *out, &line).is_err() {
            return;
        }
    }
}
