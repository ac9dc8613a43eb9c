//! Bodies that are counted as they stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use super::figures::Sizes;

/// Counts a request as active until it is dropped, however that comes.
#[derive(Debug)]
pub(super) struct Active(Gauge);

impl Active {
    pub(super) fn enter(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What is known of a request's body so far: how many bytes were read of it, and how long its reader
/// had to wait for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    waited_us: AtomicU64,
}

impl Taken {
    /// The body, counted; one that is empty is left as it is.
    pub(super) fn count(&self, body: Body) -> Body {
        if body.is_end_stream() {
            body
        } else {
            Body::new(Counted { inner: body, taken: self.clone(), waits_since: None })
        }
    }

    /// How long the body was asked for when nothing had come: the client's time and not ours.
    pub(super) fn waited(&self) -> Duration {
        Duration::from_micros(self.0.waited_us.load(Ordering::Relaxed))
    }

    fn bytes(&self) -> f64 {
        approximate(self.0.bytes.load(Ordering::Relaxed))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a body of 8 petabytes may be off by one")]
fn approximate(bytes: u64) -> f64 {
    bytes as f64
}

#[derive(Debug)]
struct Counted {
    inner: Body,
    taken: Taken,
    /// It was asked for, and nothing has come yet.
    waits_since: Option<Instant>,
}

impl Counted {
    fn came(&mut self) {
        if let Some(since) = self.waits_since.take() {
            let waited_us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.taken.0.waited_us.fetch_add(waited_us, Ordering::Relaxed);
        }
    }
}

impl Drop for Counted {
    /// Nobody waits for it any more.
    fn drop(&mut self) {
        self.came();
    }
}

/// A response's body; the request is active until it has ended or is given up, and then both bodies'
/// sizes are known.
#[derive(Debug)]
pub(super) struct Observed {
    inner: Body,
    taken_bytes: u64,
    request: Taken,
    sizes: Sizes,
    _active: Active,
}

impl Observed {
    pub(super) fn body(inner: Body, request: Taken, sizes: Sizes, active: Active) -> Body {
        Body::new(Self { inner, taken_bytes: 0, request, sizes, _active: active })
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.sizes.request.observe_in(self.request.bytes(), None);
        self.sizes.response.observe_in(approximate(self.taken_bytes), None);
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

/// Bytes that just came.
fn came(polled: &Polled) -> u64 {
    match polled {
        Poll::Ready(Some(Ok(frame))) => {
            frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(0))
        }
        _ => 0,
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if polled.is_pending() {
            self.waits_since.get_or_insert_with(Instant::now);
        } else {
            self.came();
            self.taken.0.bytes.fetch_add(came(&polled), Ordering::Relaxed);
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

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.taken_bytes += came(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
