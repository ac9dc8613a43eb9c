//! A real Prometheus on this machine: blocks made by promtool, a server on a free port, questions.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use ureq::Agent;

use crate::programs::accepts;

/// Killed when it goes.
pub(crate) struct Prometheus {
    process: Child,
    url: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Serves what an OpenMetrics text holds. Few large blocks: promtool reads the text once for each.
    pub(crate) fn serving(openmetrics: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("metrics"), openmetrics).expect("a file");
        let arguments = ["tsdb", "create-blocks-from", "openmetrics", "--quiet"];
        let arguments =
            [&arguments[..], &["--max-block-duration=2000h", "metrics", "data"]].concat();
        accepts(folder.path(), "promtool", &arguments);
        fs::write(folder.path().join("none.yml"), "global: {}\n").expect("a file");
        let port = free_port();
        let process = start(folder.path(), port);
        let url = format!("http://127.0.0.1:{port}");
        let mut server = Self { process, url, _folder: folder };
        server.wait();
        server
    }

    fn wait(&mut self) {
        let agent = Agent::new_with_defaults();
        for _ in 0..600 {
            if agent.get(format!("{}/-/ready", self.url)).call().is_ok() {
                return;
            }
            let ended = self.process.try_wait().expect("its state");
            assert!(ended.is_none(), "prometheus ended: {}", self.said());
            thread::sleep(Duration::from_millis(100));
        }
        panic!("prometheus is not ready after a minute: {}", self.said());
    }

    fn said(&self) -> String {
        fs::read_to_string(self._folder.path().join("log")).unwrap_or_default()
    }

    /// The vector that an expression has at a moment (milliseconds): labels and values.
    pub(crate) fn ask(&self, agent: &Agent, expr: &str, at: i64) -> Vec<(Value, f64)> {
        let time = format!("{}.{:03}", at / 1000, at % 1000);
        let form = [("query", expr), ("time", time.as_str())];
        let mut answer =
            agent.post(format!("{}/api/v1/query", self.url)).send_form(form).expect("an answer");
        let answer: Value = answer.body_mut().read_json().expect("JSON");
        assert_eq!(answer["status"], "success", "{answer}");
        let vector = answer["data"]["result"].as_array().expect("a vector").iter();
        vector.map(|one| (one["metric"].clone(), number(&one["value"][1]))).collect()
    }
}

fn number(text: &Value) -> f64 {
    text.as_str().expect("a text").parse().expect("a number")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn start(folder: &Path, port: u16) -> Child {
    let log = fs::File::create(folder.join("log")).expect("a file");
    Command::new("prometheus")
        .args(["--config.file=none.yml", "--storage.tsdb.path=data"])
        .args(["--storage.tsdb.retention.time=100y", "--log.level=warn"])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("prometheus starts")
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
