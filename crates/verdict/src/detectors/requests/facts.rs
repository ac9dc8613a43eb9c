//! What a piece of text tells about the machine it comes from. Looks through the encodings in which
//! such things are sent; knows no hosts and no events.

/// A fact's weight in decibans, and its name.
pub(super) type Fact = (u32, &'static str);

/// A shorter piece of base64 or hexadecimal is any word.
const ENCODED_LEN_MIN: usize = 16;

/// In the bytes of a body: as they are, and decoded.
pub(super) fn in_bytes(bytes: &[u8]) -> Option<Fact> {
    in_text(&String::from_utf8_lossy(bytes))
}

/// In a line or a body: the whole, and each piece that looks encoded.
pub(super) fn in_text(text: &str) -> Option<Fact> {
    let plain = unescaped(text);
    let pieces = plain.split(|c: char| !(c.is_ascii_alphanumeric() || "+/-_=".contains(c)));
    // A value begins after its name.
    let values = pieces.flat_map(|piece| {
        let value = piece.split_once('=').map(|(_, value)| value);
        [Some(piece), value.filter(|value| value.len() >= ENCODED_LEN_MIN)]
    });
    let decoded = values
        .flatten()
        .filter(|piece| piece.len() >= ENCODED_LEN_MIN)
        .flat_map(|piece| [from_base64(piece), from_hexadecimal(piece)])
        .flatten()
        .filter_map(|bytes| plainly(&String::from_utf8_lossy(&bytes)));
    plainly(&plain).into_iter().chain(decoded).max()
}

fn plainly(text: &str) -> Option<Fact> {
    if text.contains("PRIVATE KEY-----") {
        return Some((26, "a private key"));
    }
    if text.contains("root:x:0:0:") || text.contains("root:*:") {
        return Some((24, "the list of accounts"));
    }
    if text.contains("aws_secret_access_key") || text.contains("aws_access_key_id") {
        return Some((24, "keys of a cloud account"));
    }
    const VARIABLES: [&str; 8] =
        ["PATH=/", "HOME=/", "SHELL=/", "PWD=/", "USER=", "LOGNAME=", "LANG=", "TERM="];
    if VARIABLES.iter().filter(|name| text.contains(**name)).count() >= 2 {
        return Some((20, "the environment"));
    }
    if is_id(text) {
        return Some((16, "who one is"));
    }
    let kernel = text.contains("Linux ") && (text.contains(" SMP") || text.contains(" #1"));
    kernel.then_some((14, "the kernel's version"))
}

/// `uid=1000(name) gid=…`, as id(1) prints it.
fn is_id(text: &str) -> bool {
    text.match_indices("uid=").any(|(at, _)| {
        let rest = &text[at + 4..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && rest[digits..].starts_with('(') && rest.contains("gid=")
    })
}

/// `%2F` and `+` as forms and queries write them.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                plain.push(code);
                at += 3;
            }
            None => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Both alphabets (RFC 4648 §4, §5); a cut end is left out.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 1;
        if count == 4 {
            bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
            (bits, count) = (0, 0);
        }
    }
    Some(bytes)
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::in_text;

    #[test]
    fn facts_are_found_plain_and_encoded() {
        for (text, what) in [
            ("u=uid%3D1000(a)%20gid%3D1000(a)", "who one is"),
            ("GET /?d=dWlkPTAocm9vdCkgZ2lkPTAocm9vdCk= HTTP/1.1", "who one is"),
            ("PATH=/bin\nHOME=/root\n", "the environment"),
            ("726f6f743a783a303a303a726f6f743a2f726f6f74", "the list of accounts"),
            ("data=LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS0K", "a private key"),
            ("Linux sandbox 6.1.0-9-amd64 #1 SMP", "the kernel's version"),
        ] {
            assert_eq!(in_text(text).map(|fact| fact.1), Some(what), "{text}");
        }
        for text in [
            "GET /simple/requests/ HTTP/1.1",
            "{\"name\":\"x\",\"version\":\"1.0.0\",\"os\":\"linux\"}",
            "grant_type=client_credentials&uid=77",
            "GET /?ua=Mozilla/5.0 (X11; Linux x86_64) HTTP/1.1",
            "sha512-9e107d9d372bb6826bd81d3542a419d6",
            "LANG=C",
        ] {
            assert_eq!(in_text(text), None, "{text}");
        }
    }
}
