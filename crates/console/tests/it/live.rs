//! Browsers are told of new evaluations, not without bound, and let go at the end.

use crate::Served;
use crate::client::Stream;

#[tokio::test]
async fn an_evaluation_is_told_at_once_and_the_end_ends_it() {
    let served = Served::open().await;
    let mut stream = Stream::open(served.address, "/events").await;
    let events =
        |number: usize| move |text: &str| text.matches("event: evaluated").count() >= number;
    assert!(stream.until(events(1)).await, "the first is at once");
    assert!(stream.text.contains("content-type: text/event-stream"), "{}", stream.text);
    served.scene.made.evaluate();
    assert!(stream.until(events(2)).await, "{}", stream.text);
    served.scene.tasks.shutdown().begin();
    assert!(!stream.until(|_| false).await, "it ends");
}

#[tokio::test]
async fn streams_have_a_bound_and_a_place_is_free_again() {
    let served = Served::open().await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        let mut stream = Stream::open(served.address, "/events").await;
        assert!(stream.until(|text| text.contains("event: evaluated")).await);
        streams.push(stream);
    }
    let refused = served.get("/events").await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("64 browsers"), "{}", refused.body);
    let text = served.scene.metrics.text();
    assert!(text.contains("shieldx_console_event_streams 64"), "{text}");
    assert!(text.contains("refused_total{reason=\"streams\"} 1"), "{text}");
    drop(streams);
    // That it has gone is seen when the server next says something.
    for _ in 0..2_000 {
        served.scene.made.evaluate();
        let mut stream = Stream::open(served.address, "/events").await;
        if stream.until(|text| text.contains("event: evaluated") || text.contains("503")).await
            && stream.text.contains("event: evaluated")
        {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no place became free");
}
