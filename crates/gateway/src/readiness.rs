//! Whether what the gateway needs can be used, for `/readyz`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime::http::forward::Upstream;
use runtime::http::ops::Dependency;
use tokio::net::TcpStream;
use types::decision::{DecisionInput, RequestFacts, RouteFacts};
use types::ports::Decider;

/// A service next door answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// The policy decides on a plain request; how does not matter.
#[derive(Debug)]
pub(crate) struct PolicyDecides {
    decider: Arc<dyn Decider>,
}

impl PolicyDecides {
    pub(crate) fn new(decider: Arc<dyn Decider>) -> Self {
        Self { decider }
    }
}

#[async_trait]
impl Dependency for PolicyDecides {
    fn name(&self) -> &'static str {
        "policy"
    }

    async fn check(&self) -> Result<(), String> {
        let request = RequestFacts {
            method: "GET".to_owned(),
            host: "readyz.invalid".to_owned(),
            path: "/".to_owned(),
            query: None,
            headers: [].into(),
            client_address: "127.0.0.1".to_owned(),
        };
        let route = RouteFacts { name: "readyz".to_owned(), kind: "api".to_owned(), decoy: false };
        let input = DecisionInput { request, caller: None, session: None, route };
        self.decider.decide(&input).map(|_| ()).map_err(|error| error.to_string())
    }
}

/// contauth takes connections.
#[derive(Debug)]
pub(crate) struct ContauthReachable {
    contauth: Upstream,
}

impl ContauthReachable {
    pub(crate) fn new(contauth: Upstream) -> Self {
        Self { contauth }
    }
}

#[async_trait]
impl Dependency for ContauthReachable {
    fn name(&self) -> &'static str {
        "contauth"
    }

    async fn check(&self) -> Result<(), String> {
        let host = self.contauth.authority().host().trim_matches(['[', ']']);
        let connecting = TcpStream::connect((host, self.contauth.port()));
        match tokio::time::timeout(PATIENCE, connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("{} cannot be reached: {error}", self.contauth)),
            Err(_) => Err(format!("{} took no connection within a second", self.contauth)),
        }
    }
}
