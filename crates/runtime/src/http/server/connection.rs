//! One connection, from its first byte to its last: hyper reads it, the timer of its activity, the
//! end of the process and the need of others end it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse as _;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use tower::{Service, ServiceExt as _};

use super::activity::{Activity, Overdue, Watched};
use super::body::{Late, Receiving, Rest, Sending};
use super::counters::{Counters, Ended};
use super::limits::Limits;
use super::linger::Leftover;
use super::places::Place;
use crate::http::{Peer, Problem};
use crate::tasks::Tasks;

/// How long an idle HTTP/2 connection has to take leave after GOAWAY.
const LEAVE: Duration = Duration::from_secs(1);
/// Bytes buffered for one HTTP/2 stream that the client does not take yet.
const H2_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Flow-control windows: what a client may send before a handler takes it.
const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// HTTP/2 peers that are gone without saying so are found by pings.
const H2_PING_EVERY: Duration = Duration::from_secs(30);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How a request came to this process, as a request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Plain,
    Tls,
}

/// What all connections of a listener share.
pub(super) struct Listener<S> {
    pub(super) service: S,
    pub(super) limits: Limits,
    pub(super) counters: Counters,
    pub(super) tasks: Tasks,
    pub(super) builder: Builder<Spawner>,
}

/// Runs the streams of HTTP/2 as tasks of the process.
#[derive(Debug, Clone)]
pub(super) struct Spawner(pub(super) Tasks);

impl<F> Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn("http2 stream", future);
    }
}

pub(super) fn builder(limits: &Limits, tasks: &Tasks) -> Builder<Spawner> {
    let mut builder = Builder::new(Spawner(tasks.clone()));
    let header_bytes = usize::try_from(limits.header_bytes()).unwrap_or(usize::MAX);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.headers_max_count)
        .max_buf_size(header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_concurrent_streams_max)
        .max_pending_accept_reset_streams(limits.h2_pending_resets_max)
        .max_local_error_reset_streams(limits.h2_local_resets_max)
        .max_header_list_size(limits.header_bytes())
        .max_send_buf_size(H2_SEND_BUFFER_BYTES)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(H2_PING_EVERY)
        .keep_alive_timeout(H2_PING_TIMEOUT);
    builder
}

impl<S> Listener<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    /// Serves one connection to its end.
    pub(super) async fn serve<T>(
        self: Arc<Self>,
        io: T,
        peer: Peer,
        transport: Transport,
        place: Place,
    ) where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::new());
        let _listed = place.list(&activity);
        let io = TokioIo::new(Watched::new(io, Arc::clone(&activity), place));
        let leftover = Arc::new(Leftover::default());
        let mut lingering = pin!(leftover.take_all());
        let service = service_fn(|request: Request<Incoming>| {
            let (listener, activity) = (Arc::clone(&self), Arc::clone(&activity));
            let rest = Rest::of(&request, &leftover, &activity);
            async move {
                let handling = listener.handle(request, rest, peer, transport, &activity);
                Ok::<_, Infallible>(handling.await)
            }
        });
        let mut connection = pin!(self.builder.serve_connection_with_upgrades(io, service));
        let mut timer = Timer::new(&self.limits);
        let shutdown = self.tasks.shutdown();
        let mut leaving = false;
        loop {
            tokio::select! {
                biased;
                done = connection.as_mut() => {
                    if let Err(error) = done {
                        self.broken(error.as_ref());
                    }
                    return;
                }
                never = lingering.as_mut() => match never {},
                () = shutdown.wait_begun(), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = activity.wait_evicted() => {
                    // A request may have come since.
                    if activity.idle_us().is_some() {
                        self.counters.count(Ended::Evicted);
                        return;
                    }
                }
                overdue = poll_fn(|cx| timer.poll(cx, &activity, &self.limits)) => {
                    if overdue == Overdue::Idle && leaving {
                        return;
                    }
                    self.counters.count(overdue.into());
                    if overdue != Overdue::Idle {
                        return;
                    }
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                    timer.leave();
                }
            }
        }
    }

    async fn handle(
        &self,
        request: Request<Incoming>,
        rest: Option<Rest>,
        peer: Peer,
        transport: Transport,
        activity: &Arc<Activity>,
    ) -> Response<Sending> {
        let in_flight = activity.begin();
        let http2 = request.version() == Version::HTTP_2;
        if http2 {
            activity.is_http2();
        }
        let late = Late::default();
        let (patience, rate) =
            (self.limits.body_idle(), self.limits.body_rate_min_bytes_per_second);
        let mut request =
            request.map(|body| Receiving::watch(body, patience, rate, late.clone(), rest));
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(transport);
        let Ok(mut response) = self.service.clone().oneshot(request).await;
        if late.is_so() {
            self.counters.count(Ended::SlowBody);
            response = too_slow();
        }
        if http2 {
            // It is for HTTP/1 alone, and nobody who answers needs to know which this is.
            response.headers_mut().remove(header::CONNECTION);
        }
        response.map(|body| Sending::new(body, in_flight))
    }

    fn broken(&self, error: &(dyn std::error::Error + Send + Sync + 'static)) {
        let protocol = error.downcast_ref::<hyper::Error>().is_some_and(|error| {
            error.is_parse() || error.is_parse_too_large() || h2_protocol(error)
        });
        if protocol {
            self.counters.count(Ended::Protocol);
        }
        tracing::debug!(%error, protocol, "a connection ended early");
    }
}

/// Whether we ended an HTTP/2 connection because the client broke the protocol or flooded it.
fn h2_protocol(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    source.is_some_and(|error: &h2::Error| error.is_go_away() && error.is_library())
}

/// The answer to a request whose body does not come. HTTP/1 cannot go on behind it.
fn too_slow() -> Response<Body> {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "body-timeout",
        "The body did not come",
        "nothing more of the request's body came in time; send it without pauses",
    )
    .header(header::CONNECTION, HeaderValue::from_static("close"))
    .into_response()
}

/// One timer per connection, moved only when it must ring earlier or has rung.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// When to look again while requests are worked on.
    again: Duration,
    leave_by: Option<Instant>,
}

impl Timer {
    fn new(limits: &Limits) -> Self {
        let again = limits.idle().min(limits.send_idle());
        let sleep = Box::pin(tokio::time::sleep(limits.header_read()));
        Self { sleep, again, leave_by: None }
    }

    /// The connection was told to end.
    fn leave(&mut self) {
        self.leave_by = Some(Instant::now() + LEAVE);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        activity: &Activity,
        limits: &Limits,
    ) -> Poll<Overdue> {
        loop {
            let due = activity.due(limits);
            let due = match (due, self.leave_by) {
                (Some((_, Overdue::Idle)), Some(by)) => Some((by, Overdue::Idle)),
                _ => due,
            };
            if let Some((at, _)) = due
                && at < self.sleep.deadline()
            {
                self.sleep.as_mut().reset(at);
            }
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            match due {
                Some((at, overdue)) if at <= now => return Poll::Ready(overdue),
                Some((at, _)) => self.sleep.as_mut().reset(at),
                None => self.sleep.as_mut().reset(now + self.again),
            }
        }
    }
}
