//! Server-sent events: a browser is told that there is a new evaluation, and then looks again itself.
//! What it gets is the page it has, so there is one way in which anything is shown.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use runtime::http::Problem;
use tokio::sync::watch;

use crate::Shared;
use crate::counts::Refusal;

/// Browsers that are told at the same time.
const STREAMS_MAX: usize = 64;
/// Between signs of life.
const ALIVE: Duration = Duration::from_secs(15);
/// How long a browser waits before it asks again, milliseconds.
const RETRY: Duration = Duration::from_secs(5);

/// How many browsers are told.
#[derive(Debug, Default)]
pub(crate) struct Streams(AtomicUsize);

/// One of them, until it is dropped.
#[derive(Debug)]
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let more = |taken: usize| (taken < STREAMS_MAX).then_some(taken + 1);
        let taken = shared.streams.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok()?;
        shared.counts.streams.inc();
        Some(Self(Arc::clone(shared)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.0.fetch_sub(1, Ordering::AcqRel);
        self.0.counts.streams.dec();
    }
}

pub(crate) async fn events(State(shared): State<Arc<Shared>>) -> Response {
    let Some(place) = Place::take(&shared) else {
        shared.counts.refuse(Refusal::Streams);
        let detail = format!("{STREAMS_MAX} browsers are told already; reload the page instead");
        return Problem::unavailable(detail, "all event streams are taken").into_response();
    };
    let mut statuses = shared.ledger.statuses();
    // The first is at once: a browser that was cut off looks again.
    statuses.mark_changed();
    let told = stream::unfold((place, statuses), |(place, mut statuses)| async move {
        let event = next(&place.0, &mut statuses).await?;
        Some((Ok::<_, Infallible>(event), (place, statuses)))
    });
    Sse::new(told).keep_alive(KeepAlive::new().interval(ALIVE).text("alive")).into_response()
}

/// `None`: the process ends, or the ledger did.
async fn next(
    shared: &Shared,
    statuses: &mut watch::Receiver<Arc<Vec<slo::Status>>>,
) -> Option<Event> {
    tokio::select! {
        () = shared.tasks.shutdown().wait_begun() => None,
        changed = statuses.changed() => {
            changed.ok()?;
            let at_us = statuses.borrow_and_update().first().map(|status| status.at_us);
            let at_us = at_us.unwrap_or_else(|| shared.clock.now_us());
            Some(Event::default().event("evaluated").retry(RETRY).data(at_us.to_string()))
        }
    }
}
