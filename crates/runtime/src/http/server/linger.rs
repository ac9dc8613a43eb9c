//! What a client still sends of a request that was answered before its end is taken and thrown away
//! for a while.
//!
//! Closing on bytes that nobody read makes the kernel send a reset, and a client that is still
//! writing then loses the answer that tells it why to stop (RFC 9112 §9.6). HTTP/2 ends one stream
//! without ending the others and needs none of this.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::Notify;

use super::activity::InFlight;

/// How long is lingered, and how long a pause may be; then the connection is closed.
const LINGER_MAX: Duration = Duration::from_secs(30);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Where the rest of a body is left, one per connection.
#[derive(Debug, Default)]
pub(super) struct Leftover {
    rest: Mutex<Option<Rest>>,
    left: Notify,
}

/// The connection counts as busy while it is taken.
#[derive(Debug)]
struct Rest {
    body: Incoming,
    _in_flight: InFlight,
}

impl Leftover {
    pub(super) fn leave(&self, body: Incoming, in_flight: InFlight) {
        let rest = Rest { body, _in_flight: in_flight };
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
        self.left.notify_one();
    }

    /// Takes what is left, again and again.
    pub(super) async fn take_all(&self) -> Infallible {
        loop {
            self.left.notified().await;
            let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(mut rest) = rest {
                let taking = async {
                    while let Ok(Some(Ok(_))) =
                        tokio::time::timeout(PAUSE_MAX, rest.body.frame()).await
                    {
                    }
                };
                // Dropping the body closes the connection.
                let _ = tokio::time::timeout(LINGER_MAX, taking).await;
            }
        }
    }
}
