//! Manifests and who signed them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sandbox_wasm::manifest::{Manifest, Resources};

use crate::kit::{Bench, preview1};

fn key() -> Ed25519KeyPair {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()
}

struct Signed {
    bench: Bench,
    manifest: Manifest,
}

impl Signed {
    /// A module that asks for random numbers, with a manifest that is not signed yet.
    fn new(trusted: &Ed25519KeyPair) -> Self {
        let body = "(drop (call $random_get (i32.const 0) (i32.const 8)))";
        let mut bench = Bench::new(&preview1("random_get", "", body)).grant("random");
        let analysis = sandbox_wasm::analyse(&std::fs::read(&bench.spec.program).unwrap()).unwrap();
        let manifest = Manifest {
            name: "dice".into(),
            version: "1.0.0".into(),
            capabilities: vec!["random".into()],
            resources: Resources { timeout_ms: Some(5_000), ..Resources::default() },
            sha256: analysis.sha256,
            signature: None,
        };
        let path = bench.dir.path().join("key");
        std::fs::write(&path, STANDARD.encode(trusted.public_key().as_ref())).unwrap();
        bench.spec.wasm.trusted_key = Some(path);
        Self { bench, manifest }
    }

    fn sign(&mut self, key: &Ed25519KeyPair) {
        let signature = key.sign(&self.manifest.canonical());
        self.manifest.signature = Some(STANDARD.encode(signature.as_ref()));
    }

    fn write(mut self) -> Bench {
        let path = self.bench.dir.path().join("manifest.json");
        std::fs::write(&path, serde_json::to_vec(&self.manifest).unwrap()).unwrap();
        self.bench.spec.wasm.manifest = Some(path);
        self.bench
    }
}

#[test]
fn a_signed_module_runs_within_what_it_asked_for() {
    let key = key();
    let mut signed = Signed::new(&key);
    signed.sign(&key);
    let recording = signed.write().run();
    assert_eq!(recording.run.engine["manifest"], "dice 1.0.0 (signed)");
    assert_eq!(recording.run.limits.timeout_ms, 5_000);
}

#[test]
fn a_key_in_pem_is_read_too() {
    let key = key();
    let mut signed = Signed::new(&key);
    signed.sign(&key);
    let der = [
        &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00],
        key.public_key().as_ref(),
    ];
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(der.concat())
    );
    std::fs::write(signed.bench.dir.path().join("key"), pem).unwrap();
    signed.write().run();
}

#[test]
fn what_was_changed_or_signed_by_another_is_refused() {
    let (ours, theirs) = (key(), key());
    let check = |change: &dyn Fn(&mut Signed), expect: &str| {
        let mut signed = Signed::new(&ours);
        signed.sign(&ours);
        change(&mut signed);
        let reason = signed.write().refusal();
        assert!(reason.contains(expect), "{reason}");
    };
    check(&|signed| signed.sign(&theirs), "signature is wrong");
    check(&|signed| signed.manifest.signature = None, "has no signature");
    check(&|signed| signed.manifest.signature = Some("?".into()), "not base64");
    check(&|signed| signed.manifest.capabilities.push("env".into()), "signature is wrong");
    check(&|signed| signed.manifest.resources.timeout_ms = None, "signature is wrong");
    check(
        &|signed| {
            signed.manifest.sha256 = "00".repeat(32);
            signed.sign(&ours);
        },
        "is for another module",
    );
    check(
        &|signed| {
            signed.manifest.capabilities = vec!["clock".into()];
            signed.sign(&ours);
        },
        "wasi_snapshot_preview1.random_get, and its manifest does not declare `random`",
    );
    check(
        &|signed| {
            signed.manifest.capabilities.push("root".into());
            signed.sign(&ours);
        },
        "unknown capability `root`",
    );
    check(
        &|signed| std::fs::write(signed.bench.dir.path().join("key"), "no key").unwrap(),
        "no Ed25519 public key",
    );
    // Declared and not granted is not given.
    check(&|signed| signed.bench.spec.wasm.grants.clear(), "which is not granted; --grant random");
}

#[test]
fn a_grant_that_is_not_declared_is_not_given() {
    let key = key();
    let mut signed = Signed::new(&key);
    signed.bench.spec.wasm.grants.push("env".into());
    signed.sign(&key);
    let recording = signed.write().run();
    let grants = recording.run.isolation.walls.iter().find(|wall| wall.name == "grants").unwrap();
    assert_eq!(grants.detail, "random");
    let mut alone = Bench::new("(module)");
    alone.spec.wasm.trusted_key = Some("/nowhere".into());
    assert!(alone.refusal().contains("no manifest"));
}
