//! What the gateway tells the ingress about a response: [`Note`] as a header, `X-ShieldX-Note`.
//!
//! Both count the same request, and only the gateway knows whose failure it was. It is said to who
//! proved to be the ingress and to nobody else, and goes no further than there.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::sli::Note;

const NOTE: HeaderName = HeaderName::from_static("x-shieldx-note");

/// Says it, where there is something to say.
pub fn say(note: Note, headers: &mut HeaderMap) {
    let words = match (note.applications, note.delayed) {
        (false, false) => return,
        (true, false) => "applications",
        (false, true) => "delayed",
        (true, true) => "applications, delayed",
    };
    headers.insert(NOTE, HeaderValue::from_static(words));
}

/// What was said.
#[must_use]
pub fn hear(headers: &HeaderMap) -> Note {
    let words = headers.get(NOTE).map_or(&b""[..], HeaderValue::as_bytes);
    let said = |word: &[u8]| words.split(|byte| *byte == b',').any(|w| w.trim_ascii() == word);
    Note { applications: said(b"applications"), delayed: said(b"delayed") }
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, Note, hear, say};

    #[test]
    fn what_is_said_is_heard() {
        for (applications, delayed) in [(false, false), (true, false), (false, true), (true, true)]
        {
            let (mut headers, note) = (HeaderMap::new(), Note { applications, delayed });
            say(note, &mut headers);
            assert_eq!(hear(&headers), note);
            assert_eq!(headers.is_empty(), note == Note::default());
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-shieldx-note", "applicationsdelayed".parse().unwrap());
        assert_eq!(hear(&headers), Note::default());
    }
}
