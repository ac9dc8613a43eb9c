//! API keys from making to revoking.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use runtime::clock::{Clock, Manual};
use store::StoreError;
use store::domain::{KeyRecord, Keys};
use store::keys::{StoredKeys, hash, new_key};
use store::sqlite::Store;
use types::ports::{AuthError, Authenticator as _};
use types::{Caller, Role};

use crate::support::{open, tenant};

/// The time at which everything here begins.
const NOW_US: i64 = 1_000_000_000;

/// Counts what the store is asked.
#[derive(Debug)]
struct Counted {
    keys: Arc<dyn Keys>,
    asked: AtomicU64,
}

#[async_trait]
impl Keys for Counted {
    async fn insert_key(&self, key: KeyRecord) -> Result<(), StoreError> {
        self.keys.insert_key(key).await
    }

    async fn key_by_hash(&self, hash: [u8; 32]) -> Result<Option<KeyRecord>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.keys.key_by_hash(hash).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.keys.keys().await
    }

    async fn revoke_key(&self, id: &str, now_us: i64) -> Result<bool, StoreError> {
        self.keys.revoke_key(id, now_us).await
    }
}

fn counted(store: &Arc<Store>) -> Arc<Counted> {
    let keys: Arc<dyn Keys> = Arc::clone(store) as _;
    Arc::new(Counted { keys, asked: AtomicU64::new(0) })
}

#[tokio::test]
async fn a_key_stands_for_its_tenant_and_role() {
    let store = open();
    let clock: Arc<dyn Clock> = Arc::new(Manual::at(NOW_US));
    let counted = counted(&store.store);
    let keys = StoredKeys::new(Arc::clone(&counted) as _, clock);

    let (key, record) = new_key(tenant("acme"), Role::Member, "laptop", NOW_US, None).unwrap();
    assert_eq!(record.hash, hash(&key));
    assert!(key.starts_with(&format!("sx_{}_", record.id)), "{key}");
    assert!(matches!(keys.authenticate(&key).await, Err(AuthError::Unknown)));

    store.insert_key(record.clone()).await.unwrap();
    let caller = Caller { tenant: tenant("acme"), role: Role::Member, key_id: record.id.clone() };
    assert_eq!(keys.authenticate(&key).await.unwrap(), caller, "not knowing is not remembered");
    let asked = counted.asked.load(Ordering::SeqCst);
    for _ in 0..100 {
        assert_eq!(keys.authenticate(&key).await.unwrap(), caller);
    }
    assert!(counted.asked.load(Ordering::SeqCst) < asked + 50, "knowing is, for a second");
    assert_eq!(store.keys().await.unwrap(), [record]);
}

#[tokio::test]
async fn what_is_no_key_costs_no_look_into_the_store() {
    let store = open();
    let counted = counted(&store.store);
    let keys = StoredKeys::new(Arc::clone(&counted) as _, Arc::new(Manual::at(NOW_US)));
    let (key, _) = new_key(tenant("a"), Role::Reader, "", NOW_US, None).unwrap();
    let upper = key.to_uppercase();
    let long = "x".repeat(1 << 20);
    let bad = ["", "sx_", "sx__", &key[1..], &key[..key.len() - 1], &upper, &long, "sx_é_é"];
    for text in bad.iter().chain(&[format!("{key} ").as_str()]) {
        assert!(matches!(keys.authenticate(text).await, Err(AuthError::Unknown)), "{text:?}");
    }
    assert_eq!(counted.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_key_expires_at_its_time_even_when_it_is_remembered() {
    let store = open();
    let clock = Arc::new(Manual::at(NOW_US));
    let keys = StoredKeys::new(Arc::clone(&store.store) as _, Arc::clone(&clock) as _);
    let ends = Some(NOW_US + 500);
    let (key, record) = new_key(tenant("a"), Role::Admin, "short", NOW_US, ends).unwrap();
    store.insert_key(record).await.unwrap();
    clock.advance_us(499);
    assert!(keys.authenticate(&key).await.is_ok());
    clock.advance_us(1);
    let expired = keys.authenticate(&key).await.unwrap_err();
    assert_eq!(expired.to_string(), "the API key expired at 1970-01-01T00:16:40.0005Z");
}

#[tokio::test]
async fn a_key_that_another_process_revokes_stops_counting() {
    let store = open();
    let keys = StoredKeys::new(Arc::clone(&store.store) as _, Arc::new(Manual::at(NOW_US)));
    let (key, record) = new_key(tenant("a"), Role::Admin, "lost", NOW_US, None).unwrap();
    let beside = Store::open(store.folder.path()).unwrap();
    beside.insert_key(record.clone()).await.unwrap();
    assert!(keys.authenticate(&key).await.is_ok(), "made by the other process");

    assert!(beside.revoke_key(&record.id, NOW_US + 1).await.unwrap());
    assert!(!beside.revoke_key(&record.id, NOW_US + 2).await.unwrap(), "once");
    assert!(!beside.revoke_key("0000000000000000", NOW_US).await.unwrap());
    assert_eq!(beside.keys().await.unwrap()[0].revoked_us, Some(NOW_US + 1));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(matches!(keys.authenticate(&key).await, Err(AuthError::Revoked)));
}

#[tokio::test]
async fn two_keys_with_one_id_or_one_hash_are_refused() {
    let store = open();
    let (_, first) = new_key(tenant("a"), Role::Admin, "1", NOW_US, None).unwrap();
    let (_, second) = new_key(tenant("b"), Role::Admin, "2", NOW_US, None).unwrap();
    store.insert_key(first.clone()).await.unwrap();
    let same_id = KeyRecord { id: first.id.clone(), ..second.clone() };
    assert!(store.insert_key(same_id).await.is_err());
    assert!(store.insert_key(KeyRecord { hash: first.hash, ..second }).await.is_err());
    assert_eq!(store.keys().await.unwrap(), [first]);
}
