//! Ordinary clients.

use std::time::Duration;

use runtime::http::server::{self, Limits};

use super::support::{Raw, Server, loopback};

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_and_ends_with_the_process() {
    let server = Server::start(Limits::default()).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.say("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        client.until("hello").await;
    }
    server.tasks.shutdown().begin();
    assert_eq!(client.rest().await, "");
    assert!(server.tasks.shutdown().drained(Duration::from_secs(5)).await);
    assert_eq!(server.counters.open(), 0);
}

#[tokio::test]
async fn a_request_that_is_being_sent_when_the_process_ends_is_answered() {
    let server = Server::start(Limits::default()).await;
    let mut client = server.connect().await;
    client
        .say("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
        .await;
    client.until("100 Continue").await;
    server.tasks.shutdown().begin();
    client.say("done").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    assert!(server.tasks.shutdown().drained(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn requests_behind_each_other_are_answered_in_order() {
    let server = Server::start(Limits::default()).await;
    let answer = server
        .connect()
        .await
        .ask("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\noneGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    let (one, hello) = (answer.find("one").unwrap(), answer.find("hello").unwrap());
    assert!(one < hello, "{answer}");
}

#[tokio::test]
async fn a_taken_port_is_one_clear_line() {
    let server = Server::start(Limits::default()).await;
    let error = server::bind(server.address).await.unwrap_err();
    let expect = format!(
        "cannot listen on {}: another program has this port; stop it or choose another port",
        server.address
    );
    assert_eq!(error.to_string(), expect);
    let elsewhere = server::bind("192.0.2.1:0".parse().unwrap()).await.unwrap_err();
    assert!(elsewhere.to_string().ends_with("this machine has no such address"), "{elsewhere}");
}

#[tokio::test]
async fn a_port_is_free_again_at_once_after_its_server_ended() {
    let listener = server::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = Raw::to(address).await;
    let (accepted, _) = listener.accept().await.unwrap();
    // The server closes first: its side waits in TIME_WAIT.
    drop(accepted);
    drop(listener);
    drop(client);
    server::bind(address).await.unwrap();
}
