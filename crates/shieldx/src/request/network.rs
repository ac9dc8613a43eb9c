//! `--net`.

use sandbox::{Allowed, Net};

use super::usage;
use crate::failure::Failure;

/// Peers that one run may be allowed.
const ALLOWED_MAX: usize = 64;

/// `none`, `loopback`, `sink`, `allow=HOST:PORT,…`.
pub(super) fn net(text: &str) -> Result<(Net, Vec<Allowed>), Failure> {
    match text {
        "none" => Ok((Net::None, Vec::new())),
        "loopback" => Ok((Net::Loopback, Vec::new())),
        "sink" => Ok((Net::Sink, Vec::new())),
        _ => match text.strip_prefix("allow=") {
            Some(list) => Ok((Net::Allow, allowed(list)?)),
            None => Err(usage(format!("--net {text:?}: not known{}", nearest(text)))
                .hint("it is none, loopback, sink or allow=HOST:PORT,…")),
        },
    }
}

/// The word that was probably meant.
fn nearest(text: &str) -> String {
    let near = |word: &&str| strsim::damerau_levenshtein(text, word) <= 2;
    let word = ["none", "loopback", "sink", "allow="].into_iter().find(near);
    word.map_or_else(String::new, |word| format!("; did you mean '{word}'?"))
}

fn allowed(list: &str) -> Result<Vec<Allowed>, Failure> {
    let peers = list.split(',').map(peer).collect::<Result<Vec<_>, _>>()?;
    if peers.len() > ALLOWED_MAX {
        let given = peers.len();
        return Err(usage(format!("--net allow: {given} peers; at most {ALLOWED_MAX}")));
    }
    Ok(peers)
}

fn peer(text: &str) -> Result<Allowed, Failure> {
    let wrong = |what: &str| {
        usage(format!("--net allow: {text:?}: {what}"))
            .hint("the form is HOST:PORT, as in registry.npmjs.org:443 or [::1]:8080")
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("there is no port"))?;
    let port = port.parse().ok().filter(|&port: &u16| port > 0);
    let port = port.ok_or_else(|| wrong("the port is no number from 1 to 65535"))?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(|| wrong("the ] is missing"))?,
        None => host,
    };
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(fine) {
        return Err(wrong("the host is no name and no address"));
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    Ok(Allowed { host, port })
}

#[cfg(test)]
mod tests {
    use sandbox::{Allowed, Net};

    use super::net;

    #[test]
    fn networks_are_read_and_refused_by_name() {
        assert!(matches!(net("sink").unwrap(), (Net::Sink, peers) if peers.is_empty()));
        let (kind, peers) = net("allow=Registry.npmjs.org.:443,[::1]:80").unwrap();
        assert_eq!(kind, Net::Allow);
        let expected = [("registry.npmjs.org", 443), ("::1", 80)]
            .map(|(host, port)| Allowed { host: host.to_owned(), port });
        assert_eq!(peers, expected);
        for wrong in ["", "host", "allow=", "allow=a", "allow=a:0", "allow=a:b", "allow=a b:1"] {
            assert!(net(wrong).is_err(), "{wrong}");
        }
    }
}
