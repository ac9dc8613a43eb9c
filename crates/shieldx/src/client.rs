//! Talks to a ShieldX server over HTTP, for the commands that are its clients.
//!
//! Blocking: a command line has one thing to do. Server answers are data from outside: bounded, and
//! escaped before they reach a terminal.

use std::io::{BufRead as _, BufReader, Read};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body, SendBody};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::words::safe;
use crate::request::service::Server;

/// The largest answer that is read (a report with half a million events is about 150 MB).
const ANSWER_MAX_BYTES: u64 = 1 << 30;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// To the header of an answer, once the request is sent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A longer line of an event stream is read in pieces, which are no events.
const EVENT_LINE_MAX_BYTES: u64 = 1 << 20;

/// A connection to one server.
#[derive(Debug)]
pub struct Client<'a> {
    server: &'a Server,
    agent: Agent,
}

impl<'a> Client<'a> {
    #[must_use]
    pub fn new(server: &'a Server) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .user_agent(concat!("shieldx/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { server, agent: config.new_agent() }
    }

    /// # Errors
    /// When the server cannot be reached or answers with a problem.
    pub fn get(&self, path: &str, accept: &str) -> Result<Response<Body>, Failure> {
        let mut request =
            self.agent.get(format!("{}{path}", self.server.url)).header("accept", accept);
        if let Some(key) = &self.server.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.answered(request.call())
    }

    /// # Errors
    /// When the server cannot be reached, answers with a problem or with something else than JSON.
    pub fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let bytes = self.bytes(path, "application/json")?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(Exit::Failed, format!("{path}: not what was expected: {error}"))
        })
    }

    /// JSON with a query and headers of the caller's.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub fn asked<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        headers: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let mut request = self
            .agent
            .get(format!("{}{path}", self.server.url))
            .query_pairs(query.iter().map(|(name, value)| (*name, value.as_str())))
            .header("accept", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = &self.server.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut response = self.answered(request.call())?;
        response.body_mut().read_json().map_err(|error| {
            Failure::new(Exit::Failed, format!("{path}: not what was expected: {error}"))
        })
    }

    /// Posts JSON; what is answered does not matter.
    ///
    /// # Errors
    /// When the server cannot be reached or answers with a problem.
    pub fn tell(&self, path: &str, body: &Value) -> Result<(), Failure> {
        let mut request = self.agent.post(format!("{}{path}", self.server.url));
        if let Some(key) = &self.server.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.answered(request.send_json(body)).map(drop)
    }

    /// # Errors
    /// When the server cannot be reached or answers with a problem.
    pub fn bytes(&self, path: &str, accept: &str) -> Result<Vec<u8>, Failure> {
        let mut response = self.get(path, accept)?;
        let body = response.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_vec();
        body.map_err(|error| self.unreachable(&error))
    }

    /// Sends a body of known length.
    ///
    /// # Errors
    /// When the server cannot be reached or answers with a problem.
    pub fn post(
        &self,
        path: &str,
        query: &[(&str, String)],
        headers: &[(&str, &str)],
        body: &mut dyn Read,
        len: u64,
    ) -> Result<Value, Failure> {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.server.url))
            .query_pairs(query.iter().map(|(name, value)| (*name, value.as_str())))
            .header("content-type", "application/octet-stream")
            .header("content-length", len.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = &self.server.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut response = self.answered(request.send(SendBody::from_reader(body)))?;
        response.body_mut().read_json().map_err(|error| self.unreachable(&error))
    }

    /// Calls `each` with every server-sent event's name and data until it says stop or the stream
    /// ends.
    ///
    /// # Errors
    /// When the server cannot be reached, or `each` fails.
    pub fn follow(
        &self,
        path: &str,
        each: &mut dyn FnMut(&str, &str) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let response = self.get(path, "text/event-stream")?;
        let mut lines =
            BufReader::new(response.into_body().into_with_config().limit(u64::MAX).reader());
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            let read = lines.by_ref().take(EVENT_LINE_MAX_BYTES).read_line(&mut line);
            match read {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    return Err(Failure::new(
                        Exit::Failed,
                        format!("the event stream broke: {error}"),
                    ));
                }
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if !data.is_empty()
                    && !each(if name.is_empty() { "message" } else { &name }, &data)?
                {
                    return Ok(());
                }
                name.clear();
                data.clear();
            } else if let Some(value) = line.strip_prefix("event:") {
                value.trim_start().clone_into(&mut name);
            } else if let Some(value) = line.strip_prefix("data:") {
                data.push_str(value.trim_start());
            }
        }
    }

    fn answered(
        &self,
        result: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, Failure> {
        let mut response = result.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let problem: Value = response.body_mut().read_json().unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("no reason given");
        let failure = Failure::new(Exit::Failed, format!("{status}: {}", safe(detail)));
        Err(match status.as_u16() {
            401 if self.server.key.is_none() => failure.hint(
                "set SHIELDX_API_KEY, or name the data folder of a server on this machine with --data",
            ),
            401 => failure.hint("`shieldx key list` shows the keys that the server knows"),
            _ => failure,
        })
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let url = safe(&self.server.url);
        Failure::new(Exit::Failed, format!("{url} does not answer: {error}"))
            .hint("`shieldx up` starts a server; --server names another one")
    }
}
