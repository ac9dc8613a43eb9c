//! A server that answers what it is told to, and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `POST /path`
    pub(crate) what: String,
    /// In lower case, one a line.
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let of =
            |line: &'_ str| line.split_once(": ").filter(|(known, _)| *known == name).is_some();
        let line = self.headers.lines().find(|line| of(line))?;
        Some(line.split_once(": ")?.1)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    status: Arc<AtomicU16>,
    asked: Arc<Mutex<Vec<Asked>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Answers with this status; 0: not at all.
    pub(crate) fn open(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(AtomicU16::new(status));
        let (asked, ends) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (answers, hears, stops) = (Arc::clone(&status), Arc::clone(&asked), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                if stops.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                match answers.load(Ordering::SeqCst) {
                    0 => held.push(stream),
                    status => answer(&stream, status, &hears),
                }
            }
        });
        Self { address, status, asked, ends, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked so often.
    pub(crate) async fn wait(&self, times: usize) -> Vec<Asked> {
        loop {
            let asked = self.asked();
            if asked.len() >= times {
                return asked;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn answer(stream: &TcpStream, status: u16, hears: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let (first, headers) = head.split_once("\r\n").unwrap();
    let headers = headers.replace("\r\n", "\n").to_lowercase();
    let what = first.rsplit_once(' ').unwrap().0.to_owned();
    let mut asked = Asked { what, headers, body: Vec::new() };
    let len: usize = asked.header("content-length").map_or(0, |text| text.parse().unwrap());
    asked.body = vec![0; len];
    reader.read_exact(&mut asked.body).unwrap();
    hears.lock().unwrap().push(asked);
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    let mut stream = stream;
    drop(stream.write_all(answer.as_bytes()));
}
