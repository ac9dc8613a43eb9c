//! A store that fails: what was accepted stays, what was not says so, and a result that cost a run
//! is offered until it is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use http::StatusCode;
use runtime::clock::{Clock as _, Manual};
use store::StoreError;
use store::domain::{
    Deleted, Lease, NewVerification, Outcome, Page, QueueDepth, State, Submitted, Verification,
    Verifications,
};
use tokio::sync::Semaphore;
use types::Tenant;
use verifier_pool::Config;

use crate::lab::{Lab, PYTHON, request, until};
use crate::played::recording;

/// The real store, failing as often as it is told.
#[derive(Debug)]
struct Failing {
    real: Arc<dyn Verifications>,
    submits: AtomicU32,
    finishes: AtomicU32,
    reads: AtomicU32,
    depths: AtomicU32,
    renewed: AtomicU32,
}

fn fail(count: &AtomicU32) -> Result<(), StoreError> {
    let left = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    match left {
        Ok(_) => Err(StoreError::Full { place: "control.db".to_owned() }),
        Err(_) => Ok(()),
    }
}

#[async_trait]
impl Verifications for Failing {
    async fn submit(
        &self,
        new: NewVerification,
        own: u64,
        all: u64,
    ) -> Result<Submitted, StoreError> {
        fail(&self.submits)?;
        self.real.submit(new, own, all).await
    }

    async fn verification(
        &self,
        tenant: &Tenant,
        id: &str,
    ) -> Result<Option<Verification>, StoreError> {
        if fail(&self.reads).is_err() {
            return Err(StoreError::Unavailable { reason: "it was told to".to_owned() });
        }
        self.real.verification(tenant, id).await
    }

    async fn verifications(
        &self,
        tenant: &Tenant,
        before: Option<&str>,
        state: Option<State>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        self.real.verifications(tenant, before, state, limit).await
    }

    async fn report(&self, tenant: &Tenant, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.real.report(tenant, id).await
    }

    async fn delete(&self, tenant: &Tenant, id: &str) -> Result<Deleted, StoreError> {
        self.real.delete(tenant, id).await
    }

    async fn claim(&self, now_us: i64, until_us: i64) -> Result<Option<Lease>, StoreError> {
        self.real.claim(now_us, until_us).await
    }

    async fn renew(&self, lease: &Lease, until_us: i64) -> Result<bool, StoreError> {
        let renewed = self.real.renew(lease, until_us).await;
        self.renewed.fetch_add(1, Ordering::SeqCst);
        renewed
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: Outcome,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        fail(&self.finishes)?;
        self.real.finish(lease, outcome, now_us).await
    }

    async fn release(&self, lease: &Lease) -> Result<bool, StoreError> {
        self.real.release(lease).await
    }

    async fn requeue_all(&self) -> Result<u64, StoreError> {
        self.real.requeue_all().await
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        fail(&self.depths)?;
        self.real.depth().await
    }

    async fn artifact_used(&self, tenant: &Tenant, sha256: &str) -> Result<bool, StoreError> {
        self.real.artifact_used(tenant, sha256).await
    }
}

fn failing(lab: &mut Lab) -> Arc<Failing> {
    let failing = Arc::new(Failing {
        real: Arc::clone(&lab.verifications),
        submits: AtomicU32::new(0),
        finishes: AtomicU32::new(0),
        reads: AtomicU32::new(0),
        depths: AtomicU32::new(0),
        renewed: AtomicU32::new(0),
    });
    lab.verifications = Arc::clone(&failing) as _;
    failing
}

#[tokio::test]
async fn a_full_disk_refuses_new_work_and_keeps_none_of_it() {
    let mut lab = Lab::new();
    let failing = failing(&mut lab);
    let site = lab.site(Config::default());
    let before = site.accepted("file_name=a.py").await;
    failing.submits.store(1, Ordering::SeqCst);
    let refused = site.submit("", &b"import os\nprint(os)\n"[..]).await;
    assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(refused.problem(), "disk-full");
    assert_eq!(lab.files(), 1, "the refused artifact was removed");
    assert_eq!(site.metric("submissions_total{outcome=\"failed\"}"), 1.0);
    site.pool.start();
    assert_eq!(site.ended(&before).await["state"], "done", "accepted work stays accepted");
    let again = site.submit("", PYTHON).await;
    assert_eq!(again.status, StatusCode::ACCEPTED);
    site.stop().await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_503_and_not_404() {
    let mut lab = Lab::new();
    let failing = failing(&mut lab);
    let site = lab.site(Config::default());
    let id = site.accepted("").await;
    for (method, what) in [("GET", ""), ("GET", "/events"), ("DELETE", "")] {
        failing.reads.store(1, Ordering::SeqCst);
        let path = format!("/v1/verifications/{id}{what}");
        let request =
            request(method, &path, "acme-member").body(axum::body::Body::empty()).unwrap();
        let answer = site.send(request).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        );
        assert_eq!(answer.header("retry-after"), "1");
        assert!(!answer.text("detail").contains("told to"), "causes stay inside");
    }
}

#[tokio::test]
async fn a_result_is_offered_until_the_store_takes_it() {
    let mut lab = Lab::new();
    let failing = failing(&mut lab);
    let site = lab.site(Config::default());
    failing.finishes.store(3, Ordering::SeqCst);
    site.pool.start();
    let id = site.accepted("").await;
    assert_eq!(site.ended(&id).await["state"], "done");
    assert_eq!(site.metric("store_retries_total"), 3.0);
    assert_eq!(lab.sandbox.begun.load(Ordering::SeqCst), 1, "it was not run again for that");
    site.stop().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_store_that_takes_no_result() {
    let mut lab = Lab::new();
    let failing = failing(&mut lab);
    let site = lab.site(Config::default());
    failing.finishes.store(u32::MAX, Ordering::SeqCst);
    site.pool.start();
    let id = site.accepted("").await;
    until("a result is offered", || site.metric("store_retries_total") >= 1.0).await;
    site.stop().await;
    assert_eq!(site.get(&format!("/v1/verifications/{id}")).await.text("state"), "queued");
}

#[tokio::test]
async fn a_lease_lasts_as_long_as_its_run() {
    let mut lab = Lab::new();
    let failing = failing(&mut lab);
    let clock = Arc::new(Manual::at(1_000_000_000));
    let config = Config { workers: 1, lease_ms: 60, ..Config::default() };
    let site = lab.site_at(config, Arc::clone(&clock) as _);
    let gate = Arc::new(Semaphore::new(0));
    let at = Arc::clone(&gate);
    lab.sandbox.play(move |execution, _| {
        let gate = Arc::clone(&at);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(recording(&execution.id))
        }
    });
    let id = site.accepted("").await;
    site.pool.start();
    until("it runs", || lab.sandbox.running.load(Ordering::SeqCst) == 1).await;
    for _ in 0..10 {
        clock.advance_us(50_000);
        let before = failing.renewed.load(Ordering::SeqCst);
        until("it was renewed", || failing.renewed.load(Ordering::SeqCst) >= before + 2).await;
        let claimed = lab.verifications.claim(clock.now_us() + 50_000, i64::MAX).await.unwrap();
        assert_eq!(claimed, None, "nobody else takes it");
    }
    gate.add_permits(1);
    let ended = site.ended(&id).await;
    assert_eq!((&ended["state"], &ended["attempts"]), (&"done".into(), &1.into()));
    assert!(site.metric("lease_renewals_total") >= 20.0);
    site.stop().await;
}

#[tokio::test]
async fn a_queue_that_cannot_be_looked_at_is_counted_and_its_oldest_grows_older() {
    let mut lab = Lab::new();
    let failing = failing(&mut lab);
    let clock = Arc::new(Manual::at(1_000_000_000));
    // Nobody has room to run it.
    let config = Config { workers: 1, ..Config::default() };
    let site = lab.site_at(config, Arc::clone(&clock) as _);
    lab.sandbox.play(|_, _| std::future::pending());
    site.accepted("").await;
    site.pool.start();
    until("it runs", || lab.sandbox.running.load(Ordering::SeqCst) == 1).await;
    site.accepted("").await;
    until("it was seen", || site.metric("queue_depth") == 1.0).await;
    failing.depths.store(u32::MAX, Ordering::SeqCst);
    until("it was not seen", || site.metric("queue_read_failures_total") >= 1.0).await;
    clock.advance_us(7_000_000);
    assert_eq!(site.metric("queue_depth"), 1.0, "as it was seen last");
    assert_eq!(site.metric("queue_oldest_age_seconds"), 7.0);
    site.stop().await;
}
