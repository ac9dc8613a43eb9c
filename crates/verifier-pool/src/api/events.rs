//! `GET /v1/verifications/{id}/events`: server-sent events while a verification is on its way.
//!
//! The store says where a verification stands, the hub only that it is time to ask. So a subscriber
//! that comes late, misses something, or follows a run of another process sees the same end.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::{HeaderValue, header};
use runtime::http::{Auth, Path, Problem};
use serde::Serialize;
use serde_json::json;
use store::domain::{State as Stand, Verification};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use types::{Role, Tenant};
use utoipa::ToSchema;

use super::document::VerificationDocument;
use super::known_id;
use super::respond::{Common, OfOne};
use crate::error::PoolError;
use crate::hub::{Handle, Told};
use crate::places::Place;
use crate::pool::Pool;

/// How often the store is asked though nobody told of a change.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A comment this often keeps proxies from closing a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// One event of the stream.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "documents the stream; it is written event by event")]
pub(super) struct StreamEvent {
    #[schema(pattern = "^(state|phase|event|lagged|done|failed)$")]
    event: String,
    /// A JSON object.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// Follow a verification.
///
/// Server-sent events, each with a JSON object as data:
/// `state` (`state`, `attempts`) first and on every change; `phase` (`phase`) for each part of the
/// run; `event` for what the kernel monitor saw, not every event of it; `lagged` (`missed`) when the
/// subscriber was too slow for some of them; and at last `done` with the verification, or `failed`
/// with the verification and its `failure`. For one that has ended the end comes at once.
#[utoipa::path(
    get,
    path = "/v1/verifications/{id}/events",
    tag = "verifications",
    params(("id" = String, Path, format = "uuid", description = "Id of the verification")),
    responses(
        (status = 200, description = "The stream; the schema is of one event in it",
            body = StreamEvent, content_type = "text/event-stream"),
        (status = 429, description = "The tenant has its share of open event streams",
            body = runtime::http::ProblemDocument, content_type = "application/problem+json"),
        OfOne,
        Common,
    ),
)]
pub(super) async fn events(
    State(pool): State<Arc<Pool>>,
    auth: Auth,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let tenant = auth.need(Role::Reader)?.tenant.clone();
    let id = known_id(&id)?;
    let follower = Follower::begin(pool, tenant, id).await?;
    let stream = stream::unfold(follower, async |mut follower| {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("still here");
    let mut response = Sse::new(stream).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// One subscriber.
struct Follower {
    pool: Arc<Pool>,
    tenant: Tenant,
    id: String,
    receiver: Receiver<Told>,
    pending: VecDeque<Event>,
    /// What was last told of the row.
    stand: Option<(Stand, u32)>,
    over: bool,
    _handle: Handle,
    _place: Place,
    _counted: Counted,
}

impl Follower {
    async fn begin(pool: Arc<Pool>, tenant: Tenant, id: String) -> Result<Self, PoolError> {
        // Nobody is given a stream for what is not theirs; and from here on nothing is missed.
        pool.verification(&tenant, &id).await?;
        let place = pool.subscribers.take(&tenant)?;
        let handle = pool.hub.handle(&id);
        let (receiver, phase) = handle.subscribe();
        let counted = Counted::new(&pool);
        let mut follower = Self {
            pool,
            tenant,
            id,
            receiver,
            pending: VecDeque::new(),
            stand: None,
            over: false,
            _handle: handle,
            _place: place,
            _counted: counted,
        };
        follower.look().await?;
        if let Some(phase) = phase.filter(|_| !follower.over) {
            follower.push("phase", &json!({ "phase": phase }));
        }
        Ok(follower)
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            self.wait().await;
        }
    }

    /// Waits for news.
    async fn wait(&mut self) {
        let shutdown = self.pool.parts.tasks.shutdown().clone();
        let told = tokio::select! {
            () = shutdown.wait_begun() => {
                self.over = true;
                return;
            }
            told = self.receiver.recv() => Some(told),
            () = tokio::time::sleep(LOOK_EVERY) => None,
        };
        match told {
            Some(Ok(Told::Phase(phase))) => self.push("phase", &json!({ "phase": phase })),
            Some(Ok(Told::Event(event))) => self.push("event", &*event),
            Some(Err(RecvError::Lagged(missed))) => {
                self.pool.meters.missed.inc_by(missed);
                self.push("lagged", &json!({ "missed": missed }));
                self.look_or_wait().await;
            }
            // The hold on the feed keeps it open, so it is not closed while this listens.
            Some(Ok(Told::State) | Err(RecvError::Closed)) | None => self.look_or_wait().await,
        }
    }

    async fn look_or_wait(&mut self) {
        match self.look().await {
            Ok(()) => {}
            Err(PoolError::NotFound) => {
                self.push("failed", &json!({ "failure": "the verification was deleted" }));
                self.over = true;
            }
            // It will be asked again; the subscriber hears of the next change then.
            Err(error) => tracing::debug!(%error, "a subscriber could not be told the state"),
        }
    }

    /// Asks the store where the verification stands and tells it if that is new.
    async fn look(&mut self) -> Result<(), PoolError> {
        let verification = self.pool.verification(&self.tenant, &self.id).await?;
        let stand = (verification.state, verification.attempts);
        if self.stand != Some(stand) {
            self.stand = Some(stand);
            self.tell(verification);
        }
        Ok(())
    }

    fn tell(&mut self, verification: Verification) {
        let state = verification.state;
        let data = json!({ "state": state.as_str(), "attempts": verification.attempts });
        self.push("state", &data);
        if matches!(state, Stand::Done | Stand::Failed) {
            self.push(state.as_str(), &VerificationDocument::from(verification));
            self.over = true;
        }
    }

    fn push(&mut self, name: &str, data: &impl Serialize) {
        match Event::default().event(name).json_data(data) {
            Ok(event) => self.pending.push_back(event),
            Err(error) => tracing::warn!(%error, "an event could not be written"),
        }
    }
}

/// Counts a subscriber while it is there.
struct Counted(Arc<Pool>);

impl Counted {
    fn new(pool: &Arc<Pool>) -> Self {
        pool.meters.subscribers.inc();
        Self(Arc::clone(pool))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.meters.subscribers.dec();
    }
}
