//! Reads HTTP/1 requests out of a stream of bytes: heads whole, bodies in pieces.
//!
//! Strict where two readers could disagree about where a request ends (RFC 9112 §6.3, §11.2): such
//! a stream is broken, and nothing after it is a request. Bounded in every direction.

/// A head may have these many bytes.
pub(super) const HEAD_LEN_MAX: usize = 32 << 10;
/// Empty lines before a request, in bytes.
const BLANK_MAX: usize = 16;
/// The line that tells a chunk's length, with extensions.
const CHUNK_LINE_MAX: usize = 256;

/// The beginning of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub method: String,
    pub target: String,
    pub version: String,
    /// Names as they were written.
    pub fields: Vec<(String, String)>,
    /// Of the whole head as it was sent, in bytes.
    pub length: usize,
}

impl Head {
    /// The first field of this name (lower case).
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut same = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        same.next().map(|(_, value)| value.as_str())
    }

    /// Whom the request is for: name or address, and the port where one is given. The target counts
    /// before the field (RFC 9112 §3.2.2); two fields that differ are nobody.
    pub(super) fn host(&self) -> Option<(String, Option<u16>)> {
        let hosts = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case("host"));
        let mut hosts: Vec<&str> = hosts.map(|(_, value)| value.as_str()).collect();
        hosts.dedup();
        let authority = match (self.authority(), hosts.as_slice()) {
            (Some(authority), _) => authority,
            (None, [one]) => one,
            _ => return None,
        };
        split_authority(authority)
    }

    /// The authority in the target: of `CONNECT`, and of `http://host/…`.
    fn authority(&self) -> Option<&str> {
        if self.method == "CONNECT" {
            return Some(&self.target);
        }
        let rest = self.target.split_once("://")?.1;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = rest.get(..end)?;
        Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
    }

    /// The target without scheme and authority.
    pub(super) fn path(&self) -> &str {
        match (self.target.split_once("://"), self.authority()) {
            (Some((_, rest)), Some(_)) => match rest.find(['/', '?']) {
                Some(at) => rest.get(at..).unwrap_or("/"),
                None => "/",
            },
            _ => &self.target,
        }
    }

    pub(super) fn line(&self) -> String {
        format!("{} {} {}", self.method, self.target, self.version)
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`; lower case, without the last dot.
pub(super) fn split_authority(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        (host, rest.strip_prefix(':'))
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    (!host.is_empty()).then_some((host, port))
}

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Head(Head),
    /// Bytes of the body as they came, with the framing of chunks.
    Body(Vec<u8>),
    /// The request is complete.
    End,
    /// This is not HTTP, or not in a way that everybody reads alike.
    Broken,
}

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    ChunkLine,
    Chunk(u64),
    /// Fields after the last chunk.
    Trailer,
    /// After `CONNECT`: what follows is not for this reader.
    Stopped,
    Broken,
}

/// Where in the stream the reader is.
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    held: Vec<u8>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { state: State::Head, held: Vec::new() }
    }

    /// Takes bytes and returns what they complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Part> {
        self.held.extend_from_slice(bytes);
        let mut parts = Vec::new();
        while self.step(&mut parts) {}
        parts
    }

    /// What follows a `CONNECT`.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// One step; false when more bytes are needed.
    fn step(&mut self, parts: &mut Vec<Part>) -> bool {
        match self.state {
            State::Head => self.head(parts),
            State::Length(left) => match self.body(left, parts) {
                0 => false,
                taken => {
                    self.state = State::Length(left - taken);
                    self.ends(left == taken, parts)
                }
            },
            State::Chunk(left) => match self.body(left, parts) {
                0 => false,
                taken => {
                    self.state =
                        if left == taken { State::ChunkLine } else { State::Chunk(left - taken) };
                    true
                }
            },
            State::ChunkLine => self.chunk_line(parts),
            State::Trailer => self.trailer(parts),
            State::Stopped => false,
            State::Broken => {
                self.held.clear();
                false
            }
        }
    }

    fn head(&mut self, parts: &mut Vec<Part>) -> bool {
        // A client may send an empty line before a request (RFC 9112 §2.2).
        let blank = self.held.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.held.drain(..blank);
        let Some(end) = head_end(&self.held) else {
            return if self.held.len() > HEAD_LEN_MAX { self.broken(parts) } else { false };
        };
        let head = if end <= HEAD_LEN_MAX { self.held.get(..end).and_then(parse) } else { None };
        let Some(head) = head else { return self.broken(parts) };
        let Some(state) = framing(&head) else { return self.broken(parts) };
        self.held.drain(..end);
        let done = matches!(state, State::Length(0));
        if head.method == "CONNECT" {
            self.state = State::Stopped;
            parts.extend([Part::Head(head), Part::End]);
            return false;
        }
        self.state = state;
        parts.push(Part::Head(head));
        self.ends(done, parts)
    }

    fn ends(&mut self, done: bool, parts: &mut Vec<Part>) -> bool {
        if done {
            self.state = State::Head;
            parts.push(Part::End);
        }
        true
    }

    /// Passes on at most `left` bytes and says how many.
    fn body(&mut self, left: u64, parts: &mut Vec<Part>) -> u64 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.held.len());
        if count > 0 {
            parts.push(Part::Body(self.held.drain(..count).collect()));
        }
        count as u64
    }

    fn chunk_line(&mut self, parts: &mut Vec<Part>) -> bool {
        let Some(end) = self.held.windows(2).position(|pair| pair == b"\r\n") else {
            return if self.held.len() > CHUNK_LINE_MAX { self.broken(parts) } else { false };
        };
        let line: Vec<u8> = self.held.drain(..end + 2).collect();
        let digits = line.split(|byte| matches!(byte, b';' | b'\r' | b' ')).next().unwrap_or(&[]);
        let size = std::str::from_utf8(digits)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|text| u64::from_str_radix(text, 16).ok());
        // The two bytes after a chunk's data count as its own.
        let Some(size) = size.and_then(|size| size.checked_add(2)) else {
            return self.broken(parts);
        };
        self.state = if size == 2 { State::Trailer } else { State::Chunk(size) };
        parts.push(Part::Body(line));
        true
    }

    fn trailer(&mut self, parts: &mut Vec<Part>) -> bool {
        let Some(end) = self.held.windows(2).position(|pair| pair == b"\r\n") else {
            return if self.held.len() > HEAD_LEN_MAX { self.broken(parts) } else { false };
        };
        parts.push(Part::Body(self.held.drain(..end + 2).collect()));
        self.ends(end == 0, parts)
    }

    fn broken(&mut self, parts: &mut Vec<Part>) -> bool {
        self.state = State::Broken;
        parts.push(Part::Broken);
        true
    }
}

/// Where the head ends, after its empty line.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let bound = bytes.get(..HEAD_LEN_MAX + 4).unwrap_or(bytes);
    bound.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn parse(bytes: &[u8]) -> Option<Head> {
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    let mut lines = text.strip_suffix("\r\n\r\n")?.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !is_token(method) || target.is_empty() {
        return None;
    }
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return None;
    }
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        // No folded lines, and no space before the colon (RFC 9112 §5.1, §5.2).
        if !is_token(name) || value.contains(['\r', '\n', '\0']) {
            return None;
        }
        fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let (method, target, version) = (method.to_owned(), target.to_owned(), version.to_owned());
    Some(Head { method, target, version, fields, length: bytes.len() })
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// How the body is framed; `None` where readers could disagree.
fn framing(head: &Head) -> Option<State> {
    let all = |name: &str| -> Vec<&str> {
        let fields = head.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.as_str()).collect()
    };
    match (all("transfer-encoding").as_slice(), all("content-length").as_slice()) {
        ([], []) => Some(State::Length(0)),
        ([], [length]) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().ok().map(State::Length)
        }
        ([one], []) if one.eq_ignore_ascii_case("chunked") => Some(State::ChunkLine),
        _ => None,
    }
}

/// Whether these first bytes of a stream can be the beginning of an HTTP request: yes, no, or not
/// to be told yet.
pub(super) fn begins(bytes: &[u8]) -> Option<bool> {
    const METHODS: [&[u8]; 10] = [
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"CONNECT ",
        b"OPTIONS ",
        b"TRACE ",
        b"PATCH ",
        b"PROPFIND ",
    ];
    let at = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if at > BLANK_MAX {
        return Some(false);
    }
    let bytes = bytes.get(at..).unwrap_or(&[]);
    if METHODS.iter().any(|method| bytes.starts_with(method)) {
        return Some(true);
    }
    let could = METHODS.iter().any(|method| method.starts_with(bytes));
    if could { None } else { Some(false) }
}

#[cfg(test)]
mod tests {
    use super::{Head, Part, Reader, begins};

    fn head(text: &str) -> Head {
        match Reader::new().read(text.as_bytes()).into_iter().next() {
            Some(Part::Head(head)) => head,
            other => panic!("{other:?}"),
        }
    }

    fn body(parts: Vec<Part>) -> Vec<u8> {
        let bytes = parts.into_iter().filter_map(|part| match part {
            Part::Body(bytes) => Some(bytes),
            _ => None,
        });
        bytes.flatten().collect()
    }

    #[test]
    fn requests_are_read_whole_and_byte_by_byte() {
        let text = b"POST /up HTTP/1.1\r\nHost: a.example:8080\r\nContent-Length: 3\r\n\r\nabc\
            GET / HTTP/1.1\r\nHost: b\r\n\r\n\
            PUT /c HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\nT: 1\r\n\r\n";
        let whole = Reader::new().read(text);
        let kinds = |parts: &[Part]| -> String {
            let letter = |part: &Part| match part {
                Part::Head(_) => 'h',
                Part::Body(_) => 'b',
                Part::End => 'e',
                Part::Broken => '!',
            };
            parts.iter().map(letter).collect()
        };
        assert_eq!(kinds(&whole), "hbehehbbbbbe");
        let mut reader = Reader::new();
        let pieces: Vec<Part> = text.iter().flat_map(|byte| reader.read(&[*byte])).collect();
        assert!(!kinds(&pieces).contains('!'));
        assert_eq!(body(pieces), body(whole));
    }

    #[test]
    fn whom_a_request_is_for() {
        let host = |text: &str| head(&format!("{text}\r\n\r\n")).host();
        let expect = |name: &str, port| Some((name.to_owned(), port));
        assert_eq!(host("GET / HTTP/1.1\r\nHost: A.Example."), expect("a.example", None));
        assert_eq!(host("GET http://u@b:81/x HTTP/1.1\r\nHost: a"), expect("b", Some(81)));
        assert_eq!(host("CONNECT [::1]:443 HTTP/1.1\r\nHost: a"), expect("::1", Some(443)));
        assert_eq!(host("GET / HTTP/1.1\r\nHost: a\r\nHost: b"), None);
        assert_eq!(host("GET / HTTP/1.0\r\nX: y"), None);
        assert_eq!(head("GET http://b?q HTTP/1.1\r\n\r\n").path(), "?q");
        assert_eq!(head("GET http://b HTTP/1.1\r\n\r\n").path(), "/");
    }

    #[test]
    fn what_two_readers_could_read_differently_is_broken() {
        for fields in [
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Content-Length: +3",
            "Transfer-Encoding: chunked, identity",
            "Host : a",
            "Host: a\r\n folded: b",
        ] {
            let text = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
            assert_eq!(Reader::new().read(text.as_bytes()), [Part::Broken], "{fields}");
        }
        let long = vec![b'a'; super::HEAD_LEN_MAX + 1];
        assert_eq!(Reader::new().read(&[b"GET /", &long[..]].concat()), [Part::Broken]);
    }

    #[test]
    fn first_bytes() {
        assert_eq!(begins(b"GET / HTTP/1.1"), Some(true));
        assert_eq!(begins(b"GE"), None);
        assert_eq!(begins(b"{\"id\":1}"), Some(false));
        assert_eq!(begins(b""), None);
        assert_eq!(begins(b"\r\n\r\nGET / "), Some(true));
        assert_eq!(begins(&[b'\n'; 64]), Some(false));
    }
}
