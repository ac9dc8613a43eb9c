//! No call finds anything of another tenant, whatever id it is given.

use store::domain::{
    Deleted, FeatureLog as _, NewVerification, Outcome, Page, Sessions as _, State, Submitted,
    Verifications as _,
};

use crate::support::{open, order, segment, submit, summary, tenant, work};

#[tokio::test]
async fn verifications_are_their_tenants_own() {
    let store = open();
    submit(&store, "a", "1").await;
    let lease = store.claim(0, 10).await.unwrap().unwrap();
    let outcome = Outcome::Report { summary: summary(), report: b"r".to_vec() };
    assert!(store.finish(&lease, outcome, 1).await.unwrap());

    let b = tenant("b");
    let nothing = Page { items: vec![], next: None };
    assert_eq!(store.verification(&b, "1").await.unwrap(), None);
    assert_eq!(store.verifications(&b, None, None, 9).await.unwrap(), nothing);
    assert_eq!(store.verifications(&b, Some("2"), Some(State::Done), 9).await.unwrap(), nothing);
    assert_eq!(store.report(&b, "1").await.unwrap(), None);
    assert_eq!(store.delete(&b, "1").await.unwrap(), Deleted::NotFound);
    assert!(!store.artifact_used(&b, &order("aa").sha256).await.unwrap());
    assert!(store.verification(&tenant("a"), "1").await.unwrap().is_some(), "and it is there");
}

#[tokio::test]
async fn the_same_id_and_idempotency_key_of_two_tenants_are_two_verifications() {
    let store = open();
    for name in ["a", "b"] {
        let keyed = NewVerification { idempotency_key: Some("k".to_owned()), ..work(name, "1") };
        let submitted = store.submit(keyed, 1, 9).await.unwrap();
        assert!(matches!(submitted, Submitted::New(_)), "{submitted:?}");
    }
    // A lease of one says nothing about the other's.
    let a = store.claim(0, 10).await.unwrap().unwrap();
    let mut forged = store.claim(0, 10).await.unwrap().unwrap();
    assert_ne!(a.verification.tenant, forged.verification.tenant);
    forged.token.clone_from(&a.token);
    let failed = Outcome::Failed { reason: "x".to_owned() };
    assert!(!store.finish(&forged, failed.clone(), 1).await.unwrap());
    assert!(!store.renew(&forged, 99).await.unwrap());
    assert!(!store.release(&forged).await.unwrap());
    assert!(store.finish(&a, failed, 1).await.unwrap());
}

#[tokio::test]
async fn sessions_and_profiles_are_their_tenants_own() {
    let store = open();
    let (a, b) = (tenant("a"), tenant("b"));
    store.put_session(&a, "s", vec![1], Some(("eve".to_owned(), vec![1])), 1).await.unwrap();
    assert_eq!(store.session(&b, "s").await.unwrap(), None);
    assert_eq!(store.profile(&b, "eve").await.unwrap(), None);
    store.put_session(&b, "s", vec![2], Some(("eve".to_owned(), vec![2])), 1).await.unwrap();
    assert_eq!(store.session(&a, "s").await.unwrap(), Some(vec![1]));
    assert_eq!(store.profile(&a, "eve").await.unwrap(), Some(vec![1]));
}

#[tokio::test]
async fn feature_history_is_its_tenants_own() {
    let store = open();
    store.append(segment("a", "runs", 0, 10)).await.unwrap();
    store.append(segment("b", "runs", 5, 6)).await.unwrap();
    let found = store.segments(&tenant("b"), "runs", i64::MIN, i64::MAX).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, segment("b", "runs", 5, 6));
    let all = (i64::MIN, i64::MAX);
    let paged = store.segments_after(&tenant("b"), "runs", all.0, all.1, 0, 9).await.unwrap();
    assert_eq!(paged, found);
    assert!(store.segments(&tenant("c"), "runs", 0, 9).await.unwrap().is_empty());
    let paged = store.segments_after(&tenant("c"), "runs", all.0, all.1, 0, 9).await.unwrap();
    assert!(paged.is_empty());
}
