//! What a collector's answer means, by <https://opentelemetry.io/docs/specs/otlp/>.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use super::Sent;

/// Of a message a collector sends with a failure, characters that are told.
const MESSAGE_MAX: usize = 200;
/// The type of the detail that says when to come again.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// How many spans a collector says it has not taken (`partial_success`). What is no such answer says
/// nothing.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    ExportTraceServiceResponse::decode(answer)
        .ok()
        .and_then(|answer| answer.partial_success)
        .map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}

/// An answer over gRPC, complete.
#[derive(Debug)]
pub(super) struct Grpc {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Empty where the headers were all there was.
    pub(super) trailers: HeaderMap,
}

impl Grpc {
    pub(super) fn meaning(&self) -> Sent {
        let Some(code) = self.find("grpc-status") else {
            return self.without_status();
        };
        if code == "0" {
            return Sent::Taken { rejected: self.message().map_or(0, rejected) };
        }
        let code: u32 = code.to_str().ok().and_then(|code| code.parse().ok()).unwrap_or(UNKNOWN);
        let reason = format!("it answers {}{}", name(code), self.told());
        let after = self.find("grpc-status-details-bin").and_then(retry_delay);
        match code {
            // Cancelled, deadline exceeded, aborted, out of range, unavailable, data loss.
            1 | 4 | 10 | 11 | 14 | 15 => Sent::Unreachable { reason, retry: true, after },
            // Resource exhausted: only if it says when there will be more.
            8 if after.is_some() => Sent::Unreachable { reason, retry: true, after },
            _ => Sent::Refused { reason },
        }
    }

    /// Something between us and the collector has answered (gRPC's `http-grpc-status-mapping`).
    fn without_status(&self) -> Sent {
        let reason = format!("it answers {} without a gRPC status", self.status);
        match self.status.as_u16() {
            429 | 502..=504 => Sent::Unreachable { reason, retry: true, after: None },
            _ => Sent::Refused { reason },
        }
    }

    fn find(&self, name: &str) -> Option<&HeaderValue> {
        self.trailers.get(name).or_else(|| self.headers.get(name))
    }

    /// The one message: a byte that says whether it is compressed, four of length, and the rest.
    fn message(&self) -> Option<&[u8]> {
        let (prefix, message) = self.body.split_first_chunk::<5>()?;
        let (compressed, len) = prefix.split_first()?;
        let len = u32::from_be_bytes(len.try_into().ok()?);
        (*compressed == 0).then_some(())?;
        message.get(..usize::try_from(len).ok()?)
    }

    /// What it says of the failure, percent-encoded as it is.
    fn told(&self) -> String {
        let told = self.find("grpc-message").and_then(|told| told.to_str().ok());
        let told = told.map(|told| told.chars().take(MESSAGE_MAX).collect::<String>());
        told.filter(|told| !told.is_empty()).map_or_else(String::new, |told| format!(": {told}"))
    }
}

const UNKNOWN: u32 = 2;

fn name(code: u32) -> String {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    name.map_or_else(|| format!("gRPC status {code}"), |name| (*name).to_owned())
}

/// `google.rpc.Status`, as far as it is of interest.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn retry_delay(details: &HeaderValue) -> Option<Duration> {
    let status = Status::decode(&*base64(details.as_bytes())?).ok()?;
    let info = status.details.iter().find(|detail| detail.type_url == RETRY_INFO)?;
    let delay = RetryInfo::decode(&*info.value).ok()?.retry_delay?;
    Some(Duration::new(u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?))
}

/// RFC 4648 §4, padded or not, as gRPC allows for values of names that end in `-bin`.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for digit in text.iter().take_while(|digit| **digit != b'=') {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Delay, Detail, Duration, Grpc, HeaderMap, Message, RETRY_INFO, RetryInfo, Sent};
    use super::{Status, StatusCode, base64};

    fn answer(trailers: &[(&'static str, &str)]) -> Sent {
        let trailers: HeaderMap = trailers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let headers = HeaderMap::new();
        Grpc { status: StatusCode::OK, headers, body: Vec::new(), trailers }.meaning()
    }

    /// Without padding, as gRPC sends it.
    fn encode(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: Vec<bool> = bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
            .collect();
        let digit = |six: &[bool]| {
            (0..6).fold(0, |value, at| value << 1 | usize::from(six.get(at) == Some(&true)))
        };
        bits.chunks(6).map(|six| char::from(DIGITS[digit(six)])).collect()
    }

    #[test]
    fn statuses_that_may_pass_are_tried_again_and_others_never() {
        for code in 0..=17_u32 {
            let sent = answer(&[("grpc-status", &code.to_string())]);
            let again = matches!(sent, Sent::Unreachable { retry: true, .. });
            assert_eq!(again, [1, 4, 10, 11, 14, 15].contains(&code), "{code}: {sent:?}");
            assert_eq!(matches!(sent, Sent::Taken { .. }), code == 0, "{code}: {sent:?}");
        }
        assert!(matches!(answer(&[("grpc-status", "x")]), Sent::Refused { .. }));
    }

    #[test]
    fn an_exhausted_collector_is_asked_again_only_when_it_says_when() {
        let delay = Some(Delay { seconds: 2, nanos: 500_000_000 });
        let value = RetryInfo { retry_delay: delay }.encode_to_vec();
        let details = vec![Detail { type_url: RETRY_INFO.to_owned(), value }];
        let details = encode(&Status { details }.encode_to_vec());
        let sent = answer(&[("grpc-status", "8"), ("grpc-status-details-bin", &details)]);
        let expected = Some(Duration::from_millis(2_500));
        let Sent::Unreachable { retry: true, after, .. } = sent else { panic!("{sent:?}") };
        assert_eq!(after, expected);
        for details in ["", "!", "AAAA", &details[..8]] {
            let sent = answer(&[("grpc-status", "8"), ("grpc-status-details-bin", details)]);
            assert!(matches!(sent, Sent::Refused { .. }), "{details:?}: {sent:?}");
        }
    }

    #[test]
    fn an_answer_without_a_status_is_no_success() {
        let bare = |status| {
            let (headers, trailers) = (HeaderMap::new(), HeaderMap::new());
            Grpc { status, headers, body: Vec::new(), trailers }.meaning()
        };
        assert!(matches!(bare(StatusCode::OK), Sent::Refused { .. }));
        assert!(matches!(bare(StatusCode::NOT_FOUND), Sent::Refused { .. }));
        let busy = bare(StatusCode::SERVICE_UNAVAILABLE);
        assert!(matches!(busy, Sent::Unreachable { retry: true, .. }), "{busy:?}");
    }

    #[test]
    fn base64_is_read_with_and_without_padding() {
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zg", "f"), ("Zm8", "fo"), ("Zm9vYmE=", "fooba")]
        {
            assert_eq!(base64(text.as_bytes()).unwrap(), bytes.as_bytes());
        }
        assert_eq!(base64(b"Z-"), None);
    }
}
