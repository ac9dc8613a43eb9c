//! The ledger and the console, and how they see the other services.

use std::path::Path;
use std::sync::Arc;

use console::{Console, KeptTraces};
use ledger::Ledger;
use runtime::http::ops::Ops;
use slo::generate::Settings;
use types::ports::Authenticator;

use super::views::Seen;
use super::{Api, Ground};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::request::show;
use crate::up::listeners::{Listeners, url};

/// Of the ledger, in the data folder.
const FOLDER: &str = "ledger";

impl Ground<'_> {
    pub(super) fn ledger(
        &self,
        listeners: &Listeners,
        keys: &Arc<dyn Authenticator>,
    ) -> Result<(Api, Arc<Ledger>), Failure> {
        let counted = &self.counted.console;
        let all = self.counted.all();
        let parts = ledger::Parts {
            folder: self.request.place.folder.join(FOLDER),
            catalog: self.catalog.clone(),
            slis: all.iter().map(|counted| counted.sli.clone()).collect(),
            services: all.iter().map(|counted| counted.metrics.clone()).collect(),
            own: counted.sli.clone(),
            metrics: counted.metrics.clone(),
            ingress_url: url(&listeners.public),
            console_url: url(&listeners.console),
            clock: Arc::clone(&self.clock),
            tasks: self.tasks.clone(),
        };
        let ledger = Ledger::open(self.request.config.ledger.clone(), parts)
            .map_err(|error| Failure::of(Exit::Failed, &error))?;
        let (router, document) = ledger::api::router(Arc::clone(&ledger), Arc::clone(keys));
        let ops = self.ops(counted, ledger.dependencies());
        Ok((Api { router, document, ops, sli: counted.sli.clone() }, ledger))
    }

    pub(super) fn console(
        &self,
        listeners: &Listeners,
        ledger: &Arc<Ledger>,
        all: [&Ops; 6],
    ) -> Result<Console, Failure> {
        let config = &self.request.config.console;
        let endpoints = listeners.endpoints(crate::place::Outside::default());
        let services = all.map(|ops| {
            let name = ops.metrics.service();
            (ops.clone(), endpoints.internal.get(name).cloned())
        });
        let [.., console_ops] = all;
        let parts = console::Parts {
            ledger: Arc::clone(ledger) as _,
            traces: Arc::new(KeptTraces(self.telemetry.traces())),
            services: Arc::new(Seen {
                services: services.into(),
                tasks: self.tasks.clone(),
                ledger: Arc::clone(ledger),
            }),
            metrics: self.counted.all().map(|counted| counted.metrics.clone()).into(),
            ops: console_ops.clone(),
            settings: settings(listeners),
            token: config.token_file.as_deref().map(token).transpose()?,
            clock: Arc::clone(&self.clock),
            tasks: self.tasks.clone(),
        };
        Console::build(config, parts).map_err(|error| {
            Failure::of(Exit::Usage, &error)
                .hint("the settings `console.address` and `console.token_file` decide")
        })
    }
}

/// Addresses as they are, for what is generated.
fn settings(listeners: &Listeners) -> Settings {
    let internal = listeners.endpoints(crate::place::Outside::default()).internal;
    let mut settings = Settings { console_url: url(&listeners.console), ..Settings::default() };
    for (service, address) in &mut settings.targets {
        if let Some(real) = internal.get(service.as_str()) {
            real.trim_start_matches("http://").clone_into(address);
        }
    }
    settings
}

/// The first line of a file.
fn token(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(Exit::Usage, format!("console.token_file {}: {error}", show(file)))
    })?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
