//! Device and network: what is kept of them, and what it says when they are new or change.
//!
//! Kept are salted hashes of what a device tells, and the network an address is in. The salt is
//! random and belongs to one profile, so that neither subjects nor tenants can be joined over their
//! devices.
//!
//! Weights are log-likelihood ratios of yes-or-no observations. A new device: among `s` earlier
//! sessions, `d` different devices were seen, so `d − 1` of `s − 1` chances were new ones, and the
//! next is new with probability `(d − 1 + ½) / (s − 1 + 2)` (a Beta(½, 1½) prior: a quarter when
//! nothing is known). Somebody else is as likely to sit at a known device as at another: ½. The
//! figures for changes within a session are estimates, named below.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use types::text::hex;

use crate::features::count;
use crate::telemetry::Device;

/// Devices kept per profile; the one not seen longest makes room.
const DEVICES_MAX: usize = 16;
/// Networks kept per profile.
const NETWORKS_MAX: usize = 32;
/// Whoever takes over a session comes with a known device or network as often as not.
const KNOWN_TO_OTHERS: f64 = 0.5;
/// What a device or network that is new says at most.
const NEW_MAX: f64 = 3.0;

/// User agent, platform or touch change within a session: estimated at 1 in 500 of the subject's own
/// sessions (a browser that pretends to be another) and 3 in 10 of those taken over: ln 150.
pub(crate) const DEVICE_CHANGED: f64 = 5.01;
/// Language, time zone or screen change: 1 in 20 (a second monitor, a journey) against 3 in 20: ln 3.
pub(crate) const DEVICE_MOVED: f64 = 1.1;
/// A network that is new to the subject within a session: 1 in 10 (mobile networks) against 4 in 10:
/// ln 4.
pub(crate) const NETWORK_CHANGED: f64 = 1.39;
/// A request whose user agent is not the one telemetry came from: 1 in 200 against 3 in 10: ln 60.
pub(crate) const REQUEST_AGENT: f64 = 4.09;

/// Salted hash of something a device tells, 16 bytes as hexadecimal text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Print(String);

/// Random bytes of one profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Salt(Vec<u8>);

impl Salt {
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.to_vec()))
    }

    pub(crate) fn print(&self, what: &str, value: &str) -> Print {
        let mut hash = Sha256::new();
        hash.update(&self.0);
        hash.update(what.as_bytes());
        hash.update([0]);
        hash.update(value.as_bytes());
        Print(hex(&hash.finalize()[..16]))
    }

    /// A user agent without its version numbers: a browser that updates itself stays the same.
    pub(crate) fn agent(&self, user_agent: &str) -> Print {
        let mut name = String::with_capacity(user_agent.len());
        for c in user_agent.chars() {
            let number = c.is_ascii_digit() || c == '.' || c == '_';
            if !(number && name.ends_with('#')) {
                name.push(if number { '#' } else { c });
            }
        }
        self.print("agent", &name)
    }
}

/// What is kept of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DevicePrints {
    pub(crate) agent: Option<Print>,
    platform: Option<Print>,
    touch: Option<bool>,
    screen: Option<Print>,
    language: Option<Print>,
    timezone: Option<Print>,
}

/// How a device differs from what the session told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    Same,
    /// Something that changes when people move: screen, language, time zone.
    Moved,
    /// Something that does not change by itself.
    Other,
}

impl DevicePrints {
    pub(crate) fn of(device: &Device, salt: &Salt) -> Self {
        let text = |what, value: &Option<String>| value.as_ref().map(|v| salt.print(what, v));
        // Turning a tablet is no change, and zooming a page changes the ratio.
        let screen = device.screen.map(|screen| {
            let sides = (screen.width.min(screen.height), screen.width.max(screen.height));
            salt.print("screen", &format!("{}x{}", sides.0, sides.1))
        });
        Self {
            agent: device.user_agent.as_ref().map(|agent| salt.agent(agent)),
            platform: text("platform", &device.platform),
            touch: device.touch,
            screen,
            language: text("language", &device.language),
            timezone: text("timezone", &device.timezone),
        }
    }

    /// Takes in a later report; what it does not tell stays.
    pub(crate) fn update(&mut self, newer: Self) -> Difference {
        let other = replace(&mut self.agent, newer.agent)
            | replace(&mut self.platform, newer.platform)
            | replace(&mut self.touch, newer.touch);
        let moved = replace(&mut self.screen, newer.screen)
            | replace(&mut self.language, newer.language)
            | replace(&mut self.timezone, newer.timezone);
        match (other, moved) {
            (true, _) => Difference::Other,
            (false, true) => Difference::Moved,
            (false, false) => Difference::Same,
        }
    }

    /// What makes a device the same one in another session.
    pub(crate) fn fingerprint(&self, salt: &Salt) -> String {
        let part = |print: &Option<Print>| print.as_ref().map_or("-", |p| p.0.as_str()).to_owned();
        let parts = [part(&self.agent), part(&self.platform), part(&self.screen)];
        salt.print("device", &format!("{}/{:?}", parts.join("/"), self.touch)).0
    }

    /// Typing on glass is not typing on keys, and another platform is most likely another keyboard:
    /// each gets windows of its own.
    pub(crate) fn keyboard(&self, salt: &Salt) -> String {
        let platform = self.platform.as_ref().map_or("-", |p| p.0.as_str());
        salt.print("keyboard", &format!("{platform}/{:?}", self.touch)).0
    }
}

/// Whether a known value became another; an unknown one is filled in.
fn replace<T: PartialEq>(old: &mut Option<T>, new: Option<T>) -> bool {
    let changed = matches!((&*old, &new), (Some(old), Some(new)) if old != new);
    if new.is_some() {
        *old = new;
    }
    changed
}

/// The network an address is in: /24 of IPv4, /48 of IPv6.
pub(crate) fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

/// Whether the address is reached over the internet; one behind a proxy is not comparable with one
/// in front of it.
pub(crate) fn public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => !(v4.is_private() || v4.is_loopback() || v4.is_link_local()),
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()),
    }
}

/// Devices or networks of a subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Acquaintances {
    seen: Vec<Seen>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Seen {
    what: String,
    sessions: u32,
    last_us: i64,
}

/// How well a device or network is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Acquaintance {
    /// Earlier sessions it was seen in.
    pub(crate) sessions: u32,
    /// Earlier sessions in which any was told.
    pub(crate) of: u32,
    /// Natural log-likelihood ratio: of never seen, positive; of known, negative.
    pub(crate) ratio: f64,
}

impl Acquaintances {
    pub(crate) fn acquaintance(&self, what: &str) -> Acquaintance {
        let known = self.seen.iter().find(|seen| seen.what == what);
        let sessions = known.map_or(0, |seen| seen.sessions);
        let of = self.seen.iter().fold(0u32, |sum, seen| sum.saturating_add(seen.sessions));
        if of == 0 {
            return Acquaintance { sessions, of, ratio: 0.0 };
        }
        let new = (count(self.seen.len()) - 0.5) / (f64::from(of) + 1.0);
        let ratio = if sessions == 0 {
            (KNOWN_TO_OTHERS / new).ln().clamp(0.0, NEW_MAX)
        } else {
            (KNOWN_TO_OTHERS / (1.0 - new)).ln().min(0.0)
        };
        Acquaintance { sessions, of, ratio }
    }

    pub(crate) fn meet_device(&mut self, what: String, now_us: i64) {
        self.meet(what, now_us, DEVICES_MAX);
    }

    pub(crate) fn meet_network(&mut self, what: String, now_us: i64) {
        self.meet(what, now_us, NETWORKS_MAX);
    }

    fn meet(&mut self, what: String, now_us: i64, max: usize) {
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.what == what) {
            seen.sessions = seen.sessions.saturating_add(1);
            seen.last_us = now_us;
            return;
        }
        if self.seen.len() >= max {
            let oldest = (0..self.seen.len()).min_by_key(|at| self.seen[*at].last_us);
            oldest.map(|at| self.seen.swap_remove(at));
        }
        self.seen.push(Seen { what, sessions: 1, last_us: now_us });
    }
}

#[cfg(test)]
mod tests {
    use super::{Acquaintances, DEVICES_MAX, DevicePrints, Difference, Salt, network, public};
    use crate::telemetry::{Device, Screen};

    fn device(agent: &str, width: u32) -> Device {
        let screen = Some(Screen { width, height: 800, pixel_ratio: None });
        Device { user_agent: Some(agent.to_owned()), screen, ..Device::default() }
    }

    #[test]
    fn an_update_of_the_browser_is_the_same_device_another_browser_is_not() {
        let salt = Salt::random().unwrap();
        let prints = |device| DevicePrints::of(&device, &salt);
        let mut old = prints(device("Firefox/128.0.1 (X11; Linux x86_64)", 1280));
        let print = old.fingerprint(&salt);
        assert_eq!(
            old.update(prints(device("Firefox/129.0 (X11; Linux x86_64)", 1280))),
            Difference::Same
        );
        assert_eq!(old.fingerprint(&salt), print);
        assert_eq!(
            old.update(prints(device("Firefox/129.0 (X11; Linux x86_64)", 1920))),
            Difference::Moved
        );
        assert_eq!(old.update(DevicePrints::default()), Difference::Same);
        assert_eq!(old.update(prints(device("curl/8.5", 1920))), Difference::Other);
        let elsewhere = Salt::random().unwrap();
        assert_ne!(prints(device("x", 1)), DevicePrints::of(&device("x", 1), &elsewhere));
    }

    #[test]
    fn a_new_device_weighs_by_how_often_the_subject_has_new_ones() {
        let mut steady = Acquaintances::default();
        assert_eq!(steady.acquaintance("a").ratio, 0.0);
        for session in 0..50 {
            steady.meet_device("a".to_owned(), session);
        }
        assert!(steady.acquaintance("b").ratio > 2.9);
        assert!((-0.7..-0.6).contains(&steady.acquaintance("a").ratio));
        let mut roaming = Acquaintances::default();
        for session in 0..50 {
            roaming.meet_network(format!("net {session}"), session);
        }
        assert_eq!(roaming.acquaintance("another").ratio, 0.0);
        assert_eq!(roaming.seen.len(), super::NETWORKS_MAX);
        for session in 0..50 {
            steady.meet_device(format!("device {session}"), 100 + session);
        }
        assert_eq!(steady.seen.len(), DEVICES_MAX);
    }

    #[test]
    fn networks_hide_the_last_octet_and_mapped_addresses_are_ipv4() {
        let net = |text: &str| network(text.parse().unwrap());
        assert_eq!(net("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(net("::ffff:203.0.113.77"), "203.0.113.0/24");
        assert_eq!(net("2001:db8:5:6::1"), "2001:db8:5::/48");
        assert!(public("203.0.113.1".parse().unwrap()) && !public("::1".parse().unwrap()));
    }
}
