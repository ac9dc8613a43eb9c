//! Which ATT&CK techniques are looked for, as a layer for the ATT&CK Navigator.
//!
//! The layer format is that of the Navigator's `layers/spec/v4.5/layerformat.md`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Version of the layer format, and of the Navigator that reads it.
pub const ATTACK_SPEC: (&str, &str) = ("4.5", "5.1.0");

/// What looks for one technique.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Covered {
    /// Ids by source: `native`, `sigma`, `yara`.
    pub by: BTreeMap<String, Vec<String>>,
}

/// Scores by how a technique is covered: behaviour first, patterns after.
const NATIVE: u32 = 100;
const SIGMA: u32 = 60;
const YARA: u32 = 40;

/// A layer with one entry for each technique, in the order of the ids. `attack_version` is the
/// version the ids are from.
#[must_use]
pub fn layer(covered: &BTreeMap<String, Covered>, attack_version: &str) -> Value {
    let technique = |(id, covered): (&String, &Covered)| {
        let has = |source: &str| covered.by.contains_key(source);
        let score = match () {
            () if has("native") => NATIVE,
            () if has("sigma") => SIGMA,
            () => YARA,
        };
        let sources = covered.by.iter();
        let metadata =
            sources.map(|(source, ids)| json!({"name": source, "value": ids.join(", ")}));
        json!({
            "techniqueID": id,
            "score": score,
            "enabled": true,
            "comment": format!("looked for by {}", join(covered)),
            "metadata": metadata.collect::<Vec<_>>(),
            "showSubtechniques": id.contains('.'),
        })
    };
    let (layer, navigator) = ATTACK_SPEC;
    json!({
        "name": "ShieldX",
        "versions": {"attack": attack_version, "navigator": navigator, "layer": layer},
        "domain": "enterprise-attack",
        "description": "Techniques that ShieldX looks for: native detectors, Sigma and YARA rules",
        "filters": {"platforms": ["Linux", "Containers"]},
        "techniques": covered.iter().map(technique).collect::<Vec<_>>(),
        "gradient": {"colors": ["#ffe08a", "#2f9e44"], "minValue": YARA, "maxValue": NATIVE},
        "legendItems": [
            {"label": "native detector", "color": "#2f9e44"},
            {"label": "YARA rule only", "color": "#ffe08a"},
        ],
        "sorting": 0,
        "hideDisabled": false,
    })
}

fn join(covered: &Covered) -> String {
    let names: Vec<&str> = covered.by.keys().map(String::as_str).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Covered, layer};

    #[test]
    fn a_layer_has_what_the_navigator_requires() {
        let by = |source: &str| {
            let by = BTreeMap::from([(source.to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
            Covered { by }
        };
        let covered = BTreeMap::from([
            ("T1059.004".to_owned(), by("native")),
            ("T1105".to_owned(), by("yara")),
        ]);
        let layer = layer(&covered, "19");
        // Required by layerformat.md: name, versions.layer, domain; and of a technique its id.
        assert_eq!(layer["name"], "ShieldX");
        assert_eq!(layer["domain"], "enterprise-attack");
        let versions = &layer["versions"];
        assert_eq!((&versions["attack"], &versions["layer"]), (&"19".into(), &"4.5".into()));
        let techniques = layer["techniques"].as_array().unwrap();
        let ids: Vec<_> = techniques.iter().map(|entry| &entry["techniqueID"]).collect();
        assert_eq!(ids, ["T1059.004", "T1105"]);
        for entry in techniques {
            let score = entry["score"].as_u64().unwrap();
            let range = &layer["gradient"];
            assert!(range["minValue"].as_u64().unwrap() <= score);
            assert!(score <= range["maxValue"].as_u64().unwrap());
            assert!(entry["metadata"].as_array().unwrap().iter().all(|m| m["value"].is_string()));
        }
        assert!(layer["gradient"]["colors"].as_array().unwrap().len() >= 2);
    }
}
