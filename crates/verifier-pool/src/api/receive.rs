//! Reads a submission's body: the artifact streams into the store and is hashed on the way, only its
//! first bytes are kept here. Whatever goes wrong, the upload is dropped and nothing of it stays.

mod form;

use std::time::Duration;

use axum::extract::Request;
use futures_util::StreamExt as _;
use http::{HeaderMap, header};
use store::artifacts::Upload;
use types::Tenant;

use crate::error::PoolError;
use crate::identify::{self, HEAD_BYTES, Identified};
use crate::order::Parameters;
use crate::pool::Pool;

/// A whole artifact, not yet in its place.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) upload: Upload,
    head: Vec<u8>,
    pub(super) parameters: Parameters,
}

impl Received {
    /// What was received.
    pub(super) fn identify(&self) -> Result<Identified, PoolError> {
        let Self { upload, head, parameters } = self;
        let (name, wanted) = (parameters.file_name(), parameters.interpreter());
        identify::identify(head, upload.size_bytes(), name, wanted)
            .map_err(|source| PoolError::NotExecutable { source })
    }
}

/// An artifact on its way.
#[derive(Debug)]
struct Sink {
    upload: Upload,
    head: Vec<u8>,
    limit_bytes: u64,
}

impl Sink {
    async fn begin(pool: &Pool, tenant: &Tenant) -> Result<Self, PoolError> {
        let upload = pool.parts.artifacts.begin(tenant).await?;
        Ok(Self { upload, head: Vec::new(), limit_bytes: pool.config.artifact_max_bytes })
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), PoolError> {
        let size = self.upload.size_bytes().saturating_add(bytes.len() as u64);
        if size > self.limit_bytes {
            return Err(PoolError::TooLarge { limit_bytes: self.limit_bytes });
        }
        let wanted = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
        Ok(self.upload.write(bytes).await?)
    }
}

/// Receives a body of any type. `parameters` are those of the query.
pub(super) async fn receive(
    pool: &Pool,
    tenant: &Tenant,
    parameters: Parameters,
    request: Request,
) -> Result<Received, PoolError> {
    if is_form(request.headers()) {
        return form::receive(pool, tenant, parameters, request).await;
    }
    let limit_bytes = pool.config.artifact_max_bytes;
    let declared = declared_bytes(request.headers());
    if declared.is_some_and(|bytes| bytes > limit_bytes) {
        return Err(PoolError::TooLarge { limit_bytes });
    }
    let mut sink = Sink::begin(pool, tenant).await?;
    let idle_ms = pool.config.upload_idle_ms;
    let mut body = request.into_body().into_data_stream();
    while let Some(bytes) = tokio::time::timeout(Duration::from_millis(idle_ms), body.next())
        .await
        .map_err(|_| PoolError::Idle { idle_ms })?
    {
        let received_bytes = sink.upload.size_bytes();
        let broke =
            |error: axum::Error| PoolError::Truncated { received_bytes, reason: error.to_string() };
        sink.take(&bytes.map_err(broke)?).await?;
    }
    let received_bytes = sink.upload.size_bytes();
    if let Some(declared) = declared.filter(|declared| *declared != received_bytes) {
        let reason = format!("{declared} were announced");
        return Err(PoolError::Truncated { received_bytes, reason });
    }
    Ok(Received { upload: sink.upload, head: sink.head, parameters })
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let kind = kind.and_then(|kind| kind.split(|byte| *byte == b';').next());
    kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"multipart/form-data"))
}

fn declared_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
