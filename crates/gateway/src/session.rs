//! Which session a request says it is in.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use runtime::http::Problem;
use types::identity::{SESSION_ID_IS, is_session_id};

/// Where a client says its session.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) header: HeaderName,
    pub(crate) cookie: String,
}

impl Places {
    /// The header's where there is one, else the cookie's.
    ///
    /// # Errors
    /// When it is said twice in different words, or is no id: to go on as if there were no session
    /// would let a caller choose not to be assessed.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Result<Option<String>, Problem> {
        let in_header = headers.get_all(&self.header).iter().map(HeaderValue::as_bytes);
        let said = match sole(in_header)? {
            Some(said) => Some(said),
            None => {
                let cookies = headers.get_all(header::COOKIE).iter();
                let pairs = cookies.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
                sole(pairs.filter_map(|pair| self.of_cookie(pair)))?
            }
        };
        said.map(id).transpose()
    }

    fn of_cookie<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        let value = pair.trim_ascii().strip_prefix(self.cookie.as_bytes())?.strip_prefix(b"=")?;
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(quoted.unwrap_or(value))
    }
}

fn sole<'a>(mut said: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, Problem> {
    let first = said.next();
    if said.any(|other| Some(other) != first) {
        let detail = "the request names two sessions; name one";
        return Err(Problem::bad_request("bad-session-id", detail));
    }
    Ok(first)
}

fn id(said: &[u8]) -> Result<String, Problem> {
    let id = str::from_utf8(said).ok().filter(|_| is_session_id(said));
    id.map(str::to_owned).ok_or_else(|| Problem::bad_request("bad-session-id", SESSION_ID_IS))
}

#[cfg(test)]
mod tests {
    use super::Places;
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn said(headers: &[(&str, &str)]) -> Result<Option<String>, &'static str> {
        let header = HeaderName::from_static("x-shieldx-session");
        let places = Places { header, cookie: "shieldx_session".to_owned() };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        places.session(&map).map_err(|problem| problem.kind)
    }

    #[test]
    fn the_header_goes_before_the_cookie() {
        let header = ("x-shieldx-session", "h-1");
        let cookie = ("cookie", "a=b; shieldx_session=c~1 ;x=y");
        assert_eq!(said(&[]), Ok(None));
        assert_eq!(said(&[header, cookie]), Ok(Some("h-1".to_owned())));
        assert_eq!(said(&[cookie]), Ok(Some("c~1".to_owned())));
        assert_eq!(said(&[("cookie", "shieldx_session=\"q\"")]), Ok(Some("q".to_owned())));
        assert_eq!(said(&[("cookie", "shieldx_sessions=q; xshieldx_session=r")]), Ok(None));
    }

    #[test]
    fn a_session_that_is_none_is_refused_and_not_passed_over() {
        let bad = Err("bad-session-id");
        let long = "x".repeat(129);
        for value in ["", "a b", "a/b", "é", &long] {
            assert_eq!(said(&[("x-shieldx-session", value)]), bad, "{value}");
        }
        assert_eq!(said(&[("cookie", "shieldx_session=")]), bad);
        assert_eq!(said(&[("x-shieldx-session", "a"), ("x-shieldx-session", "b")]), bad);
        assert_eq!(said(&[("cookie", "shieldx_session=a; shieldx_session=b")]), bad);
        let twice = [("cookie", "shieldx_session=a"), ("cookie", "shieldx_session=a")];
        assert_eq!(said(&twice), Ok(Some("a".to_owned())));
    }
}
