//! OTLP over HTTP as protobuf (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).

use std::sync::Arc;
use std::time::Duration;

use http::header;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{ANSWER_BYTES_MAX, Endpoint, Sent, USER_AGENT, answer};

/// Asks over HTTP; connections are kept.
#[derive(Debug)]
pub(super) struct Http {
    agent: Agent,
    endpoint: Endpoint,
}

impl Http {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let roots = endpoint.roots.as_ref().map_or(RootCerts::WebPki, |roots| {
            let own = roots.iter().map(|root| Certificate::from_der(root).to_owned());
            RootCerts::Specific(Arc::new(own.collect()))
        });
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // It would be read from the environment.
            .proxy(None)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(USER_AGENT)
            .build();
        Self { agent: config.new_agent(), endpoint }
    }

    pub(super) fn send(&self, body: &[u8], timeout: Duration) -> Sent {
        let mut request = self
            .agent
            .post(self.endpoint.uri.clone())
            .header(header::CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &self.endpoint.headers {
            request = request.header(name.clone(), value.clone());
        }
        let request = request.config().timeout_global(Some(timeout)).build();
        match request.send(body) {
            Ok(mut response) => {
                let status = response.status();
                let after = response.headers().get(header::RETRY_AFTER);
                let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
                let reader = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
                let answer = reader.read_to_vec().unwrap_or_default();
                match status.as_u16() {
                    200..300 => Sent::Taken { rejected: answer::rejected(&answer) },
                    429 | 502..=504 => Sent::Unreachable {
                        reason: format!("it answers {status}"),
                        retry: true,
                        after: after.map(Duration::from_secs),
                    },
                    _ => Sent::Refused { reason: format!("it answers {status}") },
                }
            }
            // A collector that takes connections and does not answer is not asked the same again: it
            // may have taken the spans, and it costs its whole timeout.
            Err(error) => Sent::Unreachable {
                retry: !matches!(error, ureq::Error::Timeout(_)),
                reason: error.to_string(),
                after: None,
            },
        }
    }
}
