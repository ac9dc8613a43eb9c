//! What a caller is told when its request goes no further. The only place where a phase's findings
//! become responses.

use http::{HeaderValue, StatusCode, header};
use runtime::http::Problem;
use types::Tenant;

use crate::paths::Ambiguous;

/// RFC 9470 §3. Never a redirect: a script that fetches in the background cannot follow one to a
/// page where somebody signs in.
const STEP_UP: &str = "Bearer realm=\"shieldx\", error=\"insufficient_user_authentication\", \
                       error_description=\"sign in again with a stronger method\"";

pub(crate) fn bad_host() -> Problem {
    let detail = "the Host header is a name or an address, and a port where it is not 80";
    Problem::bad_request("malformed-request", detail)
}

pub(crate) fn ambiguous_path(why: Ambiguous) -> Problem {
    Problem::bad_request("ambiguous-path", why.to_string())
}

pub(crate) fn no_route() -> Problem {
    Problem::not_found("no route has this host and path; see /openapi.json")
}

/// The key is good, but the application is another tenant's.
pub(crate) fn other_tenant(tenant: &Tenant) -> Problem {
    let title = "The caller may not do this";
    let detail = format!("the application does not let in keys of the tenant {tenant}");
    Problem::new(StatusCode::FORBIDDEN, "forbidden", title, detail)
}

pub(crate) fn no_risk(cause: impl std::fmt::Display) -> Problem {
    Problem::unavailable("the session's risk cannot be told now; try again", cause)
}

pub(crate) fn no_decision(cause: impl std::fmt::Display) -> Problem {
    Problem::unavailable("the request cannot be decided on now; try again", cause)
}

pub(crate) fn step_up(reason: &str) -> Problem {
    let title = "The caller has to sign in again";
    let challenge = HeaderValue::from_static(STEP_UP);
    Problem::new(StatusCode::UNAUTHORIZED, "step-up", title, reason)
        .header(header::WWW_AUTHENTICATE, challenge)
}

/// `None`: the reason is not told, as what would help the caller is what the refusal is about.
pub(crate) fn blocked(reason: Option<&str>) -> Problem {
    let title = "The request is refused";
    let detail = reason.unwrap_or("the policy does not allow this request");
    Problem::new(StatusCode::FORBIDDEN, "blocked", title, detail)
}
