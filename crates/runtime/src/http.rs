//! HTTP for services: the server with its limits, forwarding, problems, credentials, and the routes
//! every service has.

pub mod auth;
pub mod extract;
pub mod ops;
pub mod problem;
pub mod server;
pub mod tls;

pub use auth::Auth;
pub use extract::{Json, Path, Query};
pub use problem::{Problem, ProblemDocument};

/// The address of the peer of a connection, as a request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub std::net::SocketAddr);
