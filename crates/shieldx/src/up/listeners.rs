//! Every port, taken before anything else happens: a taken one is one clear line and no state.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use runtime::http::server::bind;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::place::{Endpoints, Outside};

/// The listeners of all services.
pub(super) struct Listeners {
    pub public: TcpListener,
    pub tls: Option<TcpListener>,
    pub ingress: TcpListener,
    pub gateway_data: TcpListener,
    pub gateway: TcpListener,
    pub contauth: TcpListener,
    pub verifier_pool: TcpListener,
    pub ml_service: TcpListener,
    pub console: TcpListener,
}

impl Listeners {
    pub(super) async fn bind(config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            public: take("ingress.public", config.ingress.public).await?,
            tls: match &config.ingress.tls {
                Some(tls) => Some(take("ingress.tls.address", tls.address).await?),
                None => None,
            },
            ingress: take("ingress.internal", config.ingress.internal).await?,
            gateway_data: take("gateway.address", config.gateway.address).await?,
            gateway: take("gateway.internal", config.gateway.internal).await?,
            contauth: take("contauth.address", config.contauth.address).await?,
            verifier_pool: take("verifier-pool.address", config.verifier_pool.address).await?,
            ml_service: take("ml-service.address", config.ml_service.address).await?,
            console: take("console.address", config.console.address).await?,
        })
    }

    /// Where a client on this machine reaches them.
    pub(super) fn endpoints(&self, outside: Outside) -> Endpoints {
        let internal = [
            ("ingress", &self.ingress),
            ("gateway", &self.gateway),
            ("contauth", &self.contauth),
            ("verifier-pool", &self.verifier_pool),
            ("ml-service", &self.ml_service),
            ("console", &self.console),
        ];
        Endpoints {
            server: url(&self.public),
            server_tls: self
                .tls
                .as_ref()
                .map(|listener| url(listener).replacen("http", "https", 1)),
            internal: internal.map(|(name, listener)| (name.to_owned(), url(listener))).into(),
            outside,
            pid: std::process::id(),
        }
    }
}

async fn take(setting: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    bind(address).await.map_err(|error| {
        Failure::of(Exit::Failed, &error)
            .hint(format!("the setting `{setting}` chooses the address"))
    })
}

/// The URL of a listener; one that listens everywhere is reached on loopback.
pub(super) fn url(listener: &TcpListener) -> String {
    let Ok(mut address) = listener.local_addr() else { return String::new() };
    if address.ip().is_unspecified() {
        let loopback =
            if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    format!("http://{address}")
}
