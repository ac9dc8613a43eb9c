//! `shieldx rules` after validation.

use std::path::PathBuf;

use super::places::destinations;
use crate::args::{RulesArgs, RulesCommand};
use crate::failure::Failure;
use crate::output::Destination;

/// What to do with rules.
#[derive(Debug)]
pub enum RulesRequest {
    List { folder: Option<PathBuf>, json: bool },
    Test { path: PathBuf, recording: Option<PathBuf>, file: Option<PathBuf>, json: bool },
    Coverage { folder: Option<PathBuf>, navigator: Option<Destination>, json: bool },
}

pub(super) fn rules(args: RulesArgs) -> Result<RulesRequest, Failure> {
    Ok(match args.command {
        RulesCommand::List { rules, json } => RulesRequest::List { folder: rules, json },
        RulesCommand::Test { path, recording, file, json } => {
            RulesRequest::Test { path, recording, file, json }
        }
        RulesCommand::Coverage { rules, navigator, json } => {
            let [navigator] = destinations([&navigator])?;
            RulesRequest::Coverage { folder: rules, navigator, json }
        }
    })
}
