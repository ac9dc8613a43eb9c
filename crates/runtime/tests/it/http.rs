//! HTTP with real sockets on the loopback device.

mod abuse;
mod forward;
mod http2;
mod observe;
mod scrape;
mod server;
mod smuggling;
mod support;
mod tls;
mod upgrade;
