//! What the network was used for: scanning, tunnels, raw packets, mining pools, beacons.

mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use types::{Endpoint, Kind};

use super::requests::{question, said};
use crate::attack::{
    BRUTE_FORCE, COMPUTE_HIJACKING, DNS_PROTOCOL, DOMAIN_GENERATION, NETWORK_SNIFFING,
    NON_APPLICATION_PROTOCOL, NON_STANDARD_PORT, PROXY, REMOTE_SSH, REMOTE_SYSTEMS,
    SERVICE_DISCOVERY, TUNNELING, WEB_PROTOCOLS,
};
use crate::detector::{Detector, Finding, Hits, Info, TierC, list, show};
use crate::timeline::{Image, Timeline};

const fn info(
    id: &'static str,
    title: &'static str,
    attack: crate::attack::Attack,
    looks_for: &'static str,
    needs: &'static [&'static str],
) -> Info {
    Info { id, title, attack, looks_for, needs, tier_c: TierC::Sees }
}

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: info(
            "port-scan",
            "Network scanned",
            SERVICE_DISCOVERY,
            "connections to many ports of one host, or to one port of many hosts",
            &["connect", "exec"],
        ),
        find: scan,
    },
    Detector {
        info: info(
            "login-flood",
            "Many connections to a login service",
            BRUTE_FORCE,
            "many connections to the same remote login port",
            &["connect"],
        ),
        find: login_flood,
    },
    Detector {
        info: info(
            "host-sweep",
            "Hosts of a network tried one by one",
            REMOTE_SYSTEMS,
            "ping and its like aimed at ten or more neighbouring addresses, or at one whose last number \
             is counted up",
            &["exec"],
        ),
        find: sweep,
    },
    Detector {
        info: info(
            "login-spread",
            "Logins to several machines in a row",
            REMOTE_SSH,
            "SSH to four or more different machines without a person who could answer",
            &["exec"],
        ),
        find: login_spread,
    },
    Detector {
        info: info(
            "packet-capture",
            "Packet socket asked for",
            NETWORK_SNIFFING,
            "a packet socket, or a capture tool",
            &["socket", "exec"],
        ),
        find: capture,
    },
    Detector {
        info: info(
            "raw-socket",
            "Raw socket asked for",
            NON_APPLICATION_PROTOCOL,
            "a raw internet socket in a program that is not a network tool of the system",
            &["socket"],
        ),
        find: raw,
    },
    Detector {
        info: Info {
            id: "dns-tunnel",
            title: "Data carried in DNS questions",
            attack: DNS_PROTOCOL,
            looks_for: "many different long, random-looking names below one domain, or a command that makes names of \
                        encoded data",
            needs: &["dns", "exec", "request"],
            tier_c: TierC::Reduced("questions are seen only where they are sent as a datagram"),
        },
        find: dns_tunnel,
    },
    Detector {
        info: Info {
            id: "generated-names",
            title: "Domains drawn by lot",
            attack: DOMAIN_GENERATION,
            looks_for: "questions for six or more different domains whose names are long and cannot be \
                        spoken",
            needs: &["dns", "exec", "request"],
            tier_c: TierC::Reduced("questions are seen only where they are sent as a datagram"),
        },
        find: drawn,
    },
    Detector {
        info: info(
            "crypto-miner",
            "Cryptocurrency miner",
            COMPUTE_HIJACKING,
            "pool addresses, what miners say to them, miner programs and options, and the tuning that \
             miners do",
            &["exec", "connect", "dns", "open", "set_name", "request"],
        ),
        find: miner,
    },
    Detector {
        info: info(
            "beacon",
            "Regular calls to one address",
            WEB_PROTOCOLS,
            "connections or requests to one outside address at regular intervals",
            &["connect", "request"],
        ),
        find: beacon,
    },
    Detector {
        info: info(
            "backdoor-port",
            "Connection to a port that backdoors use",
            NON_STANDARD_PORT,
            "connections to an outside address on ports that remote-control tools are known for",
            &["connect"],
        ),
        find: backdoor_port,
    },
    Detector {
        info: info(
            "tunnel-tool",
            "Tunnel through the network's edge",
            TUNNELING,
            "programs that make this machine reachable from outside",
            &["exec", "dns", "request"],
        ),
        find: tunnel,
    },
    Detector {
        info: info(
            "anonymity-proxy",
            "Anonymising network used",
            PROXY,
            "Tor and similar programs, their local ports, or onion names",
            &["exec", "connect", "dns", "request"],
        ),
        find: proxy,
    },
];

/// Internet connections tried by TCP or UDP, with address and port.
fn inet<'t>(timeline: &'t Timeline<'_>) -> impl Iterator<Item = (usize, IpAddr, u16)> + 't {
    timeline.connections.iter().filter_map(|&index| match &timeline.events[index].kind {
        Kind::Connect { peer: Endpoint::Inet { ip, port } } => {
            Some((index, ip.to_canonical(), *port))
        }
        _ => None,
    })
}

fn is_outside(ip: IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified()
}

/// From here different targets are a scan.
const TARGETS_MIN: usize = 15;
/// Ports from here are given out by the kernel; test suites connect to many of them.
const EPHEMERAL_PORT_MIN: u16 = 32_768;

fn scan(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut ports: BTreeMap<IpAddr, BTreeMap<u16, usize>> = BTreeMap::new();
    let mut hosts: BTreeMap<u16, BTreeMap<IpAddr, usize>> = BTreeMap::new();
    let tried: BTreeSet<IpAddr> = inet(timeline).map(|(_, ip, _)| ip).collect();
    for (index, ip, port) in inet(timeline) {
        if port == 0 || port == 53 {
            continue;
        }
        if port < EPHEMERAL_PORT_MIN {
            ports.entry(ip).or_default().entry(port).or_insert(index);
        }
        // A browser or package manager talks to many web servers.
        if is_outside(ip) && (!matches!(port, 80 | 443) || has_neighbour(&tried, ip)) {
            hosts.entry(port).or_default().entry(ip).or_insert(index);
        }
    }
    let most =
        ports.iter().max_by_key(|(_, met)| met.len()).filter(|(_, met)| met.len() >= TARGETS_MIN);
    if let Some((ip, met)) = most {
        let summary = format!("{} ports of {ip} were tried", met.len());
        return Some(Finding::new(20, summary, met.values().copied().collect()));
    }
    let most =
        hosts.iter().max_by_key(|(_, met)| met.len()).filter(|(_, met)| met.len() >= TARGETS_MIN);
    if let Some((port, met)) = most {
        let summary = format!("port {port} of {} hosts was tried", met.len());
        return Some(Finding::new(20, summary, met.values().copied().collect()));
    }
    let mut hits = Hits::default();
    for image in
        timeline.attempted().filter(|image| image.is(&["nmap", "masscan", "zmap", "rustscan"]))
    {
        if !image.only_asks() && image.operands().count() > 0 {
            hits.add(image.event, 14, image.exact_name());
        }
    }
    hits.finding("scan by ")
}

/// Addresses given to programs that ask whether somebody is there.
fn sweep(timeline: &Timeline<'_>) -> Option<Finding> {
    const ADDRESSES_MIN: usize = 10;
    const ASKERS: &[&str] = &["ping", "ping6", "fping", "arping", "nc", "ncat", "hping3"];
    let mut hits = Hits::default();
    let mut networks: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for image in timeline.attempted().filter(|image| image.is(ASKERS)) {
        for word in image.operands() {
            let Some((network, host)) = word.rsplit_once('.') else { continue };
            let three = network.split('.').filter(|part| part.parse::<u8>().is_ok()).count() == 3;
            let counted = host.starts_with('$') && !image.happened;
            if three && counted {
                hits.add(image.event, 14, word);
            } else if three && host.parse::<u8>().is_ok() {
                let met = networks.entry(network.to_owned()).or_default();
                met.insert(host.to_owned(), image.event);
            }
        }
    }
    for (network, met) in networks.into_iter().filter(|(_, met)| met.len() >= ADDRESSES_MIN) {
        met.values().for_each(|&event| hits.add(event, 15, &network));
    }
    hits.finding("sweep of ")
}

/// Whether the run also tried an address right beside this one, as sweeps do.
fn has_neighbour(tried: &BTreeSet<IpAddr>, ip: IpAddr) -> bool {
    let IpAddr::V4(v4) = ip else { return false };
    let beside = |number: u32| tried.contains(&IpAddr::V4(number.into()));
    beside(u32::from(v4).wrapping_add(1)) || beside(u32::from(v4).wrapping_sub(1))
}

/// SSH clients told not to ask anybody, and whom they were to reach.
fn login_spread(timeline: &Timeline<'_>) -> Option<Finding> {
    const MACHINES_MIN: usize = 4;
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| image.is(&["ssh", "scp", "sftp", "sshpass"])) {
        let unattended = image.is(&["sshpass"])
            || image.args().any(|arg| {
                let arg = arg.to_ascii_lowercase();
                arg.contains("batchmode") || arg.contains("stricthostkeychecking=no")
            });
        let options = ["-o", "-i", "-p", "-P", "-l", "-F", "-J", "-R", "-L", "-D", "-W", "-b"];
        let mut words = image.args();
        let mut machine = None;
        while let Some(word) = words.next() {
            if options.contains(&word) {
                words.next();
            } else if !word.starts_with('-') {
                let remote = word.split(':').next().unwrap_or(word);
                let copies = image.is(&["scp", "sftp"]);
                if !copies || word.contains(':') {
                    machine = Some(remote.rsplit('@').next().unwrap_or(remote).to_owned());
                    break;
                }
            }
        }
        if let Some(machine) = machine.filter(|_| unattended) {
            hits.add(image.event, 14, &machine);
        }
    }
    if hits.labels.len() < MACHINES_MIN {
        return None;
    }
    hits.finding("reached for: ")
}

fn login_flood(timeline: &Timeline<'_>) -> Option<Finding> {
    const TRIES_MIN: usize = 10;
    const LOGIN_PORTS: &[u16] = &[21, 22, 23, 445, 1433, 2222, 2323, 3306, 3389, 5432, 5900, 6379];
    let mut tries: BTreeMap<(IpAddr, u16), Vec<usize>> = BTreeMap::new();
    for (index, ip, port) in inet(timeline) {
        if is_outside(ip) && LOGIN_PORTS.contains(&port) {
            tries.entry((ip, port)).or_default().push(index);
        }
    }
    let ((ip, port), events) = tries.into_iter().max_by_key(|(_, events)| events.len())?;
    (events.len() >= TRIES_MIN).then(|| {
        Finding::new(15, format!("{} connections to port {port} of {ip}", events.len()), events)
    })
}

fn capture(timeline: &Timeline<'_>) -> Option<Finding> {
    const OWNERS: &[&str] = &[
        "dhclient",
        "dhcpcd",
        "arping",
        "ip",
        "ifconfig",
        "wpa_supplicant",
        "NetworkManager",
        "systemd-networkd",
        "lldpd",
        "iw",
        "ethtool",
        "udhcpc",
        "nmap",
    ];
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::Socket { family: 17, .. } = &event.kind {
            let image = timeline.image(index);
            if !image.is_trusted(OWNERS) {
                hits.add(index, 15, image.exact_name());
            }
        }
    }
    let tools =
        ["tcpdump", "tshark", "dumpcap", "ngrep", "dsniff", "ettercap", "bettercap", "tcpflow"];
    for image in timeline.attempted().filter(|image| image.is(&tools) && !image.only_asks()) {
        if !image.has_arg(&["-D", "-r"]) {
            hits.add(image.event, 14, image.exact_name());
        }
    }
    hits.finding("asked for by ")
}

fn raw(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::Socket { family: 2 | 10, socket_type, .. } = &event.kind else { continue };
        let image = timeline.image(index);
        // Java asks for one to see whether a host answers an echo.
        if socket_type & 0xf == 3 && image.is_own_will() && !image.is_trusted(&["java"]) {
            hits.add(index, 15, image.exact_name());
        }
    }
    hits.finding("asked for by ")
}

/// A tunnel needs many names; a few long ones only tell when they are very long.
const TUNNEL_NAMES_MIN: usize = 10;
const TUNNEL_LONG_NAMES_MIN: usize = 3;

fn dns_tunnel(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut domains: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let mut note = |index: usize, name: &str| {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some((labels, domain)) = names::split_domain(&name)
            && names::carries_data(labels)
        {
            domains.entry(domain.to_owned()).or_default().entry(labels.to_owned()).or_insert(index);
        }
    };
    for (index, event) in timeline.events.iter().enumerate() {
        if let Some(name) = question(event) {
            note(index, &name);
        }
    }
    // Without a network the resolver may never get to ask; the tools were still told to.
    for image in
        timeline.attempted().filter(|i| i.is(&["dig", "nslookup", "host", "ping", "drill"]))
    {
        image.operands().for_each(|name| note(image.event, name));
    }
    let told = timeline.executed().filter(|image| image.told().is_some_and(names::asks_with_data));
    if let Some(image) = told.last() {
        let summary = "the shell was told to ask for names made of encoded data".to_owned();
        return Some(Finding::new(16, summary, vec![image.event]));
    }
    let (domain, met) = domains.into_iter().max_by_key(|(_, met)| met.len())?;
    let very_long = met.keys().filter(|labels| labels.len() >= 60).count();
    let weight = if met.len() >= TUNNEL_NAMES_MIN {
        26
    } else if very_long >= TUNNEL_LONG_NAMES_MIN {
        16
    } else {
        return None;
    };
    let summary = format!("{} names that carry data below {}", met.len(), show(&domain));
    Some(Finding::new(weight, summary, met.into_values().collect()))
}

fn drawn(timeline: &Timeline<'_>) -> Option<Finding> {
    const DOMAINS_MIN: usize = 6;
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    for (index, event) in timeline.events.iter().enumerate() {
        if let Some(name) = question(event).filter(|name| names::is_drawn(name)) {
            met.entry(name).or_insert(index);
        }
    }
    for image in timeline
        .attempted()
        .filter(|i| i.is(&["dig", "nslookup", "host", "ping", "drill", "curl", "wget"]))
    {
        for name in image.operands().filter(|name| names::is_drawn(name)) {
            met.entry(name.to_owned()).or_insert(image.event);
        }
    }
    (met.len() >= DOMAINS_MIN).then(|| {
        let named: Vec<&String> = met.keys().collect();
        let summary = format!("{} domains: {}", met.len(), list(&named));
        Finding::new(16, summary, met.values().copied().collect())
    })
}

fn miner(timeline: &Timeline<'_>) -> Option<Finding> {
    const PORTS: &[u16] = &[
        3333, 4444, 5555, 7777, 9999, 14433, 14444, 20580, 45560, 45700, 3357, 5730, 6666, 8008,
        13531, 10128, 10343, 20128, 33333,
    ];
    let mut hits = Hits::default();
    let mut signs = 0_u32;
    for image in timeline.attempted() {
        let (weight, sign) = names::miner_command(image);
        if weight > 0 {
            hits.add(image.event, weight, sign);
            signs += 1;
        }
    }
    for (index, event) in timeline.events.iter().enumerate() {
        let (weight, sign) = match &event.kind {
            Kind::Dns { .. } | Kind::Request { .. }
                if question(event).is_some_and(|name| names::is_pool(&name)) =>
            {
                (18, "a pool's name")
            }
            Kind::Request { line, .. } if names::is_stratum(&line.to_lossy()) => {
                (26, "what miners and pools say")
            }
            Kind::SetName { name } if names::is_miner(&name.to_lossy()) => (18, "a miner's name"),
            _ => continue,
        };
        hits.add(index, weight, sign);
        signs += 1;
    }
    for touch in &timeline.touches {
        let tuning = touch.path.starts_with("/dev/cpu/") && touch.path.ends_with("/msr");
        let pages =
            touch.path.contains("nr_hugepages") || touch.path.ends_with("nr_overcommit_hugepages");
        if (tuning || pages)
            && !timeline.image(touch.event).is_trusted(&["turbostat", "cpupower", "systemd"])
        {
            hits.add(touch.event, if tuning { 15 } else { 8 }, "tuning of the processor or memory");
            signs += 1;
        }
    }
    // A pool's port by itself says nothing; next to another sign it does.
    if signs > 0 {
        for (index, _, port) in inet(timeline) {
            if PORTS.contains(&port) {
                hits.add(index, 0, "a pool's port");
            }
        }
    }
    let further = u32::try_from(hits.labels.len().saturating_sub(1)).unwrap_or(u32::MAX).min(3) * 5;
    hits.weight += further;
    hits.finding("signs: ")
}

fn beacon(timeline: &Timeline<'_>) -> Option<Finding> {
    const CALLS_MIN: usize = 5;
    const INTERVAL_MIN_NS: u64 = 500_000_000;
    let mut calls: BTreeMap<(IpAddr, u16), Vec<usize>> = BTreeMap::new();
    for (index, ip, port) in inet(timeline) {
        if is_outside(ip) && port != 53 && !timeline.image(index).is_package_tool() {
            calls.entry((ip, port)).or_default().push(index);
        }
    }
    let connected = calls.into_iter().map(|((ip, port), events)| (ip.to_string(), port, events));
    // Calls over one connection, and those that one process made to the same peer again and again,
    // show only as requests.
    let mut asked: BTreeMap<(String, u16), Vec<usize>> = BTreeMap::new();
    for (index, said) in said(timeline) {
        let counts = said.protocol != "dns" && said.protocol != "tls" && is_outside(said.ip);
        if counts && !timeline.image(index).is_package_tool() {
            asked.entry((said.to(), said.port)).or_default().push(index);
        }
    }
    let asked = asked.into_iter().map(|((host, port), events)| (host, port, events));
    for (peer, port, events) in connected.chain(asked) {
        let times: Vec<u64> = events.iter().map(|&index| timeline.events[index].time_ns).collect();
        let gaps: BTreeSet<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (Some(&least), Some(&most)) = (gaps.first(), gaps.last()) else { continue };
        // Programs that retry wait longer each time; a beacon keeps its pace.
        if events.len() >= CALLS_MIN && least >= INTERVAL_MIN_NS && most - least <= least / 3 {
            let summary =
                format!("{} calls to {} port {port} at the same pace", events.len(), show(&peer));
            return Some(Finding::new(14, summary, events));
        }
    }
    None
}

fn backdoor_port(timeline: &Timeline<'_>) -> Option<Finding> {
    const PORTS: &[u16] = &[
        1337, 4444, 4445, 5554, 6666, 6667, 6697, 12345, 31337, 31338, 54321, 65535, 9001, 1234,
        4242,
    ];
    let mut hits = Hits::default();
    for (index, ip, port) in inet(timeline) {
        if is_outside(ip) && PORTS.contains(&port) && timeline.image(index).is_own_will() {
            hits.add(index, 10, &format!("{ip} port {port}"));
        }
    }
    hits.finding("tried: ")
}

fn tunnel(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted().filter(|image| names::is_tunnel(image)) {
        hits.add(image.event, 15, image.exact_name());
    }
    for (index, event) in timeline.events.iter().enumerate() {
        if let Some(name) = question(event).filter(|name| names::is_tunnel_host(name)) {
            hits.add(index, 13, &name);
        }
    }
    hits.finding("by ")
}

fn proxy(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    let tools: &[&str] = &["tor", "torsocks", "torify", "proxychains", "proxychains4", "i2pd"];
    let used = |image: &Image<'_>| {
        let service = image.is(&["systemctl", "service", "rc-service"])
            && image.has_arg(&["start", "restart", "enable"])
            && image.operands().any(|word| matches!(word, "tor" | "tor.service" | "i2pd"));
        (image.is(tools) || service) && !image.only_asks()
    };
    for image in timeline.attempted().filter(|image| used(image) || image.mentions(".onion")) {
        hits.add(image.event, 14, image.exact_name());
    }
    for (index, event) in timeline.events.iter().enumerate() {
        if let Some(name) = question(event).filter(|name| name.ends_with(".onion")) {
            hits.add(index, 14, &name);
        }
    }
    for (index, ip, port) in inet(timeline) {
        if ip.is_loopback()
            && matches!(port, 9050 | 9051 | 9150)
            && timeline.image(index).is_own_will()
        {
            hits.add(index, 13, "Tor's local port");
        }
    }
    hits.finding("by ")
}
