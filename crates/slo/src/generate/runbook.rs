//! A page for whoever an alert woke: what fired in numbers, how to see it, what helps first, whom to
//! call, how to be silent and when it is over.

use std::fmt::Write as _;

use super::names::{self, AlertKind, duration, pairs};
use super::{Settings, burn, promql};
use crate::spec::{Catalog, Severity, Sli, Slo, Window};

pub(super) fn page(catalog: &Catalog, settings: &Settings, slo: &Slo, kind: AlertKind) -> String {
    let mut text = format!(
        "# {}: {}\n\n<!-- Written by `shieldx slo generate`; change slo.yaml instead. -->\n\n{}\n\n",
        kind.alertname(),
        slo.name,
        fired(slo, kind)
    );
    let console = settings.console();
    let name = &slo.name;
    let _ = write!(
        text,
        "| | |\n|---|---|\n| service | `{}` |\n| promise | {} % over {} |\n| error budget | {} % |\n\
         | what is bad | {} |\n| severity | {} |\n| team | {} |\n| console | [/slo/{name}]({console}/slo/{name}) |\n\n",
        slo.service,
        slo.target.percent(),
        names::period_text(slo.window),
        slo.budget().percent(),
        bad(&slo.sli),
        names::severity(slo, kind).as_str(),
        slo.team.as_deref().map_or_else(|| "nobody in particular".to_owned(), cell),
    );
    text.push_str("## Confirm\n\n");
    text.push_str(&confirm(settings, slo, kind));
    text.push_str("\n## First aid\n\n");
    text.push_str(&first_aid(slo, kind));
    text.push_str(&escalate(slo, kind));
    text.push_str(&silence(settings, slo, kind));
    text.push_str(&close(slo, kind));
    let others: Vec<_> = names::alerts(slo)
        .into_iter()
        .filter(|other| *other != kind)
        .map(|other| {
            let url = names::runbook_url(catalog, settings, slo, other);
            format!("[{}]({url})", names::alert_id(slo, other))
        })
        .collect();
    if !others.is_empty() {
        let _ = write!(text, "\nOther alerts of this objective: {}.\n", others.join(", "));
    }
    text
}

/// A person's text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn fired(slo: &Slo, kind: AlertKind) -> String {
    let description = slo.description.trim();
    match kind {
        AlertKind::Burn(severity) => {
            let mut text = format!(
                "{description} The error budget burns too fast. It fires while in *both* windows of \
                 one of these pairs more events are bad than the factor allows:\n\n\
                 | long | short | factor | more than | budget used when it fires | a total outage fires after |\n\
                 |---|---|---|---|---|---|\n"
            );
            for pair in pairs(slo, severity) {
                text.push_str(&pair_row(slo, pair));
            }
            let guards = promql::Guards::of(slo);
            let all = match guards.total_min {
                0 => String::new(),
                least => format!(" and {least} events in all"),
            };
            let bad = guards.bad_min;
            let _ =
                write!(text, "\nand at least {bad} bad events{all} happened in the long window.");
            text
        }
        AlertKind::NoData => format!(
            "{description} Nobody has counted its events for five minutes: what happens is neither \
             known to be good nor bad. The other alerts of this objective stay as they were."
        ),
    }
}

fn pair_row(slo: &Slo, pair: &crate::spec::Pair) -> String {
    let budget = slo.budget().as_f64();
    let factor = f64::from(pair.factor_tenths) / 10.0;
    let used = match slo.window {
        Window::Rolling { days } => {
            let share = factor * pair.long.as_secs_f64() / names::days_of(days).as_secs_f64();
            format!("{:.1} %", share * 100.0)
        }
        Window::Calendar(_) => "depends on the day".to_owned(),
    };
    let outage = factor * budget * pair.long.as_secs_f64();
    format!(
        "| {} | {} | {} × | {} % | {used} | {} |\n",
        duration(pair.long),
        duration(pair.short),
        burn::factor(pair.factor_tenths),
        burn::percent_of(slo, pair.factor_tenths),
        rounded(outage)
    )
}

/// Seconds for people.
fn rounded(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

fn bad(sli: &Sli) -> String {
    match sli {
        Sli::Availability { .. } => {
            "a request that failed on our side (5xx; not what an application answered itself)"
                .to_owned()
        }
        Sli::Latency { threshold, le, .. } => {
            let relation = if *le { "more than" } else { "at least" };
            format!("a request whose answer began after {relation} {} ms", threshold.as_millis())
        }
        Sli::Freshness { max_age, .. } => {
            format!("a look at a timestamp that is older than {}", duration(*max_age))
        }
        Sli::Ratio { .. } => "what the objective's counters say".to_owned(),
        Sli::Probe { timeout, .. } => {
            format!("a knock that is not answered 2xx or 3xx within {}", duration(*timeout))
        }
    }
}

fn confirm(settings: &Settings, slo: &Slo, kind: AlertKind) -> String {
    let console = settings.console();
    let mut text = format!(
        "- `shieldx slo status` and `shieldx slo explain {name}`, or [the objective's page]({console}/slo/{name}): \
         burn, budget, which tenants and routes.\n",
        name = slo.name
    );
    if kind == AlertKind::NoData {
        let _ = write!(
            text,
            "- [The services]({console}/services), `shieldx health`: is `{service}` up?\n- Is it \
             scraped? In Prometheus:\n\n```promql\nup{{job=\"{service}\"}}\n```\n\n```promql\n{}\n```\n",
            burn::no_data_expr(slo),
            service = slo.service
        );
        return text;
    }
    let _ = write!(
        text,
        "- [Traces]({console}/traces) of bad requests: all of them are kept for a while; exemplars of \
         `{}` name them.\n- In Prometheus, the error ratio of the last hour:\n\n```promql\n{}\n```\n\n\
         How fast the budget burns, by window:\n\n```promql\n{}\n```\n\nWhere: by tenant and by \
         route group.\n\n```promql\ntopk(10, sum by (tenant) (increase({}[1h])))\n```\n\n\
         ```promql\ntopk(10, sum by (route_group) (increase({}{{slo=\"{}\",outcome=\"bad\"}}[1h])))\n```\n",
        promql::bad(slo),
        promql::error_ratio(slo, std::time::Duration::from_secs(3600)),
        promql::burn_rates(slo),
        promql::bad(slo),
        names::ROUTE_GROUP_EVENTS,
        slo.name
    );
    text
}

/// What tends to be wrong with a service, in the order in which to look.
fn first_aid(slo: &Slo, kind: AlertKind) -> String {
    let mut steps: Vec<&str> = Vec::new();
    if kind == AlertKind::NoData {
        steps.push("Start the service if it is down; read its last log lines before.");
        steps.push(
            "If it is up, see whether Prometheus reaches its metrics: address, firewall, TLS.",
        );
        steps.push("Until it counts again, believe the probes and the ingress, not silence.");
    } else {
        steps.push("Was something deployed, or a policy or setting changed, just before? Undo it first, ask later.");
        steps.push("One tenant or one route only? Limit that one; leave the others in peace.");
        if matches!(slo.sli, Sli::Latency { .. }) {
            steps.push("Slow only: look for saturation (in-flight requests, queue, CPU) before anything else.");
        }
    }
    steps.extend(of_service(&slo.service));
    steps.iter().enumerate().fold(String::new(), |mut text, (index, step)| {
        let _ = writeln!(text, "{}. {step}", index + 1);
        text
    })
}

fn of_service(service: &str) -> &'static [&'static str] {
    match service {
        "ingress" => &[
            "`shieldx_ingress_requests_total` by `outcome`: `failed` is the gateway not answering, `limited_*` are limits at work, everything else is what clients sent.",
            "Connections near their bound: `shieldx_ingress_http_connections`; slow clients are in `…_connections_ended_total`.",
        ],
        "gateway" => &[
            "`shieldx_gateway_dependency_failures_total` by `dependency`: contauth or the policy failing makes the gateway deny, not fail; find out which.",
            "`shieldx_gateway_phase_duration_seconds` by `phase`: `forward` is the application behind it, the others are ours.",
        ],
        "contauth" => &[
            "`shieldx_contauth_store_errors_total`: a full or slow disk below the data folder.",
            "`shieldx_contauth_session_lookups_total`: many misses are sessions that are read from the store.",
        ],
        "verifier-pool" => &[
            "`shieldx_verifier_pool_queue_depth` and `…_queue_oldest_age_seconds`: too few workers, or runs that hang; `shieldx list` shows them.",
            "`shieldx doctor` on its host: a sandbox capability that is gone makes runs fail.",
            "`shieldx_verifier_pool_runs_total{verdict=\"failed\"}`: the log of one of them says why.",
        ],
        "ml-service" => &[
            "`shieldx_ml_service_rejections_total` by `reason`: `busy` and `store_*` are ours, the others are what callers send.",
            "`shieldx_ml_service_ingest_duration_seconds` grows with the disk's; `store_full` wants room or shorter retention.",
        ],
        _ => &["Its log, its `/readyz`, and the traces of what failed."],
    }
}

fn escalate(slo: &Slo, kind: AlertKind) -> String {
    let whom = slo.team.as_deref().map_or_else(
        || format!("whoever owns `{}`", slo.service),
        |team| format!("the team {}", cell(team)),
    );
    let when = match names::severity(slo, kind) {
        Severity::Page => {
            "after 15 minutes without a cause, or at once when a second objective pages"
        }
        Severity::Ticket => "after one working day without a cause",
    };
    format!(
        "\n## Escalate\n\nTo {whom} {when}. `shieldx slo gate --service {}` tells pipelines to stop meanwhile.\n",
        slo.service
    )
}

fn silence(settings: &Settings, slo: &Slo, kind: AlertKind) -> String {
    format!(
        "\n## Silence\n\nOnly with a cause and an end:\n\n```sh\namtool silence add \
         --alertmanager.url=http://{} --duration=2h \\\n  --comment='why, and who looks at it' \
         alertname={} slo={}\n```\n",
        settings.alertmanager,
        kind.alertname(),
        slo.name
    )
}

fn close(slo: &Slo, kind: AlertKind) -> String {
    let mut text = "\n## Close\n\n".to_owned();
    match kind {
        AlertKind::NoData => {
            text.push_str("When it is counted again for five minutes, and it is known what happened meanwhile: the uncovered time stays uncovered in the budget.\n");
        }
        AlertKind::Burn(severity) => {
            let shortest: Vec<_> = pairs(slo, severity).map(|pair| duration(pair.short)).collect();
            let _ = writeln!(
                text,
                "It resolves by itself once the short window ({}) is below its factor. Close when it \
                 has, the cause is written down, and what is left of the budget (`{}`) is known to \
                 whoever plans deploys.",
                shortest.join(" or "),
                promql::recorded(slo, "slo:period_error_budget_remaining:ratio")
            );
        }
    }
    text
}
