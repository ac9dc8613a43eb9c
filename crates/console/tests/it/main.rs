//! The console as a browser sees it: real sockets, thirty synthetic days, and Chromium where there is one.

#![expect(clippy::unwrap_used, reason = "what a test stands on is there")]

mod access;
mod browser;
mod client;
mod document;
mod escaping;
mod fixture;
mod live;
mod pages;
mod policy;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use console::Config;
use runtime::clock::Manual;
use runtime::http::server::{self, Limits};

use fixture::Scene;

/// 2026-11-20 10:00 UTC.
pub(crate) const NOW_US: i64 = 1_795_168_800_000_000;

/// A console that is served.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) scene: Scene,
}

impl Served {
    pub(crate) async fn with(config: &Config, token: Option<&str>, others: Router) -> Self {
        let clock = Arc::new(Manual::at(NOW_US));
        let scene = Scene::new(clock, 30, config, token);
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = scene.console.beside(others);
        server::serve(listener, None, router, Limits::internal(), scene.tasks.clone(), "console");
        Self { address, scene }
    }

    pub(crate) async fn open() -> Self {
        Self::with(&Config::default(), None, Router::new()).await
    }

    pub(crate) async fn get(&self, path: &str) -> client::Answer {
        client::ask(self.address, "GET", path, &[], "").await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.scene.tasks.shutdown().begin();
    }
}
