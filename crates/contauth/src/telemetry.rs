//! What an application reports about a session. There is no place for a key's value anywhere in it,
//! and a field that is not listed here is refused.

use std::net::IpAddr;

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat};

use crate::error::Error;

/// Keystrokes in one report.
pub const KEYSTROKES_MAX: usize = 2_000;
/// Pointer events in one report.
pub const POINTER_MAX: usize = 5_000;
/// A report of greatest length, with room for white space.
pub const TELEMETRY_BODY_MAX_BYTES: usize = 1_048_576;
/// Times within a report are below this: seven days.
const TIME_MAX_MS: f64 = 604_800_000.0;
/// Coordinates are within ± this.
const COORDINATE_MAX_PX: f64 = 1_000_000.0;
/// Sequence numbers a JavaScript client can count to.
const SEQUENCE_MAX: u64 = 9_007_199_254_740_991;
const SUBJECT_MAX_CHARS: usize = 256;
const TEXT_MAX_CHARS: usize = 1_024;
const SIDE_MAX_PX: u32 = 100_000;
const RATIO_MAX: f64 = 100.0;

/// One report. Send what happened since the last one, every few seconds.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Whom the session belongs to, in the application's words; needed in a session's first report,
    /// and the same in every later one. No control characters.
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f]+$")]
    pub subject: Option<String>,
    /// Counts the session's reports, growing. A report whose number is not above the last one's was
    /// counted before and is not counted again, so a report can be retried.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    pub sequence: Option<u64>,
    /// When the report was sent; a late one does not make the session look fresh.
    #[schema(format = DateTime)]
    pub sent_at: Option<String>,
    /// Key presses in the order they went down. Which key it was is not asked, and refused if said.
    #[serde(default)]
    #[schema(max_items = 2000)]
    pub keystrokes: Vec<Keystroke>,
    /// Pointer events in the order of their times.
    #[serde(default)]
    #[schema(max_items = 5000)]
    pub pointer: Vec<PointerEvent>,
    /// What the session runs on. Kept only as salted hashes.
    pub device: Option<Device>,
    /// The client's IP address as the application sees it. Kept only as its network (/24, /48).
    #[schema(schema_with = address_or_null)]
    pub address: Option<String>,
}

/// An IPv4 or IPv6 address, for OpenAPI.
pub(crate) fn address_schema() -> OneOfBuilder {
    let format = |format| {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.format(Some(SchemaFormat::KnownFormat(format)))
    };
    let told = "The client's IP address. Kept only as its network (/24, /48).";
    let versions = OneOfBuilder::new().description(Some(told));
    versions.item(format(KnownFormat::Ipv4)).item(format(KnownFormat::Ipv6))
}

fn address_or_null() -> Schema {
    address_schema().item(ObjectBuilder::new().schema_type(Type::Null)).build().into()
}

/// One key press: when it went down and up, on any clock that starts anywhere and runs evenly
/// through the report.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Keystroke {
    /// Milliseconds.
    #[schema(minimum = 0, maximum = 604_800_000)]
    pub down_ms: f64,
    /// Milliseconds; not before `down_ms`.
    #[schema(minimum = 0, maximum = 604_800_000)]
    pub up_ms: f64,
}

/// Where the pointer was.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PointerEvent {
    /// Milliseconds; not before the event before.
    #[schema(minimum = 0, maximum = 604_800_000)]
    pub t_ms: f64,
    /// Pixels.
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    pub x: f64,
    /// Pixels.
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    pub y: f64,
    #[serde(default)]
    pub kind: PointerKind,
}

/// What the pointer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PointerKind {
    #[default]
    Move,
    Down,
    Up,
}

/// What the session runs on, as far as the application knows.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Device {
    #[schema(max_length = 1024)]
    pub user_agent: Option<String>,
    #[schema(max_length = 1024)]
    pub platform: Option<String>,
    #[schema(max_length = 1024)]
    pub language: Option<String>,
    pub screen: Option<Screen>,
    /// IANA name of the time zone.
    #[schema(max_length = 1024)]
    pub timezone: Option<String>,
    /// Whether it is typed on glass.
    pub touch: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Screen {
    #[schema(minimum = 0, maximum = 100_000)]
    pub width: u32,
    #[schema(minimum = 0, maximum = 100_000)]
    pub height: u32,
    #[schema(minimum = 0, maximum = 100)]
    pub pixel_ratio: Option<f64>,
}

/// A report that can be: within its limits and in order.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub(crate) subject: Option<String>,
    pub(crate) sequence: Option<u64>,
    pub(crate) sent_us: Option<i64>,
    pub(crate) keystrokes: Vec<Keystroke>,
    pub(crate) pointer: Vec<PointerEvent>,
    pub(crate) device: Option<Device>,
    pub(crate) address: Option<IpAddr>,
}

impl Telemetry {
    /// # Errors
    /// [`Error::Invalid`], naming the field and what it takes.
    pub fn check(self) -> Result<Report, Error> {
        if let Some(subject) = &self.subject {
            check_subject(subject)?;
        }
        require(self.sequence.is_none_or(|n| n <= SEQUENCE_MAX), "sequence", || {
            format!("is at most {SEQUENCE_MAX}")
        })?;
        let sent_us = self.sent_at.as_deref().map(sent_us).transpose()?;
        check_keystrokes(&self.keystrokes)?;
        check_pointer(&self.pointer)?;
        if let Some(device) = &self.device {
            check_device(device)?;
        }
        let address = self.address.as_deref().map(address).transpose()?;
        Ok(Report {
            subject: self.subject,
            sequence: self.sequence,
            sent_us,
            keystrokes: self.keystrokes,
            pointer: self.pointer,
            device: self.device,
            address,
        })
    }
}

/// # Errors
/// [`Error::Invalid`] for an empty, overlong or unprintable name.
pub(crate) fn check_subject(subject: &str) -> Result<(), Error> {
    let length = subject.chars().count();
    let good = (1..=SUBJECT_MAX_CHARS).contains(&length) && !subject.contains(ascii_control);
    require(good, "subject", || {
        format!("is 1 to {SUBJECT_MAX_CHARS} characters, none of them a control character")
    })
}

fn ascii_control(c: char) -> bool {
    c.is_ascii_control()
}

fn sent_us(text: &str) -> Result<i64, Error> {
    let time: Result<jiff::Timestamp, _> = text.parse();
    let time = time.map_err(|_| invalid("sent_at", || "is an RFC 3339 time".to_owned()))?;
    Ok(time.as_microsecond())
}

fn address(text: &str) -> Result<IpAddr, Error> {
    text.parse().map_err(|_| invalid("address", || "is an IPv4 or IPv6 address".to_owned()))
}

fn check_keystrokes(keys: &[Keystroke]) -> Result<(), Error> {
    require(keys.len() <= KEYSTROKES_MAX, "keystrokes", || {
        format!("are at most {KEYSTROKES_MAX} in one report")
    })?;
    let mut before = 0.0;
    for (at, key) in keys.iter().enumerate() {
        let field = || format!("keystrokes[{at}]");
        check_time(key.down_ms, || format!("{}.down_ms", field()))?;
        check_time(key.up_ms, || format!("{}.up_ms", field()))?;
        require(key.up_ms >= key.down_ms, field(), || {
            "cannot go up before it went down".to_owned()
        })?;
        require(key.down_ms >= before, field(), || {
            "went down before the one in front of it; order them by down_ms".to_owned()
        })?;
        before = key.down_ms;
    }
    Ok(())
}

fn check_pointer(points: &[PointerEvent]) -> Result<(), Error> {
    require(points.len() <= POINTER_MAX, "pointer", || {
        format!("is at most {POINTER_MAX} events in one report")
    })?;
    let mut before = 0.0;
    for (at, point) in points.iter().enumerate() {
        let field = || format!("pointer[{at}]");
        check_time(point.t_ms, || format!("{}.t_ms", field()))?;
        let inside = |value: f64| (-COORDINATE_MAX_PX..=COORDINATE_MAX_PX).contains(&value);
        require(inside(point.x) && inside(point.y), field(), || {
            format!("is within ±{COORDINATE_MAX_PX} pixels")
        })?;
        require(point.t_ms >= before, field(), || {
            "is earlier than the one in front of it; order them by t_ms".to_owned()
        })?;
        before = point.t_ms;
    }
    Ok(())
}

fn check_time(ms: f64, field: impl FnOnce() -> String) -> Result<(), Error> {
    if (0.0..=TIME_MAX_MS).contains(&ms) {
        return Ok(());
    }
    Err(invalid(field(), || format!("is 0 to {TIME_MAX_MS} milliseconds")))
}

fn check_device(device: &Device) -> Result<(), Error> {
    let texts = [
        ("device.user_agent", &device.user_agent),
        ("device.platform", &device.platform),
        ("device.language", &device.language),
        ("device.timezone", &device.timezone),
    ];
    for (field, text) in texts {
        let fits = text.as_ref().is_none_or(|text| text.chars().count() <= TEXT_MAX_CHARS);
        require(fits, field, || format!("is at most {TEXT_MAX_CHARS} characters"))?;
    }
    let Some(screen) = device.screen else { return Ok(()) };
    let sides = screen.width <= SIDE_MAX_PX && screen.height <= SIDE_MAX_PX;
    require(sides, "device.screen", || format!("is at most {SIDE_MAX_PX} pixels a side"))?;
    let ratio = screen.pixel_ratio.is_none_or(|ratio| (0.0..=RATIO_MAX).contains(&ratio));
    require(ratio, "device.screen.pixel_ratio", || format!("is 0 to {RATIO_MAX}"))
}

fn require(
    holds: bool,
    field: impl Into<String>,
    reason: impl FnOnce() -> String,
) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(invalid(field, reason)) }
}

fn invalid(field: impl Into<String>, reason: impl FnOnce() -> String) -> Error {
    Error::Invalid { field: field.into(), reason: reason() }
}
