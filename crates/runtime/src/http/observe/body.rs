//! Bodies that are counted as they stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use prometheus_client::metrics::gauge::Gauge;

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

/// Bytes of a request's body that were read so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken(Arc<AtomicU64>);

impl Taken {
    /// The body, counted; one that is empty is left as it is.
    pub(super) fn count(&self, body: Body) -> Body {
        if body.is_end_stream() {
            body
        } else {
            Body::new(Counted { inner: body, taken: self.clone() })
        }
    }

    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn bytes(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a body of 8 petabytes may be off by one")]
        let bytes = self.0.load(Ordering::Relaxed) as f64;
        bytes
    }
}

#[derive(Debug)]
struct Counted {
    inner: Body,
    taken: Taken,
}

/// A response's body; the request is active until it has ended or is given up, and then both bodies'
/// sizes are known.
#[derive(Debug)]
pub(super) struct Observed {
    inner: Body,
    taken: Taken,
    request: Taken,
    sizes: Sizes,
    _active: Active,
}

impl Observed {
    pub(super) fn body(inner: Body, request: Taken, sizes: Sizes, active: Active) -> Body {
        Body::new(Self { inner, taken: Taken::default(), request, sizes, _active: active })
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.sizes.request.observe_in(self.request.bytes(), None);
        self.sizes.response.observe_in(self.taken.bytes(), None);
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

fn counted(polled: &Polled, taken: &Taken) {
    if let Poll::Ready(Some(Ok(frame))) = polled
        && let Some(data) = frame.data_ref()
    {
        taken.add(u64::try_from(data.len()).unwrap_or(0));
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        counted(&polled, &self.taken);
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
        counted(&polled, &self.taken);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
