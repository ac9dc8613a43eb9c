//! Credentials of a request. Every service asks for itself: no service believes a header that says
//! who the caller is.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use types::ports::{AuthError, Authenticator};
use types::{Caller, Role};

use crate::http::{Facts, Problem};

/// The other place for a key, for callers whose `Authorization` belongs to an application.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The API key of a request: `X-API-Key`, or `Authorization: Bearer sx_…`.
#[must_use]
pub fn key(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(API_KEY) {
        return value.to_str().ok();
    }
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whom the request's key stands for.
///
/// # Errors
/// 401 without a good key, 503 when keys cannot be checked.
pub async fn caller(headers: &HeaderMap, keys: &dyn Authenticator) -> Result<Caller, Problem> {
    let Some(key) = key(headers) else {
        return Err(unauthorized(
            "this needs an API key: send `Authorization: Bearer sx_…` or `X-API-Key: sx_…`",
        ));
    };
    keys.authenticate(key).await.map_err(|error| match error {
        AuthError::Unavailable { reason } => {
            Problem::unavailable("API keys cannot be checked now", reason)
        }
        AuthError::Unknown | AuthError::Expired { .. } | AuthError::Revoked => {
            unauthorized(&error.to_string())
        }
    })
}

fn unauthorized(detail: &str) -> Problem {
    let title = "The caller is not known";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", title, detail)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"shieldx\""))
}

/// Extracts the caller in an axum handler. The router carries an `Extension<Arc<dyn Authenticator>>`.
#[derive(Debug, Clone)]
pub struct Auth(pub Caller);

impl Auth {
    /// # Errors
    /// 403 when the caller's role is less than `role`.
    pub fn need(&self, role: Role) -> Result<&Caller, Problem> {
        if self.0.role >= role {
            return Ok(&self.0);
        }
        let (has, role) = (self.0.role.as_str(), role.as_str());
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "The caller may not do this",
            format!("this needs the role {role}, and the API key has {has}"),
        ))
    }
}

impl<S: Sync> FromRequestParts<S> for Auth {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let keys = parts
            .extensions
            .get::<Arc<dyn Authenticator>>()
            .cloned()
            .ok_or_else(|| Problem::internal("the router has no authenticator"))?;
        let caller = caller(&parts.headers, keys.as_ref()).await?;
        Facts::tell_tenant(&parts.extensions, &caller.tenant);
        Ok(Auth(caller))
    }
}
