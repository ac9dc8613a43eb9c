//! What each subcommand does, from a validated request to an exit code.

pub mod diff;
pub mod get;
pub mod health;
pub mod inventory;
pub mod key;
pub mod load;
pub mod package;
pub mod replay;
pub mod rules;
pub mod run;
pub mod slo;
pub mod submit;
pub mod trace;
pub mod worker;
