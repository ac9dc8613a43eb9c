//! Stores in folders that vanish, and work to put in them.

use std::ops::Deref;
use std::sync::Arc;

use store::domain::{
    NewVerification, Order, Segment, Submitted, Summary, Verification, Verifications as _,
};
use store::sqlite::Store;
use tempfile::TempDir;
use types::Tenant;

/// A store and its folder.
#[derive(Debug)]
pub(crate) struct Opened {
    // Closed before its folder is removed.
    pub(crate) store: Arc<Store>,
    pub(crate) folder: TempDir,
}

impl Deref for Opened {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

pub(crate) fn open() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    Opened { store: Store::open(folder.path()).unwrap(), folder }
}

pub(crate) fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

pub(crate) fn order(content: &str) -> Order {
    Order {
        sha256: format!("{content:0>64}"),
        size_bytes: 7,
        file_name: "a.py".to_owned(),
        kind: "python".to_owned(),
        interpreter: Some("python3".to_owned()),
        arguments: vec!["--fast".to_owned(), "\u{7}".to_owned()],
        runner: "process".to_owned(),
        timeout_ms: 10_000,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
    }
}

pub(crate) fn work(tenant_name: &str, id: &str) -> NewVerification {
    NewVerification {
        id: id.to_owned(),
        tenant: tenant(tenant_name),
        order: order("aa"),
        idempotency_key: None,
        created_us: 1_000,
    }
}

/// Submits without limits; it must be new.
pub(crate) async fn submit(store: &Store, tenant_name: &str, id: &str) -> Verification {
    match store.submit(work(tenant_name, id), u64::MAX, u64::MAX).await.unwrap() {
        Submitted::New(verification) => verification,
        other => panic!("{id} is new, not {other:?}"),
    }
}

pub(crate) fn summary() -> Summary {
    Summary {
        verdict: "benign".to_owned(),
        score: 3,
        reason: "nothing of note".to_owned(),
        evidence: "full".to_owned(),
    }
}

pub(crate) fn segment(tenant_name: &str, view: &str, from_us: i64, to_us: i64) -> Segment {
    Segment {
        tenant: tenant(tenant_name),
        view: view.to_owned(),
        event_min_us: from_us,
        event_max_us: to_us,
        rows: 2,
        payload: format!("{view} {from_us}").into_bytes(),
    }
}

/// Numbers that look random and are the same in every run of a seed (SplitMix64, Steele et al.,
/// OOPSLA 2014).
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// One of them; there must be one.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let index = self.roll(u64::try_from(of.len()).unwrap());
        &of[usize::try_from(index).unwrap()]
    }
}
