//! Which trace a request belongs to: W3C Trace Context, <https://www.w3.org/TR/trace-context/>.
//!
//! A `traceparent` that is not exactly what the recommendation says begins a new trace (§4.3), and
//! takes its `tracestate` with it. A bad `tracestate` goes alone.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Traceparents;

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of `00-<32>-<16>-<2>`.
const LENGTH: usize = 55;
/// §3.3.1.1: members of a list; §3.3.1.5: bytes that are to be carried at least, here at most.
const STATE_MEMBERS_MAX: usize = 32;
const STATE_BYTES_MAX: usize = 512;

/// What became of a request's `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Absent,
    Continued,
    Malformed,
    /// It is not believed here.
    Refused,
}

impl Admission {
    pub(crate) const ALL: [Self; 4] =
        [Self::Absent, Self::Continued, Self::Malformed, Self::Refused];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Continued => "continued",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
        }
    }
}

/// Leaves in the headers what is admitted, and nothing else.
pub(crate) fn admit(headers: &mut HeaderMap, whose: Traceparents) -> Admission {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let parent = match (given.next(), given.next()) {
        (None, _) => Err(Admission::Absent),
        (Some(_), _) if whose == Traceparents::Never => Err(Admission::Refused),
        (Some(parent), None) => parse(parent.as_bytes()).ok_or(Admission::Malformed),
        (Some(_), Some(_)) => Err(Admission::Malformed),
    };
    match parent {
        Ok(parent) => {
            headers.insert(TRACEPARENT, parent);
            admit_state(headers);
            Admission::Continued
        }
        Err(admission) => {
            headers.remove(TRACEPARENT);
            headers.remove(TRACESTATE);
            admission
        }
    }
}

/// The parent as version 00. Of a later version the fields that are known are taken (§4.3).
fn parse(text: &[u8]) -> Option<HeaderValue> {
    let (known, further) = text.split_at_checked(LENGTH)?;
    let hex = |range: std::ops::Range<usize>| {
        let part = known.get(range).unwrap_or_default();
        part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some(part)
    };
    let (version, trace, parent, flags) = (hex(0..2)?, hex(3..35)?, hex(36..52)?, hex(53..55)?);
    let zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let dashes = [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-'));
    let ends = further.is_empty() || (version != b"00" && further.starts_with(b"-"));
    if !dashes || !ends || version == b"ff" || zero(trace) || zero(parent) {
        return None;
    }
    HeaderValue::from_bytes(&[b"00-", trace, b"-", parent, b"-", flags].concat()).ok()
}

fn admit_state(headers: &mut HeaderMap) {
    let lists: Vec<&[u8]> = headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes).collect();
    let state = lists.join(&b","[..]);
    let good = !state.is_empty() && well_formed_state(&state);
    match HeaderValue::from_bytes(&state) {
        Ok(state) if good => headers.insert(TRACESTATE, state),
        _ => headers.remove(TRACESTATE),
    };
}

fn well_formed_state(state: &[u8]) -> bool {
    let members: Vec<&[u8]> = state
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
        .collect();
    let mut keys = Vec::new();
    for member in &members {
        let Some(at) = member.iter().position(|byte| *byte == b'=') else {
            return false;
        };
        let (key, value) = member.split_at(at);
        let value = value.get(1..).unwrap_or_default();
        if keys.contains(&key) || !is_key(key) || !is_value(value) {
            return false;
        }
        keys.push(key);
    }
    !members.is_empty() && members.len() <= STATE_MEMBERS_MAX && state.len() <= STATE_BYTES_MAX
}

/// §3.3.1.3.1, both forms.
fn is_key(key: &[u8]) -> bool {
    let letter = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    let mut parts = key.split(|byte| *byte == b'@');
    let first = parts.next().unwrap_or_default();
    let system = parts.next();
    let part = |part: &[u8], max: usize| (1..=max).contains(&part.len()) && part.iter().all(letter);
    let starts = |part: &[u8], digit: bool| {
        part.first()
            .is_some_and(|byte| byte.is_ascii_lowercase() || (digit && byte.is_ascii_digit()))
    };
    parts.next().is_none()
        && match system {
            None => part(first, 256) && starts(first, false),
            Some(system) => {
                part(first, 241) && starts(first, true) && part(system, 14) && starts(system, false)
            }
        }
}

/// §3.3.1.3.2: printable ASCII without `,` and `=`, not ending in a space.
fn is_value(value: &[u8]) -> bool {
    let letter = |byte: &u8| matches!(byte, b' '..=b'~') && !b",=".contains(byte);
    (1..=256).contains(&value.len())
        && value.iter().all(letter)
        && value.last().is_some_and(|byte| *byte != b' ')
}

#[cfg(test)]
mod tests {
    use super::{Admission, TRACEPARENT, TRACESTATE, admit};
    use crate::config::Traceparents;
    use http::{HeaderMap, HeaderValue};

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(parents: &[&str], states: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for parent in parents {
            headers.append(TRACEPARENT, HeaderValue::from_str(parent).unwrap());
        }
        for state in states {
            headers.append(TRACESTATE, HeaderValue::from_str(state).unwrap());
        }
        headers
    }

    fn check(parents: &[&str], expect: Admission) {
        let mut headers = headers(parents, &["a=1"]);
        assert_eq!(admit(&mut headers, Traceparents::Always), expect, "{parents:?}");
        let continued = expect == Admission::Continued;
        assert_eq!(headers.contains_key(TRACEPARENT), continued, "{parents:?}");
        assert_eq!(headers.contains_key(TRACESTATE), continued, "{parents:?}");
    }

    #[test]
    fn what_the_recommendation_says_is_continued_and_all_else_begins_a_new_trace() {
        check(&[GOOD], Admission::Continued);
        check(&[], Admission::Absent);
        check(&[GOOD, GOOD], Admission::Malformed);
        for bad in [
            "",
            "00",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01what",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        ] {
            check(&[bad], Admission::Malformed);
        }
    }

    #[test]
    fn a_later_version_goes_on_as_the_one_that_is_known() {
        for later in ["cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what", "01"] {
            let text = if later == "01" { GOOD.replacen("00", "01", 1) } else { later.to_owned() };
            let mut headers = headers(&[&text], &[]);
            assert_eq!(admit(&mut headers, Traceparents::Always), Admission::Continued);
            assert_eq!(headers[TRACEPARENT], GOOD);
        }
    }

    #[test]
    fn a_trace_is_not_believed_where_none_is_to_be() {
        let mut headers = headers(&[GOOD], &["a=1"]);
        assert_eq!(admit(&mut headers, Traceparents::Never), Admission::Refused);
        assert!(headers.is_empty());
    }

    fn check_state(states: &[&str], expect: Option<&str>) {
        let mut headers = headers(&[GOOD], states);
        assert_eq!(admit(&mut headers, Traceparents::Always), Admission::Continued);
        let state = headers.get(TRACESTATE).map(|state| state.to_str().unwrap());
        assert_eq!(state, expect, "{states:?}");
    }

    #[test]
    fn a_bad_tracestate_goes_and_the_trace_stays() {
        check_state(&["a=1,b@c=2"], Some("a=1,b@c=2"));
        check_state(&["a=1", "b=2"], Some("a=1,b=2"));
        check_state(&["a=1,a=2"], None);
        check_state(&["A=1"], None);
        check_state(&["a"], None);
        check_state(&["a=1=2"], None);
        check_state(&["a="], None);
        check_state(&[&format!("a={}", "x".repeat(257))], None);
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        check_state(&[&many.join(",")], None);
    }
}
