//! Which paths are read in one way only.
//!
//! A path is never rewritten: what is matched is what is forwarded. So a path that an application
//! might read otherwise than the routes and the policy did is refused. Each of these was a way
//! around somebody's rules: `%2f` (Heimdall, GHSA-3q34-rx83-r6mq), encoded dots (Traefik,
//! CVE-2026-48020), `;` (Quarkus, CVE-2026-50559).

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ambiguous {
    #[error("the path contains {0}, which some readers decode before they split the path")]
    Encoded(&'static str),
    #[error("the path contains `%` without two hexadecimal digits behind it")]
    Percent,
    #[error("the path contains an empty segment (`//`)")]
    EmptySegment,
    #[error("the path contains `;`, behind which some readers see parameters")]
    Semicolon,
    #[error("the path contains a backslash, which some readers take for a slash")]
    Backslash,
    #[error("the path contains the segment `.` or `..`")]
    DotSegment,
    #[error("the path contains a byte that is no visible ASCII character; encode it with `%`")]
    Byte,
}

/// Checks a path as it came.
pub(crate) fn check(path: &str) -> Result<(), Ambiguous> {
    let bytes = path.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\\' => return Err(Ambiguous::Backslash),
            b';' => return Err(Ambiguous::Semicolon),
            b'%' => encoded(bytes.get(at + 1..at + 3).unwrap_or_default())?,
            b'/' if bytes.get(at + 1) == Some(&b'/') => return Err(Ambiguous::EmptySegment),
            0x21..=0x7e => {}
            _ => return Err(Ambiguous::Byte),
        }
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Ambiguous::DotSegment);
    }
    Ok(())
}

fn encoded(digits: &[u8]) -> Result<(), Ambiguous> {
    let &[high, low] = digits else { return Err(Ambiguous::Percent) };
    match (high, low.to_ascii_lowercase()) {
        (b'0', b'0') => Err(Ambiguous::Encoded("%00")),
        (b'2', b'e') => Err(Ambiguous::Encoded("%2e")),
        (b'2', b'f') => Err(Ambiguous::Encoded("%2f")),
        (b'5', b'c') => Err(Ambiguous::Encoded("%5c")),
        _ if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => Ok(()),
        _ => Err(Ambiguous::Percent),
    }
}

#[cfg(test)]
mod tests {
    use super::{Ambiguous, check};

    #[test]
    fn paths_that_are_read_in_one_way_pass() {
        for path in ["/", "/a", "/a/", "/a/b.html", "/...", "/a..b", "/.well-known/x", "/a%20b"] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
        for path in ["/%C3%A9", "/%25", "/%252e%252e", "/a:b@c", "/a=b&c=d", "/~u", "/a,b!$'()*+"] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn paths_that_can_be_read_in_two_ways_are_refused() {
        for (path, why) in [
            ("/a%2fb", Ambiguous::Encoded("%2f")),
            ("/a%2Fb", Ambiguous::Encoded("%2f")),
            ("/a%5cb", Ambiguous::Encoded("%5c")),
            ("/a%5Cb", Ambiguous::Encoded("%5c")),
            ("/a%00", Ambiguous::Encoded("%00")),
            ("/%2e%2e/a", Ambiguous::Encoded("%2e")),
            ("/a%2Ehtml", Ambiguous::Encoded("%2e")),
            ("/a%", Ambiguous::Percent),
            ("/a%2", Ambiguous::Percent),
            ("/a%zz", Ambiguous::Percent),
            ("/a%2/b", Ambiguous::Percent),
            ("//a", Ambiguous::EmptySegment),
            ("/a//", Ambiguous::EmptySegment),
            ("/a;b=c", Ambiguous::Semicolon),
            ("/a\\b", Ambiguous::Backslash),
            ("/..", Ambiguous::DotSegment),
            ("/a/./b", Ambiguous::DotSegment),
            ("/a/../b", Ambiguous::DotSegment),
            ("/a/..", Ambiguous::DotSegment),
            ("/é", Ambiguous::Byte),
            ("/a b", Ambiguous::Byte),
            ("/a\u{7f}", Ambiguous::Byte),
        ] {
            assert_eq!(check(path), Err(why), "{path}");
        }
    }
}
