//! What each subcommand does, from a validated request to an exit code.

pub mod inventory;
pub mod replay;
pub mod run;
