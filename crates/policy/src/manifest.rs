//! `.manifest` of an OPA bundle. What it asks for and we cannot do is refused, not skipped.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::bundle::File;
use crate::error::PolicyError;

/// What of a manifest has a meaning here. As in OPA, other keys have none.
#[derive(Debug, Deserialize)]
pub(crate) struct Manifest {
    #[serde(default)]
    revision: String,
    /// Paths of `data` that the bundle owns; absent for all of it.
    roots: Option<Vec<String>>,
    rego_version: Option<u8>,
    #[serde(default)]
    file_rego_versions: BTreeMap<String, u8>,
    #[serde(default)]
    wasm: Vec<Value>,
}

impl Manifest {
    pub(crate) fn read(file: &File) -> Result<Self, PolicyError> {
        let bad = |message: String| PolicyError::Manifest { message };
        let mut manifest: Self =
            serde_json::from_str(file.text()?).map_err(|error| bad(error.to_string()))?;
        let old = manifest.rego_version == Some(0)
            || manifest.file_rego_versions.values().any(|version| *version == 0);
        if old {
            return Err(bad(
                "Rego v0 is not supported; `opa fmt --write --v0-v1` converts it".into()
            ));
        }
        if !manifest.wasm.is_empty() {
            return Err(bad("policies compiled to WebAssembly are not supported".into()));
        }
        for root in manifest.roots.iter_mut().flatten() {
            *root = root.trim_matches('/').to_owned();
        }
        Ok(manifest)
    }

    pub(crate) fn revision(&self) -> Option<&str> {
        Some(self.revision.as_str()).filter(|revision| !revision.is_empty())
    }

    /// Whether a path of `data` is inside one of the roots.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn owns(&self, file: &str, path: &[&str]) -> Result<(), PolicyError> {
        let Some(roots) = &self.roots else { return Ok(()) };
        let inside = |root: &String| {
            let mut path = path.iter();
            root.split('/').filter(|part| !part.is_empty()).all(|part| path.next() == Some(&part))
        };
        if roots.iter().any(inside) {
            return Ok(());
        }
        Err(PolicyError::Outside { file: file.to_owned(), roots: roots.clone() })
    }
}
