//! One objective, as a file says it.

use std::time::Duration;

use super::super::fields::{Fields, Problems, unknown};
use super::super::tree::Node;
use super::super::{
    Alerting, DataLoss, OTHER_ROUTES, PAIRS, Pair, ProbeTarget, RatioEvents, Requests, RouteGroup,
    Selector, Severity, Sli, Slo, SloName, Views, Window, check, revision,
};
use super::{ROUTE_GROUPS_MAX, plain, service, url};
use crate::decimal::Share;

const PAIRS_MAX: usize = 8;
/// Bad events that a pair needs to fire, where the file does not say.
const BAD_EVENTS_MIN: u64 = 5;
const KINDS: [&str; 5] = ["availability", "latency", "freshness", "ratio", "probe"];
const SEVERITIES: [(&str, Severity); 2] = [("page", Severity::Page), ("ticket", Severity::Ticket)];
const DATA_LOSS: [(&str, DataLoss); 3] =
    [("freeze", DataLoss::Freeze), ("alert", DataLoss::Alert), ("ignore", DataLoss::Ignore)];

/// `None` where too much is missing to say more.
pub(super) fn slo(
    index: usize,
    node: &Node,
    groups: &[RouteGroup],
    problems: &mut Problems,
) -> Option<Slo> {
    let place = format!("slos[{index}]");
    let mut fields = Fields::new(place.clone(), node, problems);
    let name = fields.required("name", problems);
    if let Some(name) = name {
        fields.rename(format!("{place} {name}"));
    }
    let name = name.and_then(|name| match SloName::try_from(name.to_owned()) {
        Ok(name) => Some(name),
        Err(error) => {
            problems.note(&place, error);
            None
        }
    });
    let sli = sli(&mut fields, groups, problems);
    let counted = matches!(sli, Some(Sli::Availability { .. } | Sli::Latency { .. }));
    let service = service(&mut fields, counted, problems);
    let description = line("description", &mut fields, problems).unwrap_or_default();
    let team = line("team", &mut fields, problems);
    if fields.take("target").is_none() {
        problems.note(fields.place(), "target is missing: the percentage that has to be good");
    }
    let target = percent("target", &mut fields, problems);
    let target = target.filter(|target| check::target(*target, fields.place(), problems));
    let window = window(&mut fields, problems);
    let minimum_events = fields.number("minimum_events", problems);
    let data_loss = fields.word("data_loss", &DATA_LOSS, problems).unwrap_or(DataLoss::Freeze);
    let coverage_min = percent("coverage_min", &mut fields, problems);
    let alerting = alerting(&mut fields, problems);
    let gated = fields.flag("gate", problems).unwrap_or(true);
    let views = views(counted, service.as_deref(), &mut fields, problems);
    let place = fields.place().to_owned();
    fields.finish(problems);
    let target = target?;
    let mut slo = Slo {
        name: name?,
        service: service?,
        description,
        team,
        target,
        window: window?,
        sli: sli?,
        minimum_events: minimum_events.unwrap_or_else(|| check::enough_events(target)),
        data_loss,
        coverage_min: coverage_min.or_else(|| Share::from_percent("90")).unwrap_or_default(),
        alerting: alerting?,
        gated,
        views,
        revision: 0,
    };
    slo.revision = revision::of(&slo, groups);
    check::slo(&slo, &place, problems);
    Some(slo)
}

/// A percentage, with or without its sign: `99.9`, `99.9%`.
pub(super) fn percent(
    name: &'static str,
    fields: &mut Fields<'_>,
    problems: &mut Problems,
) -> Option<Share> {
    let form = "a percentage from 0 to 100 with at most seven decimals, like 99.95";
    fields.parsed(name, form, problems, |text| {
        Share::from_percent(text.strip_suffix('%').unwrap_or(text).trim_end())
    })
}

fn line(name: &'static str, fields: &mut Fields<'_>, problems: &mut Problems) -> Option<String> {
    fields.parsed(name, "one line of at most 300 bytes", problems, |text| {
        plain(text).then(|| text.to_owned())
    })
}

fn window(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Window> {
    let form = "a number of days like 30d, or calendar week, month, quarter or year";
    let Some(node) = fields.take("window") else { return Some(Window::Rolling { days: 30 }) };
    // Also `window: {calendar: month}`, the way it looks in other tools.
    let written = match node {
        Node::Map(_) => {
            let mut inner = Fields::new(fields.at("window"), node, problems);
            let unit = inner.required("calendar", problems).map(|unit| format!("calendar {unit}"));
            inner.finish(problems);
            unit?
        }
        _ => fields.text("window", problems)?.to_owned(),
    };
    let window = super::super::window_from(&written);
    if window.is_none() {
        problems.note(&fields.at("window"), format_args!("{written:?} is not {form}"));
    }
    window
}

fn sli(fields: &mut Fields<'_>, groups: &[RouteGroup], problems: &mut Problems) -> Option<Sli> {
    let given: Vec<(&str, &Node)> = KINDS
        .into_iter()
        .filter_map(|kind| fields.take_even_empty(kind).map(|node| (kind, node)))
        .collect();
    let [(kind, node)] = given.as_slice() else {
        let given: Vec<&str> = given.into_iter().map(|(kind, _)| kind).collect();
        let said = if given.is_empty() { "none".to_owned() } else { given.join(" and ") };
        let kinds = KINDS.join(", ");
        problems.note(fields.place(), format_args!("has to have one of {kinds}; it has {said}"));
        return None;
    };
    let mut inner = Fields::new(fields.at(kind), node, problems);
    let sli = match *kind {
        "availability" => {
            Some(Sli::Availability { requests: requests(&mut inner, groups, problems) })
        }
        "latency" => latency(&mut inner, groups, problems),
        "freshness" => freshness(&mut inner, problems),
        "ratio" => ratio(&mut inner, problems),
        _ => probe(&mut inner, problems),
    };
    inner.finish(problems);
    sli
}

fn requests(fields: &mut Fields<'_>, groups: &[RouteGroup], problems: &mut Problems) -> Requests {
    let mut known: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    if !known.contains(&OTHER_ROUTES) {
        known.push(OTHER_ROUTES);
    }
    let mut named = |name: &'static str| {
        let names = fields.texts(name, ROUTE_GROUPS_MAX, problems).unwrap_or_default();
        for group in names.iter().filter(|group| !known.contains(group)) {
            let text = format!("route group {}", unknown(group, &known));
            problems.note(&fields.at(name), text);
        }
        names.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let requests = Requests { only: named("only"), except: named("except") };
    if let Some(group) = requests.only.iter().find(|group| requests.except.contains(group)) {
        problems.note(fields.place(), format_args!("{group:?} is both in only and in except"));
    }
    requests
}

fn latency(fields: &mut Fields<'_>, groups: &[RouteGroup], problems: &mut Problems) -> Option<Sli> {
    let threshold = span("threshold", fields, problems);
    let le = fields.flag("le", problems).unwrap_or(true);
    let requests = requests(fields, groups, problems);
    Some(Sli::Latency { requests, threshold: threshold?, le })
}

fn freshness(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Sli> {
    let timestamp = selector("timestamp", fields, problems);
    let max_age = span("max_age", fields, problems);
    Some(Sli::Freshness { timestamp: timestamp?, max_age: max_age? })
}

fn ratio(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Sli> {
    let (has_good, has_bad) = (fields.take("good").is_some(), fields.take("bad").is_some());
    if has_good == has_bad {
        let text = "has to have either good or bad, and total";
        problems.note(fields.place(), text);
        fields.take("total");
        return None;
    }
    let events = selector(if has_good { "good" } else { "bad" }, fields, problems);
    let total = selector("total", fields, problems);
    let (events, total) = (events?, total?);
    let events = if has_good { RatioEvents::Good(events) } else { RatioEvents::Bad(events) };
    Some(Sli::Ratio { events, total })
}

fn probe(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Sli> {
    let target = fields.required("target", problems).map(|text| match text {
        "ingress" => Some(ProbeTarget::Ingress),
        text => url(text).map(ProbeTarget::Url),
    });
    if target == Some(None) {
        problems.note(&fields.at("target"), "has to be `ingress`, or an http:// or https:// URL");
    }
    let interval = fields.span("interval", problems).unwrap_or(Duration::from_secs(10));
    let timeout = fields.span("timeout", problems).unwrap_or(Duration::from_secs(2));
    Some(Sli::Probe { target: target??, interval, timeout })
}

fn span(name: &'static str, fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Duration> {
    if fields.take(name).is_none() {
        problems.note(fields.place(), format_args!("{name} is missing"));
    }
    fields.span(name, problems)
}

fn selector(
    name: &'static str,
    fields: &mut Fields<'_>,
    problems: &mut Problems,
) -> Option<Selector> {
    let text = fields.required(name, problems)?;
    text.parse().map_err(|error| problems.note(&fields.at(name), error)).ok()
}

/// `alerting: none`, or pairs and how many bad events they need; nothing said is the usual pairs.
fn alerting(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Alerting> {
    let usual = Alerting { pairs: PAIRS.to_vec(), bad_events_min: BAD_EVENTS_MIN };
    let Some(node) = fields.take("alerting") else { return Some(usual) };
    if matches!(node, Node::Scalar(text) if text == "none") {
        return Some(Alerting { pairs: Vec::new(), bad_events_min: 0 });
    }
    if let Node::Scalar(text) = node {
        let form = "has to be none, or a mapping of pairs and bad_events_min";
        problems.note(&fields.at("alerting"), format_args!("{form}, not {text:?}"));
        return None;
    }
    let mut inner = Fields::new(fields.at("alerting"), node, problems);
    let bad_events_min = inner.number("bad_events_min", problems).unwrap_or(BAD_EVENTS_MIN);
    let mut pairs = Vec::new();
    match inner.list("pairs", PAIRS_MAX, problems) {
        None => pairs = PAIRS.to_vec(),
        Some(nodes) => {
            for (index, node) in nodes.iter().enumerate() {
                let place = format!("{}: pairs[{index}]", inner.place());
                pairs.extend(pair(place, node, problems));
            }
        }
    }
    inner.finish(problems);
    // In the order of urgency, however they are written.
    pairs.sort_by_key(|pair| (pair.severity, pair.long, pair.short));
    Some(Alerting { pairs, bad_events_min })
}

fn pair(place: String, node: &Node, problems: &mut Problems) -> Option<Pair> {
    let mut fields = Fields::new(place, node, problems);
    let severity = fields.word("severity", &SEVERITIES, problems);
    let long = span("long", &mut fields, problems);
    let short = span("short", &mut fields, problems);
    let form = "a factor from 0.1 to 9999 with at most one decimal, like 14.4";
    let factor = fields.parsed("factor", form, problems, tenths);
    for (name, given) in [("severity", severity.is_some()), ("factor", factor.is_some())] {
        if !given && fields.take(name).is_none() {
            problems.note(fields.place(), format_args!("{name} is missing"));
        }
    }
    fields.finish(problems);
    Some(Pair { severity: severity?, long: long?, short: short?, factor_tenths: factor? })
}

/// `14.4` is 144.
pub(crate) fn tenths(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let part = part.trim_end_matches('0');
    if whole.is_empty() || whole.len() > 4 || part.len() > 1 || !digits(whole) || !digits(part) {
        return None;
    }
    format!("{whole}{part:0<1}").parse().ok().filter(|tenths| *tenths > 0)
}

/// Requests are counted by tenant and by route group unless said otherwise; ingress knows neither.
fn views(
    counted: bool,
    service: Option<&str>,
    fields: &mut Fields<'_>,
    problems: &mut Problems,
) -> Views {
    let all = counted && service != Some("ingress");
    let Some(texts) = fields.texts("views", 2, problems) else {
        return Views { tenants: all, route_groups: all };
    };
    let known = ["tenants", "route_groups"];
    for text in texts.iter().filter(|text| !known.contains(text)) {
        problems.note(&fields.at("views"), unknown(text, &known));
    }
    if !texts.is_empty() && !all {
        let why = "only requests are counted by tenant and route group, and not those of ingress, \
                   which knows neither";
        problems.note(&fields.at("views"), format_args!("has to be []: {why}"));
    }
    Views { tenants: texts.contains(&"tenants"), route_groups: texts.contains(&"route_groups") }
}
