//! Nothing accepted is lost and nothing gets two results, whenever the server is killed.
#![expect(clippy::unwrap_used, reason = "what fails here should fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::{Stack, until};

/// Everything the tenant has, by id.
fn all(stack: &Stack) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut path = "/v1/verifications?limit=20".to_owned();
    loop {
        let page = stack.get(&stack.key, &path).json();
        for item in page["items"].as_array().unwrap() {
            let id = item["id"].as_str().unwrap().to_owned();
            assert!(found.insert(id, item.clone()).is_none(), "an id twice in the list");
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/verifications?limit=20&before={next}"),
            None => return found,
        }
    }
}

fn count(found: &BTreeMap<String, Value>, state: &str) -> usize {
    found.values().filter(|item| item["state"] == state).count()
}

#[test]
fn killed_with_fifty_queued_and_four_running_all_fifty_four_get_exactly_one_result() {
    let mut stack = Stack::with(
        "[verifier-pool]\naddress = \"127.0.0.1:0\"\nworkers = 4\nmemory_total_bytes = 17179869184\n",
        &[],
    );
    let ids: BTreeSet<String> = (0..54)
        .map(|n| {
            let script = format!("import time\ntime.sleep(3)\nprint({n})\n");
            let accepted = stack.submit(&stack.key, &format!("s{n}.py"), script.as_bytes());
            accepted["id"].as_str().unwrap().to_owned()
        })
        .collect();
    until("four running", || {
        let found = all(&stack);
        count(&found, "running") == 4 && count(&found, "queued") == 50
    });
    stack.kill();
    stack.begin();
    until("all finished", || {
        std::thread::sleep(Duration::from_millis(500));
        count(&all(&stack), "done") == 54
    });
    let found = all(&stack);
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), ids);
    for (id, item) in &found {
        assert_eq!(item["verdict"], "benign", "{item}");
        let report = stack.get(&stack.key, &format!("/v1/verifications/{id}/report")).json();
        assert_eq!(report["run"]["id"].as_str(), Some(id.as_str()), "its own report");
    }
}

#[test]
fn killed_fifty_times_while_it_accepts_and_runs_every_accepted_one_is_finished_once() {
    let settings = "[verifier-pool]\naddress = \"127.0.0.1:0\"\nworkers = 2\nattempts_max = 1000\n";
    let mut stack = Stack::with(settings, &[]);
    let mut accepted = BTreeMap::new();
    // A small deterministic disorder (xorshift) for the moments of the kills.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..50 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let pause = Duration::from_millis(state % 250);
        let pid = stack.pid();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(pause);
            let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        });
        for n in 0..200 {
            let name = format!("r{round}-{n}");
            let path = format!("/v1/verifications?file_name={name}.sh");
            let Some(answer) = stack.try_post(&path, &name, b"#!/bin/sh\nexit 0\n") else { break };
            assert_eq!(answer.status, 202, "{}", answer.text());
            accepted.insert(name, answer.json()["id"].as_str().unwrap().to_owned());
            if n >= 3 {
                break;
            }
        }
        killer.join().unwrap();
        stack.kill();
        stack.begin();
    }
    until("all finished", || {
        std::thread::sleep(Duration::from_millis(500));
        let found = all(&stack);
        count(&found, "done") == found.len()
    });
    let found = all(&stack);
    for (name, id) in &accepted {
        let item =
            found.get(id).unwrap_or_else(|| panic!("{name} was accepted as {id} and is lost"));
        assert_eq!(item["verdict"], "benign", "{item}");
    }
    // A repeat of an accepted request is the same verification, also after all that.
    let (name, id) = accepted.iter().next().unwrap();
    let path = format!("/v1/verifications?file_name={name}.sh");
    let again = stack.try_post(&path, name, b"#!/bin/sh\nexit 0\n").unwrap();
    assert_eq!(again.json()["id"].as_str(), Some(id.as_str()));
}

impl Stack {
    /// Submits with an idempotency key; `None` when the server is gone before its answer.
    fn try_post(&self, path: &str, key: &str, body: &[u8]) -> Option<super::Answer> {
        let request = self
            .agent
            .post(self.url(path))
            .header("x-api-key", &self.key)
            .header("idempotency-key", key);
        request.send(body).ok().map(super::Answer::of)
    }
}
