//! Parameters of a submission: what is taken, and what is named when it is not.

use super::{Parameters, idempotency_key};
use crate::config::Config;
use crate::error::PoolError;
use crate::identify::Kind;

fn refused(query: &str) -> (&'static str, String) {
    match Parameters::from_query(query) {
        Err(PoolError::Parameter { name, reason }) => (name, reason),
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn a_query_is_decoded_and_keeps_the_order_of_arguments() {
    let query = "file_name=a%20b%2Bc.py&argument=--all&argument=x+y&argument=&runner=process\
                 &timeout_ms=1500&interpreter=python3";
    let parameters = Parameters::from_query(query).unwrap();
    assert_eq!(parameters.file_name(), "a b+c.py");
    assert_eq!(parameters.arguments, ["--all", "x y", ""]);
    assert_eq!(parameters.timeout_ms(&Config::default()).unwrap(), 1500);
}

#[test]
fn names_that_no_file_can_have_are_refused() {
    for (query, word) in [
        ("file_name=", "empty"),
        ("file_name=..", "folder"),
        ("file_name=a%2Fb", "/"),
        ("file_name=a%00b", "control"),
        ("file_name=a%1Bb", "control"),
        ("file_name=%C2%9B", "control"),
        ("file_name=%FF%FE", "UTF-8"),
        ("file_name=%F", "hexadecimal"),
        ("file_name=a&file_name=b", "twice"),
    ] {
        let (name, reason) = refused(query);
        assert_eq!(name, "file_name", "{query}");
        assert!(reason.contains(word), "{query}: {reason}");
    }
    let long = format!("file_name={}", "a".repeat(256));
    assert!(refused(&long).1.contains("255"));
    let fits = format!("file_name={}", "a".repeat(255));
    assert!(Parameters::from_query(&fits).is_ok());
}

#[test]
fn every_other_parameter_is_named_when_it_cannot_be() {
    for (query, name) in [
        ("timeout_ms=ten", "timeout_ms"),
        ("timeout_ms=-1", "timeout_ms"),
        ("timeout_ms=%2B5", "timeout_ms"),
        ("timeout_ms=99999999999999999999999", "timeout_ms"),
        ("interpreter=perl", "interpreter"),
        ("runner=..%2Fx", "runner"),
        ("runner=", "runner"),
        ("argument=a%00b", "argument"),
        ("argument=%FF", "argument"),
        ("nonsense=1", "query"),
        ("%FF=1", "query"),
    ] {
        assert_eq!(refused(query).0, name, "{query}");
    }
    let many = vec!["argument=x"; 65].join("&");
    assert_eq!(refused(&many).0, "argument");
    let long = format!("argument={}", "x".repeat(4097));
    assert_eq!(refused(&long).0, "argument");
}

#[test]
fn a_timeout_is_held_to_the_configured_limit() {
    let config = Config { timeout_max_ms: 1_000, ..Config::default() };
    let with = |query| Parameters::from_query(query).unwrap().timeout_ms(&config);
    assert_eq!(with("timeout_ms=1000").unwrap(), 1_000);
    assert!(with("timeout_ms=1001").is_err());
    assert!(with("timeout_ms=0").is_err());
    assert_eq!(with("").unwrap(), 1_000, "the default is held to it too");
}

#[test]
fn a_script_goes_into_a_container_only_where_an_image_is_configured() {
    let settle = |query, kind, image: Option<&str>| {
        let config = Config { docker_image: image.map(str::to_owned), ..Config::default() };
        Parameters::from_query(query).unwrap().settle(kind, &config)
    };
    for kind in [Kind::Script, Kind::Python, Kind::Node, Kind::Shell] {
        let Err(PoolError::Runner { runner, reason }) = settle("runner=docker", kind, None) else {
            panic!("{kind:?}");
        };
        assert_eq!(runner, "docker");
        assert!(reason.contains("`docker_image` in [verifier-pool]"), "{reason}");
        assert!(settle("runner=docker", kind, Some("debian:12")).is_ok());
        assert!(settle("runner=process", kind, None).is_ok());
    }
    assert!(settle("runner=docker", Kind::Elf, None).is_ok());
}

#[test]
fn an_idempotency_key_is_printable_and_bounded() {
    assert_eq!(idempotency_key(b"a-1").unwrap(), "a-1");
    for bad in [&b""[..], b"a\xffb", b"a\tb", "x".repeat(256).as_bytes()] {
        assert!(idempotency_key(bad).is_err());
    }
}
