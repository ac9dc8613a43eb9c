//! `GET /v1/verifications/{id}/report`: JSON as it was kept, or a page made of it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use runtime::http::{Auth, Path, Problem};
use sha2::{Digest as _, Sha256};
use types::Role;
use types::text::hex;

use super::known_id;
use super::respond::{Common, OfOne};
use crate::error::PoolError;
use crate::pool::Pool;

/// The page may show nothing but itself: no scripts, no requests, in no frame.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; sandbox";

/// The report of a verification that is done.
///
/// JSON (the same document as `shieldx run --report`), or one self-contained page when `Accept`
/// prefers `text/html`. A report never changes: `ETag` and `If-None-Match` save its transfer.
#[utoipa::path(
    get,
    path = "/v1/verifications/{id}/report",
    tag = "verifications",
    params(
        ("id" = String, Path, format = "uuid", description = "Id of the verification"),
        ("Accept" = Option<String>, Header, nullable = false, description = "`text/html` for a page"),
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "An `ETag` that is known"),
    ),
    responses(
        (status = 200, description = "The report", content(
            (serde_json::Value = "application/json"),
            (String = "text/html"),
        ), headers(("ETag" = String, description = "Names these bytes"))),
        (status = 304, description = "The caller has it already"),
        (status = 409, description = "There is no report yet, or will be none",
            body = runtime::http::ProblemDocument, content_type = "application/problem+json"),
        OfOne,
        Common,
    ),
)]
pub(super) async fn report(
    State(pool): State<Arc<Pool>>,
    auth: Auth,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = &auth.need(Role::Reader)?.tenant;
    let id = known_id(&id)?;
    let page = prefers_page(&headers);
    // Waited for before the report is read. It is never closed.
    let _turn = if page { pool.renders.acquire().await.ok() } else { None };
    let report = pool.report(tenant, &id).await?;
    let bytes = if page { render(&pool, report).await?.into_bytes() } else { report };
    let tag = format!("\"{}\"", hex(&Sha256::digest(&bytes)[..16]));
    let known =
        headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
    let known = known.any(|value| value == "*" || value.trim_start_matches("W/") == tag);
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(Body::from(bytes))
    };
    let kind = if page { "text/html; charset=utf-8" } else { "application/json" };
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    out.insert(header::VARY, HeaderValue::from_static("accept"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    out.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if page {
        out.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    }
    out.insert(header::ETAG, HeaderValue::try_from(tag).map_err(Problem::internal)?);
    Ok(response)
}

async fn render(pool: &Pool, report: Vec<u8>) -> Result<String, PoolError> {
    let judge = Arc::clone(&pool.parts.judge);
    let rendered = tokio::task::spawn_blocking(move || judge.html(&report)).await;
    let unshowable = |reason: String| PoolError::Unshowable { reason };
    rendered
        .map_err(|error| unshowable(error.to_string()))?
        .map_err(|error| unshowable(error.to_string()))
}

/// Whether `Accept` wants HTML more than JSON (RFC 9110, 12.5.1): the most specific range that
/// matches a type gives its weight, and JSON wins a tie.
fn prefers_page(headers: &HeaderMap) -> bool {
    let accept: Vec<_> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = accept.join(",");
    weight(&accept, "text", "html") > weight(&accept, "application", "json")
}

/// The weight of a type, in thousandths.
fn weight(accept: &str, kind: &str, subtype: &str) -> u32 {
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let (range_kind, range_subtype) = parts.next()?.split_once('/')?;
        let specific = match (range_kind, range_subtype) {
            ("*", "*") => 0,
            (k, "*") if k.eq_ignore_ascii_case(kind) => 1,
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => 2,
            _ => return None,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        Some((specific, quality.map_or(1_000, thousandths)))
    });
    ranges.max_by_key(|(specific, _)| *specific).map_or(0, |(_, weight)| weight)
}

/// `0.8` → 800; what is no weight counts as none.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, fraction.parse()) {
        ("1", _) => 1_000,
        ("0", Ok(fraction)) => fraction,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::prefers_page;

    #[test]
    fn browsers_get_a_page_and_programs_get_json() {
        let page = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            prefers_page(&headers)
        };
        assert!(page("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(page("text/html"));
        assert!(page("text/*, application/json;q=0.5"));
        assert!(page("application/json;q=0.2, text/html;q=0.21"));
        assert!(!page("*/*"));
        assert!(!page("application/json"));
        assert!(!page("text/html, application/json"));
        assert!(!page("text/html;q=0, */*"));
        assert!(!page("nonsense"));
        assert!(!prefers_page(&HeaderMap::new()));
    }
}
