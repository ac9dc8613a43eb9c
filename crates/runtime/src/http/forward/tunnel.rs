//! An upgraded connection: bytes both ways, not one of them before the upstream's 101
//! (CVE-2026-2833 was a proxy that did not wait).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::sync::OwnedSemaphorePermit;

use super::body::Moved;
use crate::shutdown::Shutdown;

/// Both ends of a tunnel, once hyper hands them over.
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) upstream: OnUpgrade,
    /// How long nothing may pass in either direction; zero for ever.
    pub(super) patience: Duration,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Tunnel {
    /// Copies until both ends are done, one breaks, nothing passes for too long or the process ends.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let Self { client, upstream, patience, permit } = self;
        let moved = Moved::now();
        let copying = async {
            let (client, upstream) =
                tokio::try_join!(client, upstream).map_err(io::Error::other)?;
            let mut client = Watched { io: TokioIo::new(client), moved: moved.clone() };
            let mut upstream = Watched { io: TokioIo::new(upstream), moved: moved.clone() };
            copy_bidirectional(&mut client, &mut upstream).await
        };
        tokio::select! {
            done = copying => match done {
                Ok((up, down)) => tracing::debug!(up, down, "a tunnel ended"),
                Err(error) => tracing::debug!(%error, "a tunnel broke"),
            },
            () = moved.stopped(patience), if !patience.is_zero() => {
                tracing::debug!("a tunnel was silent for too long");
            }
            () = shutdown.wait_begun() => {}
        }
        drop(permit);
    }
}

struct Watched {
    io: TokioIo<Upgraded>,
    moved: Moved,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        if polled.is_ready() {
            self.moved.touch();
        }
        polled
    }
}

impl AsyncWrite for Watched {
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
}
