//! What one connection is doing, and until when it may go on doing it.
//!
//! hyper has a timer for HTTP/1 headers, which also runs while a connection rests, and none for
//! HTTP/2, for the first bytes of a connection, or for a client that takes nothing. Here one
//! record per connection answers all of them, and one timer per connection asks it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::Limits;
use super::places::Place;

/// How an HTTP/2 connection with prior knowledge begins.
const H2_PREFACE_START: &[u8] = b"PRI ";

/// Why a connection is ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// A header did not come to its end.
    SlowHeader,
    /// Nobody asked anything.
    Idle,
    /// The client takes none of its responses.
    Stalled,
}

#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    /// Requests whose response has not ended.
    in_flight: AtomicUsize,
    /// Of these, responses of which the client has yet to take what it was given.
    stalled: AtomicUsize,
    /// Microseconds after `opened` when a header began, plus one; 0 between requests.
    header_since_us: AtomicU64,
    /// Microseconds after `opened` when a request ended or a response moved on.
    moved_us: AtomicU64,
    http2: AtomicBool,
    /// Told to make room for others.
    evicted: Notify,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            in_flight: AtomicUsize::new(0),
            stalled: AtomicUsize::new(0),
            header_since_us: AtomicU64::new(1),
            moved_us: AtomicU64::new(0),
            http2: AtomicBool::new(false),
            evicted: Notify::new(),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn is_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
    }

    /// A request's header is complete. It is in flight until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.header_since_us.store(0, Ordering::Relaxed);
        InFlight { activity: Arc::clone(self), given: false }
    }

    fn received(&self, bytes: &[u8]) {
        if self.header_since_us.load(Ordering::Relaxed) == 1 && bytes.starts_with(H2_PREFACE_START)
        {
            self.is_http2();
        }
        if self.in_flight.load(Ordering::Relaxed) == 0
            && self.header_since_us.load(Ordering::Relaxed) == 0
        {
            self.header_since_us.store(self.now_us().saturating_add(2), Ordering::Relaxed);
        }
    }

    /// When the connection is to end if nothing changes, and why. `None`: a request is worked on,
    /// ask again later.
    pub(super) fn due(&self, limits: &Limits) -> Option<(Instant, Overdue)> {
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let moved = self.opened + Duration::from_micros(self.moved_us.load(Ordering::Relaxed));
        if in_flight > 0 {
            let stalled = self.stalled.load(Ordering::Relaxed) >= in_flight;
            return stalled.then(|| (moved + limits.send_idle(), Overdue::Stalled));
        }
        let header_since_us = self.header_since_us.load(Ordering::Relaxed);
        if header_since_us > 0 && !self.http2.load(Ordering::Relaxed) {
            let since = self.opened + Duration::from_micros(header_since_us - 1);
            return Some((since + limits.header_read(), Overdue::SlowHeader));
        }
        Some((moved + limits.idle(), Overdue::Idle))
    }

    /// Microseconds without a request, or `None` while there is one.
    pub(super) fn idle_us(&self) -> Option<u64> {
        let idle = self.in_flight.load(Ordering::Relaxed) == 0;
        idle.then(|| self.now_us().saturating_sub(self.moved_us.load(Ordering::Relaxed)))
    }

    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    pub(super) async fn wait_evicted(&self) {
        self.evicted.notified().await;
    }
}

/// One request, until its response has ended.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Arc<Activity>,
    given: bool,
}

impl InFlight {
    /// A part of the response was handed over and waits for the client.
    pub(super) fn gave(&mut self) {
        if !self.given {
            self.given = true;
            self.activity.stalled.fetch_add(1, Ordering::Relaxed);
        }
        self.activity.moved_us.store(self.activity.now_us(), Ordering::Relaxed);
    }

    /// More is asked for: the client took what there was.
    pub(super) fn asked(&mut self) {
        if self.given {
            self.given = false;
            self.activity.stalled.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.asked();
        self.activity.moved_us.store(self.activity.now_us(), Ordering::Relaxed);
        self.activity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection's bytes, watched for when headers begin. It holds the connection's place: an
/// upgraded connection keeps counting.
#[derive(Debug)]
pub(super) struct Watched<T> {
    io: T,
    activity: Arc<Activity>,
    _place: Place,
}

impl<T> Watched<T> {
    pub(super) fn new(io: T, activity: Arc<Activity>, place: Place) -> Self {
        Self { io, activity, _place: place }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Some(new) = buffer.filled().get(before..)
            && !new.is_empty()
        {
            self.activity.received(new);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
