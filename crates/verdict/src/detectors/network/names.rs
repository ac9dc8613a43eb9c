//! What names tell: domains that carry data, pools, miners, tunnels. Facts about text; the events
//! they come from are the parent's business.

use std::collections::BTreeSet;

use crate::timeline::Image;

/// The labels in front of the registered domain, and that domain. Two labels are a domain, three
/// where the last two are a public suffix such as `co.uk`.
pub(super) fn split_domain(name: &str) -> Option<(&str, &str)> {
    if name.ends_with(".arpa")
        || name.ends_with(".local")
        || name.parse::<std::net::IpAddr>().is_ok()
    {
        return None;
    }
    let dots: Vec<usize> = name.match_indices('.').map(|(at, _)| at).collect();
    let last = *dots.last()?;
    let second = *dots.len().checked_sub(2).and_then(|at| dots.get(at))?;
    let label = &name[second + 1..last];
    let suffix = name.len() - last - 1 == 2
        && matches!(label, "co" | "com" | "org" | "net" | "ac" | "gov" | "edu" | "or" | "ne");
    let cut = if suffix { *dots.len().checked_sub(3).and_then(|at| dots.get(at))? } else { second };
    Some((&name[..cut], &name[cut + 1..]))
}

/// Whether labels look like data in an alphabet for transport: long, and with few repeats of the
/// pattern of speech (many different characters, or only hexadecimal digits).
pub(super) fn carries_data(labels: &str) -> bool {
    let letters: Vec<u8> = labels.bytes().filter(|b| *b != b'.').collect();
    let longest = labels.split('.').map(str::len).max().unwrap_or(0);
    if longest < 16 || letters.len() < 18 {
        return false;
    }
    let distinct: BTreeSet<u8> = letters.iter().copied().collect();
    let digits = letters.iter().filter(|b| b.is_ascii_digit()).count();
    let vowels = letters.iter().filter(|b| b"aeiou".contains(b)).count();
    let hyphens = letters.iter().filter(|b| **b == b'-').count();
    let hexadecimal = letters.iter().all(u8::is_ascii_hexdigit);
    // Words have a vowel in every third letter; encodings have fewer, or digits all over.
    let unlike_words = digits * 10 >= letters.len() || vowels * 4 < letters.len();
    hyphens <= 2 && (hexadecimal || (distinct.len() >= 12 && unlike_words))
}

/// Whether a domain's own label looks drawn by lot: long, one word, and not to be spoken.
pub(super) fn is_drawn(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let mut labels = name.rsplit('.').skip(1);
    let (Some(label), None) = (labels.next(), labels.next()) else { return false };
    if label.len() < 9 || !label.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    let is_vowel = |b: u8| b"aeiouy".contains(&b);
    let consonants = label.as_bytes().split(|b| is_vowel(*b)).map(<[u8]>::len).max().unwrap_or(0);
    let vowels = label.bytes().filter(|b| is_vowel(*b)).count();
    consonants >= 4 || vowels * 5 < label.len()
}

pub(super) fn is_pool(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "minexmr",
        "nanopool",
        "supportxmr",
        "hashvault",
        "2miners",
        "moneroocean",
        "nicehash",
        "f2pool",
        "ethermine",
        "herominers",
        "unmineable",
        "c3pool",
        "minergate",
        "kryptex",
        "xmrpool",
        "monerohash",
        "poolin.com",
        "hashcity",
        "pool.xmr",
        "crypto-pool",
        "dwarfpool",
        "miningpoolhub",
        "p2pool",
        "gulf.moneroocean",
        "antpool",
        "viabtc",
        "rplant.xyz",
        "zpool.ca",
        "prohashing",
    ];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

/// The first words of a miner to its pool: JSON-RPC of the Stratum protocols.
pub(super) fn is_stratum(line: &str) -> bool {
    let rpc = line.contains("\"method\"");
    let mining = ["mining.subscribe", "mining.authorize", "mining.submit", "eth_submitLogin"];
    let login =
        line.contains("\"login\"") && line.contains("\"pass\"") && line.contains("\"params\"");
    rpc && (mining.iter().any(|word| line.contains(word)) || login)
}

const MINERS: &[&str] = &[
    "xmrig",
    "xmr-stak",
    "xmrminer",
    "minerd",
    "cpuminer",
    "cgminer",
    "bfgminer",
    "ethminer",
    "nbminer",
    "lolminer",
    "t-rex",
    "phoenixminer",
    "ccminer",
    "kdevtmpfsi",
    "kinsing",
    "sysrv",
    "xmrigdaemon",
    "srbminer",
    "teamredminer",
    "gminer",
    "nanominer",
    "randomx-benchmark",
    "monero-miner",
    "claymore",
];

pub(super) fn is_miner(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    MINERS.iter().any(|miner| name.starts_with(miner))
}

/// How much a command line looks like a miner, and why. Program text counts like arguments; what a
/// search tool looks for does not.
pub(super) fn miner_command(image: &Image<'_>) -> (u32, &'static str) {
    const SEARCHERS: &[&str] = &[
        "grep", "egrep", "rg", "find", "sed", "awk", "pgrep", "cat", "less", "vim", "git", "echo",
    ];
    if image.is(SEARCHERS) {
        return (0, "");
    }
    let lower: Vec<String> = image.args().map(str::to_ascii_lowercase).collect();
    let says = |part: &str| lower.iter().any(|arg| arg.contains(part));
    if ["stratum+tcp://", "stratum+ssl://", "stratum2+tcp://", "stratum1+tcp://"]
        .iter()
        .any(|p| says(p))
    {
        return (26, "a pool's address");
    }
    // What a shell's text names is executed by itself or is only talk.
    if image.is_shell() {
        return (0, "");
    }
    if is_miner(image.exact_name()) {
        return (20, "a miner's program");
    }
    if [
        "--donate-level",
        "--nicehash",
        "--randomx",
        "randomx-",
        "cryptonight",
        "--coin=monero",
        "--cpu-max-threads-hint",
        "--algo=rx",
        "--rig-id",
    ]
    .iter()
    .any(|p| says(p))
    {
        return (20, "a miner's options");
    }
    if lower.iter().any(|arg| is_pool(arg)) || MINERS.iter().take(2).any(|name| says(name)) {
        return (18, "a pool or miner by name");
    }
    if image.is(&["sysctl"]) && says("nr_hugepages")
        || image.is(&["modprobe"]) && says("msr")
        || image.is(&["wrmsr"])
    {
        return (9, "tuning of the processor or memory");
    }
    (0, "")
}

pub(super) fn is_tunnel(image: &Image<'_>) -> bool {
    const TOOLS: &[&str] = &[
        "ngrok",
        "chisel",
        "frpc",
        "frps",
        "gost",
        "iodine",
        "dnscat",
        "dnscat2",
        "dns2tcpc",
        "sshuttle",
        "ligolo",
        "ligolo-ng",
        "revsocks",
        "rsocks",
        "bore",
        "pwncat",
        "hans",
        "ptunnel",
        "localtunnel",
        "lt",
        "stunnel4",
        "earthworm",
        "nps",
        "npc",
        "pagekite",
        "devtunnel",
    ];
    if image.only_asks() {
        return false;
    }
    // `-oName=value` is an option with a name in which any letter may stand.
    let flags = |flag: char| {
        image.args().any(|arg| {
            let letters = arg.strip_prefix('-').filter(|rest| !rest.starts_with(['-', 'o']));
            letters.is_some_and(|letters| {
                letters
                    .split(|c: char| !c.is_ascii_alphabetic())
                    .next()
                    .unwrap_or("")
                    .contains(flag)
            })
        })
    };
    let reverse = image.is(&["ssh", "autossh"]) && flags('R') && image.operands().count() > 0;
    let relay = image.is(&["socat"])
        && image.args().filter(|arg| arg.to_ascii_uppercase().starts_with("TCP")).count() >= 2;
    let cloud =
        image.is(&["cloudflared", "tailscale", "code"]) && image.has_arg(&["tunnel", "funnel"]);
    image.is(TOOLS) || reverse || relay || cloud
}

/// Whether a shell's text puts encoded data into the name that it asks a resolver for.
pub(super) fn asks_with_data(text: &str) -> bool {
    text.split([';', '\n']).any(|statement| {
        let asks = ["dig ", "nslookup ", "host ", "drill ", "ping "];
        let after = asks.iter().filter_map(|word| statement.find(word)).min();
        after.map(|at| &statement[at..]).is_some_and(|rest| {
            let inside = rest.split_once("$(").or_else(|| rest.split_once('`'));
            let encodes = |part: &str| {
                ["base64", "base32", "xxd -p", "od -A", "hexdump"].iter().any(|e| part.contains(e))
            };
            inside.is_some_and(|(_, part)| {
                let (within, name) = part.split_once([')', '`']).unwrap_or((part, ""));
                encodes(within) && name.starts_with('.')
            })
        })
    })
}

pub(super) fn is_tunnel_host(name: &str) -> bool {
    const HOSTS: &[&str] = &[
        "ngrok.io",
        "ngrok.com",
        "ngrok-free.app",
        "ngrok.app",
        "trycloudflare.com",
        "serveo.net",
        "localhost.run",
        "loca.lt",
        "pagekite.me",
        "bore.pub",
        "localtunnel.me",
        "telebit.cloud",
    ];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    HOSTS.iter().any(|host| name == *host || name.ends_with(&format!(".{host}")))
}

#[cfg(test)]
mod tests {
    use super::{carries_data, is_drawn, split_domain};

    #[test]
    fn domains() {
        assert_eq!(split_domain("a.b.example.com"), Some(("a.b", "example.com")));
        assert_eq!(split_domain("a.example.co.uk"), Some(("a", "example.co.uk")));
        assert_eq!(split_domain("example.com"), None);
        assert_eq!(split_domain("1.0.0.127.in-addr.arpa"), None);
        assert_eq!(split_domain("10.0.0.1"), None);
    }

    #[test]
    fn names_drawn_by_lot() {
        for name in ["xkqzvbtrwp.com", "mznbvhgqla.ru", "q1w2x3z4v5b.net."] {
            assert!(is_drawn(name), "{name}");
        }
        for name in [
            "google.com",
            "pythonhosted.org",
            "cloudfront.net",
            "githubusercontent.com",
            "www.xkqzvbtrwp.com",
            "stackoverflow.com",
            "registry.npmjs.org",
            "wikipedia.org",
        ] {
            assert!(!is_drawn(name), "{name}");
        }
    }

    #[test]
    fn data_in_labels() {
        for data in [
            "4d5a90000300000004000000ffff0000b8000000",
            "mzxw6ytboi4tqn3bmfzgs3thebuxgidb.ge2tmnzyhe4tqmjs",
            "ngx7k2p0q9z8w1v5b3m4",
        ] {
            assert!(carries_data(data), "{data}");
        }
        for name in [
            "www",
            "ec2-3-120-0-12.eu-central-1.compute",
            "registry",
            "objects.githubusercontent",
            "internationalization",
            "e1234.dscb",
        ] {
            assert!(!carries_data(name), "{name}");
        }
    }
}
