//! WebSocket: decided on once, then bytes both ways.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::start;

const UPGRADE: &str = "host: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: eA==\r\nsec-websocket-version: 13\r\n";

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_websocket_passes_once_it_is_allowed() {
    let stack = start().await;
    let mut client = TcpStream::connect(stack.address).await.unwrap();
    let request = format!("GET /chat HTTP/1.1\r\n{UPGRADE}x-api-key: sx_member\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let answer = head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    client.write_all(b"ping").await.unwrap();
    let mut echoed = [0; 4];
    client.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
    assert!(stack.application.only().contains("x-shieldx-tenant: acme\r\n"));
}

#[tokio::test]
async fn a_websocket_without_a_key_is_refused_before_the_upstream_hears_of_it() {
    let stack = start().await;
    let mut client = TcpStream::connect(stack.address).await.unwrap();
    let request = format!("GET /chat HTTP/1.1\r\n{UPGRADE}\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    assert!(head(&mut client).await.starts_with("HTTP/1.1 401 "));
    assert!(stack.application.seen().is_empty());
}
