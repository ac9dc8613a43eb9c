//! Inputs for policies, and folders of files.

use std::fs;
use std::path::Path;

use policy::{DecisionInput, Policy, PolicyError};
use tempfile::TempDir;
use types::decision::{CallerFacts, RequestFacts, RouteFacts, SessionFacts};
use types::risk::{RiskLevel, SessionRisk};

/// A GET by a member of a tenant, without a session, on an application's route without decoy.
pub(crate) fn input(path: &str) -> DecisionInput {
    let agent = ("user-agent".to_owned(), "curl/8.5.0".to_owned());
    DecisionInput {
        request: RequestFacts {
            method: "GET".to_owned(),
            host: "shop.example".to_owned(),
            path: path.to_owned(),
            query: None,
            headers: [agent].into(),
            client_address: "127.0.0.1".to_owned(),
        },
        caller: Some(CallerFacts {
            tenant: "acme".to_owned(),
            role: "member".to_owned(),
            key_id: "k1".to_owned(),
        }),
        session: None,
        route: RouteFacts { name: "shop".to_owned(), kind: "upstream".to_owned(), decoy: false },
    }
}

pub(crate) fn session(level: RiskLevel) -> SessionFacts {
    let risk =
        SessionRisk { risk: 0.5, level, subject: None, signals: Vec::new(), observed_at: None };
    SessionFacts { id: "s1".to_owned(), risk }
}

pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

pub(crate) fn load(files: &[(&str, &str)]) -> Result<Policy, PolicyError> {
    Policy::load(folder(files).path())
}

/// What is said about a folder that is refused.
pub(crate) fn refusal(folder: &Path) -> String {
    Policy::load(folder).unwrap_err().to_string()
}
