//! A whole `shieldx up` on ports of its own, started and stopped by the test that uses it.

mod asked;
mod bad_input;
mod collector;
mod contract;
mod crash;
mod disk;
mod emitted;
mod isolation;
mod kill_runners;
mod objectives;
mod observability;
mod protect;
mod session;
mod verify;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use ureq::http::Response;
use ureq::{Agent, Body};

/// No start, stop or wait of a test takes longer, whatever the load; reaching it is a failure.
const WAIT_LIMIT: Duration = Duration::from_secs(120);

/// A running server and the folder it works on.
pub(crate) struct Stack {
    child: Option<Child>,
    folder: TempDir,
    data: PathBuf,
    settings: String,
    variables: Vec<(String, String)>,
    pub server: String,
    pub internal: BTreeMap<String, String>,
    /// The admin key of the first start.
    pub key: String,
    agent: Agent,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn of(mut response: Response<Body>) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.body_mut().with_config().limit(1 << 30).read_to_vec();
        Self { status, headers, body: body.expect("a whole answer") }
    }
}

impl Stack {
    pub(crate) fn start() -> Self {
        Self::with("", &[])
    }

    /// Starts with more settings (TOML; the addresses are already there) and variables.
    pub(crate) fn with(settings: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("stack-").tempdir().expect("a folder");
        let data = folder.path().join("data");
        Self::new(folder, data, settings, variables)
    }

    /// Starts with its state in a folder of the test, which outlives it.
    pub(crate) fn at(data: PathBuf, settings: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("stack-").tempdir().expect("a folder");
        Self::new(folder, data, settings, &[])
    }

    fn new(folder: TempDir, data: PathBuf, settings: &str, variables: &[(&str, &str)]) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(WAIT_LIMIT))
            .build();
        let mut stack = Self {
            child: None,
            folder,
            data,
            settings: settings.to_owned(),
            variables: variables.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            server: String::new(),
            internal: BTreeMap::new(),
            key: String::new(),
            agent: agent.into(),
        };
        stack.begin();
        stack
    }

    /// Starts the server (again) on the same folder and waits until every service is ready.
    pub(crate) fn begin(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let file = self.path("shieldx.toml");
        fs::write(&file, self.toml()).expect("the settings");
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_shieldx"))
            .args(["up", "--data"])
            .arg(self.data())
            .arg("--config")
            .arg(&file)
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .env_remove("SHIELDX_FLOOD_SECONDS")
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("shieldx starts");
        let mut table = BufReader::new(child.stdout.take().expect("its output"));
        self.child = Some(child);
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            let read = table.read_line(&mut line).expect("its output");
            assert!(read > 0, "it ended: {}", self.log());
        }
        let endpoints = fs::read(self.data().join("endpoints.json")).expect("endpoints");
        let endpoints: Value = serde_json::from_slice(&endpoints).expect("endpoints");
        self.server = endpoints["server"].as_str().expect("a server").to_owned();
        let internal = endpoints["internal"].as_object().expect("internal addresses");
        let text = |value: &Value| value.as_str().expect("a URL").to_owned();
        self.internal = internal.iter().map(|(name, url)| (name.clone(), text(url))).collect();
        if self.key.is_empty() {
            let key = fs::read_to_string(self.data().join("admin.key")).expect("the first key");
            key.trim().clone_into(&mut self.key);
        }
        // The rest of what it prints must not fill the pipe.
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            let _ = table.read_to_end(&mut rest);
        });
    }

    fn toml(&self) -> String {
        let mut text = String::new();
        for section in ["contauth", "verifier-pool", "ml-service", "console"] {
            if !self.settings.contains(&format!("[{section}]")) {
                let _ = writeln!(text, "[{section}]\naddress = \"127.0.0.1:0\"");
            }
        }
        if !self.settings.contains("[gateway]") {
            let _ = writeln!(text, "{}", Self::GATEWAY);
        }
        if !self.settings.contains("[ingress]") {
            let _ = writeln!(text, "{}", Self::INGRESS);
        }
        text.push_str(&self.settings);
        text
    }

    /// The addresses of a section, for a test that writes the section itself.
    pub(crate) const GATEWAY: &'static str =
        "[gateway]\naddress = \"127.0.0.1:0\"\ninternal = \"127.0.0.1:0\"\n";
    pub(crate) const INGRESS: &'static str =
        "[ingress]\npublic = \"127.0.0.1:0\"\ninternal = \"127.0.0.1:0\"\n";

    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// SIGKILL, and waits for its end.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("kill");
        child.wait().expect("wait");
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let pid = child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().expect("kill").success());
        let limit = Instant::now() + WAIT_LIMIT;
        loop {
            if let Some(status) = child.try_wait().expect("wait") {
                return status.code();
            }
            assert!(Instant::now() < limit, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `shieldx` with arguments, as a client of this server.
    pub(crate) fn shieldx(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_shieldx"))
            .args(arguments)
            .env("SHIELDX_DATA", self.data())
            .env_remove("SHIELDX_API_KEY")
            .env_remove("SHIELDX_SERVER")
            .stdin(Stdio::null())
            .output()
            .expect("shieldx starts")
    }

    /// A new key of a tenant.
    pub(crate) fn tenant_key(&self, tenant: &str, role: &str) -> String {
        let made = self.shieldx(&["key", "create", "--tenant", tenant, "--role", role]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = String::from_utf8(made.stdout).expect("a key");
        let key = text.split_whitespace().find(|word| word.starts_with("sx_"));
        key.expect("a key").to_owned()
    }

    pub(crate) fn get(&self, key: &str, path: &str) -> Answer {
        self.get_with(key, path, &[])
    }

    pub(crate) fn get_with(&self, key: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(self.url(path)).header("x-api-key", key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.call().expect("an answer"))
    }

    /// A request without a body, whatever its method usually has.
    pub(crate) fn ask(&self, key: &str, method: &str, path: &str) -> Answer {
        let request = ureq::http::Request::builder()
            .method(method.to_ascii_uppercase().as_str())
            .uri(self.url(path))
            .header("x-api-key", key)
            .body(());
        Answer::of(self.agent.run(request.expect("a request")).expect("an answer"))
    }

    pub(crate) fn delete(&self, key: &str, path: &str) -> Answer {
        Answer::of(self.agent.delete(self.url(path)).header("x-api-key", key).call().expect("one"))
    }

    pub(crate) fn post(
        &self,
        key: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = self.agent.post(self.url(path)).header("x-api-key", key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send(body).expect("an answer"))
    }

    pub(crate) fn post_json(&self, key: &str, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.post(key, path, &headers, body.to_string().as_bytes())
    }

    fn url(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.server) }
    }

    /// Hands bytes in; the accepted verification.
    pub(crate) fn submit(&self, key: &str, name: &str, bytes: &[u8]) -> Value {
        let path = format!("/v1/verifications?file_name={name}");
        let answer = self.post(key, &path, &[], bytes);
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()
    }

    /// Waits until a verification is done or failed.
    pub(crate) fn finished(&self, key: &str, id: &str) -> Value {
        let limit = Instant::now() + WAIT_LIMIT;
        loop {
            let answer = self.get(key, &format!("/v1/verifications/{id}"));
            assert_eq!(answer.status, 200, "{}", answer.text());
            let found = answer.json();
            if found["state"] == "done" || found["state"] == "failed" {
                return found;
            }
            assert!(Instant::now() < limit, "it does not end: {found} {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + WAIT_LIMIT;
    while !holds() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Resident memory of a process in KiB.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    let status = status.expect("the process lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}
