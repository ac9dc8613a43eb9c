//! `shieldx slo`: objectives, budgets, and whether to deploy.

use runtime::clock::{Clock as _, System};
use serde::de::DeserializeOwned;
use serde_json::Value;
use slo::Status;
use slo::evaluate::Step;
use slo::status::Scope;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Destination};
use crate::report::words::safe;
use crate::request::service::Server;
use crate::request::slo::{LedgerAt, SloRequest};

mod files;
mod gate;
mod history;
mod overrides;
mod report;
mod table;

/// Does what was asked for.
///
/// # Errors
/// When the server or the ledger's folder cannot be used, or something cannot be written.
pub fn slo(request: &SloRequest) -> Result<Exit, Failure> {
    match request {
        SloRequest::Status { ledger, service, json } => {
            let statuses = statuses(ledger, service.as_deref())?;
            if *json {
                print_json(&statuses)?;
            } else {
                print(&table::draw(&statuses))?;
            }
            Ok(Exit::Success)
        }
        SloRequest::Report { ledger, service, json } => {
            let statuses = statuses(ledger, service.as_deref())?;
            if *json {
                print_json(&statuses)?;
            } else {
                print(&report::write(&statuses))?;
            }
            Ok(Exit::Success)
        }
        SloRequest::Explain { ledger, name, json } => {
            let steps = steps(ledger, name)?;
            if *json {
                print_json(&steps)?;
            } else {
                print(&table::steps(name, &steps))?;
            }
            Ok(Exit::Success)
        }
        SloRequest::Gate { server, ask, json } => gate::gate(server, ask, *json),
        SloRequest::Mark { server, service, text } => gate::mark(server, service.as_deref(), text),
        SloRequest::Check { catalog, shown } => files::check(catalog, shown),
        SloRequest::Example => print(slo::spec::SHIPPED).map(|()| Exit::Success),
        SloRequest::Generate { catalog, settings, out, check } => {
            files::generate(catalog, settings, out, *check)
        }
        SloRequest::Import { text, out } => files::import(text, out.as_ref()),
        SloRequest::Export { catalog, out } => files::export(catalog, out.as_ref()),
        SloRequest::Backfill { place, catalog, prometheus, since } => {
            history::backfill(place, catalog.as_ref(), prometheus, *since)
        }
        SloRequest::OverrideKey { out, name } => overrides::new_key(out, name),
        SloRequest::Override(request) => overrides::sign(request),
    }
}

/// A list of the API.
#[derive(Debug, serde::Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

/// Statuses with the worst budget first.
fn statuses(ledger: &LedgerAt, service: Option<&str>) -> Result<Vec<Status>, Failure> {
    let mut found = match offline(ledger) {
        Some(place) => history::read(place)?.read.statuses,
        None => asked::<Items<Status>>(&ledger.server, "/v1/slos")?.items,
    };
    if let Some(service) = service {
        found.retain(|status| status.service == service);
        if found.is_empty() {
            let message = format!("no objective is of a service {}", safe(service));
            return Err(Failure::new(Exit::Usage, message).hint("`shieldx slo status` lists all"));
        }
    }
    let left = |status: &Status| status.budget.left.unwrap_or(f64::INFINITY);
    found.sort_by(|a, b| left(a).total_cmp(&left(b)));
    Ok(found)
}

fn steps(ledger: &LedgerAt, name: &str) -> Result<Vec<Step>, Failure> {
    let Some(place) = offline(ledger) else {
        let path = format!("/v1/slos/{}/explain", segment(name)?);
        return Ok(asked::<Items<Step>>(&ledger.server, &path)?.items);
    };
    let offline = history::read(place)?;
    let catalog = &offline.catalog;
    let Some(slo) = catalog.get(name) else {
        let known: Vec<&str> = catalog.slos.iter().map(|slo| slo.name.as_str()).collect();
        let message = format!("there is no objective {}", safe(name));
        return Err(
            Failure::new(Exit::Usage, message).hint(format!("there are {}", known.join(", ")))
        );
    };
    Ok(slo::evaluate::explain(slo, &Scope::All, &offline.read.history, System.now_us()))
}

/// The folder to read where no server runs on it.
fn offline(ledger: &LedgerAt) -> Option<&crate::place::Place> {
    let place = ledger.place.as_ref()?;
    let runs = place.endpoints().is_some_and(|endpoints| endpoints.alive());
    (!runs && place.folder.join(history::FOLDER).is_dir()).then_some(place)
}

fn asked<T: DeserializeOwned>(server: &Server, path: &str) -> Result<T, Failure> {
    Client::new(server).json(path)
}

fn segment(name: &str) -> Result<&str, Failure> {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !name.is_empty() && name.bytes().all(letters) {
        return Ok(name);
    }
    Err(Failure::new(Exit::Usage, format!("{name:?} is no objective's name")))
}

fn print(text: &str) -> Result<(), Failure> {
    output::to_stdout(|out| out.write_all(text.as_bytes()))
        .map_err(|error| Failure::of(Exit::Failed, &error))
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let value: Value =
        serde_json::to_value(value).map_err(|error| Failure::of(Exit::Failed, &error))?;
    print(&format!("{value:#}\n"))
}

/// To a file, or standard output where none was named.
fn deliver(text: &str, out: Option<&Destination>) -> Result<(), Failure> {
    match out {
        Some(out) => out
            .write(|file| file.write_all(text.as_bytes()))
            .map_err(|error| Failure::of(Exit::Failed, &error)),
        None => print(text),
    }
}
