//! Programs left in the kernel by one run and used by the next.

use std::fs;
use std::path::PathBuf;

use sandbox::monitor::ebpf::{Options, load};
use types::Kind;

use super::job::{Setup, assert_success, run_with, sh};

/// Pins of this test alone, which go away with this value.
struct Pins(String);

impl Pins {
    fn new(name: &str) -> Self {
        Self(format!("shieldx-test-{name}-{}", std::process::id()))
    }

    fn options(&self) -> Options {
        Options { pins: Some(self.0.clone()), ..Options::default() }
    }

    /// Whether programs were left by an earlier run. None, and SKIP, where nothing can be loaded.
    fn load(&self) -> Option<sandbox::monitor::ebpf::Loaded> {
        match load(&self.options()) {
            Ok(loaded) => Some(loaded),
            Err(error) => {
                eprintln!("SKIP eBPF: {error}");
                None
            }
        }
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from("/sys/fs/bpf").join(&self.0)
    }

    /// The folders of all sets.
    fn sets(&self) -> Vec<PathBuf> {
        let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
        let sets = below(self.folder()).flat_map(|object| below(object.path()));
        sets.map(|set| set.path()).collect()
    }

    fn run(&self, script: &str) -> Option<super::job::Record> {
        let setup = Setup { options: self.options(), ..Setup::default() };
        let record = run_with(&mut sh(script), setup)?;
        assert_success(&record);
        record.assert_complete();
        Some(record)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        for set in self.sets() {
            for pin in fs::read_dir(&set).into_iter().flatten().flatten() {
                let _ = fs::remove_file(pin.path());
            }
            let _ = fs::remove_dir(&set);
            let _ = set.parent().map(fs::remove_dir);
        }
        let _ = fs::remove_dir(self.folder());
    }
}

#[test]
fn a_second_run_uses_what_the_first_left_and_sees_only_its_own() {
    let pins = Pins::new("second");
    let Some(first) = pins.run("/bin/echo one; mkdir /tmp/x-$$; rmdir /tmp/x-$$") else { return };
    assert_eq!(pins.sets().len(), 1);
    for number in 0..3 {
        let record = pins.run("/bin/echo two").unwrap();
        assert!(record.reused, "{number}");
        let seen = &record.summary.counters;
        assert!(seen.seen < first.summary.counters.seen, "the first run's were counted again");
        assert!(!record.any(|kind| matches!(kind, Kind::Mkdir { .. })));
        let two = ["/bin/echo".into(), "two".into()];
        record.one(|kind| matches!(kind, Kind::Exec { argv, .. } if *argv == two));
        assert!(!record.summary.calls.contains_key("mkdir"), "{:?}", record.summary.calls);
    }
    assert_eq!(pins.sets().len(), 1);
}

#[test]
fn one_set_is_never_used_by_two_at_once_and_there_is_a_bound() {
    let pins = Pins::new("bound");
    let mut held = Vec::new();
    for _ in 0..6 {
        let Some(loaded) = pins.load() else { return };
        assert!(!loaded.reused());
        held.push(loaded);
    }
    assert_eq!(pins.sets().len(), 4);
}

#[test]
fn a_set_that_was_not_given_back_is_not_used_again() {
    let pins = Pins::new("lost");
    let Some(loaded) = pins.load() else { return };
    drop(loaded);
    assert!(!pins.load().unwrap().reused());
}

#[test]
fn a_set_that_is_not_whole_or_not_ours_is_not_used() {
    let pins = Pins::new("bent");
    if pins.run("true").is_none() {
        return;
    }
    // A map that nobody writes to in the place of one that the programs write to.
    let set = pins.sets().remove(0);
    fs::remove_file(set.join("ranges")).unwrap();
    fs::rename(set.join("flights"), set.join("ranges")).unwrap();
    assert!(!pins.run("true").unwrap().reused);
    assert!(pins.run("true").unwrap().reused);
    let mode = |mode| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(pins.sets().remove(0), permissions).unwrap();
    };
    mode(0o755);
    assert!(!pins.run("true").unwrap().reused);
    mode(0o700);
}
