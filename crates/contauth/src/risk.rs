//! From a session's evidence to its risk. Pure, and quick: no profile, no store, no clock.
//!
//! `logit(risk) = prior + Σ contributions`, all in natural log-odds; the list of signals has every
//! term, the prior too, so that it adds up.
//!
//! **Prior**: 1 in 100 sessions is in other hands; an estimate that a deployment cannot check, so it
//! is fixed and shown. **Levels** are Bayes decisions: acting is right above `c / (c + m)`, with `c`
//! the cost of bothering the subject and `m` of letting somebody else go on. *Elevated* (ask again
//! who it is) has m = 4c: 0.2. *High* (stop it) is the other way round, for being stopped costs the
//! subject more: 0.8. Typing alone must therefore say e^3.2 = 25 : 1 before anything is asked, and
//! can never say enough for *high* ([`BEHAVIOUR_MAX`]).
//!
//! **Silence** ends trust and not suspicion: what speaks for the subject halves every third of
//! `stale_after`, and after all of it the level is *unknown*; what speaks against them stays until
//! typing contradicts it or the session is forgotten.

use types::ports::Surroundings;
use types::{RiskLevel, SessionRisk, Signal};

use crate::config::Config;
use crate::evidence::BEHAVIOUR_MAX;
use crate::features::{pointer, typing};
use crate::session::Session;
use crate::surroundings::{
    Acquaintance, DEVICE_CHANGED, DEVICE_MOVED, NETWORK_CHANGED, REQUEST_AGENT, network, public,
};

/// ln(0.01 / 0.99)
pub(crate) const PRIOR: f64 = -4.595_119_850_134_59;
pub(crate) const ELEVATED: f64 = 0.2;
pub(crate) const HIGH: f64 = 0.8;
/// A window that was seen before, to the last digit: 1 in 1,000 (a client that sends a report twice)
/// against 1 in 100: ln 10. Not more with more of them.
const REPLAY: f64 = 2.3;

/// The risk of a session nobody reported on.
pub(crate) fn unheard_of() -> SessionRisk {
    let signals = vec![prior()];
    SessionRisk {
        risk: logistic(PRIOR),
        level: RiskLevel::Unknown,
        subject: None,
        signals,
        observed_at: None,
    }
}

/// The risk of a session at a time, for a request from `surroundings`.
pub(crate) fn assess(
    session: &Session,
    config: &Config,
    now_us: i64,
    surroundings: &Surroundings,
) -> SessionRisk {
    let idle_us = now_us.saturating_sub(session.observed_us).max(0);
    let mut signals = behaviour(session, trust(idle_us, config));
    signals.extend(device(session));
    signals.extend(address(session));
    signals.extend(replay(session));
    let request = request(session, surroundings);
    if !request.is_empty() {
        // What vouches for the device that reports vouches for nobody who asks from another.
        signals.iter_mut().for_each(|signal| signal.contribution = signal.contribution.max(0.0));
        signals.extend(request);
    }
    signals.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
    signals.extend(standing(session));
    signals.push(prior());
    let risk = logistic(signals.iter().map(|signal| signal.contribution).sum());
    SessionRisk {
        risk,
        level: level(session, config, risk, idle_us),
        subject: Some(session.subject.clone()),
        signals,
        observed_at: Some(runtime::clock::rfc3339(session.observed_us)),
    }
}

fn level(session: &Session, config: &Config, risk: f64, idle_us: i64) -> RiskLevel {
    let heard = session.typing.windows > 0 || session.pointer.windows > 0;
    if risk >= HIGH {
        RiskLevel::High
    } else if risk >= ELEVATED {
        RiskLevel::Elevated
    } else if session.standing.known && heard && idle_us < config.stale_after_us() {
        RiskLevel::Low
    } else {
        RiskLevel::Unknown
    }
}

/// What is left of evidence that speaks for the subject, 1…0.
pub(crate) fn trust(idle_us: i64, config: &Config) -> f64 {
    let seconds = |us: i64| std::time::Duration::from_micros(us.unsigned_abs()).as_secs_f64();
    (-3.0 * seconds(idle_us) / seconds(config.stale_after_us())).exp2()
}

fn prior() -> Signal {
    let detail = "before anything is seen, 1 in 100 sessions is taken to be in other hands";
    signal("prior", detail, PRIOR)
}

fn signal(name: &str, detail: impl Into<String>, contribution: f64) -> Signal {
    Signal { name: name.to_owned(), detail: detail.into(), contribution }
}

fn behaviour(session: &Session, trust: f64) -> Vec<Signal> {
    let faded = |sum: f64| if sum < 0.0 { sum * trust } else { sum };
    let typed = faded(session.typing.sum).min(BEHAVIOUR_MAX);
    let moved = faded(session.pointer.sum).min(BEHAVIOUR_MAX - typed.max(0.0));
    let kinds = [
        (
            "typing",
            "keystrokes",
            typing::WINDOW_STROKES,
            &typing::NAMES[..],
            &session.typing,
            typed,
        ),
        (
            "pointer",
            "movements",
            pointer::WINDOW_STEPS,
            &pointer::NAMES[..],
            &session.pointer,
            moved,
        ),
    ];
    let told = kinds.into_iter().filter(|kind| kind.4.windows > 0 || kind.5 > 0.0);
    told.map(|(name, unit, size, names, ledger, contribution)| {
        if ledger.windows == 0 {
            return signal(
                name,
                "was unlike the subject's own before the device changed",
                contribution,
            );
        }
        let like = if contribution > 0.0 { "unlike" } else { "like" };
        let feature = names.get(ledger.odd.0).copied().unwrap_or("all");
        let way = if ledger.odd.1 { "more than" } else { "less than" };
        let detail = format!(
            "{like} the subject's own, over {} windows of {size} {unit}; the newest has p = {:.3} \
             against {} own windows and differs most in {feature} ({way} usual)",
            ledger.windows, ledger.p, ledger.basis
        );
        signal(name, detail, contribution)
    })
    .collect()
}

fn device(session: &Session) -> Option<Signal> {
    let device = &session.device;
    let acquaintance = device.acquaintance?;
    let mut parts = Vec::new();
    let mut contribution = acquaintance.ratio;
    if device.changes > 0 {
        contribution = contribution.max(0.0) + DEVICE_CHANGED;
        parts.push(format!("it became another device within the session ({}×)", device.changes));
    } else if device.moves > 0 {
        contribution += DEVICE_MOVED;
        parts.push("its screen, language or time zone changed within the session".to_owned());
    }
    parts.push(seen("device", &acquaintance));
    Some(signal("device", parts.join("; "), contribution))
}

fn address(session: &Session) -> Option<Signal> {
    let network = &session.network;
    let acquaintance = network.acquaintance?;
    let mut parts = Vec::new();
    let mut contribution = acquaintance.ratio;
    if network.changes > 0 {
        contribution = contribution.max(0.0) + NETWORK_CHANGED;
        parts.push("the session moved to a network that is new to the subject".to_owned());
    }
    let name = network.now.as_deref().unwrap_or_default();
    parts.push(seen(&format!("network {name}"), &acquaintance));
    Some(signal("address", parts.join("; "), contribution))
}

fn seen(what: &str, acquaintance: &Acquaintance) -> String {
    match acquaintance {
        Acquaintance { of: 0, .. } => {
            format!("the {what} is the first that is told of the subject")
        }
        Acquaintance { sessions: 0, of, .. } => {
            format!("the {what} was not seen in {of} earlier sessions")
        }
        Acquaintance { sessions, of, .. } => {
            format!("the {what} was seen in {sessions} of {of} earlier sessions")
        }
    }
}

fn replay(session: &Session) -> Option<Signal> {
    (session.replays > 0).then(|| {
        let detail = format!(
            "{} windows have exactly the timings of earlier ones: a recording, or reports sent \
             again without a sequence number",
            session.replays
        );
        signal("replay", detail, REPLAY)
    })
}

/// How the request differs from what telemetry said. Empty when it tells nothing new.
fn request(session: &Session, surroundings: &Surroundings) -> Vec<Signal> {
    let mut signals = Vec::new();
    let told = session.device.prints.as_ref().and_then(|prints| prints.agent.as_ref());
    if let (Some(told), Some(agent)) = (told, &surroundings.user_agent)
        && session.salt.agent(agent) != *told
    {
        let detail = "the request comes from another user agent than the session's telemetry";
        signals.push(signal("request-agent", detail, REQUEST_AGENT));
    }
    let address = surroundings.address.as_ref().and_then(|text| text.parse().ok());
    if let (Some(told), Some(address)) = (&session.network.now, address)
        && public(address)
        && session.network.public
        && network(address) != *told
    {
        let detail = "the request comes from another network than the session's telemetry";
        signals.push(signal("request-address", detail, NETWORK_CHANGED));
    }
    signals
}

/// What is still to be learned, where something is.
fn standing(session: &Session) -> Option<Signal> {
    let standing = session.standing;
    (!standing.known).then(|| signal("enrolment", standing.detail(), 0.0))
}

fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

#[cfg(test)]
mod tests;
