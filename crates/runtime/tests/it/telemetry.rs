//! Logs and traces against a real collector, a dead one, a silent one, and none.

mod archive;
mod attributes;
mod collector;
mod export;
mod grpc;
mod keep;
mod lines;
mod receiver;

use std::io::Write;
use std::sync::{Arc, Mutex};

use runtime::telemetry::{self, LogSettings, Service, Services, Settings, Telemetry};
use tracing_subscriber::fmt::MakeWriter;

const SERVICES: Services = &[
    Service { name: "ingress", crates: &["ingress"] },
    Service { name: "gateway", crates: &["gateway", "policy"] },
    Service { name: "verifier-pool", crates: &["verifier_pool", "sandbox", "verdict"] },
];

/// What was logged.
#[derive(Debug, Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logged {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn log(json: bool) -> LogSettings {
    LogSettings { filter: "info".to_owned(), json, color: false }
}

/// Settings as these variables say; all of them are understood.
fn settings(variables: &[(&str, &str)]) -> Settings {
    let get =
        |name: &str| variables.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
    let (settings, warnings) = Settings::from_env(&get);
    assert_eq!(warnings, Vec::<String>::new());
    settings
}

/// Does something under telemetry, and gives both back.
fn within<T>(settings: Settings, work: impl FnOnce(&Telemetry) -> T) -> (Telemetry, T) {
    let (telemetry, subscriber) =
        telemetry::subscriber(settings, log(true), SERVICES, std::io::sink).unwrap();
    let result = tracing::subscriber::with_default(subscriber, || work(&telemetry));
    (telemetry, result)
}
