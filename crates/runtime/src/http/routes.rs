//! What every router answers besides its routes: unknown routes, other methods, panics and bodies
//! that are too large, each as a problem.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use http_body_util::{LengthLimitError, Limited};
use types::cause::panic_text;

use crate::http::Problem;

/// Answers an unknown route with 404, another method with 405 and `Allow`, and a panic with 500.
pub fn fallbacks(router: Router) -> Router {
    router.fallback(async || Problem::not_found("no route has this path; see /openapi.json")).layer(
        from_fn(async |request: Request<Body>, next: Next| {
            let handled = caught(next.run(request)).await;
            if is_plain_405(&handled) { method_not_allowed(&handled) } else { handled }
        }),
    )
}

/// A handler's response, or a problem in place of its panic.
pub async fn caught(handling: impl Future<Output = Response<Body>>) -> Response<Body> {
    AssertUnwindSafe(handling).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic_text(&*panic);
        Problem::internal(format!("a handler panicked: {text:?}")).into_response()
    })
}

fn is_plain_405(response: &Response<Body>) -> bool {
    response.status() == StatusCode::METHOD_NOT_ALLOWED
        && !response.headers().contains_key(header::CONTENT_TYPE)
}

fn method_not_allowed(response: &Response<Body>) -> Response<Body> {
    let allow = response.headers().get(header::ALLOW);
    let methods = allow.and_then(|value| value.to_str().ok()).unwrap_or("other methods");
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The route has other methods",
        format!("this route takes {methods}"),
    );
    match allow {
        Some(allow) => problem.header(header::ALLOW, allow.clone()),
        None => problem,
    }
    .into_response()
}

/// Answers a body of more than `max_bytes` with 413: at once where its length is said, else when it
/// has gone beyond. It takes the place of axum's own limit.
pub fn limit_body(router: Router, max_bytes: usize) -> Router {
    let layer = from_fn(move |request: Request<Body>, next: Next| {
        limited(request, max_bytes, |request| next.run(request))
    });
    router.layer(DefaultBodyLimit::disable()).layer(layer)
}

/// The same for one request of a service without axum's routes.
pub async fn limited<F>(
    request: Request<Body>,
    max_bytes: usize,
    handle: impl FnOnce(Request<Body>) -> F,
) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    let hint = http_body::Body::size_hint(request.body());
    if usize::try_from(hint.lower()).map_or(true, |bytes| bytes > max_bytes) {
        return too_large(max_bytes);
    }
    // A length that is known and within the limit is held to by hyper.
    if hint.exact().is_some() {
        return handle(request).await;
    }
    let beyond = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| {
        let inner = Limited::new(body, max_bytes);
        Body::new(Limit { inner, beyond: Arc::clone(&beyond) })
    });
    let response = handle(request).await;
    if beyond.load(Ordering::Acquire) { too_large(max_bytes) } else { response }
}

fn too_large(max_bytes: usize) -> Response<Body> {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too-large",
        "The body is too large",
        format!("at most {max_bytes} bytes are taken here"),
    )
    .into_response()
}

/// A body that says when it went beyond its limit: a handler sees only that it broke off.
#[derive(Debug)]
struct Limit {
    inner: Limited<Body>,
    beyond: Arc<AtomicBool>,
}

impl http_body::Body for Limit {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Err(error))) = &polled
            && error.is::<LengthLimitError>()
        {
            self.beyond.store(true, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
