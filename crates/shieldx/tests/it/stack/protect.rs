//! The request door: a real nginx behind the gateway, and every decision a policy can make.
#![expect(clippy::unwrap_used, reason = "what fails here should fail the test")]

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::{Stack, resident_kib, until};
use crate::lab::have;

/// A real nginx that serves a folder on a port of its own.
struct Nginx {
    child: Option<Child>,
    folder: TempDir,
    port: u16,
}

impl Nginx {
    fn start(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("nginx-").tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("index.html"), format!("this is {name}\n")).unwrap();
        File::create(root.join("big")).unwrap().set_len(1 << 30).unwrap();
        let mut nginx = Self { child: None, folder, port: 0 };
        // A free port may be taken by another test before nginx takes it: then another one is tried.
        while !nginx.listens_on(free_port()) {}
        nginx
    }

    fn listens_on(&mut self, port: u16) -> bool {
        self.port = port;
        self.begin();
        let ended = self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some());
        if ended {
            self.child = None;
        }
        !ended
    }

    fn begin(&mut self) {
        let at = self.folder.path().display();
        let user = if is_root() { "user root;" } else { "" };
        let settings = format!(
            "daemon off; pid {at}/pid; error_log {at}/error.log; {user} worker_processes 1;
             events {{ worker_connections 512; }}
             http {{
               access_log {at}/access.log; client_body_temp_path {at}/body;
               proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
               uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi; keepalive_timeout 60;
               server {{
                 listen 127.0.0.1:{}; root {at}/root; client_max_body_size 0;
                 add_header X-Seen-Tenant $http_x_shieldx_tenant;
                 add_header X-Seen-Key $http_x_api_key;
                 location /headers {{ return 200 \"$http_x_shieldx_tenant|$http_x_api_key|$http_x_forwarded_for\\n\"; }}
               }}
             }}",
            self.port
        );
        let file = self.folder.path().join("nginx.conf");
        fs::write(&file, settings).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let at = self.folder.path().join("pid");
        until("nginx listens or has ended", || {
            let ended =
                self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some());
            ended || (at.exists() && TcpStream::connect(("127.0.0.1", self.port)).is_ok())
        });
    }

    /// Ends it at once, its worker with it.
    fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let _ = child.wait();
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.end();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

const POLICY: &str = r#"package shieldx
import rego.v1

default decision := {"action": "allow", "reason": "nothing speaks against it"}

decision := {"action": "block", "reason": "the admin pages are closed"} if {
	startswith(input.request.path, "/admin")
} else := {"action": "divert", "reason": "nobody needs this file"} if {
	input.request.path == "/.env"
} else := {"action": "tarpit", "reason": "a scanner"} if {
	contains(input.request.headers["user-agent"], "sqlmap")
} else := {"action": "step-up", "reason": "the session may be somebody else's"} if {
	input.session.level in {"elevated", "high"}
}
"#;

fn protect(upstream: &str, decoy: &str) -> Stack {
    let folder = tempfile::Builder::new().prefix("policy-").tempdir().unwrap().keep();
    fs::write(folder.join("shop.rego"), POLICY).unwrap();
    let stack = Stack::with(
        &format!(
            "[policy]\nfolder = {:?}\n{}tarpit_ms = 1500\n\
             [[gateway.routes]]\nname = \"shop\"\npath_prefix = \"/\"\nupstream = \"{upstream}\"\n\
             decoy = \"{decoy}\"\n",
            folder,
            Stack::GATEWAY
        ),
        &[],
    );
    fs::remove_dir_all(folder).unwrap();
    stack
}

#[test]
fn nginx_behind_the_gateway_is_allowed_blocked_diverted_tarpitted_and_stepped_up() {
    if !have("an application behind the gateway", &["nginx"]) {
        return;
    }
    let (shop, decoy) = (Nginx::start("the shop"), Nginx::start("the decoy"));
    let stack = protect(&shop.url(), &decoy.url());
    let key = &stack.key;
    let allowed = stack.get(key, "/");
    assert_eq!((allowed.status, allowed.text().as_str()), (200, "this is the shop\n"));
    let seen = stack.get_with(
        key,
        "/headers",
        &[("x-shieldx-tenant", "root"), ("x-forwarded-for", "6.6.6.6")],
    );
    assert_eq!(seen.text(), "default||127.0.0.1\n", "identity is ours, the key does not leak");

    let blocked = stack.get(key, "/admin/users");
    assert_eq!(blocked.status, 403);
    assert!(blocked.text().contains("the admin pages are closed"), "{}", blocked.text());
    let diverted = stack.get(key, "/.env");
    assert_eq!(diverted.status, 404, "the decoy has no such file either");
    // nginx writes its log after its answer.
    let decoys_log = decoy.folder.path().join("access.log");
    until("the decoy was asked", || fs::read_to_string(&decoys_log).unwrap().contains("GET /.env"));
    let log = fs::read_to_string(shop.folder.path().join("access.log")).unwrap();
    assert!(!log.contains("/.env") && !log.contains("/admin"), "the shop was not: {log}");
    let begun = Instant::now();
    let slow = stack.get_with(key, "/", &[("user-agent", "sqlmap/1.7")]);
    assert_eq!(slow.status, 403);
    assert!(begun.elapsed() >= Duration::from_millis(1500), "it was kept waiting");
    assert_eq!(stack.get("", "/").status, 401, "no key, no shop");

    step_up(&stack);
}

/// A session that is enrolled by a script's even typing and continued by another's.
fn step_up(stack: &Stack) {
    let keys = |dwell: f64, flight: f64, count: u32| {
        let at = |n: u32| f64::from(n) * (dwell + flight) + f64::from(n * 7919 % 23);
        let key = |n: u32| json!({"down_ms": at(n), "up_ms": at(n) + dwell + f64::from(n * 104_729 % 17)});
        (0..count).map(key).collect::<Vec<_>>()
    };
    let send = |session: &str, platform: &str, keys: Vec<serde_json::Value>| {
        let body = json!({"subject": "eve", "keystrokes": keys, "device": {"platform": platform}});
        let path = format!("/v1/sessions/{session}/telemetry");
        let answer = stack.post_json(&stack.key, &path, &body);
        assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
    };
    for n in 0..12 {
        send(&format!("enrol-{n}"), "Linux", keys(90.0, 130.0, 300));
    }
    send("now", "Linux", keys(90.0, 130.0, 200));
    let session = [("x-shieldx-session", "now")];
    assert_eq!(stack.get_with(&stack.key, "/", &session).status, 200);
    for _ in 0..4 {
        send("now", "Windows", keys(160.0, 60.0, 150));
    }
    let risk = stack.get(&stack.key, "/v1/sessions/now/risk").text();
    let asked = stack.get_with(&stack.key, "/", &session);
    assert_eq!(asked.status, 401, "{risk}");
    let challenge = asked.header("www-authenticate").unwrap();
    assert!(challenge.contains("insufficient_user_authentication"), "{challenge}");
    assert_eq!(stack.get(&stack.key, "/").status, 200, "another session is not concerned");
}

#[test]
fn an_upstream_that_dies_is_answered_with_502_and_comes_back_by_itself() {
    if !have("an application that dies", &["nginx"]) {
        return;
    }
    let mut shop = Nginx::start("the shop");
    let stack = protect(&shop.url(), &shop.url());
    assert_eq!(stack.get(&stack.key, "/").status, 200);
    shop.end();
    let gone = stack.get(&stack.key, "/");
    assert_eq!(gone.status, 502, "{}", gone.text());
    assert_eq!(gone.header("content-type"), Some("application/problem+json"));
    let ready = format!("{}/readyz", stack.internal["gateway"]);
    assert_eq!(stack.get("", &ready).status, 200, "somebody else's application is not our health");
    shop.begin();
    until("it comes back", || stack.get(&stack.key, "/").status == 200);
}

#[test]
fn a_gigabyte_passes_both_ways_in_bounded_memory() {
    if !have("large bodies", &["nginx"]) {
        return;
    }
    let shop = Nginx::start("the shop");
    let sink = sink();
    let stack = Stack::with(
        &format!(
            "{}[[gateway.routes]]\nname = \"shop\"\npath_prefix = \"/\"\nupstream = \"{}\"\n\
             [[gateway.routes]]\nname = \"sink\"\npath_prefix = \"/sink\"\nupstream = \"{sink}\"\n",
            Stack::GATEWAY,
            shop.url()
        ),
        &[],
    );
    let before = resident_kib(stack.pid());
    // A gigabyte takes as long as the machine is busy.
    let get = stack.agent.get(stack.url("/big")).config().timeout_global(None).build();
    let mut response = get.header("x-api-key", &stack.key).call().unwrap();
    let mut body = response.body_mut().with_config().limit(2 << 30).reader();
    assert_eq!(io::copy(&mut body, &mut io::sink()).unwrap(), 1 << 30);
    let up = stack
        .agent
        .post(stack.url("/sink"))
        .config()
        .timeout_global(None)
        .build()
        .header("x-api-key", &stack.key)
        .send(ureq::SendBody::from_owned_reader(io::repeat(b'x').take(1 << 30)))
        .unwrap();
    assert_eq!(super::Answer::of(up).text(), (1_u64 << 30).to_string());
    let grown = resident_kib(stack.pid()).saturating_sub(before);
    assert!(grown < 128 << 10, "two gigabytes passed and memory grew by {grown} KiB");
}

/// An upstream that reads a chunked body to its end and says how much it was.
fn sink() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drain(stream));
        }
    });
    url
}

fn drain(stream: TcpStream) -> Option<()> {
    let mut reader = io::BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    let mut chunked = false;
    loop {
        line.clear();
        io::BufRead::read_line(&mut reader, &mut line).ok()?;
        chunked |= line.to_lowercase().contains("transfer-encoding: chunked");
        if line.trim().is_empty() {
            break;
        }
    }
    let mut total = 0_u64;
    if !chunked {
        return None;
    }
    loop {
        line.clear();
        io::BufRead::read_line(&mut reader, &mut line).ok()?;
        let size = u64::from_str_radix(line.trim(), 16).ok()?;
        io::copy(&mut (&mut reader).take(size + 2), &mut io::sink()).ok()?;
        if size == 0 {
            break;
        }
        total += size;
    }
    let text = total.to_string();
    let mut stream = stream;
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()).ok()
}

#[test]
fn a_websocket_passes_and_nothing_before_the_upstream_agreed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let agreed =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(agreed.as_bytes()).unwrap();
        let mut frame = [0; 5];
        while stream.read_exact(&mut frame).is_ok() {
            frame.reverse();
            stream.write_all(&frame).unwrap();
        }
        String::from_utf8(head).unwrap()
    });
    let settings = format!(
        "{}[[gateway.routes]]\nname = \"chat\"\npath_prefix = \"/\"\nupstream = \"{url}\"\n",
        Stack::GATEWAY
    );
    let stack = Stack::with(&settings, &[]);
    let address = stack.server.strip_prefix("http://").unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let ask = format!(
        "GET /chat?room=1 HTTP/1.1\r\nhost: {address}\r\nx-api-key: {}\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        stack.key
    );
    client.write_all(ask.as_bytes()).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    for (sent, wanted) in [(b"hello", b"olleh"), (b"world", b"dlrow")] {
        client.write_all(sent).unwrap();
        let mut got = [0; 5];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, wanted);
    }
    drop(client);
    let head = upstream.join().unwrap();
    assert!(head.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains(&stack.key), "the key does not reach the application");
}
