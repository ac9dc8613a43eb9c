//! Documents that repeat what the program says, compared with the program.
//!
//! A reference that has drifted is written anew, and the test fails once so that somebody looks at
//! the difference and commits it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use policy::Policy;
use serde_json::Value;
use types::decision::{CallerFacts, DecisionInput, RequestFacts, RouteFacts, SessionFacts};
use types::ports::Decider as _;
use types::{Action, RiskLevel, SessionRisk, Signal};

use crate::stack::Stack;

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// Fails, after writing it, when the file is not `content`.
pub(crate) fn ensure(name: &str, content: &str) {
    let path = document(name);
    if fs::read_to_string(&path).is_ok_and(|there| there == content) {
        return;
    }
    fs::write(&path, content).expect("the document");
    panic!("{name} was not up to date; it is now, look at the difference and commit it");
}

#[test]
fn the_list_of_detectors_is_the_programs() {
    let output = Command::new(env!("CARGO_BIN_EXE_shieldx"))
        .args(["detectors", "--json"])
        .output()
        .expect("shieldx starts");
    let detectors: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let detectors = detectors.as_array().expect("a list");
    assert!(detectors.len() >= 15);
    let mut text = format!(
        "# Detectors\n\nWritten by `crates/shieldx/tests/it/documents.rs` from `shieldx detectors \
         --json`. {} detectors; weights and\nthresholds are explained in \
         [adr/0006](adr/0006-score-in-decibans.md).\n\n| detector | technique | looks for | tier C \
         |\n|---|---|---|---|\n",
        detectors.len()
    );
    for detector in detectors {
        let field = |name: &str| detector[name].as_str().unwrap_or("").replace('|', "\\|");
        let tier_c = match field("tier_c") {
            limit if limit.is_empty() => "sees".to_owned(),
            limit => limit,
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {tier_c} |",
            field("id"),
            field("technique"),
            field("looks_for"),
        );
    }
    ensure("docs/detectors.md", &text);
}

#[test]
fn the_readme_has_the_exit_codes_of_the_program() {
    let readme = fs::read_to_string(document("README.md")).expect("README.md");
    assert!(
        readme.contains(shieldx::exit::HELP),
        "README.md does not have the text of shieldx::exit::HELP:\n{}",
        shieldx::exit::HELP
    );
}

#[test]
fn the_table_of_routes_is_what_a_server_describes() {
    let text = fs::read_to_string(document("docs/api.md")).expect("docs/api.md");
    let table = text.split("<!-- routes -->").nth(1).expect("the table of routes");
    let cell = |row: &str, at: usize| row.split('`').nth(at).map(str::to_owned);
    let shown: BTreeSet<_> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|row| cell(row, 1).zip(cell(row, 3)).expect("a method and a path"))
        .collect();
    let stack = Stack::start();
    let described = stack.get(&stack.key, "/openapi.json").json();
    let described: BTreeSet<_> = described["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("an item").keys();
            methods.map(|method| (method.to_ascii_uppercase(), path.clone()))
        })
        .collect();
    assert_eq!(shown, described);
}

/// The first block of a language in a Markdown file.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let begin = format!("```{language}\n");
    let rest = text.split_once(&begin).expect("a block of the language").1;
    rest.split_once("```").expect("its end").0
}

#[test]
fn the_policy_that_is_shown_decides_on_the_input_that_is_shown() {
    let text = fs::read_to_string(document("docs/policy.md")).expect("docs/policy.md");
    let shown: Value = serde_json::from_str(block(&text, "json")).expect("an input");
    let said = |place: &str| shown.pointer(place).and_then(Value::as_str).unwrap_or("").to_owned();
    let agent = ["accept", "user-agent"];
    let headers = agent.map(|name| (name.to_owned(), said(&format!("/request/headers/{name}"))));
    let prior = Signal {
        name: "prior".to_owned(),
        detail: said("/session/signals/0/detail"),
        contribution: -4.595,
    };
    let risk = SessionRisk {
        risk: 0.01,
        level: RiskLevel::Unknown,
        subject: None,
        signals: vec![prior],
        observed_at: None,
    };
    let mut input = DecisionInput {
        request: RequestFacts {
            method: said("/request/method"),
            host: said("/request/host"),
            path: said("/request/path"),
            query: Some(said("/request/query")),
            headers: headers.into(),
            client_address: said("/request/client_address"),
        },
        caller: Some(CallerFacts {
            tenant: said("/caller/tenant"),
            role: said("/caller/role"),
            key_id: said("/caller/key_id"),
        }),
        session: Some(SessionFacts { id: said("/session/id"), risk }),
        route: RouteFacts { name: said("/route/name"), kind: said("/route/kind"), decoy: true },
    };
    assert_eq!(serde_json::to_value(&input).expect("JSON"), shown);

    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("shop.rego"), block(&text, "rego")).expect("a policy");
    let policy = Policy::load(folder.path()).expect("the policy that is shown");
    let action = |input: &DecisionInput| policy.decide(input).expect("a decision").action;
    assert_eq!(action(&input), Action::Allow);
    if let Some(session) = &mut input.session {
        session.risk.level = RiskLevel::Elevated;
    }
    assert_eq!(action(&input), Action::StepUp);
    "/.git/config".clone_into(&mut input.request.path);
    assert_eq!(action(&input), Action::Divert);
    (input.session, input.caller, input.route.decoy) = (None, None, false);
    assert_eq!(action(&input), Action::Block);
}
