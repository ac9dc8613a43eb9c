//! Servers, raw clients and upstreams of the tests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use http::{Request, Response};
use runtime::http::forward::{Client, Config, Upstream};
use runtime::http::server::{self, Counters, Limits};
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use runtime::tasks::Tasks;
use runtime::telemetry::{self, LogSettings, Settings, Telemetry};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;

/// Longer than anything here takes; reached only by a test that fails.
pub(crate) const FOREVER: Duration = Duration::from_secs(30);

pub(crate) fn tasks() -> Tasks {
    Tasks::new(Shutdown::new())
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn client(config: Config) -> Client {
    Client::new(config, tasks())
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Counters,
    pub(crate) tasks: Tasks,
}

impl Server {
    /// `GET /` says hello, `POST /echo` says what it was sent, `GET /endless` never ends.
    pub(crate) async fn start(limits: Limits) -> Self {
        let endless = || {
            let chunk = Bytes::from_static(&[b'x'; 64 * 1024]);
            let stream =
                futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
            Body::from_stream(stream)
        };
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route("/echo", post(async |body: Bytes| body))
            .route("/endless", get(async move || endless()));
        Self::serve(router, limits).await
    }

    pub(crate) async fn serve(router: Router, limits: Limits) -> Self {
        let tasks = tasks();
        let listener = server::bind(loopback()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let counters = server::serve(listener, None, router, limits, tasks.clone(), "test");
        Self { address, counters, tasks }
    }

    /// A server that forwards everything to an upstream.
    pub(crate) async fn forwarding(client: Client, to: Upstream) -> Self {
        let forward = async move |request: Request<Body>| -> Response<Body> {
            let forwarded = client.forward(request, &to).await;
            forwarded.unwrap_or_else(|error| error.problem().into_response())
        };
        Self::serve(Router::new().fallback(forward), Limits::default()).await
    }

    pub(crate) async fn connect(&self) -> Raw {
        Raw(TcpStream::connect(self.address).await.unwrap())
    }

    pub(crate) async fn connect_from(&self, address: [u8; 4]) -> std::io::Result<Raw> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((address, 0)))?;
        Ok(Raw(socket.connect(self.address).await?))
    }

    /// How many connections the server ended for a reason.
    pub(crate) fn ended(&self, reason: &str) -> u64 {
        let metrics = Metrics::new("test");
        self.counters.register(&metrics, "public");
        let text = metrics.text();
        let line = format!("shieldx_test_public_connections_ended_total{{reason=\"{reason}\"}} ");
        let value = text.lines().find_map(|each| each.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("no {line:?} in {text}")).parse().unwrap()
    }

    /// Waits until so many connections are open.
    pub(crate) async fn open(&self, expect: i64) {
        let settled = async {
            while self.counters.open() != expect {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let settled = tokio::time::timeout(FOREVER, settled).await;
        assert!(settled.is_ok(), "{} connections are open, not {expect}", self.counters.open());
    }
}

/// A connection on which the test says every byte itself.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).await.unwrap();
    }

    /// Everything the other side says until it closes or resets.
    pub(crate) async fn rest(&mut self) -> String {
        let mut heard = Vec::new();
        let reading = async {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = self.0.read(&mut buffer).await {
                heard.extend_from_slice(&buffer[..length]);
            }
        };
        assert!(tokio::time::timeout(FOREVER, reading).await.is_ok(), "it was not closed");
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// What the other side says until that contains `text`.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let mut heard = String::new();
        let reading = async {
            let mut buffer = [0; 4096];
            while !heard.contains(text) {
                let length = self.0.read(&mut buffer).await.unwrap_or(0);
                if length == 0 {
                    break;
                }
                heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        };
        let done = tokio::time::timeout(FOREVER, reading).await;
        assert!(done.is_ok() && heard.contains(text), "no {text:?} in {heard:?}");
        heard
    }

    /// One exchange after which the server closes.
    pub(crate) async fn ask(mut self, text: impl AsRef<[u8]>) -> String {
        self.say(text).await;
        self.rest().await
    }
}

/// What an upstream does with a connection.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Answers every request that ends in an empty line, and goes on.
    Always(&'static [u8]),
    /// Answers once, and closes.
    Once(&'static [u8]),
    /// Takes everything and says nothing.
    Nothing,
}

/// An upstream that records every byte of every connection.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    accepting: tokio::task::JoinHandle<()>,
}

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

impl Recorder {
    pub(crate) async fn start(reply: Reply) -> Self {
        Self::on(TcpListener::bind(loopback()).await.unwrap(), reply)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the upstream is no part of the process it tests"
    )]
    pub(crate) fn on(listener: TcpListener, reply: Reply) -> Self {
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let all = Arc::clone(&heard);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let index = {
                    let mut all = all.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                connections.spawn(record(stream, reply.clone(), Arc::clone(&all), index));
            }
        });
        Self { address, heard, accepting }
    }

    pub(crate) fn upstream(&self) -> Upstream {
        upstream(self.address)
    }

    /// What was heard on each connection.
    pub(crate) fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    pub(crate) fn all(&self) -> String {
        self.heard().concat()
    }

    pub(crate) fn stop(self) {
        self.accepting.abort();
    }
}

pub(crate) fn upstream(address: SocketAddr) -> Upstream {
    format!("http://{address}").parse().unwrap()
}

async fn record(mut stream: TcpStream, reply: Reply, all: Arc<Mutex<Vec<Vec<u8>>>>, index: usize) {
    let mut buffer = [0; 4096];
    let mut answered = 0;
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let ends = {
            let mut all = all.lock().unwrap();
            all[index].extend_from_slice(&buffer[..length]);
            all[index].windows(4).filter(|four| four == b"\r\n\r\n").count()
        };
        match reply {
            Reply::Nothing => {}
            Reply::Always(bytes) => {
                while answered < ends {
                    answered += 1;
                    let _ = stream.write_all(bytes).await;
                }
            }
            Reply::Once(bytes) if ends > 0 => {
                let _ = stream.write_all(bytes).await;
                return;
            }
            Reply::Once(_) => {}
        }
    }
}

/// Telemetry under which every trace of this thread is kept.
pub(crate) struct Traced {
    pub(crate) telemetry: Telemetry,
    _guard: DefaultGuard,
    /// While there is one dispatcher only, a place that other threads log at first is decided on by
    /// what they have, which is none: with two, all are asked.
    _second: Dispatch,
}

impl Traced {
    pub(crate) fn here() -> Self {
        let new = || {
            let log = LogSettings { filter: "off".to_owned(), json: true, color: false };
            telemetry::subscriber(Settings::default(), log, &[], std::io::sink).unwrap()
        };
        let second = Dispatch::new(new().1);
        let (telemetry, subscriber) = new();
        let guard = tracing::subscriber::set_default(subscriber);
        Self { telemetry, _guard: guard, _second: second }
    }
}
