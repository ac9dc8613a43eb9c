//! The server every listener uses: HTTP/1.1 and HTTP/2, cleartext and TLS, with a bound on what
//! slow, silent and abusive clients can hold.
//!
//! It knows nothing of routes: a service is anything that turns a request into a response.

mod activity;
mod body;
mod connection;
mod counters;
mod limits;
mod linger;
mod places;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::Service;

pub use body::BodyTimeout;
pub use connection::Transport;
pub use counters::Counters;
pub use limits::Limits;
pub use places::group as address_group;

use connection::Listener;
use counters::Ended;
use places::{Place, Places};

use crate::http::Peer;
use crate::tasks::Tasks;

/// Connections the kernel keeps for us before they are accepted.
const BACKLOG: u32 = 1024;
/// Pauses after an error of `accept` that does not go away by itself (no file descriptors left).
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often idle connections are ended while there is no room.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(.cause))]
pub struct BindError {
    pub address: SocketAddr,
    cause: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port; stop it or choose another port".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "not allowed; ports below 1024 need privileges".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => error.to_string(),
    }
}

/// Takes an address. Port 0 takes a free one.
///
/// # Errors
/// When the address is taken, not allowed or not this machine's.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listen = || {
        let socket = match address.ip() {
            IpAddr::V4(_) => TcpSocket::new_v4(),
            IpAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // A port in TIME_WAIT after a restart is no port in use; two listeners at once still are.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|cause| BindError { address, cause })
}

/// Serves a listener until the process ends: then it accepts nothing more, connections finish
/// their requests, and the composition root's deadline ends the rest. Every connection is a task
/// called `name`, inside the span that is current here: call it outside of any.
pub fn serve<S>(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    service: S,
    limits: Limits,
    tasks: Tasks,
    name: &'static str,
) -> Counters
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let counters = Counters::default();
    let places = Places::new(&limits, counters.clone());
    let builder = connection::builder(&limits, &tasks);
    let shared = Arc::new(Listener {
        service,
        limits,
        counters: counters.clone(),
        tasks: tasks.clone(),
        builder,
    });
    let acceptor = tls.map(TlsAcceptor::from);
    tasks.clone().spawn(name, async move {
        let accepting = accept_all(&listener, &places, |stream, peer, place| {
            let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
            tasks.spawn(name, Box::pin(one(shared, stream, peer, acceptor, place)));
        });
        tokio::select! {
            () = accepting => {}
            () = tasks.shutdown().wait_begun() => {}
        }
    });
    counters
}

async fn accept_all(
    listener: &TcpListener,
    places: &Arc<Places>,
    start: impl Fn(TcpStream, SocketAddr, Place),
) {
    let mut pause = ACCEPT_PAUSE_MIN;
    loop {
        let permit = loop {
            if let Some(permit) = places.try_reserve() {
                break permit;
            }
            places.make_room();
            if let Ok(Some(permit)) = tokio::time::timeout(FULL_PAUSE, places.reserve()).await {
                break permit;
            }
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                pause = ACCEPT_PAUSE_MIN;
                if let Some(place) = places.enter(peer.ip(), permit) {
                    start(stream, peer, place);
                }
            }
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
            }
        }
    }
}

/// Errors that tell of the connection that was to be accepted (accept(2)), not of the listener.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
    )
}

async fn one<S>(
    shared: Arc<Listener<S>>,
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    place: Place,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    // A connection without this option is slower, not wrong.
    let _ = stream.set_nodelay(true);
    let peer = Peer(peer);
    let Some(acceptor) = acceptor else {
        return shared.serve(stream, peer, Transport::Plain, place).await;
    };
    let handshake = tokio::time::timeout(shared.limits.tls_handshake(), acceptor.accept(stream));
    let shutdown = shared.tasks.shutdown().clone();
    tokio::select! {
        done = handshake => match done {
            Ok(Ok(stream)) => shared.serve(stream, peer, Transport::Tls, place).await,
            Ok(Err(_)) | Err(_) => shared.counters.count(Ended::Handshake),
        },
        () = shutdown.wait_begun() => {}
    }
}
