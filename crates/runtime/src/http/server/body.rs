//! Bodies with a watch on them: requests that must keep coming, responses that must be taken.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::{Request, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::activity::{Activity, InFlight};
use super::linger::Leftover;

/// A request's body did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("the body did not come in time")]
pub struct BodyTimeout;

/// A request's body. Time counts only while somebody waits for it: a handler that takes its time
/// is not the client's fault.
#[derive(Debug)]
pub(super) struct Receiving {
    /// `None` only while it is dropped.
    inner: Option<Incoming>,
    /// Where what nobody asks for is left.
    rest: Option<Rest>,
    timer: Pin<Box<Sleep>>,
    /// How long may still be waited, and never more than `patience`.
    left: Duration,
    patience: Duration,
    rate_min: u32,
    waiting_since: Option<Instant>,
    late: Late,
}

/// What becomes of a body that is dropped before its end.
#[derive(Debug)]
pub(super) struct Rest {
    leftover: Arc<Leftover>,
    activity: Arc<Activity>,
    /// The client sends without being asked to (no `Expect: 100-continue`).
    unasked: bool,
}

impl Rest {
    /// `None` with HTTP/2.
    pub(super) fn of(
        request: &Request<Incoming>,
        leftover: &Arc<Leftover>,
        activity: &Arc<Activity>,
    ) -> Option<Self> {
        if request.version() == Version::HTTP_2 {
            return None;
        }
        let (leftover, activity) = (Arc::clone(leftover), Arc::clone(activity));
        let unasked = !request.headers().contains_key(header::EXPECT);
        Some(Self { leftover, activity, unasked })
    }
}

/// Whether a body came too late; shared with whoever answers the request.
#[derive(Debug, Clone, Default)]
pub(super) struct Late(Arc<AtomicBool>);

impl Late {
    pub(super) fn is_so(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Receiving {
    /// `rate_min` bytes win back one second of `patience`; with 0 any byte wins back all of it.
    pub(super) fn watch(
        inner: Incoming,
        patience: Duration,
        rate_min: u32,
        late: Late,
        rest: Option<Rest>,
    ) -> Body {
        if inner.is_end_stream() {
            return Body::empty();
        }
        let timer = Box::pin(tokio::time::sleep(patience));
        let (left, waiting_since) = (patience, None);
        let inner = Some(inner);
        Body::new(Self { inner, rest, timer, left, patience, rate_min, waiting_since, late })
    }

    fn got(&mut self, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let won = match self.rate_min {
            0 => self.patience,
            rate => Duration::from_secs_f64(f64::from(bytes) / f64::from(rate)),
        };
        self.left = self.left.saturating_add(won).min(self.patience);
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.waiting_since.is_none() {
            let now = Instant::now();
            self.waiting_since = Some(now);
            self.timer.as_mut().reset(now + self.left);
        }
        self.timer.as_mut().poll(cx).is_ready()
    }
}

impl http_body::Body for Receiving {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(cx);
        if let Some(rest) = &mut self.rest {
            rest.unasked = true;
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.got(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.rest = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.rest = None;
                Poll::Ready(None)
            }
            // Who is slow is not waited for once more.
            Poll::Pending if self.poll_late(cx) => {
                self.rest = None;
                self.late.0.store(true, Ordering::Release);
                Poll::Ready(Some(Err(BodyTimeout.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let unread = self.inner.take().filter(|inner| !inner.is_end_stream());
        if let (Some(inner), Some(rest)) = (unread, self.rest.take().filter(|rest| rest.unasked)) {
            rest.leftover.leave(inner, rest.activity.begin());
        }
    }
}

/// A response's body. The request is in flight until it is dropped.
#[derive(Debug)]
pub(super) struct Sending {
    inner: Body,
    in_flight: InFlight,
}

impl Sending {
    pub(super) fn new(inner: Body, in_flight: InFlight) -> Self {
        Self { inner, in_flight }
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.in_flight.asked();
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.in_flight.gave();
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
