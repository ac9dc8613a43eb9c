//! HTTP for services: the server with its limits, forwarding, problems, credentials, and the routes
//! every service has.

pub mod admission;
pub mod auth;
pub mod document;
pub mod edge;
pub mod extract;
pub mod facts;
pub mod forward;
pub mod note;
pub mod observe;
pub mod ops;
pub mod problem;
pub mod routes;
pub mod server;
pub mod tls;

pub use auth::Auth;
pub use extract::{Json, Path, Query};
pub use facts::Facts;
pub use observe::{HttpMetrics, observe};
pub use problem::{Problem, ProblemDocument};
pub use routes::{fallbacks, limit_body};

/// The address of the peer of a connection, as a request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub std::net::SocketAddr);
