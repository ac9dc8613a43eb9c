//! What a module says about itself: a signed manifest.
//!
//! JSON, or TOML with the same keys, by the file's name (`.toml`):
//!
//! ```json
//! {
//!   "name": "resize",
//!   "version": "1.4.0",
//!   "capabilities": ["args", "filesystem:/data:rw"],
//!   "resources": { "memory_bytes": 67108864, "fuel": 5000000000, "timeout_ms": 10000 },
//!   "sha256": "…",
//!   "signature": "…"
//! }
//! ```
//!
//! `sha256` is that of the module's file. `signature` is base64 of an Ed25519 signature (RFC 8032)
//! over the canonical form: everything but the signature as JSON, keys in the order of the alphabet,
//! no spaces, resources that are not given left out ([`Manifest::canonical`]).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use sandbox::RunError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::grants::Capability;

/// Bytes of a manifest or key file, at most.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// What comes before the 32 bytes of an Ed25519 key in a public key of X.509 (RFC 8410, 4).
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const KEY_BYTES: usize = 32;

/// A manifest as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    /// As they are written on the command line.
    pub capabilities: Vec<String>,
    #[serde(default)]
    pub resources: Resources,
    /// Of the module's file, lowercase hexadecimal.
    pub sha256: String,
    /// Base64 (with padding) of 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// What the module asks for at most; the caller's own limits stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// A manifest that fits its module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    pub manifest: Manifest,
    pub capabilities: Vec<Capability>,
    /// The signature was checked with the caller's key.
    pub signed: bool,
}

fn refused(reason: String) -> RunError {
    RunError::Refused { reason }
}

/// Reads a manifest, checks its signature where there is a key, and that it is this module's.
pub(crate) fn read(
    path: &Path,
    key: Option<&Path>,
    module_sha256: &str,
) -> Result<Declared, RunError> {
    let manifest = Manifest::parse(path, &file("manifest", path)?)?;
    if let Some(key) = key {
        manifest.verify(&public_key(&file("trusted key", key)?, key)?)?;
    }
    if manifest.sha256 != module_sha256 {
        return Err(refused(format!(
            "the manifest is for another module: it says SHA-256 {}, and the module's is {module_sha256}",
            manifest.sha256
        )));
    }
    let capabilities = manifest.capabilities.iter().map(|text| {
        Capability::parse(text)
            .map_err(|error| refused(format!("the manifest declares an {error}")))
    });
    let capabilities = capabilities.collect::<Result<Vec<_>, _>>()?;
    Ok(Declared { manifest, capabilities, signed: key.is_some() })
}

fn file(what: &str, path: &Path) -> Result<Vec<u8>, RunError> {
    let step =
        |source| RunError::Setup { step: format!("read the {what} {}", path.display()), source };
    let size = fs::metadata(path).map_err(step)?.len();
    if size > FILE_BYTES_MAX {
        return Err(refused(format!(
            "the {what} is {size} bytes, and {FILE_BYTES_MAX} are the most"
        )));
    }
    fs::read(path).map_err(step)
}

impl Manifest {
    /// Reads JSON or TOML.
    ///
    /// # Errors
    /// Where it is not a manifest, and why.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, RunError> {
        let wrong = |error: String| {
            refused(format!("the manifest {} is not valid: {error}", path.display()))
        };
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
            return toml::from_str(text).map_err(|error| wrong(error.to_string()));
        }
        serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let Resources { memory_bytes, fuel, timeout_ms } = self.resources;
        let resources: BTreeMap<&str, u64> =
            [("memory_bytes", memory_bytes), ("fuel", fuel), ("timeout_ms", timeout_ms)]
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name, value)))
                .collect();
        let whole: BTreeMap<&str, Value> = BTreeMap::from([
            ("capabilities", json!(self.capabilities)),
            ("name", json!(self.name)),
            ("resources", json!(resources)),
            ("sha256", json!(self.sha256)),
            ("version", json!(self.version)),
        ]);
        serde_json::to_vec(&whole).unwrap_or_default()
    }

    fn verify(&self, key: &[u8]) -> Result<(), RunError> {
        let Some(signature) = &self.signature else {
            let reason = "the manifest has no signature, and a trusted key was given".to_owned();
            return Err(refused(reason));
        };
        let signature = STANDARD
            .decode(signature)
            .map_err(|error| refused(format!("the manifest's signature is not base64: {error}")))?;
        UnparsedPublicKey::new(&ED25519, key).verify(&self.canonical(), &signature).map_err(|_| {
            let reason =
                "the manifest's signature is wrong: it was changed, or signed with another key";
            refused(reason.to_owned())
        })
    }
}

/// An Ed25519 public key: PEM (`openssl pkey -pubout`), base64 of its 32 bytes, or these bytes.
fn public_key(bytes: &[u8], path: &Path) -> Result<Vec<u8>, RunError> {
    if bytes.len() == KEY_BYTES {
        return Ok(bytes.to_vec());
    }
    let text = String::from_utf8_lossy(bytes);
    let body: String =
        text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let decoded = STANDARD.decode(body).unwrap_or_default();
    let key = decoded.strip_prefix(&SPKI_PREFIX).unwrap_or(&decoded);
    if key.len() == KEY_BYTES {
        return Ok(key.to_vec());
    }
    Err(refused(format!(
        "the trusted key {} is no Ed25519 public key: give PEM (openssl pkey -pubout) or base64 of its 32 bytes",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::{Manifest, Resources};
    use std::path::Path;

    #[test]
    fn the_canonical_form_is_sorted_and_leaves_the_signature_out() {
        let manifest = Manifest {
            name: "n\"".into(),
            version: "1".into(),
            capabilities: vec!["env".into(), "args".into()],
            resources: Resources { fuel: Some(7), ..Resources::default() },
            sha256: "ab".into(),
            signature: Some("x".into()),
        };
        let expect = r#"{"capabilities":["env","args"],"name":"n\"","resources":{"fuel":7},"sha256":"ab","version":"1"}"#;
        assert_eq!(String::from_utf8(manifest.canonical()).unwrap(), expect);
    }

    #[test]
    fn json_and_toml_are_the_same_and_unknown_keys_are_errors() {
        let json =
            r#"{"name":"n","version":"1","capabilities":[],"sha256":"ab","resources":{"fuel":3}}"#;
        let toml = "name='n'\nversion='1'\ncapabilities=[]\nsha256='ab'\n[resources]\nfuel=3\n";
        let one = Manifest::parse(Path::new("m.json"), json.as_bytes()).unwrap();
        assert_eq!(one, Manifest::parse(Path::new("m.toml"), toml.as_bytes()).unwrap());
        let error = Manifest::parse(Path::new("m.json"), br#"{"nam":1}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `nam`"), "{error}");
    }
}
