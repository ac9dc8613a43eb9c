//! Whether the gateway can be reached, for `/readyz`.

use std::time::Duration;

use async_trait::async_trait;
use runtime::http::forward::Upstream;
use runtime::http::ops::Dependency;
use tokio::net::TcpStream;

/// A gateway next door answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// The ingress' one dependency: the gateway takes connections.
#[derive(Debug)]
pub struct GatewayReachable {
    gateway: Upstream,
}

impl GatewayReachable {
    #[must_use]
    pub fn new(gateway: Upstream) -> Self {
        Self { gateway }
    }
}

#[async_trait]
impl Dependency for GatewayReachable {
    fn name(&self) -> &'static str {
        "gateway"
    }

    async fn check(&self) -> Result<(), String> {
        let host = self.gateway.authority().host().trim_matches(['[', ']']);
        let connecting = TcpStream::connect((host, self.gateway.port()));
        match tokio::time::timeout(PATIENCE, connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("{} cannot be reached: {error}", self.gateway)),
            Err(_) => Err(format!("{} took no connection within a second", self.gateway)),
        }
    }
}
