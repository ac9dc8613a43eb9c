//! `wasi:sockets`: connecting to a granted peer over TCP, and refusals of everything else.

use std::net::SocketAddr;

use types::{Endpoint, Kind, Text};
use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::{
    instance_network, ip_name_lookup, network, tcp, tcp_create_socket, udp, udp_create_socket,
};
use wasmtime_wasi::p2::{SocketError, SocketResult};
use wasmtime_wasi::sockets::WasiSocketsView as _;
use wasmtime_wasi_io::poll::DynPollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, Error};

use super::{Preview2, Stream, relay, relay_async};
use crate::errno::Ended as _;

/// QTYPE of an address (RFC 1035); the resolver asks for both kinds.
const QTYPE_A: u16 = 1;

type Network = Resource<network::Network>;
type Tcp = Resource<tcp::TcpSocket>;
type Udp = Resource<udp::UdpSocket>;
type Address = network::IpSocketAddress;
type Pollable = Result<Resource<DynPollable>>;

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::Inet { ip: address.ip(), port: address.port() }
}

fn denied<T>() -> SocketResult<T> {
    Err(network::ErrorCode::AccessDenied.into())
}

impl network::Host for Preview2 {
    fn convert_error_code(&mut self, error: SocketError) -> Result<network::ErrorCode> {
        // The engine's own conversion of what a call returned; not a call.
        network::Host::convert_error_code(&mut self.sockets(), error)
    }

    relay! { "wasi:sockets/network", network::Host, |me| &mut me.sockets();
        "network-error-code" fn network_error_code(error: Resource<Error>) -> Result<Option<network::ErrorCode>>;
    }
}

impl network::HostNetwork for Preview2 {
    relay! { "wasi:sockets/network", network::HostNetwork, |me| &mut me.sockets();
        "[resource-drop]network" fn drop(this: Network) -> Result<()>;
    }
}

impl instance_network::Host for Preview2 {
    relay! { "wasi:sockets/instance-network", instance_network::Host, |me| &mut me.sockets();
        "instance-network" fn instance_network() -> Result<Network>;
    }
}

impl ip_name_lookup::Host for Preview2 {
    fn resolve_addresses(
        &mut self,
        network: Network,
        name: String,
    ) -> SocketResult<Resource<ip_name_lookup::ResolveAddressStream>> {
        let question = Text::from(name.as_str());
        // Looking a name up sends it to others; only granted names may be.
        let result = if self.allowed.names.contains(&name.to_lowercase()) {
            ip_name_lookup::Host::resolve_addresses(&mut self.sockets(), network, name)
        } else {
            denied()
        };
        let kind = Kind::Dns { question, record: QTYPE_A, server: None };
        self.host.trace.met(kind, result.outcome());
        result
    }
}

impl ip_name_lookup::HostResolveAddressStream for Preview2 {
    relay! { "wasi:sockets/ip-name-lookup", ip_name_lookup::HostResolveAddressStream, |me| &mut me.sockets();
        "[method]resolve-address-stream.resolve-next-address" fn resolve_next_address(this: Resource<ip_name_lookup::ResolveAddressStream>) -> SocketResult<Option<network::IpAddress>>;
        "[method]resolve-address-stream.subscribe" fn subscribe(this: Resource<ip_name_lookup::ResolveAddressStream>) -> Pollable;
        "[resource-drop]resolve-address-stream" fn drop(this: Resource<ip_name_lookup::ResolveAddressStream>) -> Result<()>;
    }
}

impl tcp_create_socket::Host for Preview2 {
    fn create_tcp_socket(&mut self, family: network::IpAddressFamily) -> SocketResult<Tcp> {
        let result = match self.host.bounds.may_open() {
            Ok(()) => tcp_create_socket::Host::create_tcp_socket(&mut self.sockets(), family),
            Err(_) => Err(network::ErrorCode::NewSocketLimit.into()),
        };
        self.record("wasi:sockets/tcp-create-socket", "create-tcp-socket", None, result.outcome());
        if result.is_ok() {
            self.host.bounds.opened();
        }
        result
    }
}

impl tcp::Host for Preview2 {}

impl tcp::HostTcpSocket for Preview2 {
    async fn start_bind(
        &mut self,
        this: Tcp,
        network: Network,
        local: Address,
    ) -> SocketResult<()> {
        let address = SocketAddr::from(local);
        let result = if any(address) {
            tcp::HostTcpSocket::start_bind(&mut self.sockets(), this, network, local).await
        } else {
            denied()
        };
        self.host.trace.met(Kind::Bind { address: endpoint(address) }, result.outcome());
        result
    }

    fn start_connect(&mut self, this: Tcp, network: Network, remote: Address) -> SocketResult<()> {
        let (address, rep) = (SocketAddr::from(remote), this.rep());
        if !self.allowed.addresses.contains(&address) {
            let result = denied();
            self.host.trace.met(Kind::Connect { peer: endpoint(address) }, result.outcome());
            return result;
        }
        let result = tcp::HostTcpSocket::start_connect(&mut self.sockets(), this, network, remote);
        self.record(
            "wasi:sockets/tcp",
            "[method]tcp-socket.start-connect",
            Some(&address.to_string()),
            result.outcome(),
        );
        if result.is_ok() {
            self.peers.insert(rep, address);
        }
        result
    }

    fn finish_connect(
        &mut self,
        this: Tcp,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let peer = self.peers.get(&this.rep()).copied();
        let result = tcp::HostTcpSocket::finish_connect(&mut self.sockets(), this);
        let waits = result.as_ref().is_err_and(|error| {
            matches!(
                error.downcast_ref(),
                Some(network::ErrorCode::WouldBlock | network::ErrorCode::NotInProgress)
            )
        });
        match peer {
            Some(peer) if !waits => {
                self.host.trace.met(Kind::Connect { peer: endpoint(peer) }, result.outcome());
                if let Ok((input, output)) = &result {
                    let stream = Stream::Peer(endpoint(peer), self.host.key());
                    self.streams.insert(input.rep(), stream.clone());
                    self.streams.insert(output.rep(), stream);
                }
            }
            _ => self.record(
                "wasi:sockets/tcp",
                "[method]tcp-socket.finish-connect",
                None,
                result.outcome(),
            ),
        }
        result
    }

    async fn start_listen(&mut self, _this: Tcp) -> SocketResult<()> {
        // Nobody can grant it: who connects to us cannot be named beforehand.
        let result = denied();
        self.host.trace.met(Kind::Listen { address: None }, result.outcome());
        result
    }

    fn drop(&mut self, this: Tcp) -> Result<()> {
        self.peers.remove(&this.rep());
        self.host.bounds.closed();
        let result = tcp::HostTcpSocket::drop(&mut self.sockets(), this);
        self.record("wasi:sockets/tcp", "[resource-drop]tcp-socket", None, result.outcome());
        result
    }

    relay! { "wasi:sockets/tcp", tcp::HostTcpSocket, |me| &mut me.sockets();
        "[method]tcp-socket.finish-bind" fn finish_bind(this: Tcp) -> SocketResult<()>;
        "[method]tcp-socket.finish-listen" fn finish_listen(this: Tcp) -> SocketResult<()>;
        "[method]tcp-socket.accept" fn accept(this: Tcp) -> SocketResult<(Tcp, Resource<DynInputStream>, Resource<DynOutputStream>)>;
        "[method]tcp-socket.local-address" fn local_address(this: Tcp) -> SocketResult<Address>;
        "[method]tcp-socket.remote-address" fn remote_address(this: Tcp) -> SocketResult<Address>;
        "[method]tcp-socket.is-listening" fn is_listening(this: Tcp) -> Result<bool>;
        "[method]tcp-socket.address-family" fn address_family(this: Tcp) -> Result<network::IpAddressFamily>;
        "[method]tcp-socket.set-listen-backlog-size" fn set_listen_backlog_size(this: Tcp, value: u64) -> SocketResult<()>;
        "[method]tcp-socket.keep-alive-enabled" fn keep_alive_enabled(this: Tcp) -> SocketResult<bool>;
        "[method]tcp-socket.set-keep-alive-enabled" fn set_keep_alive_enabled(this: Tcp, value: bool) -> SocketResult<()>;
        "[method]tcp-socket.keep-alive-idle-time" fn keep_alive_idle_time(this: Tcp) -> SocketResult<u64>;
        "[method]tcp-socket.set-keep-alive-idle-time" fn set_keep_alive_idle_time(this: Tcp, value: u64) -> SocketResult<()>;
        "[method]tcp-socket.keep-alive-interval" fn keep_alive_interval(this: Tcp) -> SocketResult<u64>;
        "[method]tcp-socket.set-keep-alive-interval" fn set_keep_alive_interval(this: Tcp, value: u64) -> SocketResult<()>;
        "[method]tcp-socket.keep-alive-count" fn keep_alive_count(this: Tcp) -> SocketResult<u32>;
        "[method]tcp-socket.set-keep-alive-count" fn set_keep_alive_count(this: Tcp, value: u32) -> SocketResult<()>;
        "[method]tcp-socket.hop-limit" fn hop_limit(this: Tcp) -> SocketResult<u8>;
        "[method]tcp-socket.set-hop-limit" fn set_hop_limit(this: Tcp, value: u8) -> SocketResult<()>;
        "[method]tcp-socket.receive-buffer-size" fn receive_buffer_size(this: Tcp) -> SocketResult<u64>;
        "[method]tcp-socket.set-receive-buffer-size" fn set_receive_buffer_size(this: Tcp, value: u64) -> SocketResult<()>;
        "[method]tcp-socket.send-buffer-size" fn send_buffer_size(this: Tcp) -> SocketResult<u64>;
        "[method]tcp-socket.set-send-buffer-size" fn set_send_buffer_size(this: Tcp, value: u64) -> SocketResult<()>;
        "[method]tcp-socket.subscribe" fn subscribe(this: Tcp) -> Pollable;
        "[method]tcp-socket.shutdown" fn shutdown(this: Tcp, how: tcp::ShutdownType) -> SocketResult<()>;
    }
}

/// Whether an address leaves the choice of address and port to the system.
pub(crate) fn any(address: SocketAddr) -> bool {
    address.ip().is_unspecified() && address.port() == 0
}

impl udp_create_socket::Host for Preview2 {
    // The context allows no UDP: this is always refused, and no socket for the rest exists.
    relay_async! { "wasi:sockets/udp-create-socket", udp_create_socket::Host, |me| &mut me.sockets();
        "create-udp-socket" fn create_udp_socket(family: network::IpAddressFamily) -> SocketResult<Udp>;
    }
}

impl udp::Host for Preview2 {}

impl udp::HostUdpSocket for Preview2 {
    relay_async! { "wasi:sockets/udp", udp::HostUdpSocket, |me| &mut me.sockets();
        "[method]udp-socket.start-bind" fn start_bind(this: Udp, network: Network, local: Address) -> SocketResult<()>;
        "[method]udp-socket.stream" fn stream(this: Udp, remote: Option<Address>) -> SocketResult<(Resource<udp::IncomingDatagramStream>, Resource<udp::OutgoingDatagramStream>)>;
    }
    relay! { "wasi:sockets/udp", udp::HostUdpSocket, |me| &mut me.sockets();
        "[method]udp-socket.finish-bind" fn finish_bind(this: Udp) -> SocketResult<()>;
        "[method]udp-socket.local-address" fn local_address(this: Udp) -> SocketResult<Address>;
        "[method]udp-socket.remote-address" fn remote_address(this: Udp) -> SocketResult<Address>;
        "[method]udp-socket.address-family" fn address_family(this: Udp) -> Result<network::IpAddressFamily>;
        "[method]udp-socket.unicast-hop-limit" fn unicast_hop_limit(this: Udp) -> SocketResult<u8>;
        "[method]udp-socket.set-unicast-hop-limit" fn set_unicast_hop_limit(this: Udp, value: u8) -> SocketResult<()>;
        "[method]udp-socket.receive-buffer-size" fn receive_buffer_size(this: Udp) -> SocketResult<u64>;
        "[method]udp-socket.set-receive-buffer-size" fn set_receive_buffer_size(this: Udp, value: u64) -> SocketResult<()>;
        "[method]udp-socket.send-buffer-size" fn send_buffer_size(this: Udp) -> SocketResult<u64>;
        "[method]udp-socket.set-send-buffer-size" fn set_send_buffer_size(this: Udp, value: u64) -> SocketResult<()>;
        "[method]udp-socket.subscribe" fn subscribe(this: Udp) -> Pollable;
        "[resource-drop]udp-socket" fn drop(this: Udp) -> Result<()>;
    }
}

impl udp::HostIncomingDatagramStream for Preview2 {
    relay! { "wasi:sockets/udp", udp::HostIncomingDatagramStream, |me| &mut me.sockets();
        "[method]incoming-datagram-stream.receive" fn receive(this: Resource<udp::IncomingDatagramStream>, most: u64) -> SocketResult<Vec<udp::IncomingDatagram>>;
        "[method]incoming-datagram-stream.subscribe" fn subscribe(this: Resource<udp::IncomingDatagramStream>) -> Pollable;
        "[resource-drop]incoming-datagram-stream" fn drop(this: Resource<udp::IncomingDatagramStream>) -> Result<()>;
    }
}

impl udp::HostOutgoingDatagramStream for Preview2 {
    relay! { "wasi:sockets/udp", udp::HostOutgoingDatagramStream, |me| &mut me.sockets();
        "[method]outgoing-datagram-stream.check-send" fn check_send(this: Resource<udp::OutgoingDatagramStream>) -> SocketResult<u64>;
        "[method]outgoing-datagram-stream.send" fn send(this: Resource<udp::OutgoingDatagramStream>, datagrams: Vec<udp::OutgoingDatagram>) -> SocketResult<u64>;
        "[method]outgoing-datagram-stream.subscribe" fn subscribe(this: Resource<udp::OutgoingDatagramStream>) -> Pollable;
    }
    relay_async! { "wasi:sockets/udp", udp::HostOutgoingDatagramStream, |me| &mut me.sockets();
        "[resource-drop]outgoing-datagram-stream" fn drop(this: Resource<udp::OutgoingDatagramStream>) -> Result<()>;
    }
}
