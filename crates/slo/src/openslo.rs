//! OpenSLO v1 (<https://github.com/OpenSLO/OpenSLO>) in and out. What cannot be carried is said.

use crate::spec::{Catalog, Refused};

/// What came of an import or an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// YAML: `slo.yaml` of an import, OpenSLO documents of an export.
    pub text: String,
    /// What could not be carried, one sentence each.
    pub left_out: Vec<String>,
}

/// # Errors
/// When the text is no OpenSLO v1, or nothing of it can be carried.
pub fn import(text: &str) -> Result<Carried, Refused> {
    let _ = text;
    Err(Refused { problems: vec!["not read yet".to_owned()] })
}

#[must_use]
pub fn export(catalog: &Catalog) -> Carried {
    let _ = catalog;
    Carried { text: String::new(), left_out: Vec::new() }
}
