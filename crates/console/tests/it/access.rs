//! Who may look.

use axum::Router;
use axum::routing::get;
use console::Config;

use crate::Served;
use crate::client::{Answer, ask};

const TOKEN: &str = "0123456789abcdef";

async fn locked() -> Served {
    let others = Router::new().route("/v1/other", get(async || "another's"));
    Served::with(&Config::default(), Some(TOKEN), others).await
}

#[tokio::test]
async fn a_page_of_somebody_else_cannot_point_its_name_here() {
    let config = Config { names: vec!["slo.example.com".to_owned()], ..Config::default() };
    let others = Router::new().route("/v1/other", get(async || "another's"));
    let served = Served::with(&config, None, others).await;
    let port = served.address.port();
    let of = |host: String| async move {
        let mut statuses = Vec::new();
        for path in ["/", "/api/slos", "/events", "/metrics", "/healthz", "/v1/other"] {
            if path == "/events" && !host.contains("evil") {
                continue;
            }
            statuses
                .push(ask(served_address(port), "GET", path, &[("Host", &host)], "").await.status);
        }
        statuses
    };
    for host in ["localhost", "127.0.0.1", "[::1]", "slo.example.com"] {
        assert!(of(format!("{host}:{port}")).await.iter().all(|status| *status == 200), "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "slo.example.com.evil.example"] {
        assert!(of(format!("{host}:{port}")).await.iter().all(|status| *status == 421), "{host}");
    }
    let answer = ask(served.address, "GET", "/", &[("Host", "evil.example")], "").await;
    assert!(answer.body.contains("console.names"), "{}", answer.body);
    let metrics = served.scene.metrics.text();
    let counted = "shieldx_console_requests_refused_total{reason=\"host\"} 19";
    assert!(metrics.contains(counted), "{metrics}");
}

fn served_address(port: u16) -> std::net::SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[tokio::test]
async fn without_the_token_nothing_is_seen() {
    let served = locked().await;
    let html = ("Accept", "text/html,*/*");
    for path in ["/", "/slo/gateway-latency", "/traces", "/services", "/runbooks/a", "/none"] {
        let answer = ask(served.address, "GET", path, &[html], "").await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.header("location").starts_with("/login?next=%2F"), "{answer:?}");
        assert!(answer.body.is_empty());
    }
    for path in ["/", "/api/slos", "/api/gate", "/api/traces", "/events"] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
    }
    for wrong in
        ["Bearer 0123456789abcdeX", "Bearer ", "Basic OjAxMjM=", "Bearer 0123456789abcdef0"]
    {
        let answer = ask(served.address, "GET", "/", &[html, ("Authorization", wrong)], "").await;
        assert_eq!(answer.status, 401, "{wrong}");
    }
    // What has its own keys, and what is for machines that look after the process.
    for path in ["/v1/other", "/healthz", "/metrics", "/favicon.svg", "/login"] {
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
    // A link in an alert brings no cookie along; a step from here does.
    let cross = [html, ("Sec-Fetch-Site", "cross-site")];
    let answer = ask(served.address, "GET", "/slo/gateway-latency?range=1h", &cross, "").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.contains("content=\"0; url=/slo/gateway-latency?range=1h\""),
        "{}",
        answer.body
    );
    assert!(!answer.body.contains("budget left"));
}

#[tokio::test]
async fn the_token_comes_by_header_or_by_login() {
    let served = locked().await;
    let basic = "Basic YW55Ym9keTowMTIzNDU2Nzg5YWJjZGVm";
    for value in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef", basic] {
        let answer = ask(served.address, "GET", "/", &[("Authorization", value)], "").await;
        assert_eq!(answer.status, 200, "{value}");
    }
    let login = |body: String| async move {
        ask(served_address(served.address.port()), "POST", "/login", &[], &body).await
    };
    let wrong: Answer = login("token=wrong-wrong-wrong-wrong".to_owned()).await;
    assert!(wrong.status == 401 && wrong.header("set-cookie").is_empty());
    let right = login(format!("token={TOKEN}&next=%2Fslo%2Fgateway-latency")).await;
    assert_eq!((right.status, right.header("location")), (303, "/slo/gateway-latency"));
    let cookie = right.header("set-cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains(TOKEN), "{cookie}");
    let session = cookie.split(';').next().unwrap();
    let with = |cookie: String| async move {
        ask(served_address(served.address.port()), "GET", "/", &[("Cookie", &cookie)], "")
            .await
            .status
    };
    assert_eq!(with(format!("theme=dark; {session}")).await, 200);
    assert_eq!(with(format!("{session}0")).await, 401);
    assert_eq!(with("shieldx_console=".to_owned()).await, 401);
    let away = login(format!("token={TOKEN}&next=%2F%2Fevil.example")).await;
    assert_eq!(away.header("location"), "/");
    let long = login("x".repeat(10_000)).await;
    assert_eq!(long.status, 413);
}
