//! The question of a DNS query, read from the first bytes a task sent.
//!
//! Shared by every tier. The bytes come from the sample: each length is checked, nothing is
//! followed, and anything that is not plainly one query is `None`. Answers are not this room's
//! business, nor whether a name is suspicious.

use types::Text;

/// RFC 1035 §4.1.1.
const HEADER_LEN: usize = 12;
/// RFC 1035 §2.3.4: a name on the wire, with its length bytes and the root.
const NAME_LEN_MAX: usize = 255;
const LABEL_LEN_MAX: usize = 63;

/// The name and QTYPE asked for by a query sent over UDP, or over TCP where two bytes of length
/// stand in front. The payload may be cut off after the question.
///
/// Labels are joined with dots and the root is `.`; a dot or backslash inside a label is written
/// with a backslash before it, as in zone files (RFC 1035 §5.1), so that a name cannot look like
/// another one.
#[must_use]
pub fn question(payload: &[u8]) -> Option<(Text, u16)> {
    query(payload).or_else(|| {
        let (length, message) = payload.split_first_chunk::<2>()?;
        // A shorter length would mean that bytes of another message follow; that is fine too. A
        // length that cannot hold a header is no DNS message at all.
        (usize::from(u16::from_be_bytes(*length)) > HEADER_LEN).then(|| query(message))?
    })
}

/// One message without framing.
pub(crate) fn query(message: &[u8]) -> Option<(Text, u16)> {
    let (header, body) = message.split_first_chunk::<HEADER_LEN>()?;
    let [_, _, flags, _, questions_high, questions_low, ..] = *header;
    // QR (a response) and the opcode must be zero: a standard query.
    if flags & 0b1111_1000 != 0 || [questions_high, questions_low] != [0, 1] {
        return None;
    }
    let (name, rest) = name(body)?;
    let (record, rest) = rest.split_first_chunk::<2>()?;
    let (class, _) = rest.split_first_chunk::<2>()?;
    // IN, CH, HS and ANY, with the unicast bit of multicast DNS (RFC 6762 §5.4) set aside.
    let class = u16::from_be_bytes(*class) & 0x7fff;
    matches!(class, 1 | 3 | 4 | 255).then(|| (Text::new(name), u16::from_be_bytes(*record)))
}

/// The dotted name and what follows it. Compression pointers are refused: a question is the first
/// name of its message and has nothing to point at.
fn name(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut dotted = Vec::new();
    let mut wire_len = 1;
    loop {
        let (&length, tail) = rest.split_first()?;
        let length = usize::from(length);
        if length == 0 {
            if dotted.is_empty() {
                dotted.push(b'.');
            }
            return Some((dotted, tail));
        }
        wire_len += length + 1;
        if length > LABEL_LEN_MAX || wire_len > NAME_LEN_MAX {
            return None;
        }
        let (label, tail) = tail.split_at_checked(length)?;
        if !dotted.is_empty() {
            dotted.push(b'.');
        }
        for &byte in label {
            if matches!(byte, b'.' | b'\\') {
                dotted.push(b'\\');
            }
            dotted.push(byte);
        }
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::question;

    fn message(name: &[u8], record: u16, class: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&record.to_be_bytes());
        bytes.extend_from_slice(&class.to_be_bytes());
        bytes
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(message);
        bytes
    }

    fn check(payload: &[u8], expect: Option<(&[u8], u16)>) {
        let got = question(payload);
        assert_eq!(got.as_ref().map(|(name, record)| (name.as_bytes(), *record)), expect);
    }

    #[test]
    fn a_query_is_read_over_udp_and_tcp() {
        let query = message(b"\x07example\x03org\0", 28, 1);
        check(&query, Some((b"example.org", 28)));
        check(&framed(&query), Some((b"example.org", 28)));
        let mut with_edns = query.clone();
        with_edns.extend_from_slice(b"\0\0\x29\x10\0\0\0\0\0\0\0");
        check(&with_edns, Some((b"example.org", 28)));
        check(&message(b"\0", 2, 1), Some((b".", 2)));
    }

    #[test]
    fn labels_keep_their_bytes_and_cannot_fake_a_dot() {
        check(&message(b"\x03a.b\x02c\\\0", 1, 1), Some((b"a\\.b.c\\\\", 1)));
        check(&message(b"\x02\xff\x00\0", 16, 1), Some((b"\xff\0", 16)));
    }

    #[test]
    fn what_is_not_one_query_is_nothing() {
        let query = message(b"\x07example\x03org\0", 1, 1);
        let mut response = query.clone();
        response[2] |= 0x80;
        check(&response, None);
        let mut two = query.clone();
        two[5] = 2;
        check(&two, None);
        check(&message(b"\xc0\x0c", 1, 1), None);
        check(&message(b"\x40aaaa\0", 1, 1), None);
        check(&message(b"\x01a\0", 1, 9), None);
        check(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", None);
    }

    #[test]
    fn names_end_at_255_bytes() {
        let mut long = Vec::new();
        for _ in 0..3 {
            long.push(63);
            long.extend_from_slice(&[b'a'; 63]);
        }
        let mut fits = long.clone();
        fits.push(61);
        fits.extend_from_slice(&[b'b'; 61]);
        fits.push(0);
        assert_eq!(fits.len(), 255);
        assert!(question(&message(&fits, 1, 1)).is_some());
        long.push(62);
        long.extend_from_slice(&[b'b'; 62]);
        long.push(0);
        check(&message(&long, 1, 1), None);
    }

    #[test]
    fn no_cut_and_no_flipped_byte_panics() {
        let query = framed(&message(b"\x07example\x03org\0", 1, 1));
        for end in 0..query.len() {
            let _ = question(&query[..end]);
            check(&query[..end], None);
        }
        for at in 0..query.len() {
            for value in 0..=255 {
                let mut bent = query.clone();
                bent[at] = value;
                let _ = question(&bent);
            }
        }
    }
}
