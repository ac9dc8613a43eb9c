//! A gateway with everything around it that a test can choose.

pub(crate) mod client;
pub(crate) mod ports;
pub(crate) mod upstream;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use gateway::{Config, Gateway, OwnApis, Parts, RouteConfig};
use policy::Policy;
use runtime::clock::Manual;
use runtime::http::forward::{Client, Upstream as To};
use runtime::http::server::{self, Limits};
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use runtime::sli::{Objective, Plan, Rule, Sli, View};
use runtime::tasks::Tasks;
use runtime::telemetry::{self, LogSettings, Service, Settings, Telemetry};
use tracing::subscriber::set_global_default;
use types::ports::Decider;

use self::client::Reply;
use self::ports::{Keys, Risks};
use self::upstream::Upstream;

pub(crate) const EDGE_SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const JSON: &str = "application/problem+json";

/// A gateway that serves, with one upstream of each kind.
pub(crate) struct Stack {
    pub(crate) address: SocketAddr,
    pub(crate) application: Upstream,
    pub(crate) decoy: Upstream,
    pub(crate) api: Upstream,
    pub(crate) risks: Arc<Risks>,
    pub(crate) gateway: Gateway,
    metrics: Metrics,
    sli: Sli,
}

/// What a test may choose.
pub(crate) struct Choices {
    pub(crate) config: Config,
    pub(crate) decider: Arc<dyn Decider>,
    pub(crate) risks: Risks,
    /// Changes the one route there is.
    pub(crate) route: fn(&mut RouteConfig),
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            config: Config { tarpit_ms: 50, ..Config::default() },
            decider: Arc::new(Policy::builtin().unwrap()),
            risks: Risks::default(),
            route: |_| {},
        }
    }
}

pub(crate) async fn start() -> Stack {
    Choices::default().start().await
}

/// With the one route changed.
pub(crate) async fn start_with(route: fn(&mut RouteConfig)) -> Stack {
    Choices { route, ..Choices::default() }.start().await
}

impl Choices {
    /// Starts a gateway with the route `app` for every path and host.
    pub(crate) async fn start(self) -> Stack {
        let Self { mut config, decider, risks, route } = self;
        let application = Upstream::start("application").await;
        let decoy = Upstream::start("decoy").await;
        let api = Upstream::start("api").await;
        let mut app = RouteConfig::new("app", application.url().parse().unwrap());
        app.decoy = Some(decoy.url().parse().unwrap());
        route(&mut app);
        config.routes.push(app);
        let metrics = Metrics::new("gateway");
        let sli = sli(&metrics);
        let tasks = Tasks::new(Shutdown::new());
        let own: To = api.url().parse().unwrap();
        let traces = Told::here().telemetry.traces();
        let risks = Arc::new(risks);
        let parts = Parts {
            keys: Arc::new(Keys),
            risk: Arc::clone(&risks) as _,
            decider,
            client: Client::new(config.upstreams.clone(), tasks.clone()),
            own: OwnApis {
                verifier_pool: own.clone(),
                contauth: own.clone(),
                ml_service: own.clone(),
                ledger: own,
            },
            documents: Vec::new(),
            traces,
            clock: Arc::new(Manual::at(1_700_000_000_000_000)),
            edge_secret: EDGE_SECRET.to_owned(),
            metrics: metrics.clone(),
            sli: sli.clone(),
            tasks: tasks.clone(),
        };
        let gateway = Gateway::new(config, parts).unwrap();
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        server::serve(listener, None, gateway.clone(), Limits::internal(), tasks, "gateway");
        Stack { address, application, decoy, api, risks, gateway, metrics, sli }
    }
}

/// An availability and a latency objective of the gateway.
fn sli(metrics: &Metrics) -> Sli {
    let objective = |slo: &str, rule| Objective {
        slo: slo.to_owned(),
        service: "gateway".to_owned(),
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

impl Stack {
    /// Sends a request whose header lines are given; `host` is added, and the connection closed
    /// behind it.
    pub(crate) async fn send(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        client::send(self.address, &client::request(target, headers)).await
    }

    /// With the key of a member of `acme`.
    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.send(target, &[("x-api-key", "sx_member")]).await
    }

    /// Good, bad and excluded events of an objective and a tenant.
    pub(crate) fn events(&self, slo: &str, tenant: &str) -> [u64; 3] {
        let view = View::Tenant(tenant.to_owned());
        let totals = self.sli.totals();
        let total = totals.iter().find(|total| total.slo == slo && total.view == view);
        total.map_or([0; 3], |total| [total.good, total.bad, total.excluded])
    }

    /// The value of a metric's line that begins so.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.metrics.text();
        let found = text.lines().find_map(|other| other.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) fn metrics(&self) -> String {
        self.metrics.text()
    }
}

/// What all tests of this process tell: `tracing` remembers for the whole process which spans
/// somebody wants, so a subscriber of one test's own would miss some.
pub(crate) struct Told {
    telemetry: Telemetry,
    lines: Lines,
}

impl Told {
    pub(crate) fn here() -> &'static Self {
        static TOLD: OnceLock<Told> = OnceLock::new();
        const SERVICES: &[Service] = &[Service { name: "gateway", crates: &["gateway"] }];
        TOLD.get_or_init(|| {
            let log = LogSettings { filter: "info".to_owned(), json: true, color: false };
            let lines = Lines::default();
            let writer = lines.clone();
            let (telemetry, subscriber) =
                telemetry::subscriber(Settings::default(), log, SERVICES, move || writer.clone())
                    .unwrap();
            set_global_default(subscriber).unwrap();
            Self { telemetry, lines }
        })
    }

    /// The log's lines that contain a text.
    pub(crate) fn lines(&self, text: &str) -> Vec<serde_json::Value> {
        let lines = String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap();
        let lines = lines.lines().filter(|line| line.contains(text));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
