//! What the APIs say of themselves at `/openapi.json` is what they do: Schemathesis tries it with
//! good and with bad requests, and every route is looked for from both sides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Answer, Stack};
use crate::lab::skip;

/// All there are but two. `positive_data_acceptance` does not know that a request may fit its schema
/// and still say something that cannot be: bytes that nothing here executes, a session of another
/// subject, events out of order. `ignored_auth` sends its own key beside ours and finds ours good.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,\
    allow_header_conformance,negative_data_rejection,missing_required_header,use_after_free,\
    ensure_resource_availability";
/// The last follows what is submitted through the links of the documents to its end.
const PHASES: &str = "examples,coverage,fuzzing,stateful";
/// Requests of the random part, per operation; the systematic part comes to about 60 more.
const EXAMPLES_MAX: &str = "25";
const SEED: &str = "20260101";

#[test]
fn every_api_does_what_its_openapi_document_says() {
    let Some(program) = schemathesis() else {
        skip("the APIs against their documents", "schemathesis not installed (cargo xtask test)");
        return;
    };
    let stack = Stack::start();
    let mut failures = Vec::new();
    let internal = ["contauth", "verifier-pool", "ml-service", "console"];
    let internal = internal.iter().map(|name| (*name, stack.internal[*name].as_str()));
    for (name, url) in internal.chain([("ingress", stack.server.as_str())]) {
        if let Err(told) = tried(&program, &stack, url) {
            failures.push(format!("--- {name} ---\n{told}"));
        }
    }
    let told = stack.log();
    assert!(!told.contains("panicked"), "a handler panicked");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// On the path, or where `cargo xtask test` puts it.
fn schemathesis() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_shieldx")).parent()?.parent()?;
    let programs = ["schemathesis".into(), target.join("schemathesis/bin/schemathesis")];
    programs.into_iter().find(|program| {
        let version = Command::new(program).arg("--version").stdin(Stdio::null()).output();
        version.is_ok_and(|version| version.status.success())
    })
}

fn tried(program: &Path, stack: &Stack, url: &str) -> Result<(), String> {
    // It keeps what it found out in the current folder.
    let folder = tempfile::tempdir().expect("a folder");
    let done = Command::new(program)
        .args(["--no-color", "run", &format!("{url}/openapi.json"), "--url", url])
        .args(["--header", &format!("X-API-Key: {}", stack.key)])
        .args(["--checks", CHECKS, "--phases", PHASES])
        .args(["--max-examples", EXAMPLES_MAX, "--seed", SEED, "--continue-on-failure"])
        .args(["--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "60"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("schemathesis starts");
    if done.status.code() == Some(0) {
        return Ok(());
    }
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    Err(format!("{}\n{out}\n{err}", done.status))
}

/// Answers of a router that has no such route, as opposed to those of a route that finds nothing.
fn is_of_no_route(answer: &Answer) -> bool {
    answer.status == 404 && answer.json()["detail"].as_str().is_some_and(|d| d.contains("route"))
}

/// Template → methods.
fn operations(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let methods = |item: &Value| item.as_object().expect("an item").keys().cloned().collect();
    paths.map(|(path, item)| (path.clone(), methods(item))).collect()
}

#[test]
fn the_joined_document_has_the_routes_that_are_answered_and_no_others() {
    let stack = Stack::start();
    let joined = stack.get(&stack.key, "/openapi.json").json();
    let joined = operations(&joined);
    let mut expected = BTreeMap::new();
    for service in ["contauth", "verifier-pool", "ml-service", "console"] {
        let url = format!("{}/openapi.json", stack.internal[service]);
        expected.extend(operations(&stack.get(&stack.key, &url).json()));
    }
    let get = || BTreeSet::from(["get".to_owned()]);
    expected.extend(["/openapi.json", "/v1/traces/{id}"].map(|path| (path.to_owned(), get())));
    assert_eq!(joined, expected);

    for (template, documented) in &joined {
        let id = "01a20e9b-0c7d-751f-9983-f83768beb61a";
        let path =
            template.replace("/v1/traces/{id}", "/v1/traces/00000000000000000000000000000001");
        let path = path.replace("{id}", id).replace("{view}", "a_view");
        let path = path.replace("{name}", "gateway-availability");
        let path = path.replace("{subject}", "somebody");
        assert!(!path.contains('{'), "a parameter that this test does not know: {template}");
        for method in ["get", "put", "post", "delete", "patch"] {
            let answer = stack.ask(&stack.key, method, &path);
            if documented.contains(method) {
                assert!(answer.status != 405 && !is_of_no_route(&answer), "{method} {path}");
                continue;
            }
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            let allowed = answer.header("allow").expect("Allow").to_ascii_lowercase();
            let allowed: BTreeSet<_> = allowed.split(',').map(|m| m.trim().to_owned()).collect();
            let implied = |method: &String| method == "head" && allowed.contains("get");
            let told: BTreeSet<_> = allowed.iter().filter(|m| !implied(m)).cloned().collect();
            assert_eq!(told, *documented, "{method} {path}");
        }
        let beyond = stack.get(&stack.key, &format!("{path}/nothing/here"));
        assert!(is_of_no_route(&beyond), "{path}/nothing/here: {}", beyond.text());
    }
    let unknown =
        ["/", "/v1", "/v1/", "/v1/verification", "/v2/verifications", "/metrics", "/readyz"];
    for path in unknown {
        let answer = stack.get(&stack.key, path);
        assert!(is_of_no_route(&answer), "{path}: {} {}", answer.status, answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
}
