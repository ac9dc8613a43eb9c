//! Attempts to break the sandbox or to use it up, each looked at from three sides: what the
//! attempt got (inside), what became of the host (outside), and what the record says (evidence).
//!
//! The numbers are the rows of docs/abuse.md. The primitives are in `programs/abuse.c`, bounded
//! there too, so that a hole in a wall costs a failed test and not the machine.

mod places;
mod resources;
mod surface;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::lab::{Lab, Outcome, assert_belongings_vanish, belongings, have};

/// What must be the same after an attempt as before it.
struct Canary {
    process: Child,
    file: PathBuf,
    hostname: String,
    belongings: BTreeSet<String>,
}

const CANARY: &str = "nobody may change this\n";

impl Canary {
    fn new(lab: &Lab) -> Self {
        let file = lab.write("canary.txt", CANARY);
        Self {
            process: Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep"),
            file,
            hostname: hostname(),
            belongings: belongings(0),
        }
    }

    fn check(mut self, lab: &Lab, supervisor: u32) {
        assert!(self.process.try_wait().expect("the canary").is_none(), "the canary died");
        assert_eq!(fs::read_to_string(&self.file).expect("the canary's file"), CANARY);
        assert_eq!(hostname(), self.hostname);
        let names: Vec<_> = fs::read_dir(lab.work()).expect("a folder").flatten().collect();
        for entry in names {
            let name = entry.file_name();
            assert!(name == "canary.txt" || name == "abuse", "{name:?} reached the host");
        }
        lab.assert_no_process();
        assert_belongings_vanish(supervisor, &self.belongings);
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name")
}

/// Runs one sub command of `abuse.c` between two looks at the host.
fn attempt(options: &[&str], words: &[&str]) -> Option<(Lab, Outcome)> {
    if !have(words[0], &["cc"]) {
        return None;
    }
    let lab = Lab::new();
    let mut command = lab.program("abuse.c");
    command.extend(words.iter().map(|&word| word.to_owned()));
    let canary = Canary::new(&lab);
    let outcome = lab.shieldx().with(options).run(&command);
    canary.check(&lab, outcome.supervisor);
    Some((lab, outcome))
}

/// `(value, errno)` that the program printed for `name`.
fn result(outcome: &Outcome, name: &str) -> Option<(i64, i32)> {
    let output = outcome.output();
    let line = output.lines().find_map(|line| {
        line.strip_prefix("RESULT ").and_then(|rest| rest.strip_prefix(name)?.strip_prefix(' '))
    })?;
    let (value, errno) = line.split_once(" errno=")?;
    Some((value.parse().ok()?, errno.trim().parse().ok()?))
}

fn expect(outcome: &Outcome, name: &str) -> (i64, i32) {
    result(outcome, name).unwrap_or_else(|| panic!("no result for {name}: {}", outcome.summary()))
}
