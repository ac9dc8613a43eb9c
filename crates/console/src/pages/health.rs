//! How the services are, what works in the background, and who is told.

use maud::{Markup, html};

use crate::show;
use crate::sources::{Probe, Receiver, Service, ServicesView, Task, TaskState};

pub(crate) fn body(services: &[Service], view: &dyn ServicesView, now_us: i64) -> Markup {
    let ready = services.iter().filter(|service| service.readiness.ready).count();
    html! {
        h1 { "Services" }
        section #services data-live aria-label="Services" {
            p { @if ready == services.len() { "All " (ready) " services are ready." } @else { b.bad { "✕ " (services.len() - ready) " of " (services.len()) } " services are not ready." } }
            ul.cards { @for service in services { (card(service)) } }
        }
        section #probes data-live aria-labelledby="probed" {
            h2 #probed { "Probes" }
            (probes(&view.probes(), now_us))
        }
        section #receivers data-live aria-labelledby="told" {
            h2 #told { "Alert receivers" }
            (receivers(&view.receivers(), now_us))
        }
        section #tasks data-live aria-labelledby="background" {
            h2 #background { "Background tasks" }
            (tasks(&view.tasks(), now_us))
        }
    }
}

fn card(service: &Service) -> Markup {
    let ready = service.readiness.ready;
    html! {
        li class=(if ready { "card" } else { "card failing" }) {
            h2 {
                (show::clip(&service.name, 60)) " "
                @if ready { span.badge.good { "✓ ready" } } @else { span.badge.bad { "✕ not ready" } }
            }
            p.muted { @if let Some(url) = &service.url { code { (show::clip(url, 100)) } " · " } "version " (show::clip(&service.version, 40)) }
            @if service.readiness.dependencies.is_empty() {
                p.muted { "needs nothing else" }
            } @else {
                ul.dependencies { @for dependency in &service.readiness.dependencies {
                    li {
                        @if dependency.ready { span.good aria-hidden="true" { "✓" } } @else if !dependency.required { span.muted aria-hidden="true" { "–" } } @else { span.bad aria-hidden="true" { "✕" } }
                        " " (show::clip(&dependency.name, 60))
                        @if let Some(reason) = &dependency.reason { span.reason { (show::clip(reason, 300)) } }
                        @else { span.sr { " is ready" } }
                    }
                } }
            }
        }
    }
}

fn probes(probes: &[Probe], now_us: i64) -> Markup {
    html! {
        @if probes.is_empty() {
            p.empty { "No objective is a probe. Without one, an ingress that is down counts nothing and burns nothing." }
        } @else {
            table.cards-narrow role="table" {
                thead role="rowgroup" { tr role="row" { @for name in ["Objective", "Asks", "Last", "Result"] { th scope="col" role="columnheader" { (name) } } } }
                tbody role="rowgroup" { @for probe in probes {
                    tr role="row" {
                        th.name scope="row" role="rowheader" { a href=(format!("/slo/{}", show::encoded(&probe.slo))) { (show::clip(&probe.slo, 63)) } }
                        td role="cell" data-name="Asks" { code { (show::clip(&probe.url, 100)) } }
                        td role="cell" data-name="Last" { (last(probe.last_run_us, now_us)) }
                        td role="cell" data-name="Result" { @match &probe.last {
                            Some(Ok(())) => span.badge.good { "✓ good" },
                            Some(Err(why)) => { span.badge.bad { "✕ bad" } " " (show::clip(why, 200)) },
                            None => span.muted { "not yet" },
                        } }
                    }
                } }
            }
        }
    }
}

fn receivers(receivers: &[Receiver], now_us: i64) -> Markup {
    html! {
        @if receivers.is_empty() {
            p.empty { "Nobody is told of alerts: they are on these pages only. Set " code { "ledger.webhooks" } " or " code { "ledger.alertmanagers" } "." }
        } @else {
            table.cards-narrow role="table" {
                thead role="rowgroup" { tr role="row" { @for name in ["Receiver", "Kind", "Last told", "State"] { th scope="col" role="columnheader" { (name) } } } }
                tbody role="rowgroup" { @for receiver in receivers {
                    tr role="row" {
                        th.name scope="row" role="rowheader" { code { (show::clip(&receiver.url, 100)) } }
                        td role="cell" data-name="Kind" { (show::clip(&receiver.kind, 30)) }
                        td role="cell" data-name="Last told" { (last(receiver.last_sent_us, now_us)) }
                        td role="cell" data-name="State" { @match &receiver.failing {
                            Some(why) => { span.badge.bad { "✕ fails" } " " (show::clip(why, 200)) },
                            None => span.badge.good { "✓ answers" },
                        } }
                    }
                } }
            }
        }
    }
}

fn tasks(tasks: &[Task], now_us: i64) -> Markup {
    let period = |task: &Task| match (task.period, task.state) {
        (Some(period), _) => format!("every {}", show::seconds(period.as_secs_f64())),
        (None, TaskState::Running) => "goes on".to_owned(),
        (None, _) => "–".to_owned(),
    };
    html! {
        @if tasks.is_empty() { p.empty { "Nothing works in the background." } }
        @else {
            table.cards-narrow role="table" {
                thead role="rowgroup" { tr role="row" { @for name in ["Task", "State", "Period", "Last run", "Took", "Ended", "Panics"] { th scope="col" role="columnheader" { (name) } } } }
                tbody role="rowgroup" { @for task in tasks {
                    tr role="row" {
                        th.name scope="row" role="rowheader" { (show::clip(&task.name, 60)) @if task.running > 1 { span.muted { " × " (task.running) } } }
                        td role="cell" data-name="State" { (state(task.state)) }
                        td role="cell" data-name="Period" { (period(task)) }
                        td role="cell" data-name="Last run" { (last(task.last_run_us, now_us)) }
                        td role="cell" data-name="Took" { @match task.last_took { Some(took) => (show::seconds(took.as_secs_f64())), None => span.muted { "–" } } }
                        td role="cell" data-name="Ended" { (show::count(task.ended)) }
                        td role="cell" data-name="Panics" { @if task.panicked > 0 { b.bad { (show::count(task.panicked)) } } @else { "0" } }
                    }
                } }
            }
        }
    }
}

fn state(state: TaskState) -> Markup {
    html! {
        @match state {
            TaskState::Running => span.badge.good { "✓ running" },
            TaskState::Ended => span.badge { "■ ended" },
            TaskState::Panicked => span.badge.bad { "✕ panicked" },
        }
    }
}

fn last(at_us: Option<i64>, now_us: i64) -> Markup {
    html! { @match at_us {
        Some(at_us) => { (show::distance(at_us, now_us)) " " span.muted { (show::clock(at_us)) } },
        None => span.muted { "–" },
    } }
}
