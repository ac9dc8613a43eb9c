//! What was said to others: facts about the machine, planted content, logins, orders of webhooks.
//!
//! Behaviour decides, never a host's name alone: the same words to another host are the same. Only
//! a sandbox with a network that answers has requests; without one these detectors are silent.

mod facts;

use std::borrow::Cow;
use std::net::IpAddr;

use types::{Endpoint, Event, Kind, Text};

use crate::attack::{
    EXFILTRATION_C2, EXFILTRATION_UNENCRYPTED, NON_STANDARD_PORT, WEB_PROTOCOLS, WEBHOOK,
};
use crate::detector::{Detector, Finding, Hits, Info, TierC};
use crate::timeline::Timeline;

const fn info(
    id: &'static str,
    title: &'static str,
    attack: crate::attack::Attack,
    looks_for: &'static str,
) -> Info {
    Info { id, title, attack, looks_for, needs: &["request"], tier_c: TierC::Sees }
}

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: info(
            "decoy-sent",
            "Content of a planted file sent",
            EXFILTRATION_C2,
            "lines of a planted file among the bytes that were sent, also as base64 or hexadecimal",
        ),
        find: decoys,
    },
    Detector {
        info: info(
            "machine-facts-sent",
            "Facts about the machine sent",
            EXFILTRATION_C2,
            "accounts, keys, the environment or who one is, in the body or target of a request, also \
             encoded",
        ),
        find: machine,
    },
    Detector {
        info: info(
            "webhook-post",
            "Message posted to a chat's webhook",
            WEBHOOK,
            "a POST to the kind of address that chat services give to bots: an id and a secret in \
             the path",
        ),
        find: webhook,
    },
    Detector {
        info: info(
            "bare-address",
            "Web request to an address without a name",
            NON_STANDARD_PORT,
            "HTTP to a public address that no name led to, on a port that is not the web's",
        ),
        find: bare_address,
    },
    Detector {
        info: info(
            "unencrypted-login",
            "Login without encryption",
            EXFILTRATION_UNENCRYPTED,
            "a name and password sent by FTP or mail in the clear by a program of the sample's",
        ),
        find: login,
    },
    Detector {
        info: info(
            "unlisted-host",
            "Host outside the list tried",
            WEB_PROTOCOLS,
            "questions for or connections to hosts that the list of allowed ones does not name, by a \
             program of the sample's",
        ),
        find: unlisted,
    },
];

/// A request, taken apart.
pub(super) struct Said<'e> {
    pub(super) protocol: &'e str,
    pub(super) ip: IpAddr,
    pub(super) port: u16,
    pub(super) host: Option<Cow<'e, str>>,
    pub(super) line: Cow<'e, str>,
    pub(super) sent_bytes: u64,
    head: &'e str,
    answer: &'e str,
    carries: &'e [Text],
}

impl<'e> Said<'e> {
    pub(super) fn of(event: &'e Event) -> Option<Self> {
        let Kind::Request {
            protocol,
            peer: Endpoint::Inet { ip, port },
            host,
            line,
            sent_bytes,
            head,
            answer,
            carries,
            ..
        } = &event.kind
        else {
            return None;
        };
        Some(Self {
            protocol,
            ip: ip.to_canonical(),
            port: *port,
            host: host.as_ref().map(Text::to_lossy),
            line: line.to_lossy(),
            sent_bytes: *sent_bytes,
            head,
            answer,
            carries,
        })
    }

    /// Whom it was for: the name, or the address.
    pub(super) fn to(&self) -> String {
        self.host.as_ref().map_or_else(|| self.ip.to_string(), |host| host.to_string())
    }

    /// Method and path of an HTTP request, without query.
    fn http(&self) -> Option<(&str, &str)> {
        let mut words = self.line.split(' ').filter(|_| self.protocol == "http");
        let (method, target) = (words.next()?, words.next()?);
        let target = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
            None => target,
        };
        Some((method, target.split(['?', '#']).next().unwrap_or(target)))
    }

    /// Whether it carries data of the sender's, and does not only ask.
    pub(super) fn uploads(&self) -> bool {
        match self.http() {
            Some((method, _)) => matches!(method, "POST" | "PUT" | "PATCH"),
            None => matches!(self.protocol, "tcp" | "udp") && self.sent_bytes >= UPLOAD_BYTES_MIN,
        }
    }

    fn head(&self) -> Vec<u8> {
        let digits = self.head.as_bytes().chunks_exact(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        digits.filter_map(byte).collect()
    }
}

/// Fewer bytes on a bare connection are a greeting.
const UPLOAD_BYTES_MIN: u64 = 32;

/// The requests of a run, with the event of each.
pub(super) fn said<'t>(timeline: &'t Timeline<'_>) -> impl Iterator<Item = (usize, Said<'t>)> + 't {
    let events = timeline.events.iter().enumerate();
    events.filter_map(|(index, event)| Some((index, Said::of(event)?)))
}

/// The name in a question, however it was seen.
pub(super) fn question(event: &Event) -> Option<String> {
    let name = match &event.kind {
        Kind::Dns { question, .. } => question,
        Kind::Request { protocol, host: Some(host), .. } if protocol == "dns" => host,
        _ => return None,
    };
    Some(name.to_lossy().trim_end_matches('.').to_ascii_lowercase())
}

fn decoys(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, said) in said(timeline) {
        for path in said.carries {
            hits.add(index, 40, &format!("{} to {}", path.to_lossy(), said.to()));
        }
    }
    hits.finding("sent: ")
}

fn machine(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, said) in said(timeline) {
        if timeline.image(index).is_package_tool() || said.protocol == "tls" {
            continue;
        }
        let found = [facts::in_bytes(&said.head()), facts::in_text(&said.line)];
        if let Some((weight, what)) = found.into_iter().flatten().max() {
            hits.add(index, weight, &format!("{what} to {}", said.to()));
        }
    }
    hits.finding("sent: ")
}

fn webhook(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, said) in said(timeline) {
        let Some(("POST" | "PUT", path)) = said.http() else { continue };
        if is_webhook(path) && !timeline.image(index).is_package_tool() {
            hits.add(index, 13, &said.to());
        }
    }
    hits.finding("posted to ")
}

/// The addresses of bots: `/api/webhooks/<id>/<secret>`, `/bot<id>:<secret>/send…`,
/// `/services/T…/B…/<secret>`.
fn is_webhook(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let secret = |text: &str| {
        let letters = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        text.len() >= 20 && letters && text.bytes().any(|b| b.is_ascii_digit())
    };
    let number = |text: &str| text.len() >= 6 && text.bytes().all(|b| b.is_ascii_digit());
    match parts.as_slice() {
        ["api", "webhooks", id, token, ..] if number(id) => secret(token),
        [bot, call, ..] if call.starts_with("send") || call.starts_with("get") => bot
            .strip_prefix("bot")
            .and_then(|rest| rest.split_once(':'))
            .is_some_and(|(id, token)| number(id) && secret(token)),
        ["services", team, channel, token, ..] => {
            team.starts_with('T') && channel.starts_with('B') && token.len() >= 16
        }
        _ => false,
    }
}

fn bare_address(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, said) in said(timeline) {
        let bare = said.host.as_ref().is_none_or(|host| host.parse::<IpAddr>().is_ok());
        let web = matches!(said.port, 80 | 443 | 8080 | 8443);
        if said.protocol == "http"
            && bare
            && !web
            && is_public(said.ip)
            && !timeline.image(index).is_package_tool()
        {
            hits.add(index, 9, &format!("{} port {}", said.ip, said.port));
        }
    }
    hits.finding("asked: ")
}

/// Neither of this machine, its network, nor made up for a name by the sandbox (RFC 2544).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let made_up = a == 198 && (b == 18 || b == 19);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || shared
                || made_up)
        }
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000,
    }
}

fn login(timeline: &Timeline<'_>) -> Option<Finding> {
    const ENCRYPTED: [u16; 4] = [465, 990, 993, 995];
    let mut hits = Hits::default();
    for (index, said) in said(timeline) {
        if said.protocol != "tcp" || ENCRYPTED.contains(&said.port) {
            continue;
        }
        let line = said.line.to_ascii_uppercase();
        let user = line.split("; ").find_map(|part| part.strip_prefix("USER "));
        let named = user.is_some_and(|user| !matches!(user.trim(), "ANONYMOUS" | "FTP"));
        let told = named && line.contains("; PASS ")
            || line.contains("AUTH PLAIN")
            || line.contains("AUTH LOGIN");
        if told && timeline.image(index).is_own_will() {
            hits.add(index, 9, &said.to());
        }
    }
    hits.finding("to ")
}

fn unlisted(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, said) in said(timeline) {
        let image = timeline.image(index);
        if said.answer == "refused" && image.is_own_will() && !image.is_package_tool() {
            hits.add(index, 8, &said.to());
        }
    }
    hits.finding("tried: ")
}

#[cfg(test)]
mod tests {
    use super::is_webhook;

    #[test]
    fn addresses_of_bots_and_of_others() {
        for path in [
            "/api/webhooks/112233445566/a1B2c3D4e5F6g7H8i9J0k1L2m3N4",
            "/bot123456789:AAE1b2c3d4e5f6g7h8i9j0k1l2m3/sendMessage",
            "/services/T01ABCDEF/B01ABCDEF/abcdefghijklmnop1234",
        ] {
            assert!(is_webhook(path), "{path}");
        }
        for path in [
            "/api/v4/projects/42/hooks",
            "/webhooks/receive/order",
            "/services/oauth2/token",
            "/botanic/sender",
            "/-/npm/v1/security/advisories/bulk",
        ] {
            assert!(!is_webhook(path), "{path}");
        }
    }
}
