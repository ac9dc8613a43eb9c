//! The path that was decided on is, byte for byte, the path that is forwarded.

use std::sync::Arc;

use crate::support::client::{request, send};
use crate::support::ports::ByPath;
use crate::support::upstream::target;
use crate::support::{Choices, Stack, start, start_with};

/// Paths that made other gateways and applications disagree, and some that only look odd.
const CORPUS: [&str; 61] = [
    "/",
    "/a",
    "/a/",
    "/a/b/c",
    "/a%20b",
    "/a+b",
    "/a:b",
    "/a@b",
    "/a=b&c",
    "/a,b",
    "/a!b",
    "/~a",
    "/a..b",
    "/...",
    "/..a",
    "/a.",
    "/.hidden",
    "/%C3%A9",
    "/%c3%a9",
    "/%25",
    "/%252e%252e/",
    "/%2525",
    "/a%3fb",
    "/a%23b",
    "/a%26b",
    "/a'b",
    "/a(b)",
    "/a*b",
    "/a$b",
    "/a|b",
    "/a\"b",
    "/a{b}",
    "/a^b",
    "/a%E2%80%A8b",
    "/index.php/a",
    "/A/B",
    "/%41",
    "/a%7Fb",
    "/a%0db",
    "/a%00b",
    "/a%2fb",
    "/a%2Fb",
    "/a%5cb",
    "/a%5Cb",
    "/a%2eb",
    "/%2e%2e/a",
    "/%2E/a",
    "/a;b",
    "/a;/../b",
    "/..;/a",
    "/a\\b",
    "//a",
    "/a//b",
    "///",
    "/.",
    "/..",
    "/a/./b",
    "/a/../b",
    "/a/..",
    "/a%",
    "/a%zz",
];

/// Either refused with 400, or forwarded as it was decided on.
async fn check(stack: &Stack, decider: &ByPath, path: &str, query: &str) -> bool {
    let before = stack.application.seen().len();
    decider.asked.lock().unwrap().clear();
    let key = [("x-api-key", "sx_member")];
    let sent = format!("{path}{query}");
    let reply = send(stack.address, &request(&sent, &key)).await;
    let seen = stack.application.seen();
    match reply.status {
        400 => {
            assert_eq!(seen.len(), before, "{path:?} was refused and forwarded");
            assert!(decider.asked.lock().unwrap().is_empty());
            false
        }
        200 => {
            assert_eq!(seen.len(), before + 1);
            assert_eq!(target(&seen[before]), sent, "what was sent is not what was forwarded");
            let decided = decider.asked.lock().unwrap().remove(0).request;
            assert_eq!(decided.path, path, "what was sent is not what was decided on");
            assert_eq!(decided.query.as_deref().unwrap_or(""), query.trim_start_matches('?'));
            true
        }
        status => panic!("{path:?}: {status} {reply:?}"),
    }
}

async fn with(raw_paths: bool) -> (Stack, Arc<ByPath>) {
    let decider = Arc::new(ByPath::default());
    let route = if raw_paths {
        |route: &mut gateway::RouteConfig| route.raw_paths = true
    } else {
        |_: &mut gateway::RouteConfig| {}
    };
    let choices = Choices { decider: Arc::clone(&decider) as _, route, ..Choices::default() };
    (choices.start().await, decider)
}

#[tokio::test]
async fn odd_paths_are_refused_or_forwarded_as_they_are() {
    let (stack, decider) = with(false).await;
    let mut forwarded = Vec::new();
    for path in CORPUS {
        if check(&stack, &decider, path, "").await {
            forwarded.push(path);
        }
    }
    // Everything before the first encoded control character passes, nothing behind it.
    let first = CORPUS.iter().position(|path| *path == "/a%7Fb").unwrap();
    assert_eq!(forwarded, CORPUS[..first]);
}

#[tokio::test]
async fn a_route_may_take_them_raw_and_they_stay_what_they_are() {
    let (stack, decider) = with(true).await;
    let mut refused = Vec::new();
    for path in CORPUS {
        if !check(&stack, &decider, path, "").await {
            refused.push(path);
        }
    }
    assert_eq!(refused, ["/a%7Fb", "/a%0db", "/a%00b"]);
}

#[tokio::test]
async fn queries_are_not_touched() {
    let (stack, decider) = with(false).await;
    for query in ["?a=b", "?a=../..%2f;//", "?a?b", "?%zz", "?a=%00", "?a[]=1&a[]=2"] {
        assert!(check(&stack, &decider, "/q", query).await, "{query}");
    }
    let reply = stack.get("/q?").await;
    assert_eq!(reply.status, 200);
    assert_eq!(target(stack.application.seen().last().unwrap()), "/q?");
}

/// xorshift64*: a test needs no better randomness, but the same every time.
fn next(state: &mut u64) -> usize {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40).unwrap()
}

#[tokio::test]
async fn random_paths_are_refused_or_forwarded_as_they_are() {
    const PIECES: [&str; 28] = [
        "/", "/", "/", "a", "b", "Z", "0", ".", "..", "%2e", "%2E", "%2f", "%5C", "%41", "%20",
        "%", "%c3%a9", ";", ":", "\\", "~", "+", "=", "@", "-", "%25", "%252f", "%3B",
    ];
    let (mut state, mut counts) = (0x5eed_u64, [0, 0]);
    for raw_paths in [false, true] {
        let (stack, decider) = with(raw_paths).await;
        for _ in 0..250 {
            let mut path = "/".to_owned();
            for _ in 0..next(&mut state) % 7 {
                path.push_str(PIECES[next(&mut state) % PIECES.len()]);
            }
            let forwarded = check(&stack, &decider, &path, "").await;
            counts[usize::from(forwarded)] += 1;
        }
    }
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
}

#[tokio::test]
async fn a_request_without_a_proper_host_is_malformed() {
    let stack = start().await;
    for host in ["", "a b", "a/b", "user@a", "a:b:c", "a:port", "a,b", "..", "a%2eb"] {
        let reply = stack.send("/", &[("host", host), ("x-api-key", "sx_member")]).await;
        assert_eq!(reply.status, 400, "{host:?}: {reply:?}");
    }
    let bytes = b"GET / HTTP/1.1\r\nx-api-key: sx_member\r\nconnection: close\r\n\r\n";
    assert_eq!(send(stack.address, bytes).await.status, 400);
    let twice = [("host", "a"), ("host", "b"), ("x-api-key", "sx_member")];
    assert_eq!(stack.send("/", &twice).await.status, 400);
    let absolute = [("host", "a"), ("x-api-key", "sx_member")];
    assert_eq!(stack.send("http://b/", &absolute).await.status, 400);
    assert!(stack.application.seen().is_empty());
}

#[tokio::test]
async fn a_path_nobody_serves_is_404_with_the_way_out() {
    let stack = start_with(|route| route.path_prefix = "/only".to_owned()).await;
    let reply = stack.get("/onlyx").await;
    assert_eq!(reply.status, 404);
    assert_eq!(reply.problem("type"), "urn:shieldx:problem:not-found");
    assert!(reply.problem("detail").contains("/openapi.json"));
    assert_eq!(stack.get("/only/x").await.status, 200);
    assert!(stack.metrics().contains("http_route=\"/only/{*rest}\""));
}
