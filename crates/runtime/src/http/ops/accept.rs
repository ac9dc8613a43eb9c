//! In which format metrics are asked for: RFC 9110 §12.5.1, for the three there are.

use http::{HeaderMap, header};

use crate::metrics::Format;

/// What whoever says nothing gets, as from every client library of Prometheus: the format that
/// everything reads.
const DEFAULT: Format = Format::Text;

/// The most wanted of the formats; of equally wanted ones the first that is named. Who wants none of
/// them gets the default, which is better than nothing (§15.5.7 allows it).
pub(super) fn format(headers: &HeaderMap) -> Format {
    let values = headers.get_all(header::ACCEPT).iter();
    let ranges = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut best = None;
    for (format, weight) in ranges.filter_map(range) {
        if weight > 0 && best.is_none_or(|(_, most)| weight > most) {
            best = Some((format, weight));
        }
    }
    best.map_or(DEFAULT, |(format, _)| format)
}

/// A media range that one of the formats is in, and its weight in thousandths.
fn range(text: &str) -> Option<(Format, u32)> {
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next()?.to_ascii_lowercase();
    let mut weight = 1_000;
    let (mut version, mut proto, mut encoding) = (None, None, None);
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => weight = thousandths(value)?,
            "version" => version = Some(value),
            "proto" => proto = Some(value),
            "encoding" => encoding = Some(value),
            _ => {}
        }
    }
    let format = match kind.as_str() {
        "application/openmetrics-text" if matches!(version, None | Some("1.0.0" | "0.0.1")) => {
            Format::OpenMetrics
        }
        "application/vnd.google.protobuf"
            if proto == Some("io.prometheus.client.MetricFamily")
                && encoding == Some("delimited") =>
        {
            Format::Protobuf
        }
        // 1.0.0 is the text that may name metrics in any alphabet; ours are plain.
        "text/plain" if matches!(version, None | Some("0.0.4")) => Format::Text,
        "text/*" | "*/*" => DEFAULT,
        "application/*" => Format::OpenMetrics,
        _ => return None,
    };
    Some((format, weight))
}

/// `0.75` is 750. What is no weight takes its range away.
fn thousandths(text: &str) -> Option<u32> {
    let weight: f32 = text.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is 0 to 1000")]
    (0.0..=1.0).contains(&weight).then(|| (weight * 1_000.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::{Format, HeaderMap, format};

    #[track_caller]
    fn check(accept: &str, expect: Format) {
        let mut headers = HeaderMap::new();
        headers.insert("accept", accept.parse().unwrap());
        assert_eq!(format(&headers), expect, "{accept}");
    }

    #[test]
    fn scrapers_get_what_they_want_most() {
        // Prometheus 2.42, without and with native histograms, and Prometheus 3.
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format::OpenMetrics,
        );
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        check(
            &format!(
                "{protobuf},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5"
            ),
            Format::Protobuf,
        );
        check(
            &format!(
                "{protobuf};q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
            ),
            Format::Protobuf,
        );
        check(
            "text/plain;version=1.0.0;q=0.9, application/openmetrics-text;q=0.1",
            Format::OpenMetrics,
        );
        check(
            "application/openmetrics-text; version=\"1.0.0\"; q=0.5, text/plain; q=0.500",
            Format::OpenMetrics,
        );
    }

    #[test]
    fn others_get_plain_text() {
        assert_eq!(format(&HeaderMap::new()), Format::Text);
        for accept in [
            "*/*",
            "text/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "image/png",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=high",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
            ",;;=,",
        ] {
            check(accept, Format::Text);
        }
    }
}
