//! What is read from other metrics: ratios and freshness.

use std::collections::BTreeSet;

use super::exposition::lines;

#[test]
fn series_are_read_as_they_are_written() {
    let text = "# TYPE x counter\n# HELP x Some.\nx_total{a=\"1\",b=\"q\\\"\\\\\\n}\"} 3 # {trace_id=\"9\"} 1\n\
                x_total 4\nxy_total 5\ny 1.5e3\n# EOF\n";
    let wanted = BTreeSet::from(["x_total", "y"]);
    let read: Vec<_> = lines("gateway", text, &wanted).collect();
    assert_eq!(read.iter().map(|line| line.value).collect::<Vec<_>>(), [3.0, 4.0, 1500.0]);
    assert_eq!(read[0].label("a"), Some("1"));
    assert_eq!(read[0].label("b"), Some("q\"\\\n}"));
    assert_eq!((read[0].label("c"), read[0].label("job")), (None, Some("gateway")));
    assert_eq!(lines("x", "x_total{a=\"1\nx_total{a\nx_total", &wanted).count(), 0);
}
