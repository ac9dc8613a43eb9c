//! Names and the addresses that are made up for them, and the answers to DNS questions.
//!
//! Addresses come from the blocks for benchmarks (RFC 2544, RFC 5180): nobody has them, so a
//! connection to one is a connection to the name. Questions come from the sample: each length is
//! checked, and what is not plainly one query gets no answer.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::Text;

use crate::monitor::dns;

/// Names that get an address, at most.
const NAMES_MAX: usize = 60_000;
/// 198.18.0.0/15.
const V4_FIRST: u32 = 0xc612_0000;
const V4_COUNT: u32 = 1 << 17;
/// Numbers are spread over the block by multiplication, so that names that are asked for one after
/// the other are no neighbours: addresses side by side would look like a sweep. Any odd number can
/// be undone modulo a power of two.
const SPREAD: u32 = 0x6487;
const SPREAD_INVERSE: u32 = inverse(SPREAD);
/// 2001:2::/48.
const V6_FIRST: u128 = 0x2001_0002_0000_0000_0000_0000_0000_0000;
const TTL_S: u32 = 300;

// Record types, RFC 1035 §3.2.2 and later.
const A: u16 = 1;
const NS: u16 = 2;
const SOA: u16 = 6;
const PTR: u16 = 12;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const ANY: u16 = 255;

const NAME_ERROR: u8 = 3;
const SERVER_FAILURE: u8 = 2;

/// Every name that was asked for, and its address.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_name: HashMap<String, u32>,
    by_number: Vec<String>,
}

/// A question out of a message.
#[derive(Debug)]
pub(super) struct Question<'m> {
    id: [u8; 2],
    /// The client wants recursion.
    recursion: bool,
    pub name: Text,
    pub record: u16,
    /// Name, type and class as they stand in the message.
    raw: &'m [u8],
}

impl<'m> Question<'m> {
    pub(super) fn parse(message: &'m [u8]) -> Option<Self> {
        let (name, record) = dns::query(message)?;
        let (header, body) = message.split_first_chunk::<12>()?;
        let mut end = 0;
        loop {
            let length = usize::from(*body.get(end)?);
            end += length + 1;
            if length == 0 {
                break;
            }
        }
        let raw = body.get(..end + 4)?;
        let [a, b, flags, ..] = *header;
        Some(Self { id: [a, b], recursion: flags & 1 != 0, name, record, raw })
    }
}

/// The name of a record type.
pub(super) fn type_name(record: u16) -> String {
    let name = match record {
        A => "A",
        NS => "NS",
        5 => "CNAME",
        SOA => "SOA",
        10 => "NULL",
        PTR => "PTR",
        MX => "MX",
        TXT => "TXT",
        AAAA => "AAAA",
        SRV => "SRV",
        65 => "HTTPS",
        ANY => "ANY",
        other => return format!("TYPE{other}"),
    };
    name.to_owned()
}

impl Names {
    /// The name behind a made-up address.
    pub(super) fn name_of(&self, ip: IpAddr) -> Option<&str> {
        let number = match ip.to_canonical() {
            IpAddr::V4(v4) => {
                let offset = u32::from(v4).checked_sub(V4_FIRST).filter(|at| *at < V4_COUNT)?;
                offset.wrapping_mul(SPREAD_INVERSE).checked_rem(V4_COUNT)?.checked_sub(1)?
            }
            IpAddr::V6(v6) => u32::try_from(u128::from(v6).checked_sub(V6_FIRST + 1)?).ok()?,
        };
        self.by_number.get(usize::try_from(number).ok()?).map(String::as_str)
    }

    /// The number of a name, new or known; `None` when there are too many.
    fn number(&mut self, name: &str) -> Option<u32> {
        if let Some(&number) = self.by_name.get(name) {
            return Some(number);
        }
        if self.by_number.len() >= NAMES_MAX {
            return None;
        }
        let number = u32::try_from(self.by_number.len()).ok()?;
        self.by_name.insert(name.to_owned(), number);
        self.by_number.push(name.to_owned());
        Some(number)
    }

    /// The answer to a question; `known` says whether the name exists at all.
    pub(super) fn answer(
        &mut self,
        question: &Question<'_>,
        known: impl Fn(&str) -> bool,
    ) -> Vec<u8> {
        let name = plain(&question.name);
        if let Some(ip) = reverse(&name) {
            let target = self.name_of(ip).and_then(wire);
            return match (question.record, target) {
                (PTR | ANY, Some(target)) => reply(question, 0, &[(PTR, target)]),
                (_, Some(_)) => reply(question, 0, &[]),
                _ => reply(question, NAME_ERROR, &[]),
            };
        }
        if name.is_empty() || !known(&name) {
            return reply(question, NAME_ERROR, &[]);
        }
        let Some(number) = self.number(&name) else { return reply(question, SERVER_FAILURE, &[]) };
        let v4 = || address(number).octets().to_vec();
        let v6 = || Ipv6Addr::from(V6_FIRST + 1 + u128::from(number)).octets().to_vec();
        let below = |label: &str| wire(&format!("{label}.{name}"));
        let records: Vec<(u16, Vec<u8>)> = match question.record {
            A => vec![(A, v4())],
            AAAA => vec![(AAAA, v6())],
            ANY => vec![(A, v4()), (AAAA, v6())],
            MX => {
                below("mail").map(|host| (MX, [&[0, 10], &host[..]].concat())).into_iter().collect()
            }
            NS => below("ns1").map(|host| (NS, host)).into_iter().collect(),
            TXT => vec![(TXT, text(b"v=spf1 -all"))],
            SOA => below("ns1").map(|host| (SOA, start_of_authority(&host))).into_iter().collect(),
            _ => Vec::new(),
        };
        reply(question, 0, &records)
    }
}

/// The address of a name; the network's own, number 0 of the block, is nobody's.
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(V4_FIRST + (number + 1).wrapping_mul(SPREAD) % V4_COUNT)
}

/// The number that undoes a multiplication by `odd` modulo 2^32, by Newton's iteration.
const fn inverse(odd: u32) -> u32 {
    let (mut x, mut round) = (odd, 0);
    while round < 5 {
        x = x.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(x)));
        round += 1;
    }
    x
}

/// A name without its last dot, in lower case. Names that are no text have no address.
fn plain(name: &Text) -> String {
    match std::str::from_utf8(name.as_bytes()) {
        Ok(name) => name.trim_end_matches('.').to_ascii_lowercase(),
        Err(_) => String::new(),
    }
}

/// The address that a name below in-addr.arpa or ip6.arpa asks for.
fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let turned: Vec<&str> = digits.rsplit('.').collect();
        return turned.join(".").parse().ok().map(IpAddr::V4);
    }
    let digits: Vec<&str> = name.strip_suffix(".ip6.arpa")?.rsplit('.').collect();
    let groups: Vec<String> = digits.chunks(4).map(<[&str]>::concat).collect();
    groups.join(":").parse().ok().map(IpAddr::V6)
}

/// A name as labels; `None` where a label is too long.
fn wire(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= 255).then_some(bytes)
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap_or(0);
    [&[length], bytes].concat()
}

fn start_of_authority(host: &[u8]) -> Vec<u8> {
    let mut data = host.to_vec();
    data.extend_from_slice(host);
    for number in [1_u32, 7200, 900, 1_209_600, 86_400] {
        data.extend_from_slice(&number.to_be_bytes());
    }
    data
}

fn reply(question: &Question<'_>, code: u8, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = question.id.to_vec();
    bytes.extend_from_slice(&[0x80 | u8::from(question.recursion), 0x80 | code, 0, 1]);
    let count = u16::try_from(records.len()).unwrap_or(0);
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(question.raw);
    for (kind, data) in records {
        // A pointer to the name of the question.
        bytes.extend_from_slice(&[0xc0, 12]);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        bytes.extend_from_slice(&TTL_S.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(data);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, record: u16) -> Vec<u8> {
        let mut bytes = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(wire(name).unwrap());
        bytes.extend_from_slice(&record.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        bytes
    }

    fn ask(names: &mut Names, name: &str, record: u16) -> Vec<u8> {
        let message = message(name, record);
        let question = Question::parse(&message).unwrap();
        names.answer(&question, |name| !name.ends_with(".unknown"))
    }

    fn code(answer: &[u8]) -> u8 {
        answer[3] & 15
    }

    #[test]
    fn a_name_keeps_its_address_and_an_address_its_name() {
        let mut names = Names::default();
        let first = ask(&mut names, "a.example", A);
        let other = ask(&mut names, "b.example", A);
        assert_eq!(first[..4], [7, 9, 0x81, 0x80]);
        assert_ne!(first[first.len() - 4..], other[other.len() - 4..]);
        assert_eq!(first[17..], ask(&mut names, "A.Example", A)[17..]);
        let ip = Ipv4Addr::from(<[u8; 4]>::try_from(&first[first.len() - 4..]).unwrap());
        assert_eq!(names.name_of(IpAddr::V4(ip)), Some("a.example"));
        assert_eq!(names.name_of("198.18.0.0".parse().unwrap()), None);
        assert_eq!(names.name_of("198.20.0.1".parse().unwrap()), None);
        let six = ask(&mut names, "a.example", AAAA);
        let ip = Ipv6Addr::from(<[u8; 16]>::try_from(&six[six.len() - 16..]).unwrap());
        assert_eq!(names.name_of(IpAddr::V6(ip)), Some("a.example"));
        let [a, b, c, d] = address(0).octets();
        let back = ask(&mut names, &format!("{d}.{c}.{b}.{a}.in-addr.arpa"), PTR);
        assert!(back.windows(9).any(|part| part == b"\x01a\x07exampl"));
    }

    #[test]
    fn other_types_are_answered_and_unknown_names_are_not_there() {
        let mut names = Names::default();
        for record in [NS, SOA, MX, TXT, ANY] {
            assert_ne!(ask(&mut names, "a.example", record)[7], 0, "{record}");
        }
        assert_eq!(ask(&mut names, "a.example", 65)[7], 0);
        assert_eq!(code(&ask(&mut names, "x.unknown", A)), NAME_ERROR);
        assert_eq!(code(&ask(&mut names, "8.8.8.8.in-addr.arpa", PTR)), NAME_ERROR);
    }

    #[test]
    fn names_are_bounded() {
        let mut names = Names::default();
        for number in 0..NAMES_MAX {
            names.number(&number.to_string()).unwrap();
        }
        assert_eq!(code(&ask(&mut names, "one.more", A)), SERVER_FAILURE);
        assert_eq!(names.name_of(address(59_999).into()), Some("59999"));
    }

    #[test]
    fn no_cut_and_no_flipped_byte_panics() {
        let mut names = Names::default();
        let whole = message("a.b.example", A);
        for end in 0..whole.len() {
            assert!(Question::parse(&whole[..end]).is_none());
        }
        for at in 0..whole.len() {
            for value in 0..=255 {
                let mut bent = whole.clone();
                bent[at] = value;
                if let Some(question) = Question::parse(&bent) {
                    names.answer(&question, |_| true);
                }
            }
        }
    }
}
