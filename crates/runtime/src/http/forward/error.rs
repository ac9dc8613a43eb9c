//! Why a request got no response from its upstream, and what its client is told.

use std::error::Error;
use std::io;

use http::StatusCode;
use hyper_util::client::legacy;

use crate::http::Problem;
use crate::http::admission::Malformed;
use crate::http::server::BodyTimeout;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The request is not one that is forwarded.
    #[error("the request is malformed")]
    Malformed {
        #[source]
        source: Malformed,
    },
    /// The upstream works on all requests it may be given.
    #[error("{upstream} works on as many requests as it may be given")]
    Busy { upstream: String },
    /// No connection: refused, no such host, no route.
    #[error("cannot connect to {upstream}")]
    Connect { upstream: String, source: legacy::Error },
    #[error("{upstream} did not take a connection in time")]
    ConnectTimeout { upstream: String },
    /// A connection, but no response in time.
    #[error("{upstream} did not respond in time")]
    ResponseTimeout { upstream: String },
    /// The client's body broke off.
    #[error("the request's body broke off")]
    RequestBody { source: axum::Error },
    /// The upstream closed, or said what is no HTTP.
    #[error("{upstream} broke off")]
    Broken { upstream: String, source: legacy::Error },
    /// 101 without having been asked, or to another protocol.
    #[error("{upstream} switched protocols without being asked")]
    Switched { upstream: String },
}

impl ForwardError {
    pub(super) fn of(upstream: String, source: legacy::Error, broken: Option<axum::Error>) -> Self {
        if let Some(source) = broken {
            return Self::RequestBody { source };
        }
        if !source.is_connect() {
            return Self::Broken { upstream, source };
        }
        let timeout = chain(&source).any(|cause| {
            cause.downcast_ref().is_some_and(|io: &io::Error| io.kind() == io::ErrorKind::TimedOut)
        });
        if timeout { Self::ConnectTimeout { upstream } } else { Self::Connect { upstream, source } }
    }

    /// For metrics and spans: `error.type`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::Busy { .. } => "busy",
            Self::Connect { .. } => "connect",
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::ResponseTimeout { .. } => "response_timeout",
            Self::RequestBody { .. } => "request_body",
            Self::Broken { .. } => "broken",
            Self::Switched { .. } => "switched",
        }
    }

    /// Whether the upstream, and not the client, is why there is no response.
    #[must_use]
    pub fn is_upstreams(&self) -> bool {
        !matches!(self, Self::Malformed { .. } | Self::RequestBody { .. })
    }

    /// What the client is told. The upstream's name and the cause go to the log only.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let bad = |detail| {
            let title = "The application did not answer";
            Problem::new(StatusCode::BAD_GATEWAY, "bad-gateway", title, detail)
        };
        let late = |detail| {
            let title = "The application did not answer in time";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "gateway-timeout", title, detail)
        };
        let problem = match self {
            Self::Malformed { source } => Problem::from(*source),
            Self::Busy { .. } => {
                let detail = "the application has as many requests as it can take; try again";
                Problem::unavailable(detail, "")
            }
            Self::Connect { .. } => bad("the application cannot be reached; try again later"),
            Self::ConnectTimeout { .. } => late("the application took no connection"),
            Self::ResponseTimeout { .. } => late("the application began no response"),
            Self::RequestBody { source } => broken_body(source),
            Self::Broken { .. } => bad("the application closed before it answered"),
            Self::Switched { .. } => bad("the application answered with another protocol"),
        };
        let causes: Vec<String> = chain(self).map(ToString::to_string).collect();
        problem.because(causes.join(": "))
    }
}

impl From<ForwardError> for Problem {
    fn from(error: ForwardError) -> Self {
        error.problem()
    }
}

fn broken_body(source: &axum::Error) -> Problem {
    if chain(source).any(|cause| cause.is::<http_body_util::LengthLimitError>()) {
        let title = "The body is too large";
        let detail = "the body is longer than what is taken here";
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", title, detail);
    }
    if chain(source).any(|cause| cause.is::<BodyTimeout>()) {
        let title = "The body did not come";
        let detail = "nothing more of the request's body came in time; send it without pauses";
        return Problem::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", title, detail);
    }
    Problem::bad_request("incomplete-body", "the body ended before its end")
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
