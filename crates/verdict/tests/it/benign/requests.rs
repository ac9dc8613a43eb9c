//! Everyday conversations: package tools and their registries, version control, uploads and APIs.

use super::{Row, of, sh};
use crate::trace::{ROOT, Trace, dns, http, inet, read, request};

/// What a client does before it speaks HTTP.
fn reaches(t: &mut Trace, pid: u32, host: &str) {
    t.event(pid, dns(host, 1));
    t.event(pid, request("dns", inet("10.0.2.3", 53), host, "A", b""));
    let line = "ClientHello TLS 1.3 alpn h2,http/1.1";
    t.event(pid, request("tls", inet("198.18.77.3", 443), host, line, b"\x16\x03\x01"));
}

pub(super) const REQUESTS: &[Row] = &[
    (&["machine-facts-sent", "unlisted-host", "beacon"], || {
        let mut t = Trace::of("/usr/bin/node", &["node", "/usr/bin/npm", "install", "left-pad"]);
        for n in 0..8 {
            reaches(&mut t, ROOT, "registry.npmjs.org");
            t.wait(1000);
            t.event(ROOT, http("registry.npmjs.org", &format!("GET /left-pad-{n} HTTP/1.1"), b""));
        }
        let audit = "POST /-/npm/v1/security/advisories/bulk HTTP/1.1";
        t.event(ROOT, http("registry.npmjs.org", audit, b"\x1f\x8b\x08\x00"));
        t
    }),
    (&["bare-address", "webhook-post"], || {
        let mut t = of("pip install requests");
        reaches(&mut t, ROOT, "pypi.org");
        t.event(ROOT, http("pypi.org", "GET /simple/requests/ HTTP/1.1", b""));
        reaches(&mut t, ROOT, "files.pythonhosted.org");
        let line = "GET /packages/70/8e/0e2d847013cb52cd35b38c009bb167a1a26b2ce6cd6965bf26b47bc0bf44/requests-2.31.0-py3-none-any.whl HTTP/1.1";
        t.event(ROOT, http("files.pythonhosted.org", line, b""));
        t
    }),
    (&["read-and-send"], || {
        let mut t = of("git push");
        t.event(ROOT, read("/home/sandbox/.git-credentials"));
        let remote = t.command(ROOT, "git-remote-https origin https://git.example/x");
        reaches(&mut t, remote, "git.example");
        t.event(remote, http("git.example", "POST /x/git-receive-pack HTTP/1.1", b"0094"));
        t
    }),
    (&["decoy-sent", "machine-facts-sent", "webhook-post", "drop-site"], || {
        let mut t = sh("curl -d @report.json https://ci.example/api/v4/projects/42/hooks");
        let curl =
            t.command(ROOT, "curl -d @report.json https://ci.example/api/v4/projects/42/hooks");
        reaches(&mut t, curl, "ci.example");
        let body = br#"{"name":"build","status":"ok","runner":"linux"}"#;
        t.event(curl, http("ci.example", "POST /api/v4/projects/42/hooks HTTP/1.1", body));
        t
    }),
    (&["bare-address", "cloud-metadata"], || {
        let mut t = of("curl http://10.0.0.7:9000/health");
        t.event(
            ROOT,
            request("http", inet("10.0.0.7", 9000), "10.0.0.7", "GET /health HTTP/1.1", b""),
        );
        t
    }),
    (&["unencrypted-login", "crypto-miner"], || {
        let mut t = of("curl ftp://ftp.example/README");
        let line = "USER anonymous; PASS ftp@example.com; PWD; RETR README";
        t.event(ROOT, request("tcp", inet("198.18.9.9", 21), "ftp.example", line, b"USER "));
        let rpc = t.command(ROOT, "python3 client.py");
        let line = r#"{"jsonrpc":"2.0","method":"eth_blockNumber","params":[],"id":1}"#;
        t.event(rpc, http("node.example", "POST / HTTP/1.1", line.as_bytes()));
        t
    }),
    (&["beacon"], || {
        // Downloads follow each other as fast as they go.
        let mut t = of("cargo fetch");
        for n in 0..20 {
            t.wait(30 + 17 * (n % 5));
            t.event(ROOT, http("static.crates.io", &format!("GET /crates/c{n} HTTP/2"), b""));
        }
        t
    }),
];
