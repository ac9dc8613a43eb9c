//! `multipart/form-data` (RFC 7578): the artifact in the part `artifact`, parameters in parts of
//! their own, in any order.
//!
//! The parser buffers until it finds the end of what it looks for (a boundary, a part's headers), so
//! it is fed one chunk at a time and not more than [`UNREAD_MAX_BYTES`] before it finds something.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest as _, Multipart, Request};
use futures_util::{StreamExt as _, stream};
use http::header;
use types::Tenant;

use super::{Received, Sink, declared_bytes};
use crate::error::PoolError;
use crate::order::{self, ARGUMENT_MAX_BYTES, Parameters};
use crate::pool::Pool;

/// What a form may have besides the artifact: the longest parameters fit in thrice.
const FORM_MAX_BYTES: u64 = 1024 * 1024;
/// What the parser may take in without finding anything. A connection's read buffer is smaller.
const UNREAD_MAX_BYTES: u64 = 2 * 1024 * 1024;

const ARTIFACT: &str = "artifact";

/// Receives a form.
pub(super) async fn receive(
    pool: &Pool,
    tenant: &Tenant,
    mut parameters: Parameters,
    request: Request,
) -> Result<Received, PoolError> {
    let limit_bytes = pool.config.artifact_max_bytes;
    let whole_max_bytes = limit_bytes.saturating_add(FORM_MAX_BYTES);
    if declared_bytes(request.headers()).is_some_and(|bytes| bytes > whole_max_bytes) {
        return Err(PoolError::TooLarge { limit_bytes });
    }
    let watch = Arc::new(Watch::default());
    let idle_ms = pool.config.upload_idle_ms;
    let source = |body: Body| Source {
        body: body.into_data_stream(),
        watch: Arc::clone(&watch),
        idle_ms,
        taken_bytes: 0,
        whole_max_bytes,
        limit_bytes,
    };
    let request = request.map(|body| Body::from_stream(paced(source(body))));
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|rejection| PoolError::Form { reason: rejection.body_text() })?;
    let mut sink = None;
    let mut part_name = None;
    while let Some(mut part) = watch.found(form.next_field().await)? {
        match part.name() {
            Some(ARTIFACT) if sink.is_some() => {
                return Err(malformed("there are two parts `artifact`"));
            }
            Some(ARTIFACT) => {
                part_name = own_name(&part)?;
                let mut upload = Sink::begin(pool, tenant).await?;
                while let Some(bytes) = watch.found(part.chunk().await)? {
                    upload.take(&bytes).await?;
                }
                sink = Some(upload);
            }
            Some(name) => {
                let known = order::known(name).ok_or_else(|| malformed(order::unknown(name)))?;
                let value = value(&watch, &mut part).await?;
                parameters.set(known, value)?;
            }
            None => return Err(malformed("a part has no name")),
        }
    }
    let Some(sink) = sink else { return Err(malformed("there is no part `artifact`")) };
    if let Some(name) = part_name.filter(|name| !name.is_empty()) {
        parameters.suggest_file_name(name)?;
    }
    Ok(Received { upload: sink.upload, head: sink.head, parameters })
}

fn malformed(reason: impl Into<String>) -> PoolError {
    PoolError::Form { reason: reason.into() }
}

/// The file name in the part's own header. The parser passes over one that is no UTF-8.
fn own_name(part: &Field<'_>) -> Result<Option<String>, PoolError> {
    let header = part.headers().get(header::CONTENT_DISPOSITION);
    if header.is_some_and(|value| std::str::from_utf8(value.as_bytes()).is_err()) {
        let reason = "it is not UTF-8, and only UTF-8 can be told apart here".to_owned();
        return Err(PoolError::Parameter { name: "file_name", reason });
    }
    Ok(part.file_name().map(str::to_owned))
}

/// The value of a parameter; one byte more than allowed is enough to see that it is too long.
async fn value(watch: &Watch, part: &mut Field<'_>) -> Result<Vec<u8>, PoolError> {
    let mut value = Vec::new();
    while let Some(bytes) = watch.found(part.chunk().await)? {
        value.extend_from_slice(&bytes);
        if value.len() > ARGUMENT_MAX_BYTES {
            return Err(malformed(format!(
                "a part other than `artifact` is longer than {ARGUMENT_MAX_BYTES} bytes"
            )));
        }
    }
    Ok(value)
}

/// Between the body and the parser, and around it.
#[derive(Debug, Default)]
struct Watch {
    /// Bytes that the parser took since it last found something.
    unread_bytes: AtomicU64,
    /// Why the body ended early; the parser passes errors on as text only.
    trouble: Mutex<Option<PoolError>>,
}

impl Watch {
    /// Notes that the parser found something, or tells why it did not.
    fn found<T>(&self, result: Result<T, MultipartError>) -> Result<T, PoolError> {
        self.unread_bytes.store(0, Ordering::Relaxed);
        result.map_err(|error| {
            let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
            trouble.unwrap_or_else(|| malformed(error.body_text()))
        })
    }
}

struct Source {
    body: BodyDataStream,
    watch: Arc<Watch>,
    idle_ms: u64,
    taken_bytes: u64,
    whole_max_bytes: u64,
    limit_bytes: u64,
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, PoolError> {
        // The parser takes as long as there is something ready; this lets it look at what it has.
        tokio::task::yield_now().await;
        let idle_ms = self.idle_ms;
        let next = tokio::time::timeout(Duration::from_millis(idle_ms), self.body.next()).await;
        let received_bytes = self.taken_bytes;
        let bytes = match next.map_err(|_| PoolError::Idle { idle_ms })? {
            None => return Ok(None),
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => {
                return Err(PoolError::Truncated { received_bytes, reason: error.to_string() });
            }
        };
        let more = bytes.len() as u64;
        self.taken_bytes = self.taken_bytes.saturating_add(more);
        if self.taken_bytes > self.whole_max_bytes {
            return Err(PoolError::TooLarge { limit_bytes: self.limit_bytes });
        }
        if self.watch.unread_bytes.fetch_add(more, Ordering::Relaxed) > UNREAD_MAX_BYTES {
            return Err(malformed("a boundary or the headers of a part do not end"));
        }
        Ok(Some(bytes))
    }
}

fn paced(source: Source) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    stream::unfold(Some(source), async |source| {
        let mut source = source?;
        match source.next().await {
            Ok(bytes) => bytes.map(|bytes| (Ok(bytes), Some(source))),
            Err(error) => {
                let text = std::io::Error::other(error.to_string());
                let mut trouble =
                    source.watch.trouble.lock().unwrap_or_else(PoisonError::into_inner);
                *trouble = Some(error);
                Some((Err(text), None))
            }
        }
    })
}
