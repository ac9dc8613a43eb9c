//! Bodies on their way: what is sent tells that the upstream still takes something, what is
//! received must not pause for ever.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

/// When something last moved. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Moved {
    start: Instant,
    last_us: Arc<AtomicU64>,
}

impl Moved {
    pub(super) fn now() -> Self {
        Self { start: Instant::now(), last_us: Arc::default() }
    }

    pub(super) fn touch(&self) {
        let us = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last_us.store(us, Ordering::Relaxed);
    }

    /// Completes when nothing moved for `patience`.
    pub(super) async fn stopped(&self, patience: Duration) {
        loop {
            let last = self.start + Duration::from_micros(self.last_us.load(Ordering::Relaxed));
            let until = last + patience;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Why the body of a request broke on its way here; hyper tells only that it did.
pub(super) type Broken = Arc<Mutex<Option<axum::Error>>>;

/// A request's body on its way to the upstream.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) inner: Body,
    pub(super) moved: Moved,
    pub(super) broken: Broken,
}

/// What broke a body must be an error of its own, not the cause, which is kept in [`Broken`].
#[derive(Debug, thiserror::Error)]
#[error("the request's body broke off")]
pub(super) struct BrokeOff;

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match polled {
            Poll::Ready(Some(Err(error))) => {
                *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Poll::Ready(Some(Err(BrokeOff)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.moved.touch();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.moved.touch();
                Poll::Ready(None)
            }
            // The client has nothing for us now: that is not the upstream's pause.
            Poll::Pending => {
                self.moved.touch();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response's body on its way to the client. The request counts as in flight until it is dropped.
#[derive(Debug)]
pub(super) struct Receiving {
    inner: Incoming,
    patience: Duration,
    timer: Pin<Box<Sleep>>,
    waiting: bool,
    _permit: OwnedSemaphorePermit,
}

/// The upstream's response stopped in the middle.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's response did not go on")]
struct Stopped;

impl Receiving {
    /// `patience` zero waits for ever.
    pub(super) fn body(inner: Incoming, patience: Duration, permit: OwnedSemaphorePermit) -> Body {
        if inner.is_end_stream() {
            return Body::new(inner);
        }
        let timer = Box::pin(tokio::time::sleep(patience));
        Body::new(Self { inner, patience, timer, waiting: false, _permit: permit })
    }
}

impl http_body::Body for Receiving {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(ready) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.waiting = false;
            return Poll::Ready(ready.map(|frame| frame.map_err(Into::into)));
        }
        if self.patience.is_zero() {
            return Poll::Pending;
        }
        if !self.waiting {
            self.waiting = true;
            let until = Instant::now() + self.patience;
            self.timer.as_mut().reset(until);
        }
        self.timer.as_mut().poll(cx).map(|()| Some(Err(Stopped.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
