//! One POST of JSON, blocking and bounded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use types::text::hex;
use ureq::Agent;

use super::hmac;
use super::webhook::SIGNATURE_HEADER;

/// To the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are shown.
const ANSWER_BYTES_MAX: u64 = 300;

#[derive(Clone)]
pub(super) struct Post {
    agent: Agent,
    url: Arc<str>,
    secret: Option<Arc<[u8]>>,
}

/// The URL and the secret are nobody's business.
impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("url", &shown(&self.url)).finish_non_exhaustive()
    }
}

impl Post {
    pub(super) fn new(url: String, secret: Option<Vec<u8>>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // It would be read from the environment.
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("shieldx/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), url: url.into(), secret: secret.map(Into::into) }
    }

    /// # Errors
    /// Why it was not taken.
    pub(super) fn send(&self, body: &[u8], at_s: i64) -> Result<(), String> {
        let mut request = self.agent.post(&*self.url).header("content-type", "application/json");
        if let Some(secret) = &self.secret {
            let at = at_s.to_string();
            let signature = hex(&hmac::sha256(secret, &[at.as_bytes(), b".", body]));
            request = request.header(SIGNATURE_HEADER, format!("t={at},v1={signature}"));
        }
        let mut response = request.send(body).map_err(|error| error.to_string())?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let reader = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = reader.read_to_vec().unwrap_or_default();
        let text = String::from_utf8_lossy(&text).escape_debug().to_string();
        Err(format!("it answers {status}: {text}"))
    }
}

/// Scheme, host and port: paths of webhooks are secrets, often enough.
pub(super) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}")
}
