//! What is written is what there is, in all three formats.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram as Library;
use prost::Message as _;

use super::protobuf::{MetricFamily, Span};
use super::{
    Bucket, Exemplar, Family, Format, Histogram, Kind, Native, Number, Series, Value, read,
};
use crate::metrics::Metrics;

const HOSTILE: &str = "a\"b\\c\nd} 1 # {x=\"y\"} 2\\";

fn family(kind: Kind, labels: &[(&str, &str)], value: Value) -> Family {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let series = vec![Series { labels: labels.collect(), value }];
    let (name, help) = ("x".to_owned(), "A \"b\" \\ c\nd.".to_owned());
    Family { name, help, kind, series, labels: Vec::new() }
}

fn exemplar(at_s: Option<f64>) -> Exemplar {
    Exemplar {
        labels: vec![("trace_id".to_owned(), "0af7".to_owned())],
        value: Number::Float(0.25),
        at_s,
    }
}

fn histogram() -> Histogram {
    let bucket = |upper, cumulative, exemplar| Bucket { upper, cumulative, exemplar };
    let buckets = vec![
        bucket(0.35, 2, Some(exemplar(Some(1_700_000_000.25)))),
        bucket(2.0, 2, None),
        bucket(f64::INFINITY, 3, None),
    ];
    let positive = vec![(-2, 1), (-1, 3), (5, 2)];
    let native = Native { schema: 3, zero_threshold: 0.5, zero_count: 4, positive };
    Histogram { sum: 7.5, count: 3, buckets, native: Some(native) }
}

fn written(format: Format, families: &[Family]) -> String {
    String::from_utf8(format.write(families)).unwrap()
}

fn messages(families: &[Family]) -> Vec<MetricFamily> {
    let bytes = Format::Protobuf.write(families);
    let (mut rest, mut messages) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        messages.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    messages
}

#[test]
fn open_metrics_has_exemplars_and_an_end() {
    let count = Value::Number { number: Number::Count(u64::MAX), exemplar: Some(exemplar(None)) };
    let families = [
        family(Kind::Counter, &[("a", HOSTILE), ("b", "")], count),
        family(Kind::Histogram, &[("a", "1")], Value::Histogram(Box::new(histogram()))),
    ];
    assert_eq!(
        written(Format::OpenMetrics, &families),
        "# HELP x A \\\"b\\\" \\\\ c\\nd.\n# TYPE x counter\n\
         x_total{a=\"a\\\"b\\\\c\\nd} 1 # {x=\\\"y\\\"} 2\\\\\",b=\"\"} 18446744073709551615 # {trace_id=\"0af7\"} 0.25\n\
         # HELP x A \\\"b\\\" \\\\ c\\nd.\n# TYPE x histogram\n\
         x_bucket{le=\"0.35\",a=\"1\"} 2 # {trace_id=\"0af7\"} 0.25 1700000000.250000\n\
         x_bucket{le=\"2.0\",a=\"1\"} 2\nx_bucket{le=\"+Inf\",a=\"1\"} 3\n\
         x_sum{a=\"1\"} 7.5\nx_count{a=\"1\"} 3\n# EOF\n"
    );
}

#[test]
fn plain_text_has_neither_and_names_families_as_their_samples() {
    let number = |number| Value::Number { number, exemplar: Some(exemplar(None)) };
    let families = [
        family(Kind::Counter, &[], number(Number::Float(0.5))),
        family(Kind::Gauge, &[], number(Number::Signed(-3))),
        family(Kind::Info, &[("version", "1")], number(Number::Count(1))),
    ];
    assert_eq!(
        written(Format::Text, &families),
        "# HELP x_total A \"b\" \\\\ c\\nd.\n# TYPE x_total counter\nx_total 0.5\n\
         # HELP x A \"b\" \\\\ c\\nd.\n# TYPE x gauge\nx -3\n\
         # HELP x_info A \"b\" \\\\ c\\nd.\n# TYPE x_info gauge\nx_info{version=\"1\"} 1\n"
    );
}

#[test]
fn protobuf_has_native_buckets_as_spans_and_differences() {
    let [message] = &messages(&[family(
        Kind::Histogram,
        &[("a", HOSTILE)],
        Value::Histogram(Box::new(histogram())),
    )])[..] else {
        panic!("one family");
    };
    assert_eq!((message.name.as_str(), message.kind), ("x", 4));
    let metric = &message.metrics[0];
    assert_eq!(metric.labels[0].value, HOSTILE);
    let told = metric.histogram.as_ref().unwrap();
    assert_eq!((told.count, told.sum, told.schema, told.zero_count), (3, 7.5, 3, 4));
    assert_eq!(told.spans, [Span { offset: -2, length: 2 }, Span { offset: 5, length: 1 }]);
    assert_eq!(told.deltas, [1, 2, -1]);
    let cumulative: Vec<u64> = told.buckets.iter().map(|bucket| bucket.cumulative).collect();
    assert_eq!(cumulative, [2, 2, 3]);
    let at = told.buckets[0].exemplar.as_ref().unwrap().at.unwrap();
    assert_eq!((at.seconds, at.nanos), (1_700_000_000, 250_000_000));
}

#[test]
fn a_family_without_series_is_not_written() {
    let mut empty = family(Kind::Counter, &[], Value::Histogram(Box::new(histogram())));
    empty.series.clear();
    let empty = [empty];
    assert_eq!(written(Format::OpenMetrics, &empty), "# EOF\n");
    assert_eq!(written(Format::Text, &empty), "");
    assert_eq!(messages(&empty), []);
}

#[test]
fn what_the_library_writes_is_read_without_loss_whatever_stands_in_it() {
    type Labels = Vec<(String, String)>;
    type Of<M> = prometheus_client::metrics::family::Family<Labels, M>;
    let metrics = Metrics::new("test");
    let long = "x".repeat(1_000_000);
    for value in [HOSTILE, "", "\\n", "\\\\", "é\u{2028}", &long] {
        let labels =
            vec![("first".to_owned(), value.to_owned()), ("second".to_owned(), "2".to_owned())];
        let counters = metrics.register("c", "Counters.", Of::<Counter>::default());
        counters.get_or_create(&labels).inc_by(u64::MAX);
        let gauges = metrics.register("g", HOSTILE, Of::<Gauge>::default());
        gauges.get_or_create(&labels).set(i64::MIN);
        let histograms: Of<Library> = Of::new_with_constructor(|| Library::new([0.5, 1e-7]));
        let histograms = metrics.register("h", "Histograms.", histograms);
        histograms.get_or_create(&labels).observe(0.1);
        let families = metrics.families();
        let last = |name: &str| {
            let mut found = families.iter().filter(|family| family.name == name);
            found.next_back().unwrap().series.last().unwrap().clone()
        };
        assert_eq!(last("c").labels, labels);
        let number = |number| Value::Number { number, exemplar: None };
        assert_eq!(last("c").value, number(Number::Count(u64::MAX)));
        assert_eq!(last("g").value, number(Number::Signed(i64::MIN)));
        let Value::Histogram(histogram) = last("h").value else { panic!("a histogram") };
        assert_eq!(last("h").labels, labels);
        assert_eq!((histogram.count, histogram.sum, histogram.buckets.len()), (1, 0.1, 3));
        // And what is written here is read the same.
        let again = read(&written(Format::OpenMetrics, &families));
        let series = |families: &[Family]| -> Vec<Series> {
            families.iter().flat_map(|family| family.series.clone()).collect()
        };
        assert_eq!(series(&again), series(&families));
    }
}
