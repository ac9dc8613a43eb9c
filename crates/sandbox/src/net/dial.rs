//! The only way out: a connection to an allowed host, resolved and made by the supervisor.
//!
//! Names are resolved here and nowhere else, and every address is checked before it is used, so a
//! name cannot lead to the host or its neighbours; only an entry of the list that is an address
//! itself may. Each attempt has a thread of its own, since resolving may take its time.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::allow::is_public;
use crate::sys;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts at once; they may outlive the connection that wanted them.
const ATTEMPTS_MAX: usize = 64;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// A finished attempt.
#[derive(Debug)]
pub(super) struct Dialed {
    /// Which connection asked for it.
    pub number: u64,
    pub result: io::Result<TcpStream>,
}

/// Makes connections and tells when they are there.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    pub results: Sender<Dialed>,
    /// Written to after each result.
    pub wake: Arc<OwnedFd>,
    /// Attempts that are going on.
    pub busy: Arc<AtomicUsize>,
}

impl Dialer {
    pub(super) fn dial(&self, number: u64, host: &str, port: u16) {
        if self.busy.fetch_add(1, Ordering::SeqCst) >= ATTEMPTS_MAX {
            let error = io::Error::new(io::ErrorKind::QuotaExceeded, "too many attempts at once");
            return self.tell(number, Err(error));
        }
        let (host, dialer) = (host.to_owned(), self.clone());
        let attempt = move || dialer.tell(number, connect(&host, port));
        let started = std::thread::Builder::new().name("sandbox-dial".to_owned()).spawn(attempt);
        if let Err(error) = started {
            self.tell(number, Err(error));
        }
    }

    fn tell(&self, number: u64, result: io::Result<TcpStream>) {
        use std::os::fd::AsFd as _;
        self.busy.fetch_sub(1, Ordering::SeqCst);
        // Nobody listens any more when the run is over.
        let _ = self.results.send(Dialed { number, result });
        let _ = sys::write_once(self.wake.as_fd(), &[1]);
    }
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses(host, port)? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nonblocking(true)?;
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Where a host of the list is: the address that it is, or what its name leads to. One address
/// that is not public makes the whole name refused.
fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let all: Vec<SocketAddr> = (host, port).to_socket_addrs()?.take(ADDRESSES_MAX).collect();
    check(all)
}

fn check(all: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    match all.iter().find(|address| !is_public(address.ip())) {
        None => Ok(all),
        Some(address) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "the name leads to {}, which is not public; allow the address itself",
                address.ip()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use super::{addresses, check};

    #[test]
    fn a_name_that_leads_home_is_refused_and_an_address_is_taken_at_its_word() {
        let error = addresses("localhost", 80).unwrap_err();
        assert!(error.to_string().contains("not public"), "{error}");
        assert_eq!(addresses("127.0.0.1", 80).unwrap(), ["127.0.0.1:80".parse().unwrap()]);
        let mixed = [[1, 1, 1, 1], [169, 254, 169, 254]];
        let mixed = mixed.map(|ip| SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), 80));
        assert!(check(mixed.to_vec()).is_err());
        assert_eq!(check(mixed[..1].to_vec()).unwrap(), mixed[..1]);
    }
}
