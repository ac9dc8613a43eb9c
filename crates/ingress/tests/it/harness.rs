//! An ingress on a free port and a gateway behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::StreamExt as _;
use http::Request;
use ingress::{Config, Ingress};
use runtime::clock::Manual;
use runtime::http::edge::Edge;
use runtime::http::forward::{self, Client};
use runtime::http::server::{self, Counters, Limits};
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use runtime::sli::{Objective, Plan, Rule, Sli, View};
use runtime::tasks::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

pub(crate) const SECRET: &str = "a-secret-that-is-drawn-at-the-start";
/// A moment in 2023.
const NOW_US: i64 = 1_700_000_000_000_000;

pub(crate) struct Stack {
    pub(crate) address: SocketAddr,
    pub(crate) gateway: SocketAddr,
    pub(crate) metrics: Metrics,
    pub(crate) sli: Sli,
    pub(crate) clock: Arc<Manual>,
    pub(crate) counters: Counters,
    /// Requests the gateway heard.
    pub(crate) heard: Arc<AtomicUsize>,
    pub(crate) tasks: Tasks,
}

impl Stack {
    /// The gateway answers with what it heard: the origin it believes, then method and target, then
    /// the headers, a line each, then how many bytes the body had.
    pub(crate) async fn start(config: Config) -> Self {
        let heard = Arc::new(AtomicUsize::new(0));
        let hearing = Arc::clone(&heard);
        let edge = Edge::new(SECRET).unwrap();
        let tell = async move |mut request: Request<Body>| {
            hearing.fetch_add(1, Ordering::SeqCst);
            let origin = edge.admit(&mut request);
            let mut text = format!("origin {} {:?}\n", origin.address, origin.transport);
            text += &format!("{} {}\n", request.method(), request.uri());
            for (name, value) in request.headers() {
                text += &format!("{name}: {}\n", value.to_str().unwrap());
            }
            let mut length = 0;
            let mut body = request.into_body().into_data_stream();
            while let Some(Ok(chunk)) = body.next().await {
                length += chunk.len();
            }
            text + &format!("body {length}\n")
        };
        let tasks = Tasks::new(Shutdown::new());
        let listener = server::bind(loopback()).await.unwrap();
        let gateway = listener.local_addr().unwrap();
        let (router, limits) = (Router::new().fallback(tell), Limits::internal());
        server::serve(listener, None, router, limits, tasks.clone(), "gateway");
        Self { heard, ..Self::with(tasks, gateway, config).await }
    }

    /// The gateway is the test's.
    pub(crate) async fn before(gateway: SocketAddr, config: Config) -> Self {
        Self::with(Tasks::new(Shutdown::new()), gateway, config).await
    }

    async fn with(tasks: Tasks, gateway: SocketAddr, config: Config) -> Self {
        let (metrics, clock) = (Metrics::new("ingress"), Arc::new(Manual::at(NOW_US)));
        let client = Client::new(forward::Config::default(), tasks.clone());
        let to = format!("http://{gateway}").parse().unwrap();
        let limits = config.limits.clone();
        let sli = sli(&metrics);
        let ingress =
            Ingress::new(config, to, client, clock.clone(), &metrics, sli.clone(), SECRET).unwrap();
        let listener = server::bind(loopback()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let counters = server::serve(listener, None, ingress, limits, tasks.clone(), "ingress");
        counters.register(&metrics, "public");
        Self { address, gateway, metrics, sli, clock, counters, heard: Arc::default(), tasks }
    }

    /// One request with `connection: close`, as text, and its whole answer.
    pub(crate) async fn ask(&self, request: &str) -> String {
        self.ask_from([127, 0, 0, 1], request).await
    }

    pub(crate) async fn ask_from(&self, address: [u8; 4], request: &str) -> String {
        let mut stream = self.connect_from(address).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    pub(crate) async fn connect_from(&self, address: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((address, 0))).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    pub(crate) fn heard(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }

    /// Good, bad and excluded events of an objective.
    pub(crate) fn events(&self, slo: &str) -> [u64; 3] {
        let view = View::Tenant("__none__".to_owned());
        let totals = self.sli.totals();
        let total = totals.iter().find(|total| total.slo == slo && total.view == view);
        total.map_or([0; 3], |total| [total.good, total.bad, total.excluded])
    }

    pub(crate) fn counted(&self, outcome: &str) -> u64 {
        let line = format!("shieldx_ingress_requests_total{{outcome=\"{outcome}\"}} ");
        let text = self.metrics.text();
        let value = text.lines().find_map(|each| each.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("no {line:?} in {text}")).parse().unwrap()
    }
}

/// An availability and a latency objective of the ingress.
fn sli(metrics: &Metrics) -> Sli {
    let objective = |slo: &str, rule| Objective {
        slo: slo.to_owned(),
        service: "ingress".to_owned(),
        rule,
        only: Vec::new(),
        except: Vec::new(),
        by_tenant: true,
        by_route_group: false,
    };
    // Longer than a test may take.
    let latency = Rule::Latency { threshold: Duration::from_secs(3_600), le: true };
    let objectives = vec![objective("available", Rule::Availability), objective("fast", latency)];
    Sli::new(Arc::new(Plan { objectives, ..Plan::default() }), metrics)
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A GET with further header lines.
pub(crate) fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\n{lines}\r\n")
}

/// The value of a header in an answer, or in what the gateway heard.
pub(crate) fn value<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let prefix = format!("{name}: ");
    answer.lines().find_map(|line| line.strip_prefix(&prefix))
}
