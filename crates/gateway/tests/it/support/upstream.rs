//! An upstream that keeps the bytes of every request's head, and answers with its name: with 500
//! where the target ends in `/fails`, and not at all where it ends in `/silent`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(crate) struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Upstream {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut serving = JoinSet::new();
        let kept = Arc::clone(&seen);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(one(stream, name, Arc::clone(&kept)));
            }
        });
        Self { address, seen, _serving: serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all requests so far, as they came.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The head of the one request there was.
    #[track_caller]
    pub(crate) fn only(&self) -> String {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

/// The target in a request's first line.
pub(crate) fn target(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
    lines.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

async fn one(mut stream: TcpStream, name: &str, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let upgrade = header(&head, "upgrade").is_some();
    let status = if target(&head).ends_with("/fails") { "500 Oh" } else { "200 OK" };
    let silent = target(&head).ends_with("/silent");
    seen.lock().unwrap().push(head);
    if upgrade {
        return echo(stream).await;
    }
    if silent {
        return;
    }
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nx-shieldx-tenant: forged\r\nx-own: {name}\r\n\
         x-shieldx-session: forged\r\nx-shieldx-note: delayed\r\nconnection: close\r\n\r\n{name}",
        name.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn echo(mut stream: TcpStream) {
    let accept = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-accept: x\r\n\r\n";
    let _ = stream.write_all(accept.as_bytes()).await;
    let mut buffer = [0; 64];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let _ = stream.write_all(&buffer[..length]).await;
    }
}
