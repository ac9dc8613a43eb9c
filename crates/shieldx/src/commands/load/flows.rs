//! The flows of synthetic traffic: one request each, what it carries, and what it expects.

use std::io::{self, Read};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Response;
use ureq::{Agent, Body, SendBody};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::request::service::Server;

/// Longer than the tarpit keeps a request.
const TIMEOUT: Duration = Duration::from_secs(60);
const NAME: &str = concat!("shieldx-load/", env!("CARGO_PKG_VERSION"), " (synthetic)");
/// What scanners call themselves; the built-in policy keeps them waiting.
const SCANNER: &str = "sqlmap/1.7 (synthetic: shieldx-load)";
/// An upload of a slow client: so many pieces with a pause after each.
const PIECES: usize = 10;
const PIECE_PAUSE: Duration = Duration::from_millis(120);

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Allowed and answered.
    List,
    Features,
    Latest,
    Typing,
    Risk,
    /// No key, a wrong key, a forbidden path.
    Denied,
    Malformed,
    /// A client that takes its time to upload.
    Slow,
    /// A scanner that is kept waiting.
    Tarpit,
    /// Harmless and hostile scripts.
    Artifact,
}

/// Who sends.
#[derive(Debug)]
pub(super) struct Sender {
    agent: Agent,
    url: String,
    key: Option<String>,
}

impl Sender {
    pub(super) fn new(server: &Server) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(TIMEOUT))
            .user_agent(NAME)
            .build();
        Self { agent: config.new_agent(), url: server.url.clone(), key: server.key.clone() }
    }

    /// Whether anybody answers, and knows the key.
    pub(super) fn reach(&self) -> Result<(), Failure> {
        match self.get("/v1/verifications?limit=1", &[]) {
            Ok(401 | 403) => Err(Failure::new(Exit::Failed, "the server does not know this key")
                .hint("set SHIELDX_API_KEY, or name the data folder of a server here with --data")),
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::new(Exit::Failed, format!("{}: {error}", self.url))
                .hint("`shieldx up` starts a server; --server names another one")),
        }
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<u16, String> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answered(request.call())
    }

    fn bare(&self, path: &str, key: Option<&str>) -> Result<u16, String> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        answered(request.call())
    }

    fn post(&self, path: &str, kind: &str, body: SendBody<'_>) -> Result<u16, String> {
        let request = self.agent.post(format!("{}{path}", self.url)).header("content-type", kind);
        let request = match &self.key {
            Some(key) => request.header("x-api-key", key),
            None => request,
        };
        answered(request.send(body))
    }

    fn json(&self, path: &str, body: &Value) -> Result<u16, String> {
        self.post(
            path,
            "application/json",
            SendBody::from_owned_reader(io::Cursor::new(body.to_string())),
        )
    }
}

/// The status, once the body is read: only then is the request over.
fn answered(result: Result<Response<Body>, ureq::Error>) -> Result<u16, String> {
    let mut response = result.map_err(|error| error.to_string())?;
    io::copy(&mut response.body_mut().as_reader(), &mut io::sink())
        .map_err(|error| error.to_string())?;
    Ok(response.status().as_u16())
}

impl Flow {
    /// Of forty requests.
    pub(super) fn of(number: u64) -> Self {
        match number % 40 {
            0..=9 => Self::List,
            10..=15 => Self::Features,
            16..=21 => Self::Latest,
            22..=27 => Self::Typing,
            28..=31 => Self::Risk,
            32..=35 => Self::Denied,
            36 => Self::Malformed,
            37 if number % 80 == 37 => Self::Tarpit,
            37 | 38 => Self::Slow,
            _ => Self::Artifact,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Features => "features",
            Self::Latest => "latest",
            Self::Typing => "typing",
            Self::Risk => "risk",
            Self::Denied => "denied",
            Self::Malformed => "malformed",
            Self::Slow => "slow upload",
            Self::Tarpit => "tarpit",
            Self::Artifact => "artifact",
        }
    }

    /// Whether an answer is one of those this flow is about; too many requests is always one.
    pub(super) fn expects(self, status: u16) -> bool {
        status == 429
            || match self {
                Self::List | Self::Features | Self::Typing => status == 200,
                Self::Latest | Self::Risk => matches!(status, 200 | 404),
                // Where nothing is protected there is no route to the forbidden path.
                Self::Denied => matches!(status, 401 | 403 | 404),
                Self::Malformed => matches!(status, 400 | 422),
                Self::Slow | Self::Artifact => matches!(status, 200 | 202),
                Self::Tarpit => matches!(status, 403 | 503),
            }
    }

    /// Sends one and waits for the end of the answer.
    pub(super) fn send(self, sender: &Sender, number: u64) -> Result<u16, String> {
        let (entity, typist) = (number % 200, number % 5);
        match self {
            Self::List => sender.get("/v1/verifications?limit=20", &[]),
            Self::Features => sender.json("/v1/features/load", &features(number)),
            Self::Latest => sender.get(&format!("/v1/features/load/latest?entity=e{entity}"), &[]),
            Self::Typing => {
                let path = format!("/v1/sessions/load-{typist}/telemetry");
                sender.json(&path, &typing(number))
            }
            Self::Risk => sender.get(&format!("/v1/sessions/load-{typist}/risk"), &[]),
            Self::Denied => match number % 4 {
                0 => sender.bare("/v1/verifications", None),
                1 => sender.bare("/v1/verifications", Some("sx_0000000000000000_0")),
                _ => sender.get("/.env", &[]),
            },
            Self::Malformed => {
                let body = SendBody::from_owned_reader(io::Cursor::new("{nope"));
                sender.post("/v1/features/load", "application/json", body)
            }
            Self::Slow => {
                let script = script(number);
                let body = SendBody::from_owned_reader(Drip { script, sent: 0 });
                sender.post("/v1/verifications?file_name=slow.sh", OCTETS, body)
            }
            Self::Tarpit => sender.get("/v1/verifications?limit=1", &[("user-agent", SCANNER)]),
            Self::Artifact => {
                let body = SendBody::from_owned_reader(io::Cursor::new(script(number)));
                sender.post("/v1/verifications?file_name=load.sh", OCTETS, body)
            }
        }
    }
}

const OCTETS: &str = "application/octet-stream";

/// Half of them harmless, the others do what samples do.
fn script(number: u64) -> Vec<u8> {
    let work = match number / 40 % 4 {
        0 | 2 => "uname -a; ls / > /dev/null",
        1 => "cat /etc/shadow; unshare -r id",
        _ => "cp /bin/sh /tmp/x; chmod 755 /tmp/x; /tmp/x -c 'echo moved'",
    };
    format!("#!/bin/sh\n# synthetic, number {number}\n{work}\n").into_bytes()
}

/// A spread that is the same every time: no randomness is needed to look alive.
fn spread(number: u64, around: u32, by: u32) -> f64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let step = u32::try_from(mixed % 1000).unwrap_or(0);
    f64::from(around) + f64::from(by) * (f64::from(step) / 500.0 - 1.0)
}

fn features(number: u64) -> Value {
    let rows: Vec<Value> = (0..20)
        .map(|row| {
            let number = number * 20 + row;
            let entity = format!("e{}", number % 200);
            let time = "2026-01-01T00:00:00Z";
            json!({ "entity": entity, "event_time": time, "values": { "a": spread(number, 10, 4) } })
        })
        .collect();
    json!({ "rows": rows })
}

fn typing(number: u64) -> Value {
    let (typist, mut at) = (number % 5, 0.0);
    let keys: Vec<Value> = (0..30)
        .map(|key| {
            let number = number * 30 + key;
            let down = at;
            at += spread(number, 230, 40);
            json!({ "down_ms": down, "up_ms": down + spread(number + 7, 90, 20) })
        })
        .collect();
    json!({ "subject": format!("load-{typist}"), "keystrokes": keys, "device": { "platform": "Linux" } })
}

/// A body that comes in pieces with pauses.
struct Drip {
    script: Vec<u8>,
    sent: usize,
}

impl Read for Drip {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = self.script.get(self.sent..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(0);
        }
        std::thread::sleep(PIECE_PAUSE);
        let piece = self.script.len().div_ceil(PIECES).min(rest.len()).min(into.len());
        into[..piece].copy_from_slice(&rest[..piece]);
        self.sent += piece;
        Ok(piece)
    }
}
