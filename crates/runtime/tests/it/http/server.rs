//! Ordinary clients.

use std::time::Duration;

use axum::Router;
use runtime::http::forward::Config;
use runtime::http::server::{self, Limits};

use super::support::{Raw, Server, client, loopback};

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

/// A reset overtook the answer: of three uploads that were too large two got 502 in its place.
#[tokio::test]
async fn an_answer_before_the_end_of_a_body_is_heard_by_who_goes_on_sending() {
    let refuse = async || (http::StatusCode::PAYLOAD_TOO_LARGE, "no more");
    let service = Server::serve(Router::new().fallback(refuse), Limits::default()).await;
    let upstream = format!("http://{}", service.address).parse().unwrap();
    let gateway = Server::forwarding(client(Config::default()), upstream).await;
    let body = vec![b'x'; 16 << 20];
    let length = body.len();
    for _ in 0..5 {
        let mut client = gateway.connect().await;
        client.say(format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")).await;
        client.say(&body).await;
        let answer = client.until("no more").await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        // The connection is as good as before.
        client.say("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        client.until("no more").await;
    }
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_not_waited_for() {
    let refuse = async || (http::StatusCode::PAYLOAD_TOO_LARGE, "no more");
    let server = Server::serve(Router::new().fallback(refuse), Limits::default()).await;
    let mut client = server.connect().await;
    let ask = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    client.say(ask).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 413") && !answer.contains("100 Continue"), "{answer}");
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
