//! Whether the policy can be used, for `/readyz`.

use std::sync::Arc;

use async_trait::async_trait;
use runtime::http::ops::Dependency;
use types::decision::{DecisionInput, RequestFacts, RouteFacts};
use types::ports::Decider;

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
