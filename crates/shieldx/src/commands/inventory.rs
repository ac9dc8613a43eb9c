//! `doctor`, `detectors` and `completions`: what there is, printed.

use std::io::Write;

use serde::Serialize;

use crate::config;
use crate::engine;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, OutputError};
use crate::request::InventoryRequest;
use crate::request::service::ConfigRequest;
use crate::runners::Surroundings;

/// Prints what this host can do.
///
/// # Errors
/// When standard output cannot be written.
pub fn doctor(request: &InventoryRequest, environment: &Environment) -> Result<Exit, Failure> {
    let capabilities = engine::capabilities(&Surroundings::of(environment));
    let printed = if request.json {
        json(&capabilities)
    } else {
        output::to_stdout(|out| {
            for item in &capabilities {
                let mark = if item.available { "yes" } else { "NO " };
                writeln!(out, "{mark}  {:<20} {}", item.name, item.state)?;
                if !item.available && !item.costs.is_empty() {
                    writeln!(out, "     {:<20} costs: {}", "", item.costs)?;
                }
            }
            Ok(())
        })
    };
    done(printed)
}

/// Prints the detectors.
///
/// # Errors
/// When standard output cannot be written.
pub fn detectors(request: &InventoryRequest) -> Result<Exit, Failure> {
    let detectors = engine::detectors();
    let printed = if request.json {
        json(&detectors)
    } else {
        output::to_stdout(|out| {
            for item in &detectors {
                writeln!(
                    out,
                    "{:<28} {:<10} {:<20} {}",
                    item.id, item.technique, item.tactic, item.title
                )?;
                writeln!(out, "{:28} {}", "", item.looks_for)?;
                if let Some(limit) = &item.tier_c {
                    writeln!(out, "{:28} tier C: {limit}", "")?;
                }
            }
            let version = engine::attack_version();
            writeln!(out, "\n{} detectors, ATT&CK v{version}", detectors.len())
        })
    };
    done(printed)
}

/// Prints the settings of the services.
///
/// # Errors
/// When standard output cannot be written.
pub fn settings(request: &ConfigRequest) -> Result<Exit, Failure> {
    let text = match request {
        ConfigRequest::Defaults => config::DEFAULT.to_owned(),
        ConfigRequest::Used(config) => {
            toml::to_string(config).map_err(|error| Failure::of(Exit::Failed, &error))?
        }
    };
    done(output::to_stdout(|out| out.write_all(text.as_bytes())))
}

/// Prints a shell's completions.
///
/// # Errors
/// When standard output cannot be written.
pub fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    use clap::CommandFactory as _;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::args::Args::command(), "shieldx", &mut script);
    done(output::to_stdout(|out| out.write_all(&script)))
}

fn json<T: Serialize>(value: &T) -> Result<(), OutputError> {
    output::to_stdout(|out: &mut dyn Write| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
}

fn done(printed: Result<(), OutputError>) -> Result<Exit, Failure> {
    printed.map(|()| Exit::Success).map_err(|error| Failure::of(Exit::Failed, &error))
}
