//! The queue: turns, leases, limits, idempotency, pages.

use store::domain::{
    Deleted, NewVerification, Order, Outcome, QueueDepth, State, Submitted, Verifications as _,
};

use crate::support::{open, order, submit, summary, tenant, work};

const NO_LIMIT: u64 = u64::MAX;

#[tokio::test]
async fn a_verification_goes_from_queued_to_done_with_its_report() {
    let store = open();
    let submitted = submit(&store, "a", "1").await;
    let depth = QueueDepth { queued: 1, running: 0, oldest_queued_us: Some(1_000) };
    assert_eq!(store.depth().await.unwrap(), depth);

    let lease = store.claim(2_000, 9_000).await.unwrap().unwrap();
    assert_eq!(lease.verification.order, submitted.order);
    assert_eq!(lease.verification.state, State::Running);
    assert_eq!((lease.verification.attempts, lease.verification.started_us), (1, Some(2_000)));
    assert!(store.claim(2_001, 9_000).await.unwrap().is_none());

    let report = b"{\"a\": 1}\n\xff".to_vec();
    let outcome = Outcome::Report { summary: summary(), report: report.clone() };
    assert!(store.finish(&lease, outcome, 3_000).await.unwrap());
    let done = store.verification(&tenant("a"), "1").await.unwrap().unwrap();
    assert_eq!(done.state, State::Done);
    assert_eq!(done.finished_us, Some(3_000));
    assert_eq!(done.summary, Some(summary()));
    assert_eq!(store.report(&tenant("a"), "1").await.unwrap(), Some(report));
    assert_eq!(store.depth().await.unwrap(), QueueDepth::default());
}

#[tokio::test]
async fn a_failure_keeps_its_reason_and_has_no_report() {
    let store = open();
    submit(&store, "a", "1").await;
    let lease = store.claim(2, 9).await.unwrap().unwrap();
    let failed = Outcome::Failed { reason: "no interpreter".to_owned() };
    assert!(store.finish(&lease, failed, 3).await.unwrap());
    let found = store.verification(&tenant("a"), "1").await.unwrap().unwrap();
    assert_eq!((found.state, found.failure.as_deref()), (State::Failed, Some("no interpreter")));
    assert_eq!(store.report(&tenant("a"), "1").await.unwrap(), None);
}

#[tokio::test]
async fn a_worker_taken_for_dead_cannot_finish_what_another_one_began_since() {
    let store = open();
    submit(&store, "a", "1").await;
    let first = store.claim(0, 10).await.unwrap().unwrap();
    assert!(store.claim(9, 20).await.unwrap().is_none(), "the lease lasts");
    let second = store.claim(10, 20).await.unwrap().unwrap();
    assert_eq!(second.verification.attempts, 2);

    assert!(!store.renew(&first, 99).await.unwrap());
    assert!(!store.release(&first).await.unwrap());
    let late = Outcome::Report { summary: summary(), report: b"late".to_vec() };
    assert!(!store.finish(&first, late, 11).await.unwrap());
    assert_eq!(store.report(&tenant("a"), "1").await.unwrap(), None);

    let good = Outcome::Report { summary: summary(), report: b"good".to_vec() };
    assert!(store.finish(&second, good.clone(), 12).await.unwrap());
    assert!(!store.finish(&second, good, 13).await.unwrap(), "finished once");
    assert_eq!(store.report(&tenant("a"), "1").await.unwrap(), Some(b"good".to_vec()));
}

#[tokio::test]
async fn a_late_worker_finishes_when_nobody_took_over() {
    let store = open();
    submit(&store, "a", "1").await;
    let lease = store.claim(0, 10).await.unwrap().unwrap();
    let failed = Outcome::Failed { reason: "x".to_owned() };
    assert!(store.finish(&lease, failed, 50).await.unwrap());
}

#[tokio::test]
async fn a_renewed_lease_lasts_and_a_released_one_is_claimed_again() {
    let store = open();
    submit(&store, "a", "1").await;
    let lease = store.claim(0, 10).await.unwrap().unwrap();
    assert!(store.renew(&lease, 100).await.unwrap());
    assert!(store.claim(50, 60).await.unwrap().is_none());
    assert!(store.release(&lease).await.unwrap());
    let found = store.verification(&tenant("a"), "1").await.unwrap().unwrap();
    assert_eq!((found.state, found.started_us, found.attempts), (State::Queued, None, 1));
    assert_eq!(store.claim(51, 60).await.unwrap().unwrap().verification.attempts, 2);
}

#[tokio::test]
async fn tenants_take_turns_however_long_a_queue_is() {
    let store = open();
    for number in 0..6 {
        submit(&store, "greedy", &format!("g{number}")).await;
    }
    for number in 0..2 {
        submit(&store, "modest", &format!("m{number}")).await;
    }
    let mut order = Vec::new();
    while let Some(lease) = store.claim(0, 10).await.unwrap() {
        order.push(lease.verification.id);
    }
    assert_eq!(order, ["g0", "m0", "g1", "m1", "g2", "g3", "g4", "g5"]);
}

#[tokio::test]
async fn the_tenant_with_the_least_running_goes_first() {
    let store = open();
    for id in ["a1", "a2", "a3"] {
        submit(&store, "a", id).await;
    }
    submit(&store, "b", "b1").await;
    let a1 = store.claim(0, 10).await.unwrap().unwrap();
    let b1 = store.claim(0, 10).await.unwrap().unwrap();
    assert_eq!([a1.verification.id.as_str(), &b1.verification.id], ["a1", "b1"]);
    submit(&store, "b", "b2").await;
    let failed = Outcome::Failed { reason: "x".to_owned() };
    assert!(store.finish(&b1, failed, 1).await.unwrap());
    // It is a's turn, but a has one running and b none.
    let next = store.claim(2, 10).await.unwrap().unwrap();
    assert_eq!(next.verification.id, "b2");
}

#[tokio::test]
async fn what_a_dead_process_left_running_is_queued_again() {
    let store = open();
    for id in ["1", "2", "3"] {
        submit(&store, "a", id).await;
    }
    let left = store.claim(0, 1_000_000).await.unwrap().unwrap();
    store.claim(0, 1_000_000).await.unwrap().unwrap();
    assert_eq!(store.requeue_all().await.unwrap(), 2);
    assert_eq!(store.requeue_all().await.unwrap(), 0);
    let depth = store.depth().await.unwrap();
    assert_eq!((depth.queued, depth.running), (3, 0));
    let failed = Outcome::Failed { reason: "x".to_owned() };
    assert!(!store.finish(&left, failed, 1).await.unwrap(), "its lease is gone");
    assert_eq!(store.claim(0, 10).await.unwrap().unwrap().verification.id, "1");
}

#[tokio::test]
async fn the_same_request_again_is_the_same_verification() {
    let store = open();
    let keyed = |id: &str, tenant: &str, order: Order| NewVerification {
        idempotency_key: Some("k".to_owned()),
        order,
        ..work(tenant, id)
    };
    let first = store.submit(keyed("1", "a", order("aa")), 1, 1).await.unwrap();
    let Submitted::New(first) = first else { panic!("{first:?}") };

    let traced_anew = Order { traceparent: None, ..order("aa") };
    let again = store.submit(keyed("2", "a", traced_anew), 1, 1).await.unwrap();
    assert_eq!(again, Submitted::Same(first), "even though the queue is full");

    let other = store.submit(keyed("3", "a", order("bb")), NO_LIMIT, NO_LIMIT).await.unwrap();
    assert_eq!(other, Submitted::Conflict { id: "1".to_owned() });

    let foreign = store.submit(keyed("4", "b", order("bb")), NO_LIMIT, NO_LIMIT).await.unwrap();
    assert!(matches!(foreign, Submitted::New(_)), "keys are each tenant's own: {foreign:?}");

    assert_ne!(store.delete(&tenant("a"), "1").await.unwrap(), Deleted::NotFound);
    let after = store.submit(keyed("5", "a", order("bb")), NO_LIMIT, NO_LIMIT).await.unwrap();
    assert!(matches!(after, Submitted::New(_)), "the key went with it: {after:?}");
}

#[tokio::test]
async fn limits_count_what_is_unfinished() {
    let store = open();
    let full = |queued, limit| Submitted::QueueFull { queued, limit };
    submit(&store, "a", "1").await;
    submit(&store, "a", "2").await;
    assert_eq!(store.submit(work("a", "3"), 2, NO_LIMIT).await.unwrap(), full(2, 2));
    assert_eq!(store.submit(work("b", "3"), 2, 2).await.unwrap(), full(2, 2));
    assert!(store.verification(&tenant("a"), "3").await.unwrap().is_none());

    let lease = store.claim(0, 10).await.unwrap().unwrap();
    assert_eq!(store.submit(work("a", "3"), 2, NO_LIMIT).await.unwrap(), full(2, 2));
    let failed = Outcome::Failed { reason: "x".to_owned() };
    assert!(store.finish(&lease, failed, 1).await.unwrap());
    let accepted = store.submit(work("a", "3"), 2, NO_LIMIT).await.unwrap();
    assert!(matches!(accepted, Submitted::New(_)), "{accepted:?}");
}

#[tokio::test]
async fn a_list_is_paged_newest_first_and_by_state() {
    let store = open();
    for number in 0..5 {
        submit(&store, "a", &format!("{number}")).await;
    }
    submit(&store, "b", "9").await;
    let lease = store.claim(0, 10).await.unwrap().unwrap();
    assert_eq!(lease.verification.id, "0");

    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = store.verifications(&tenant("a"), before.as_deref(), None, 2).await.unwrap();
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|item| item.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["4", "3", "2", "1", "0"]);

    let queued = Some(State::Queued);
    let page = store.verifications(&tenant("a"), Some("3"), queued, 1).await.unwrap();
    assert_eq!(page.items[0].id, "2");
    assert_eq!(page.next.as_deref(), Some("2"));
    let page = store.verifications(&tenant("a"), Some("2"), queued, 1).await.unwrap();
    assert_eq!((page.items[0].id.as_str(), page.next), ("1", None), "0 runs");
    let page = store.verifications(&tenant("a"), None, None, 5).await.unwrap();
    assert_eq!((page.items.len(), page.next), (5, None), "exactly full is the last");
}

#[tokio::test]
async fn a_delete_says_whether_the_artifact_is_still_named() {
    let store = open();
    submit(&store, "a", "1").await;
    submit(&store, "a", "2").await;
    submit(&store, "b", "3").await;
    let a = tenant("a");
    let sha256 = order("aa").sha256;
    let lease = store.claim(0, 10).await.unwrap().unwrap();
    assert_eq!(store.delete(&a, "1").await.unwrap(), Deleted::Running);
    let outcome = Outcome::Report { summary: summary(), report: b"r".to_vec() };
    assert!(store.finish(&lease, outcome, 1).await.unwrap());

    let gone = |last_use| Deleted::Gone { sha256: sha256.clone(), last_use };
    assert_eq!(store.delete(&a, "1").await.unwrap(), gone(false));
    assert_eq!(store.delete(&a, "1").await.unwrap(), Deleted::NotFound);
    assert_eq!(store.report(&a, "1").await.unwrap(), None);
    assert!(store.artifact_used(&a, &sha256).await.unwrap());
    assert_eq!(store.delete(&a, "2").await.unwrap(), gone(true), "b's use is none of a's");
    assert!(!store.artifact_used(&a, &sha256).await.unwrap());
    assert_eq!(store.depth().await.unwrap().queued, 1);
}
