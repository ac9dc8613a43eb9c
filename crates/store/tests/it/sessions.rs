//! Sessions and profiles.

use store::domain::Sessions as _;

use crate::support::{open, tenant};

#[tokio::test]
async fn a_session_and_its_profile_are_kept_and_replaced_together() {
    let store = open();
    let a = tenant("a");
    assert_eq!(store.session(&a, "s").await.unwrap(), None);
    let profile = Some(("eve".to_owned(), vec![1]));
    store.put_session(&a, "s", vec![0, 255], profile, 10).await.unwrap();
    assert_eq!(store.session(&a, "s").await.unwrap(), Some(vec![0, 255]));
    assert_eq!(store.profile(&a, "eve").await.unwrap(), Some(vec![1]));

    store.put_session(&a, "s", vec![2], None, 20).await.unwrap();
    assert_eq!(store.session(&a, "s").await.unwrap(), Some(vec![2]));
    assert_eq!(store.profile(&a, "eve").await.unwrap(), Some(vec![1]), "untouched");
    store.put_session(&a, "s", vec![], Some(("eve".to_owned(), vec![3])), 20).await.unwrap();
    assert_eq!(store.session(&a, "s").await.unwrap(), Some(vec![]));
    assert_eq!(store.profile(&a, "eve").await.unwrap(), Some(vec![3]));
}

#[tokio::test]
async fn sessions_end_by_when_they_were_touched_last_and_profiles_stay() {
    let store = open();
    let a = tenant("a");
    for number in 0..2_345 {
        let profile = Some(("eve".to_owned(), vec![7]));
        store.put_session(&a, &format!("{number}"), vec![0], profile, number).await.unwrap();
    }
    store.put_session(&a, "0", vec![0], None, 5_000).await.unwrap();
    // More than are removed in one transaction.
    assert_eq!(store.expire_sessions(2_300).await.unwrap(), 2_299);
    assert_eq!(store.expire_sessions(2_300).await.unwrap(), 0);
    assert!(store.session(&a, "0").await.unwrap().is_some());
    assert!(store.session(&a, "2299").await.unwrap().is_none());
    assert!(store.session(&a, "2300").await.unwrap().is_some());
    assert_eq!(store.profile(&a, "eve").await.unwrap(), Some(vec![7]));
}
