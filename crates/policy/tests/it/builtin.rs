//! The built-in policy by table.

use policy::{DecisionInput, Policy};
use types::decision::Action;
use types::ports::Decider as _;
use types::risk::RiskLevel;

use crate::support::{input, session};

#[track_caller]
fn check(policy: &Policy, input: &DecisionInput, action: Action) {
    let decision = policy.decide(input).unwrap();
    assert_eq!(decision.action, action, "{decision:?} on {input:?}");
    assert!(!decision.reason.is_empty());
}

#[test]
fn ordinary_requests_of_callers_with_a_key_pass() {
    let policy = Policy::builtin().unwrap();
    for path in ["/", "/a/b.html", "/a%20b", "/.well-known/x", "/environment", "/gitea", "/a%2Fb"] {
        check(&policy, &input(path), Action::Allow);
    }
}

#[test]
fn a_route_without_callers_is_one_the_operator_opened() {
    let policy = Policy::builtin().unwrap();
    let mut anonymous = input("/");
    anonymous.caller = None;
    check(&policy, &anonymous, Action::Allow);
}

#[test]
fn a_doubtful_session_is_asked_to_sign_in_again_and_never_locked_out() {
    let policy = Policy::builtin().unwrap();
    for (level, action) in [
        (RiskLevel::Unknown, Action::Allow),
        (RiskLevel::Low, Action::Allow),
        (RiskLevel::Elevated, Action::StepUp),
        (RiskLevel::High, Action::StepUp),
    ] {
        let mut asked = input("/account");
        asked.session = Some(session(level));
        check(&policy, &asked, action);
        asked.request.method = "POST".to_owned();
        check(&policy, &asked, action);
        // Telemetry that clears a session goes through the same door.
        asked.route.kind = "api".to_owned();
        check(&policy, &asked, Action::Allow);
    }
}

#[test]
fn scanners_are_diverted_where_there_is_a_decoy_and_blocked_elsewhere() {
    let policy = Policy::builtin().unwrap();
    for path in [
        "/.env",
        "/.env.production",
        "/app/.ENV",
        "/.git/config",
        "/wp-login.php",
        "/blog/wp-admin/",
        "/.aws/credentials",
    ] {
        let mut probe = input(path);
        check(&policy, &probe, Action::Block);
        probe.route.decoy = true;
        check(&policy, &probe, Action::Divert);
        probe.route.kind = "api".to_owned();
        check(&policy, &probe, Action::Allow);
    }
}

#[test]
fn attack_tools_are_slowed_down() {
    let policy = Policy::builtin().unwrap();
    for agent in ["sqlmap/1.8#stable (https://sqlmap.org)", "Mozilla/5.00 (Nikto/2.5.0)"] {
        let mut request = input("/");
        request.request.headers.insert("user-agent".to_owned(), agent.to_owned());
        check(&policy, &request, Action::Tarpit);
    }
    let mut silent = input("/");
    silent.request.headers.clear();
    check(&policy, &silent, Action::Allow);
}

#[test]
fn paths_that_lead_elsewhere_are_blocked_whatever_the_route_takes() {
    let policy = Policy::builtin().unwrap();
    for path in [
        "/a/../b",
        "/..",
        "/a/%2e%2E/b",
        "/a/.%2e/b",
        "/a/..%2fb",
        "/a/..%5Cb",
        "/a/..\\b",
        // An encoded `e` would hide `.env` from the rule above.
        "/.%65nv",
        "/%2egit/config",
        "/%61",
        "/%31",
        "/%5A",
    ] {
        let mut request = input(path);
        check(&policy, &request, Action::Block);
        request.route.decoy = true;
        check(&policy, &request, Action::Block);
        request.route.kind = "api".to_owned();
        check(&policy, &request, Action::Block);
    }
}

#[test]
fn a_kind_of_route_the_policy_does_not_know_is_blocked() {
    let policy = Policy::builtin().unwrap();
    let mut other = input("/");
    other.route.kind = "tunnel".to_owned();
    check(&policy, &other, Action::Block);
}

#[test]
fn a_decision_names_the_policy_that_made_it() {
    let policy = Policy::builtin().unwrap();
    let decision = policy.decide(&input("/")).unwrap();
    assert_eq!(policy.revision(), "builtin");
    assert_eq!(decision.policy, format!("builtin ({})", policy.digest()));
}

#[test]
fn many_threads_decide_at_the_same_time() {
    let policy = Policy::builtin().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let policy = &policy;
            scope.spawn(move || {
                for round in 0..50 {
                    let (path, action) = if (thread + round) % 2 == 0 {
                        ("/", Action::Allow)
                    } else {
                        ("/.env", Action::Block)
                    };
                    check(policy, &input(path), action);
                }
            });
        }
    });
}
