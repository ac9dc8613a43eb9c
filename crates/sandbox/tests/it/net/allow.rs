//! What an allow list passes on, and what it refuses.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, channel};

use sandbox::Net;

use super::{Seen, allowed, have, run, skip, spec};

/// A server outside that answers every connection with one line and tells what it got.
fn server(ip: IpAddr) -> (u16, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut got = vec![0; 4096];
            let count = stream.read(&mut got).unwrap_or(0);
            got.truncate(count);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\noutside\n",
            );
            if tell.send(got).is_err() {
                return;
            }
        }
    });
    (port, heard)
}

/// An address of this host that is not its loopback, if there is one: no packet is sent for it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok().map(|address: SocketAddr| address.ip())?;
    (!ip.is_loopback()).then_some(ip)
}

fn with(allow: Vec<sandbox::Allowed>, script: &str) -> Seen {
    let mut spec = spec(script, Net::Allow);
    spec.allow = allow;
    run(&spec)
}

#[test]
fn the_proxy_passes_on_what_is_listed_and_refuses_the_rest() {
    if !have(&["curl"]) {
        return;
    }
    let (port, heard) = server("127.0.0.1".parse().unwrap());
    let script = format!(
        "curl -sS http://127.0.0.1:{port}/yes
        curl -s -o /dev/null -w '%{{http_code}}\\n' http://127.0.0.1:1/no
        curl -sS -p http://127.0.0.1:{port}/tunnel
        curl -s -p http://other.example:443/ || echo refused
        getent hosts other.example || echo unknown"
    );
    let seen = with(vec![allowed("127.0.0.1", port)], &script);
    assert_eq!(seen.output(), "outside\n403\noutside\nrefused\nunknown\n", "{}", seen.errors());
    let first = heard.recv().unwrap();
    assert!(first.starts_with(b"GET /yes HTTP/1.1\r\nHost: 127.0.0.1:"), "{first:?}");
    assert!(!String::from_utf8_lossy(&first).to_lowercase().contains("proxy"), "{first:?}");
    let yes = seen.one("passed", |asked| asked.line.contains("/yes"));
    assert_eq!((yes.answer, yes.protocol), ("passed", "http"));
    assert_eq!(yes.peer, format!("127.0.0.1:{port}"));
    assert!(yes.sent > 40 && yes.received > 60, "{yes:?}");
    let no = seen.one("refused", |asked| asked.line.contains("/no"));
    assert_eq!((no.answer, no.peer.as_str()), ("refused", "127.0.0.1:1"));
    let tunnel = seen.one("tunnel", |asked| asked.line.contains("/tunnel"));
    assert_eq!(tunnel.answer, "passed");
    let dns = seen.one("name", |asked| asked.protocol == "dns" && asked.line == "A");
    assert_eq!((dns.host.as_str(), dns.answer), ("other.example", "refused"));
}

#[test]
fn without_the_proxy_the_same_holds() {
    if !have(&["curl"]) {
        return;
    }
    let Some(ip) = own_address() else {
        skip("this host has no address but its loopback");
        return;
    };
    let (port, _heard) = server(ip);
    let script = format!(
        "export NO_PROXY='*' no_proxy='*'
        curl -sS http://{ip}:{port}/direct
        curl -sS http://{ip}:1/ || echo refused
        curl -sS -H 'Host: elsewhere.example' http://{ip}:{port}/front || echo refused
        curl -sSk https://{ip}:{port}/ --resolve x.example:{port}:{ip} https://x.example:{port}/ \
            >/dev/null 2>&1 || echo refused"
    );
    let seen = with(vec![allowed(&ip.to_string(), port)], &script);
    assert_eq!(seen.output(), "outside\nrefused\nrefused\nrefused\n", "{}", seen.errors());
    let direct = seen.one("direct", |asked| asked.line.contains("/direct"));
    assert_eq!((direct.answer, direct.event.task.comm.to_lossy().as_ref()), ("passed", "curl"));
    let front = seen.one("fronting", |asked| asked.line.contains("/front"));
    assert_eq!(front.answer, "refused");
    let named = seen.one("wrong server", |asked| asked.line.contains("names \"x.example\""));
    assert_eq!((named.answer, named.protocol), ("refused", "tls"));
    let closed = seen.one("closed port", |asked| asked.peer.ends_with(":1"));
    assert_eq!(closed.answer, "refused");
}

#[test]
fn a_listed_name_that_leads_home_is_not_reached() {
    if !have(&["curl"]) {
        return;
    }
    let (port, heard) = server("127.0.0.1".parse().unwrap());
    let script = format!("curl -s -o /dev/null -w '%{{http_code}}' http://localhost:{port}/");
    let seen = with(vec![allowed("localhost", port)], &script);
    assert_eq!(seen.output(), "502", "{}", seen.errors());
    let asked = seen.one("refused", |asked| asked.protocol == "http");
    assert!(asked.line.contains("not public") && asked.answer == "refused", "{asked:?}");
    assert!(heard.try_recv().is_err());
}
