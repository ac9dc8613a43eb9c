//! The far end of a sandbox's only wire: every address and every port answers.
//!
//! One thread holds the tunnel's file and nothing else of the namespace. It gives packets to a
//! small TCP/IP stack in memory, makes a socket for whatever is connected to, and hands the bytes to
//! conversations. Packets cannot get any further: there is no second interface, and only an allow
//! list makes this thread open connections of its own, which carry bytes and not packets.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpCidr, IpEndpoint, IpListenEndpoint};

use super::answerer::Answerer;
use super::connection::{Connection, Talker};
use super::dial::{Dialed, Dialer};
use super::ledger::{Answer, Request};
use super::names::Question;
use super::owner::Owners;
use super::packet::{self, Packet};
use super::passage::Passage;
use super::pcapng::Capture;
use super::room::Room;
use super::tunnel::{GATEWAY, GATEWAY_V6, PROXY, PROXY_PORT, Tunnel};
use super::wire::Wire;
use crate::sys::{self, monotonic_ns};

/// Connections at once; more are reset.
const CONNECTIONS_MAX: usize = 256;
/// Connections in all.
const CONNECTIONS_TOTAL_MAX: u64 = 100_000;
/// Buffer of a connection in each direction, in bytes.
const BUFFER_LEN: usize = 64 << 10;
/// Bytes that are passed on for one run, both ways together.
pub(super) const PASSED_BYTES_MAX: u64 = 8 << 30;
/// Packets taken before anything else is looked at.
const BATCH: usize = 256;
/// After the end of a run the wire is read until it is quiet this long …
const QUIET: Duration = Duration::from_millis(20);
/// … but never longer than this.
const DRAIN_MAX: Duration = Duration::from_millis(1000);
/// The stack is looked after at least this often.
const TICK: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Stack {
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    connections: BTreeMap<SocketHandle, Connection>,
    pub room: Room,
    owners: Owners,
    dialer: Dialer,
    dialed: Receiver<Dialed>,
    wake: OwnedFd,
    began: Instant,
    opened: u64,
    passed_bytes: u64,
    pub report: Report,
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Connections that got an answer.
    pub connections: u64,
    /// Connections reset because there were too many.
    pub too_many: u64,
    /// No more bytes were passed on.
    pub passed_too_much: bool,
}

/// The supervisor's means to wake and to end the thread.
pub(super) struct Controls {
    pub dialer: Dialer,
    pub dialed: Receiver<Dialed>,
    pub wake: OwnedFd,
}

impl Stack {
    pub(super) fn new(
        tunnel: &Tunnel,
        capture: Option<Capture>,
        room: Room,
        owners: Owners,
        controls: Controls,
    ) -> io::Result<Self> {
        sys::set_nonblocking(tunnel.packets.as_fd())?;
        sys::set_nonblocking(controls.wake.as_fd())?;
        let mut wire = Wire::new(tunnel.packets.try_clone()?, capture);
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = monotonic_ns();
        let began = Instant::now();
        let mut interface = Interface::new(config, &mut wire, smoltcp::time::Instant::ZERO);
        interface.set_any_ip(true);
        interface.update_ip_addrs(|addresses| {
            // There is room for these two.
            let _ = addresses.push(IpCidr::new(GATEWAY.into(), 24));
            let _ = addresses.push(IpCidr::new(GATEWAY_V6.into(), 64));
        });
        let routes = interface.routes_mut();
        let routed = routes.add_default_ipv4_route(GATEWAY).is_ok()
            && routes.add_default_ipv6_route(GATEWAY_V6).is_ok();
        if !routed {
            return Err(io::Error::other("the stack has no room for routes"));
        }
        Ok(Self {
            wire,
            interface,
            sockets: SocketSet::new(Vec::new()),
            connections: BTreeMap::new(),
            room,
            owners,
            dialer: controls.dialer,
            dialed: controls.dialed,
            wake: controls.wake,
            began,
            opened: 0,
            passed_bytes: 0,
            report: Report::default(),
        })
    }

    /// Answers until the other end of `stop` is closed, then what is still on the wire.
    pub(super) fn run(mut self, stop: &OwnedFd) -> Self {
        while !self.wait(stop) {
            self.take_packets();
            self.take_dialed();
            self.serve();
        }
        let deadline = Instant::now() + DRAIN_MAX;
        let mut quiet = Instant::now();
        while quiet.elapsed() < QUIET && Instant::now() < deadline && !self.wire.dead {
            if self.take_packets() > 0 {
                quiet = Instant::now();
            }
            self.serve();
            let mut fds = [pollfd(self.wire.fd().as_raw_fd(), libc::POLLIN)];
            let _ = sys::poll(&mut fds, 5);
        }
        for (_, mut connection) in std::mem::take(&mut self.connections) {
            connection.end(&mut self.room);
        }
        self
    }

    pub(super) fn close(self) -> (Room, Report, Option<Capture>) {
        (self.room, self.report, self.wire.capture)
    }

    fn now(&self) -> smoltcp::time::Instant {
        let micros = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        smoltcp::time::Instant::from_micros(micros)
    }

    /// Waits for packets, servers, dialled connections or the stack's own clock; true when the run
    /// is over.
    fn wait(&mut self, stop: &OwnedFd) -> bool {
        let now = self.now();
        let delay = self.interface.poll_delay(now, &self.sockets);
        let delay_ms = delay.map_or(TICK.as_millis(), |delay| u128::from(delay.total_millis() + 1));
        let delay_ms = i32::try_from(delay_ms.min(TICK.as_millis())).unwrap_or(1);
        let tunnel = if self.wire.dead { -1 } else { self.wire.fd().as_raw_fd() };
        let mut fds = vec![
            pollfd(stop.as_raw_fd(), libc::POLLIN),
            pollfd(tunnel, libc::POLLIN),
            pollfd(self.wake.as_raw_fd(), libc::POLLIN),
        ];
        for connection in self.connections.values() {
            if let Talker::Passage(passage) = &connection.talker
                && let Some((server, reads, writes)) = passage.waits()
            {
                let reads = if reads { libc::POLLIN } else { 0 };
                let writes = if writes { libc::POLLOUT } else { 0 };
                fds.push(pollfd(server.as_raw_fd(), reads | writes));
            }
        }
        let _ = sys::poll(&mut fds, delay_ms);
        if fds.get(2).is_some_and(|fd| fd.revents != 0) {
            let _ = sys::read(self.wake.as_fd(), &mut [0; 64]);
        }
        fds.first().is_some_and(|fd| fd.revents != 0)
    }

    /// Takes what waits on the wire, up to a bound, and says how much that was.
    fn take_packets(&mut self) -> usize {
        let mut taken = 0;
        while taken < BATCH
            && let Some(bytes) = self.wire.take()
        {
            taken += 1;
            self.packet(bytes);
        }
        taken
    }

    fn packet(&mut self, bytes: Vec<u8>) {
        let mut comment = String::new();
        match packet::parse(&bytes) {
            Packet::Udp { from, to, payload, length } => {
                let pid = self.owners.of("udp", from, to);
                self.wire.note_in(&bytes, &who(pid));
                if self.datagram(from, to, pid, payload, length) {
                    return;
                }
                return self.feed(bytes);
            }
            Packet::Tcp { from, to, opens: true } => {
                let pid = self.owners.of("tcp", from, to);
                comment = who(pid);
                let handle = self.open(from, to, pid);
                self.wire.note_in(&bytes, &comment);
                self.feed(bytes);
                if let Some(handle) = handle {
                    self.check_opened(handle);
                }
                return;
            }
            Packet::Echo { to, payload } => {
                let alone = self.room.allow.is_some();
                let request = Request {
                    protocol: "icmp",
                    peer: SocketAddr::new(to, 0),
                    host: self.room.names.name_of(to).map(|name| name.as_bytes().to_vec()),
                    line: b"echo".to_vec(),
                    sent_bytes: payload.len() as u64,
                    received_bytes: if alone { 0 } else { payload.len() as u64 },
                    head: payload.to_vec(),
                    answer: if alone { Answer::Refused } else { Answer::Sink },
                    carries: Vec::new(),
                };
                self.room.record(None, request);
                if alone {
                    return self.wire.note_in(&bytes, "");
                }
            }
            Packet::Tcp { .. } | Packet::Fragment | Packet::Other => {}
        }
        self.wire.note_in(&bytes, &comment);
        self.feed(bytes);
    }

    /// Gives one packet to the stack.
    fn feed(&mut self, bytes: Vec<u8>) {
        self.wire.next = Some(bytes);
        let now = self.now();
        self.interface.poll_ingress_single(now, &mut self.wire, &mut self.sockets);
        self.wire.next = None;
    }

    /// Answers a datagram; false when nobody is there.
    fn datagram(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        pid: Option<u32>,
        payload: &[u8],
        length: usize,
    ) -> bool {
        if to.port() == 53
            && let Some(question) = Question::parse(payload)
        {
            let answer = self.room.answer(&question, to, pid, length);
            if let Some(reply) = packet::datagram(to, from, &answer) {
                self.wire.send(&reply);
            }
            return true;
        }
        let answer = if self.room.allow.is_some() { Answer::Refused } else { Answer::Sink };
        let mut trace = super::marks::Trace::default();
        trace.read(&self.room.marks, payload);
        let request = Request {
            protocol: "udp",
            peer: to,
            host: self.room.names.name_of(to.ip()).map(|name| name.as_bytes().to_vec()),
            line: first_line(payload),
            sent_bytes: length as u64,
            received_bytes: 0,
            head: payload.get(..64).unwrap_or(payload).to_vec(),
            answer,
            carries: trace.take(&self.room.marks),
        };
        self.room.record(pid, request);
        answer == Answer::Sink
    }

    /// Makes a socket for a new connection, unless it shall be refused.
    fn open(&mut self, from: SocketAddr, to: SocketAddr, pid: Option<u32>) -> Option<SocketHandle> {
        let endpoint = |address: SocketAddr| Some(IpEndpoint::from(address));
        let again = self.connections.keys().any(|handle| {
            let socket = self.sockets.get::<Socket<'_>>(*handle);
            socket.remote_endpoint() == endpoint(from) && socket.local_endpoint() == endpoint(to)
        });
        if again {
            return None;
        }
        if self.connections.len() >= CONNECTIONS_MAX || self.opened >= CONNECTIONS_TOTAL_MAX {
            self.report.too_many += 1;
            return None;
        }
        self.opened += 1;
        let talker = self.talker(to, pid)?;
        let buffer = || SocketBuffer::new(vec![0; BUFFER_LEN]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let local = IpListenEndpoint { addr: Some(to.ip().into()), port: to.port() };
        socket.listen(local).ok()?;
        let handle = self.sockets.add(socket);
        self.connections.insert(handle, Connection::new(self.opened, talker));
        Some(handle)
    }

    /// Who shall speak to the sandbox as `to`; `None` when that is refused, which is written down.
    fn talker(&mut self, to: SocketAddr, pid: Option<u32>) -> Option<Talker> {
        let name = self.room.names.name_of(to.ip()).map(str::to_owned);
        let Some(allow) = &self.room.allow else {
            return Some(Talker::Answerer(Box::new(Answerer::new(to, pid, name))));
        };
        let proxy = to == SocketAddr::new(IpAddr::V4(PROXY), PROXY_PORT);
        let host = name.clone().unwrap_or_else(|| to.ip().to_canonical().to_string());
        // DNS over TCP is answered like DNS over UDP.
        if to.port() == 53 && !allow.permits(&host, 53) {
            return Some(Talker::Answerer(Box::new(Answerer::new(to, pid, name))));
        }
        if !proxy && (!allow.permits(&host, to.port()) || self.passed_bytes >= PASSED_BYTES_MAX) {
            let request = Request {
                protocol: "tcp",
                peer: to,
                host: name.map(String::into_bytes),
                line: b"(connection refused: not allowed)".to_vec(),
                sent_bytes: 0,
                received_bytes: 0,
                head: Vec::new(),
                answer: Answer::Refused,
                carries: Vec::new(),
            };
            self.room.record(pid, request);
            return None;
        }
        let target = (!proxy).then_some((host, to.port()));
        let passage = Passage::new(self.opened, to, pid, target, &self.dialer);
        Some(Talker::Passage(Box::new(passage)))
    }

    /// A packet that asked for a connection and did not get one leaves no socket behind.
    fn check_opened(&mut self, handle: SocketHandle) {
        if self.sockets.get::<Socket<'_>>(handle).state() == State::Listen {
            self.sockets.remove(handle);
            self.connections.remove(&handle);
        } else {
            self.report.connections += 1;
        }
    }

    fn take_dialed(&mut self) {
        while let Ok(Dialed { number, result }) = self.dialed.try_recv() {
            let waiting = self.connections.values_mut().find(|other| other.number == number);
            if let Some(Connection { talker: Talker::Passage(passage), .. }) = waiting {
                passage.dialed(result, &mut self.room);
            }
        }
    }

    /// Moves bytes between sockets and conversations, and lets go of what is over.
    fn serve(&mut self) {
        let now = self.now();
        self.interface.poll_maintenance(now);
        let mut over = Vec::new();
        for (handle, connection) in &mut self.connections {
            let socket = self.sockets.get_mut::<Socket<'_>>(*handle);
            self.passed_bytes += connection.serve(socket, &mut self.room, &self.dialer);
            if self.passed_bytes >= PASSED_BYTES_MAX
                && let Talker::Passage(_) = connection.talker
            {
                self.report.passed_too_much = true;
                socket.abort();
            }
            // Both sides have said goodbye: nothing can arrive for it any more.
            if matches!(socket.state(), State::Closed | State::TimeWait) {
                over.push(*handle);
            }
        }
        while self.interface.poll_egress(now, &mut self.wire, &mut self.sockets)
            != smoltcp::iface::PollResult::None
        {}
        for handle in over {
            // The last packets were sent above.
            if let Some(mut connection) = self.connections.remove(&handle) {
                connection.end(&mut self.room);
            }
            self.sockets.remove(handle);
        }
    }
}

fn who(pid: Option<u32>) -> String {
    pid.map_or(String::new(), |pid| format!("process {pid}"))
}

/// The first line of a datagram, when it is text.
fn first_line(payload: &[u8]) -> Vec<u8> {
    let line = payload.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    let text = line.iter().all(|byte| matches!(byte, b'\t' | b'\r' | b' '..=b'~'));
    if text { line.strip_suffix(b"\r").unwrap_or(line).to_vec() } else { Vec::new() }
}

fn pollfd(fd: libc::c_int, events: libc::c_short) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}
