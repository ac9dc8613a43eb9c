//! The server against ordinary, slow, silent and abusive clients.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use runtime::http::server::{self, Counters, Limits};
use runtime::shutdown::Shutdown;
use runtime::tasks::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

struct Server {
    address: SocketAddr,
    counters: Counters,
    tasks: Tasks,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route("/echo", post(async |body: Bytes| body));
        let tasks = Tasks::new(Shutdown::new());
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let counters = server::serve(listener, None, router, limits, tasks.clone(), "test");
        Self { address, counters, tasks }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Everything the server says until it closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn an_ordinary_request_is_answered_and_shutdown_lets_the_connection_end() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut buffer = [0; 512];
    let length = stream.read(&mut buffer).await.unwrap();
    assert!(String::from_utf8_lossy(&buffer[..length]).ends_with("hello"));
    server.tasks.shutdown().begin();
    assert_eq!(rest(&mut stream).await, "");
    assert!(server.tasks.shutdown().drained(Duration::from_secs(5)).await);
    assert_eq!(server.counters.open(), 0);
}
