//! What an artifact sees of the host: not the server's state, not other artifacts, not itself where
//! it is kept.

use std::fs;

use shieldx::worker::job::Message;

use super::bench::{Bench, execution, job, run};
use crate::lab::ORDINARY_USER;

const CANARY: &str = "canary-51d1f0";

#[test]
fn state_folder_keys_and_other_artifacts_are_out_of_sight() {
    let bench = Bench::new();
    let store = bench.store();
    fs::write(store.join("shieldx.sqlite"), CANARY).unwrap();
    fs::create_dir(store.join("artifacts")).unwrap();
    fs::write(store.join("artifacts/other"), CANARY).unwrap();
    bench.artifact(CANARY);
    let place = store.display();
    let script = format!(
        "#!/bin/sh\nls -laR {place} 2>&1\ncat {place}/shieldx.sqlite {place}/artifacts/other 2>&1\n\
         ls -a /artifact; pwd; echo home=$(ls -A ~); env\n\
         cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'\n\
         cat /proc/self/mountinfo; ls -l /proc/self/fd; echo changed > \"$0\"\n"
    );
    let artifact = bench.artifact(&script);
    // Even where permissions would not stop it.
    make_readable(&store);
    let recording = run(&bench.executor(), execution(&artifact, "look.sh")).unwrap();
    let output = recording.output.unwrap();
    let seen = format!("{}{}", output.stdout.to_lossy(), output.stderr.to_lossy());
    assert!(!seen.contains(CANARY), "{seen}");
    // Its home has nothing but what is planted there.
    let home = "home=.aws .bash_history .bashrc .bitcoin .git-credentials .kube .profile .ssh \
                Desktop Documents Pictures";
    assert!(seen.contains(&format!(".\n..\nlook.sh\n/artifact\n{home}\n")), "{seen}");
    let own = artifact.file_name().unwrap().to_str().unwrap();
    assert!(!seen.contains(own), "the name in the store: {seen}");
    for secret in ["SHIELDX_", "CARGO", "API_KEY"] {
        assert!(!seen.contains(secret), "{secret}: {seen}");
    }
    assert_eq!(fs::read_to_string(&artifact).unwrap(), script, "the original is untouched");
}

/// The same for a state folder that no private folder of the sandbox covers by itself.
#[test]
fn a_state_folder_anywhere_on_the_host_is_hidden() {
    let bench = Bench::new();
    let folder = tempfile::Builder::new().prefix("lab-worker-").tempdir_in("/opt").unwrap();
    fs::write(folder.path().join("keys"), CANARY).unwrap();
    make_readable(folder.path());
    let link = bench.store().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    let place = folder.path().display();
    let script = format!("#!/bin/sh\ncat {place}/keys\nls -A {place} | wc -l\n");
    let mut settings = bench.settings();
    let recording = run(
        &Bench::executor_with(settings.clone()),
        execution(&bench.artifact(&script), "look.sh"),
    );
    let seen = recording.unwrap().output.unwrap().stdout;
    assert!(seen.to_lossy().contains(CANARY), "the test can see what is not hidden");
    settings.hidden.push(link);
    let executor = Bench::executor_with(settings);
    let recording = run(&executor, execution(&bench.artifact(&script), "look.sh")).unwrap();
    assert_eq!(recording.output.unwrap().stdout.to_lossy(), "0\n");
}

/// A server of an ordinary user: its artifacts have the server's own id outside, so that only what
/// is not there cannot be read.
#[test]
fn an_ordinary_users_state_folder_is_hidden_too() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    let folder = tempfile::Builder::new().prefix("lab-worker-").tempdir_in("/opt").unwrap();
    let path = |name: &str| folder.path().join(name);
    let place = folder.path().display();
    let script = format!("#!/bin/sh\ncat {place}/keys\nls -A {place} | wc -l\nid -u\n");
    fs::write(path("keys"), CANARY).unwrap();
    fs::write(path("artifact"), script).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_shieldx"), path("shieldx")).unwrap();
    for name in ["", "keys", "artifact", "shieldx"] {
        let mode = if name == "keys" || name == "artifact" { 0o600 } else { 0o700 };
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
        chown(path(name), Some(ORDINARY_USER), Some(ORDINARY_USER)).unwrap();
    }
    let job = job(execution(&path("artifact"), "look.sh"), vec![folder.path().to_owned()]);
    let said = Bench::worker_of_user(ORDINARY_USER, &path("shieldx"), &job);
    let recording = said.lines().find(|line| line.starts_with("{\"recording\":"));
    let message = serde_json::from_str(recording.unwrap_or_else(|| panic!("{said}"))).unwrap();
    let Message::Recording(recording) = message else { panic!("{said}") };
    assert_eq!(recording.output.unwrap().stdout.to_lossy(), "0\n1000\n");
}

fn make_readable(folder: &std::path::Path) {
    let status = std::process::Command::new("chmod").args(["-R", "a+rX"]).arg(folder).status();
    assert!(status.unwrap().success());
}
