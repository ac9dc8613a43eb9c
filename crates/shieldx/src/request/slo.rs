//! Requests about objectives, after validation.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use slo::Catalog;
use slo::gate::{Ask, OVERRIDE_LASTS_MAX};
use slo::generate::Settings;

use super::service::{Server, server};
use super::{destinations, show, usage};
use crate::args::{FileArgs, ServerArgs, SloArgs, SloCommand};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Destination;
use crate::place::Place;
use crate::quantity;

/// A file of objectives is read whole.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// What to do about objectives.
#[derive(Debug)]
pub enum SloRequest {
    Status {
        ledger: LedgerAt,
        service: Option<String>,
        json: bool,
    },
    Report {
        ledger: LedgerAt,
        service: Option<String>,
        json: bool,
    },
    Explain {
        ledger: LedgerAt,
        name: String,
        json: bool,
    },
    Gate {
        server: Server,
        ask: Ask,
        json: bool,
    },
    Mark {
        server: Server,
        service: Option<String>,
        text: String,
    },
    Check {
        catalog: Catalog,
        shown: String,
    },
    Example,
    Generate {
        catalog: Catalog,
        settings: Settings,
        out: PathBuf,
        check: bool,
    },
    Import {
        text: String,
        out: Option<Destination>,
    },
    Export {
        catalog: Catalog,
        out: Option<Destination>,
    },
    /// Without a catalog: the objectives of the last server on the folder.
    Backfill {
        place: Place,
        catalog: Option<Catalog>,
        prometheus: String,
        since: Duration,
    },
    OverrideKey {
        out: PathBuf,
        name: String,
    },
    Override(OverrideRequest),
}

/// Where the ledger is: a server, or the folder of one that does not run.
#[derive(Debug)]
pub struct LedgerAt {
    pub server: Server,
    /// What is read when no server runs here.
    pub place: Option<Place>,
}

/// An override to sign.
#[derive(Debug)]
pub struct OverrideRequest {
    /// 32 bytes.
    pub key: PathBuf,
    pub who: String,
    pub service: Option<String>,
    pub lasts: Duration,
    pub reason: String,
}

pub(super) fn slo(args: SloArgs, environment: &Environment) -> Result<SloRequest, Failure> {
    Ok(match args.command {
        SloCommand::Status { server, service, json } => {
            SloRequest::Status { ledger: ledger(&server, environment)?, service, json }
        }
        SloCommand::Report { server, service, json } => {
            SloRequest::Report { ledger: ledger(&server, environment)?, service, json }
        }
        SloCommand::Explain { server, json, name } => {
            SloRequest::Explain { ledger: ledger(&server, environment)?, name, json }
        }
        SloCommand::Gate { server: at, service, change, override_token, json } => {
            let ask = Ask { service, change, override_token };
            SloRequest::Gate { server: server(&at, environment)?, ask, json }
        }
        SloCommand::Mark { server: at, service, text } => {
            SloRequest::Mark { server: server(&at, environment)?, service, text }
        }
        SloCommand::Check { file } => {
            let shown =
                file.file.as_deref().map_or_else(|| "shipped".to_owned(), |f| show(f).to_string());
            SloRequest::Check { catalog: catalog(&file)?, shown }
        }
        SloCommand::Example => SloRequest::Example,
        SloCommand::Generate { file, out, check, console, targets, scrape_interval } => {
            SloRequest::Generate {
                catalog: catalog(&file)?,
                settings: settings(console, &targets, scrape_interval)?,
                out,
                check,
            }
        }
        SloCommand::Import { file, out } => {
            let [out] = destinations([&out])?;
            SloRequest::Import { text: text(&file)?, out }
        }
        SloCommand::Export { file, out } => {
            let [out] = destinations([&out])?;
            SloRequest::Export { catalog: catalog(&file)?, out }
        }
        SloCommand::Backfill { data, file, prometheus, since } => SloRequest::Backfill {
            place: Place::find(data.as_deref(), environment)?,
            catalog: file.file.is_some().then(|| catalog(&file)).transpose()?,
            prometheus: url("--prometheus", prometheus)?,
            since: quantity::duration(&since)
                .map_err(|error| usage(format!("--since: {error}")))?,
        },
        SloCommand::OverrideKey { out, name } => {
            if !slo::spec::is_key_name(&name) {
                return Err(usage(format!("--name {name:?}: one line of 1 to 63 bytes")));
            }
            SloRequest::OverrideKey { out, name }
        }
        SloCommand::Override { key, who, service, lasts, reason } => {
            SloRequest::Override(override_request(key, who, service, &lasts, reason)?)
        }
    })
}

fn ledger(args: &ServerArgs, environment: &Environment) -> Result<LedgerAt, Failure> {
    let server = server(args, environment)?;
    let named = args.server.is_some() || environment.variable("SHIELDX_SERVER").is_some();
    let place = if named { None } else { Some(Place::find(args.data.as_deref(), environment)?) };
    Ok(LedgerAt { server, place })
}

fn text(file: &Path) -> Result<String, Failure> {
    let refused = |why: String| Failure::new(Exit::Usage, format!("{}: {why}", show(file)));
    File::open(file)
        .and_then(|opened| text_of(opened, FILE_MAX_BYTES))
        .map_err(|error| refused(error.to_string()))
}

/// The whole of a file that may be a pipe or a device: what never ends is refused, too.
///
/// # Errors
/// What cannot be read, is longer, or is no text.
pub fn text_of(file: File, max_bytes: u64) -> io::Result<String> {
    let mut text = String::new();
    file.take(max_bytes + 1).read_to_string(&mut text)?;
    if text.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("it has more than {max_bytes} bytes")));
    }
    Ok(text)
}

fn catalog(args: &FileArgs) -> Result<Catalog, Failure> {
    let file = args.file.as_deref();
    read_catalog(&objectives_of_settings(file)?, file)
}

/// The objectives of a file, or those that come with ShieldX.
///
/// # Errors
/// With everything that is wrong with the file.
pub fn read_catalog(text: &str, file: Option<&Path>) -> Result<Catalog, Failure> {
    slo::spec::read(text).map_err(|refused| {
        let shown = file.map_or_else(|| "slo.yaml".to_owned(), |file| show(file).to_string());
        let problems: Vec<String> =
            refused.problems.iter().map(|problem| crate::report::words::safe(problem)).collect();
        Failure::new(Exit::Usage, format!("{shown}: {}", problems.join("\n  ")))
            .hint("`shieldx slo example` prints a file with every key explained")
    })
}

/// The text of the file that the settings name, or of the one that comes with ShieldX.
///
/// # Errors
/// When it cannot be read.
pub fn objectives_of_settings(file: Option<&Path>) -> Result<String, Failure> {
    file.map_or_else(|| Ok(slo::spec::SHIPPED.to_owned()), text)
}

fn settings(
    console: Option<String>,
    targets: &[String],
    scrape_interval_s: Option<u32>,
) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    if let Some(seconds) = scrape_interval_s {
        settings.scrape_interval_s = seconds;
    }
    if let Some(console) = console {
        settings.console_url = url("--console", console)?;
    }
    for target in targets {
        let (name, address) = target
            .split_once('=')
            .filter(|(_, address)| is_address(address))
            .ok_or_else(|| usage(format!("--target {target:?}: write it as NAME=HOST:PORT")))?;
        match settings.targets.iter_mut().find(|(known, _)| known == name) {
            Some(known) => address.clone_into(&mut known.1),
            None => {
                let known: Vec<&str> = settings.targets.iter().map(|(n, _)| n.as_str()).collect();
                return Err(usage(format!(
                    "--target {target:?}: the services are {}",
                    known.join(", ")
                )));
            }
        }
    }
    Ok(settings)
}

/// `HOST:PORT`, as Prometheus takes a target.
fn is_address(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && host.chars().all(plain)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

pub(super) fn url(option: &str, url: String) -> Result<String, Failure> {
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let plain = |c: char| c.is_ascii_graphic() && !"\"'<>\\`{}".contains(c);
    if host.is_some_and(|host| !host.is_empty() && host.chars().all(plain)) {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    Err(usage(format!("{option} {url}: write it as http://HOST:PORT or https://…")))
}

fn override_request(
    key: PathBuf,
    who: String,
    service: Option<String>,
    lasts: &str,
    reason: String,
) -> Result<OverrideRequest, Failure> {
    let lasts = quantity::duration(lasts).map_err(|error| usage(format!("--for: {error}")))?;
    if lasts.is_zero() || lasts > OVERRIDE_LASTS_MAX {
        let max = slo::spec::span_text(OVERRIDE_LASTS_MAX);
        return Err(usage(format!(
            "--for {}: more than 0 and at most {max} may be signed at once",
            slo::spec::span_text(lasts)
        )));
    }
    if reason.trim().is_empty() {
        return Err(usage("--reason: an override needs a reason; it is logged"));
    }
    Ok(OverrideRequest { key, who, service, lasts, reason })
}
