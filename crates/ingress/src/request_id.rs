//! The request id: the caller's where it is one, else a new UUIDv7.

use http::{HeaderMap, HeaderName, HeaderValue};
use runtime::clock::{Clock, uuid_v7};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes of a caller's request id; a longer one is replaced.
const LENGTH_MAX: usize = 128;

/// Sees to it that the request has an id, and gives it.
pub(crate) fn assign(headers: &mut HeaderMap, clock: &dyn Clock) -> HeaderValue {
    let mut given = headers.get_all(X_REQUEST_ID).iter();
    let id = match (given.next(), given.next()) {
        (Some(id), None) if well_formed(id.as_bytes()) => id.clone(),
        _ => fresh(clock),
    };
    headers.insert(X_REQUEST_ID, id.clone());
    id
}

fn well_formed(id: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    (1..=LENGTH_MAX).contains(&id.len()) && id.iter().all(letter)
}

fn fresh(clock: &dyn Clock) -> HeaderValue {
    // Hexadecimal digits and hyphens are a header's value.
    HeaderValue::try_from(uuid_v7(clock).to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::{X_REQUEST_ID, assign};
    use http::{HeaderMap, HeaderValue};
    use runtime::clock::Manual;

    fn check(given: &[&str], kept: bool) {
        let mut headers = HeaderMap::new();
        for id in given {
            headers.append(X_REQUEST_ID, HeaderValue::from_str(id).unwrap());
        }
        let id = assign(&mut headers, &Manual::at(1_700_000_000_123_456));
        assert_eq!(headers.get_all(X_REQUEST_ID).iter().collect::<Vec<_>>(), [&id]);
        let text = id.to_str().unwrap();
        if kept {
            assert_eq!(text, given[0]);
        } else {
            // 0x18bcfe5687b milliseconds, and version 7.
            assert!(text.starts_with("018bcfe5-687b-7"), "{text}");
        }
    }

    #[test]
    fn a_well_formed_id_is_kept_and_anything_else_replaced() {
        check(&["a"], true);
        check(&["Build_17.3-x"], true);
        check(&[&"x".repeat(128)], true);
        check(&[], false);
        check(&[""], false);
        check(&["a b"], false);
        check(&["<script>"], false);
        check(&[&"x".repeat(129)], false);
        check(&["a", "b"], false);
    }
}
