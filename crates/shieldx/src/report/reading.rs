//! Reads a report or an event file back into a recording. The bytes are from outside: every size
//! is bounded, and what is wrong is said with the line it is on.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use types::{Activity, Assessment, Recording};

use super::document::{AssessOptions, Document, EVENTS_SCHEMA, Header, REPORT_SCHEMA, Trailer};

/// The largest recording that is read.
pub const FILE_MAX_BYTES: u64 = 1 << 30;

/// What a file held.
#[derive(Debug)]
pub struct Recorded {
    pub recording: Recording,
    pub options: AssessOptions,
    /// The verdict that the run printed.
    pub verdict: Assessment,
    /// Version of the program that wrote the file.
    pub version: String,
}

/// Why a file is not a recording that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("cannot read it")]
    Io(#[source] io::Error),
    #[error("it is empty")]
    Empty,
    #[error("it is larger than {max_bytes} bytes")]
    TooLarge { max_bytes: u64 },
    #[error("it is not a ShieldX recording: line {line}, column {column}: {what}")]
    NotJson { line: usize, column: usize, what: String },
    #[error("it is JSON but not a ShieldX recording: it has no \"schema\"")]
    NoSchema,
    #[error("its schema is {found:?}, which this version does not know")]
    UnknownSchema { found: String, newer: bool },
    #[error("it was cut off: line {line} ends in the middle of a value")]
    CutOff { line: usize },
    #[error("it was cut off: the last line is not a trailer (after {events} events)")]
    NoTrailer { events: u64 },
    #[error("line {line}: {what}")]
    Invalid { line: usize, what: String },
    #[error("it contradicts itself: {what}")]
    Contradiction { what: String },
}

impl Unreadable {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Unreadable::UnknownSchema { newer: true, .. } => Some(
                "it was written by a newer shieldx; replay it with that version, or run the \
                 command again with this one",
            ),
            Unreadable::CutOff { .. } | Unreadable::NoTrailer { .. } => {
                Some("a verdict is never computed from part of a recording; copy the file again")
            }
            Unreadable::NotJson { .. }
            | Unreadable::NoSchema
            | Unreadable::Empty
            | Unreadable::UnknownSchema { .. } => {
                Some("replay reads what `run --report`, `run --json` or `run --events` wrote")
            }
            _ => None,
        }
    }
}

/// Reads either format.
///
/// # Errors
/// See [`Unreadable`].
pub fn read(input: impl Read) -> Result<Recorded, Unreadable> {
    let mut input = io::BufReader::new(input.take(FILE_MAX_BYTES + 1));
    let start = input.fill_buf().map_err(Unreadable::Io)?;
    match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None if start.is_empty() => return Err(Unreadable::Empty),
        // Decides early about an endless stream of something else.
        Some(b'{') | None => {}
        Some(_) => {
            let what = "expected `{`".to_owned();
            return Err(Unreadable::NotJson { line: 1, column: 1, what });
        }
    }
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(Unreadable::Io)?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(Unreadable::TooLarge { max_bytes: FILE_MAX_BYTES });
    }
    let schema = schema_of(&bytes)?;
    match schema.as_str() {
        REPORT_SCHEMA => report(&bytes),
        EVENTS_SCHEMA => events(&bytes),
        _ => {
            let newer = [REPORT_SCHEMA, EVENTS_SCHEMA].iter().any(|known| later(&schema, known));
            Err(Unreadable::UnknownSchema { found: schema.chars().take(64).collect(), newer })
        }
    }
}

/// Whether a schema is a later number of a known one.
fn later(schema: &str, known: &str) -> bool {
    let parts = |text: &str| {
        let (name, number) = text.rsplit_once('/')?;
        Some((name.to_owned(), number.parse::<u32>().ok()?))
    };
    match (parts(schema), parts(known)) {
        (Some((name, number)), Some((known_name, known_number))) => {
            name == known_name && number > known_number
        }
        _ => false,
    }
}

/// The `schema` member of the first JSON value, whatever else stands in it.
fn schema_of(bytes: &[u8]) -> Result<String, Unreadable> {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = SchemaOnly { found: &mut found }.deserialize(&mut json);
    let known = |schema: &String| [REPORT_SCHEMA, EVENTS_SCHEMA].contains(&schema.as_str());
    match (read, found) {
        (Ok(()), Some(schema)) => Ok(schema),
        (Ok(()), None) => Err(Unreadable::NoSchema),
        // Whatever is wrong with the rest: the rules it would have to follow are not known here.
        (Err(_), Some(schema)) if !known(&schema) => Ok(schema),
        (Err(error), _) if error.is_eof() => {
            let blank = bytes.iter().all(u8::is_ascii_whitespace);
            Err(if blank { Unreadable::Empty } else { Unreadable::CutOff { line: error.line() } })
        }
        (Err(error), _) => Err(not_json(&error)),
    }
}

/// Reads an object for its `schema` and keeps what it found when the object is broken further on.
struct SchemaOnly<'a> {
    found: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for SchemaOnly<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SchemaOnly<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name != "schema" {
                map.next_value::<IgnoredAny>()?;
            } else if self.found.is_some() {
                return Err(A::Error::custom("there are two schemas"));
            } else if let Value::String(schema) = map.next_value()? {
                *self.found = Some(schema);
            }
        }
        Ok(())
    }
}

fn not_json(error: &serde_json::Error) -> Unreadable {
    Unreadable::NotJson { line: error.line(), column: error.column(), what: short(error) }
}

fn report(bytes: &[u8]) -> Result<Recorded, Unreadable> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| {
        if error.is_eof() {
            Unreadable::CutOff { line: error.line() }
        } else {
            Unreadable::Invalid { line: error.line(), what: short(&error) }
        }
    })?;
    let recorded = Recorded {
        recording: Recording {
            run: document.run,
            events: document.events,
            counters: document.counters,
            faults: document.faults,
            output: document.output,
            anomaly: document.anomaly,
            rule_sets: document.rule_sets,
            matches: document.matches,
            activity: Activity::default(),
        },
        options: document.options,
        verdict: document.verdict,
        version: document.version,
    };
    ordered(&recorded.recording)?;
    Ok(recorded)
}

fn events(bytes: &[u8]) -> Result<Recorded, Unreadable> {
    let mut lines = bytes.split(|&byte| byte == b'\n').enumerate();
    let whole = bytes.ends_with(b"\n");
    let count = lines.clone().filter(|(_, line)| !line.is_empty()).count();
    let (_, first) = lines.next().ok_or(Unreadable::Empty)?;
    let header: Header = parse(first, 1, whole || count > 1)?;
    let mut events = Vec::new();
    let mut trailer: Option<Trailer> = None;
    for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
        if trailer.is_some() {
            let what = "there is more after the trailer".to_owned();
            return Err(Unreadable::Invalid { line: index + 1, what });
        }
        if line.starts_with(b"{\"trailer\":") {
            #[derive(Deserialize)]
            struct Last {
                trailer: Trailer,
            }
            trailer = Some(parse::<Last>(line, index + 1, whole)?.trailer);
        } else {
            events.push(parse(line, index + 1, whole)?);
        }
    }
    let found = events.len() as u64;
    let trailer = trailer.ok_or(Unreadable::NoTrailer { events: found })?;
    if trailer.event_count != found {
        let what =
            format!("the trailer counts {} events, the file has {found}", trailer.event_count);
        return Err(Unreadable::Contradiction { what });
    }
    if trailer.ending != header.run.ending {
        let what = "header and trailer tell different endings".to_owned();
        return Err(Unreadable::Contradiction { what });
    }
    let recording = Recording {
        run: header.run,
        events,
        counters: trailer.counters,
        faults: trailer.faults,
        output: None,
        anomaly: header.anomaly,
        rule_sets: trailer.rule_sets,
        matches: trailer.matches,
        activity: Activity::default(),
    };
    ordered(&recording)?;
    Ok(Recorded {
        recording,
        options: header.options,
        verdict: trailer.verdict,
        version: header.version,
    })
}

/// Detections point at ids, so the ids must be what the format promises.
fn ordered(recording: &Recording) -> Result<(), Unreadable> {
    let mut time_ns = 0;
    for (index, event) in recording.events.iter().enumerate() {
        if event.id != index as u64 + 1 {
            let what = format!("event {} stands where event {} belongs", event.id, index + 1);
            return Err(Unreadable::Contradiction { what });
        }
        if event.time_ns < time_ns {
            let what = format!("event {} is earlier than the one before it", event.id);
            return Err(Unreadable::Contradiction { what });
        }
        time_ns = event.time_ns;
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(line: &[u8], number: usize, whole: bool) -> Result<T, Unreadable> {
    serde_json::from_slice(line).map_err(|error| {
        if error.is_eof() && !whole {
            Unreadable::CutOff { line: number }
        } else {
            Unreadable::Invalid { line: number, what: short(&error) }
        }
    })
}

/// The message without serde's own position, bounded, and safe on a terminal: it may quote the
/// file.
fn short(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let safe = types::Text::from(message).to_string();
    safe.chars().take(200).collect()
}

#[cfg(test)]
#[path = "reading/tests.rs"]
mod tests;
