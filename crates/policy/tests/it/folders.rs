//! Policies in folders: what is loaded, and what is said about a folder that cannot be.

use std::fs;
use std::os::unix::fs::symlink;

use policy::{BUILTIN, Policy};
use types::decision::Action;
use types::ports::Decider as _;

use crate::support::{folder, input, load, refusal};

const ALLOW: &str =
    "package shieldx\n\ndecision := {\"action\": \"allow\", \"reason\": \"test\"}\n";

/// The last line of the decision's error on an ordinary request.
fn failure(rego: &str) -> String {
    let policy = load(&[("p.rego", rego)]).unwrap();
    let error = policy.decide(&input("/")).unwrap_err();
    assert_eq!(error.what, "policy");
    error.reason
}

#[track_caller]
fn check_refused(files: &[(&str, &str)], says: &[&str]) {
    let text = refusal(folder(files).path());
    for part in says {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn the_built_in_policy_is_a_folder_like_any_other() {
    let policy = load(&[("shieldx.rego", BUILTIN)]).unwrap();
    let builtin = Policy::builtin().unwrap();
    assert_eq!(policy.digest(), builtin.digest());
    assert_eq!(policy.revision(), policy.digest());
    assert_eq!(policy.decide(&input("/")).unwrap().policy, policy.digest());
}

#[test]
fn modules_and_data_below_the_folder_are_one_policy() {
    let policy = load(&[
        (
            ".manifest",
            r#"{"revision": "r7", "roots": ["shieldx", "lists/"], "metadata": {"a": 1}}"#,
        ),
        (
            "rules/main.rego",
            "package shieldx\nimport data.shieldx.net\ndefault decision := \
             {\"action\": \"block\", \"reason\": \"default\"}\ndecision := {\"action\": \"allow\", \
             \"reason\": sprintf(\"in %s\", [net.list])} if net.good\n",
        ),
        (
            "rules/net.rego",
            "package shieldx.net\ngood if input.request.client_address in data.lists.good.hosts\n\
             list := data.lists.name\n",
        ),
        ("lists/data.json", r#"{"name": "the list"}"#),
        ("lists/good/data.yaml", "hosts:\n  - 127.0.0.1\n"),
        ("rules/main_test.rego", "this is not read"),
        ("notes.txt", "neither is this"),
        (".git/x.rego", "nor this"),
    ])
    .unwrap();
    let decision = policy.decide(&input("/")).unwrap();
    assert_eq!((decision.action, decision.reason.as_str()), (Action::Allow, "in the list"));
    assert_eq!(policy.revision(), "r7");
    assert!(decision.policy.starts_with("r7 (sha256:"), "{}", decision.policy);
    let mut other = input("/");
    other.request.client_address = "10.0.0.1".to_owned();
    assert_eq!(policy.decide(&other).unwrap().action, Action::Block);
}

#[test]
fn the_digest_tells_names_and_contents_apart() {
    let digest = |files: &[(&str, &str)]| load(files).unwrap().digest().to_owned();
    let one = digest(&[("a.rego", ALLOW)]);
    assert_eq!(one, digest(&[("a.rego", ALLOW), ("readme.md", "not part of it")]));
    assert_ne!(one, digest(&[("b.rego", ALLOW)]));
    assert_ne!(one, digest(&[("a.rego", &format!("{ALLOW}\n"))]));
    assert_ne!(one, digest(&[("a.rego", ALLOW), ("data.json", "{}")]));
    assert_eq!(one.len(), "sha256:".len() + 64);
}

#[test]
fn what_is_wrong_is_named_with_file_and_line() {
    check_refused(&[("a/x.rego", "package shieldx\n\ndecision := {\n")], &["a/x.rego", ":4"]);
    check_refused(
        &[("x.rego", &format!("{ALLOW}\nother if {{ unknown_thing == 1 }}\n"))],
        &["x.rego:5", "unknown_thing"],
    );
    check_refused(&[("a.rego", ALLOW), ("d/data.json", "{]")], &["d/data.json"]);
    check_refused(
        &[("a.rego", ALLOW), ("b.rego", "package b\nx := strings.count(\"a\", input.y)")],
        &["b.rego:2", "strings.count"],
    );
    check_refused(&[("x.rego", "package shieldx\nallow { true }\n")], &["x.rego:2"]);
}

#[test]
fn a_folder_that_is_no_policy_is_refused_with_the_way_out() {
    check_refused(&[("readme.md", "")], &["no *.rego"]);
    check_refused(
        &[("a.rego", "package other\ndecision := 1")],
        &["`decision`", "package shieldx"],
    );
    check_refused(&[("a.rego", "package shieldx\nallow := true")], &["`decision`"]);
    check_refused(&[("a_test.rego", ALLOW)], &["no *.rego"]);
    check_refused(&[("a.rego", ALLOW), ("patch.json", "{}")], &["delta"]);
    check_refused(&[("a.rego", ALLOW), (".signatures.json", "{}")], &["signed"]);
    check_refused(&[("a.rego", ALLOW), ("data.json", "[1]")], &["data.json"]);
    let (v0, wasm) = (r#"{"rego_version": 0}"#, r#"{"wasm": [{"entrypoint": "x"}]}"#);
    check_refused(&[("a.rego", ALLOW), (".manifest", v0)], &[".manifest", "v0"]);
    check_refused(&[("a.rego", ALLOW), (".manifest", wasm)], &["WebAssembly"]);
    check_refused(&[("a.rego", ALLOW), (".manifest", "{")], &[".manifest"]);
    let roots = (".manifest", r#"{"roots": ["other"]}"#);
    check_refused(&[("a.rego", ALLOW), roots], &["a.rego", "other"]);
    let roots = (".manifest", r#"{"roots": ["shieldx"]}"#);
    check_refused(&[("a.rego", ALLOW), ("x/data.json", r#"{"y": 1}"#), roots], &["x/data.json"]);
    check_refused(
        &[("a.rego", ALLOW), ("a/data.json", r#"{"x": 1}"#), ("data.json", r#"{"a": {"x": 2}}"#)],
        &["data.json"],
    );
    let absent = folder(&[]).path().join("absent");
    assert!(refusal(&absent).contains("absent"));
}

#[test]
fn folders_that_contain_themselves_end() {
    let folder = folder(&[("a.rego", ALLOW)]);
    symlink(folder.path(), folder.path().join("loop")).unwrap();
    let text = refusal(folder.path());
    assert!(text.contains("loop"), "{text}");
}

/// Kubernetes mounts a map as links into a hidden folder.
#[test]
fn links_to_files_are_read_once() {
    let folder = folder(&[("..2026/a.rego", ALLOW)]);
    symlink("..2026", folder.path().join("..data")).unwrap();
    symlink("..data/a.rego", folder.path().join("a.rego")).unwrap();
    let policy = Policy::load(folder.path()).unwrap();
    assert_eq!(policy.digest(), load(&[("a.rego", ALLOW)]).unwrap().digest());
    fs::remove_dir_all(folder.path()).unwrap();
    assert_eq!(policy.decide(&input("/")).unwrap().action, Action::Allow);
}

#[test]
fn an_answer_that_is_none_is_an_error_and_no_decision() {
    assert!(failure("package shieldx\ndecision := 1 if input.nothing").contains("undefined"));
    assert!(failure("package shieldx\ndecision := \"allow\"").contains("`action`"));
    assert!(failure("package shieldx\ndecision := {\"action\": 1}").contains("`action`"));
    assert!(failure("package shieldx\ndecision := {\"action\": \"allow\"}").contains("`reason`"));
    let unknown = "package shieldx\ndecision := {\"action\": \"Allow\", \"reason\": \"\"}";
    assert!(failure(unknown).contains("\"Allow\""));
}

#[test]
fn rules_that_contradict_each_other_are_an_error() {
    let both = format!("{ALLOW}\ndecision := {{\"action\": \"block\", \"reason\": \"x\"}}\n");
    assert!(!failure(&both).is_empty());
}

#[test]
fn a_builtin_that_cannot_is_undefined_and_the_default_holds() {
    let policy = load(&[(
        "p.rego",
        "package shieldx\ndefault decision := {\"action\": \"block\", \"reason\": \"default\"}\n\
         decision := {\"action\": \"allow\", \"reason\": \"x\"} if to_number(input.request.path) > 1",
    )])
    .unwrap();
    assert_eq!(policy.decide(&input("/")).unwrap().action, Action::Block);
}

#[test]
fn a_policy_that_does_not_end_is_stopped() {
    let reason = failure(
        "package shieldx\ndecision := {\"action\": \"allow\", \"reason\": sprintf(\"%d\", [n])} if {\n\
         n := count([1 | some a in numbers.range(1, 2000); some b in numbers.range(1, 2000); a == b])\n}",
    );
    assert!(reason.contains("time") || reason.contains("limit"), "{reason}");
}

#[test]
fn a_long_reason_is_cut() {
    let policy = load(&[(
        "p.rego",
        "package shieldx\ndecision := {\"action\": \"allow\", \"reason\": input.request.path}",
    )])
    .unwrap();
    let decision = policy.decide(&input(&"/é".repeat(500))).unwrap();
    assert!((500..=512).contains(&decision.reason.len()));
}
