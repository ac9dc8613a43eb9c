//! Routing by table.

use super::{Table, canonical_host, is_host};
use crate::config::{ConfigError, RouteConfig};
use crate::service::OwnApis;

fn own() -> OwnApis {
    let upstream = |port: u16| format!("http://127.0.0.1:{port}").parse().unwrap();
    OwnApis {
        verifier_pool: upstream(8090),
        contauth: upstream(5002),
        ml_service: upstream(5000),
        ledger: upstream(8088),
    }
}

fn route(name: &str, host: Option<&str>, prefix: &str) -> RouteConfig {
    let mut route = RouteConfig::new(name, "http://127.0.0.1:1".parse().unwrap());
    route.host = host.map(str::to_owned);
    route.path_prefix = prefix.to_owned();
    route
}

#[track_caller]
fn check(routes: &[RouteConfig], cases: &[(&str, &str, Option<&str>)]) {
    let table = Table::new(routes, &own()).unwrap();
    for (host, path, name) in cases {
        let found = table.find(host, path).map(|route| &*route.name);
        assert_eq!(found, *name, "{host}{path}");
    }
}

fn refusal(routes: &[RouteConfig]) -> ConfigError {
    Table::new(routes, &own()).unwrap_err()
}

#[test]
fn own_apis_need_no_route() {
    check(
        &[],
        &[
            ("h", "/v1/verifications", Some("verifications")),
            ("h", "/v1/verifications/", Some("verifications")),
            ("h", "/v1/verifications/1/report", Some("verifications")),
            ("h", "/v1/verificationsx", None),
            ("h", "/v1/sessions/s/risk", Some("sessions")),
            ("h", "/v1/subjects/s/profile", Some("subjects")),
            ("h", "/v1/features/runs", Some("features")),
            ("h", "/v1/traces/0", Some("traces")),
            ("h", "/openapi.json", Some("openapi.json")),
            ("h", "/V1/sessions", None),
            ("h", "/v1", None),
            ("h", "/", None),
            ("h", "*", None),
        ],
    );
}

#[test]
fn hosts_go_before_own_apis_and_those_before_the_rest() {
    let routes = [
        route("everything", None, "/"),
        route("shop", Some("Shop.Example"), "/"),
        route("admin", Some("shop.example"), "/admin"),
        route("part", Some("part.example"), "/part"),
        route("v1", None, "/v1"),
    ];
    check(
        &routes,
        &[
            ("shop.example", "/v1/sessions/s", Some("shop")),
            ("shop.example", "/admin", Some("admin")),
            ("shop.example", "/admin/x", Some("admin")),
            ("shop.example", "/administrators", Some("shop")),
            ("other.example", "/v1/sessions/s", Some("sessions")),
            ("other.example", "/v1/other", Some("v1")),
            ("other.example", "/admin", Some("everything")),
            ("part.example", "/part/x", Some("part")),
            ("part.example", "/v1/features/f", Some("features")),
            ("part.example", "/else", Some("everything")),
        ],
    );
}

#[test]
fn the_longest_prefix_wins_and_ends_between_segments() {
    let routes = [
        route("a", None, "/a"),
        route("abc", None, "/a/b/c/"),
        route("ab", None, "/a/b"),
        route("encoded", None, "/a%20b"),
    ];
    check(
        &routes,
        &[
            ("h", "/a", Some("a")),
            ("h", "/a/", Some("a")),
            ("h", "/a/b", Some("ab")),
            ("h", "/a/bc", Some("a")),
            ("h", "/a/b/c", Some("abc")),
            ("h", "/a/b/c/d", Some("abc")),
            ("h", "/ab", None),
            ("h", "/a%20b/x", Some("encoded")),
            ("h", "/a%2fb", None),
            ("h", "/%61", None),
        ],
    );
}

#[test]
fn routes_that_cannot_be_are_refused() {
    let twice = [route("a", None, "/x"), route("b", None, "/x/")];
    assert!(matches!(refusal(&twice), ConfigError::SameRoute { .. }));
    let hosts = [route("a", Some("h"), "/x"), route("b", Some("H."), "/x")];
    assert!(matches!(refusal(&hosts), ConfigError::SameRoute { .. }));
    for host in ["", "a b", "a:80", "http://a", "a/b", "u@a", "*.a", "."] {
        let error = refusal(&[route("a", Some(host), "/")]);
        assert!(matches!(error, ConfigError::Host { .. }), "{host:?}: {error}");
    }
    for prefix in ["", "x", "/a?b", "/a#b", "/a/../b", "//", "/a%2fb", "/a b"] {
        let error = refusal(&[route("a", None, prefix)]);
        assert!(matches!(error, ConfigError::Prefix { .. }), "{prefix:?}: {error}");
    }
}

#[test]
fn hosts_are_compared_without_case_and_final_dot() {
    assert_eq!(canonical_host("Shop.Example."), "shop.example");
    assert_eq!(canonical_host("[::1]"), "[::1]");
    for (host, good) in
        [("a.b-c_d", true), ("[::1]", true), ("127.0.0.1", true), ("a%2eb", false), ("..", false)]
    {
        assert_eq!(is_host(host), good, "{host}");
    }
}
