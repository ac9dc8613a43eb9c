//! The queue against a model small enough to be believed, and under workers that race.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use store::domain::{Deleted, Lease, Outcome, State, Submitted, Verifications as _};
use store::sqlite::Store;

use crate::support::{Dice, open, submit, summary, tenant, work};

const TENANTS: [&str; 3] = ["a", "b", "c"];

/// What the queue should be: every rule in its simplest words.
#[derive(Debug, Default)]
struct Model {
    items: BTreeMap<(&'static str, String), Item>,
    /// When each tenant had its last turn.
    turns: BTreeMap<&'static str, u64>,
    turn: u64,
}

#[derive(Debug)]
struct Item {
    state: State,
    attempts: u32,
    /// The newest claim's token, while it runs.
    token: Option<String>,
    until_us: i64,
    report: Option<Vec<u8>>,
}

impl Model {
    /// Which should be claimed next.
    fn next(&self, now_us: i64) -> Option<(&'static str, String)> {
        let abandoned = |item: &Item| item.state == State::Running && item.until_us <= now_us;
        let of = |tenant: &'static str| self.items.iter().filter(move |(key, _)| key.0 == tenant);
        TENANTS
            .into_iter()
            .filter_map(|tenant| {
                let ready = |item: &Item| item.state == State::Queued || abandoned(item);
                let oldest = of(tenant).find(|(_, item)| ready(item))?;
                let alive =
                    of(tenant).filter(|(_, i)| i.state == State::Running && !abandoned(i)).count();
                let turn = self.turns.get(tenant).copied().unwrap_or(0);
                Some((alive, turn, tenant, oldest.0.clone()))
            })
            .min()
            .map(|(.., key)| key)
    }

    fn unfinished(&self, tenant: &str) -> u64 {
        let unfinished = |s: State| matches!(s, State::Queued | State::Running);
        let all = self.items.iter();
        all.filter(|(key, item)| key.0 == tenant && unfinished(item.state)).count() as u64
    }

    /// The item, if the lease is the newest one on it.
    fn held(&mut self, lease: &Lease) -> Option<&mut Item> {
        let tenant = TENANTS.into_iter().find(|t| *t == lease.verification.tenant.as_str())?;
        let item = self.items.get_mut(&(tenant, lease.verification.id.clone()))?;
        (item.token.as_ref() == Some(&lease.token)).then_some(item)
    }
}

/// One random walk of store and model side by side.
struct Walk {
    store: Arc<Store>,
    model: Model,
    dice: Dice,
    now_us: i64,
    /// Every lease ever given, the dead ones too.
    leases: Vec<Lease>,
    submitted: u64,
}

impl Walk {
    async fn step(&mut self) {
        self.now_us += i64::try_from(self.dice.roll(4)).unwrap();
        match self.dice.roll(12) {
            0..=2 => self.submit().await,
            3..=5 => self.claim().await,
            6 | 7 => self.finish().await,
            8 => self.renew().await,
            9 => self.release().await,
            10 => self.delete().await,
            _ if self.dice.roll(20) == 0 => self.requeue().await,
            _ => self.compare().await,
        }
    }

    async fn submit(&mut self) {
        const LIMIT: u64 = 6;
        let tenant = *self.dice.pick(&TENANTS);
        self.submitted += 1;
        let id = format!("{:05}", self.submitted);
        let submitted = self.store.submit(work(tenant, &id), LIMIT, u64::MAX).await.unwrap();
        let queued = self.model.unfinished(tenant);
        if queued >= LIMIT {
            assert_eq!(submitted, Submitted::QueueFull { queued, limit: LIMIT });
            return;
        }
        assert!(matches!(submitted, Submitted::New(_)), "{submitted:?}");
        let item =
            Item { state: State::Queued, attempts: 0, token: None, until_us: 0, report: None };
        self.model.items.insert((tenant, id), item);
    }

    async fn claim(&mut self) {
        let until_us = self.now_us + i64::try_from(self.dice.roll(12)).unwrap();
        let lease = self.store.claim(self.now_us, until_us).await.unwrap();
        let expected = self.model.next(self.now_us);
        let key = lease.as_ref().map(|lease| {
            let verification = &lease.verification;
            (verification.tenant.as_str(), verification.id.clone())
        });
        assert_eq!(key, expected.as_ref().map(|(tenant, id)| (*tenant, id.clone())));
        let (Some(lease), Some(key)) = (lease, expected) else { return };
        let item = self.model.items.get_mut(&key).unwrap();
        item.state = State::Running;
        item.attempts += 1;
        item.until_us = until_us;
        item.token = Some(lease.token.clone());
        assert_eq!(lease.verification.attempts, item.attempts);
        self.model.turn += 1;
        self.model.turns.insert(key.0, self.model.turn);
        self.leases.push(lease);
    }

    fn some_lease(&mut self) -> Option<Lease> {
        // Newer ones more often: most old ones are dead.
        let newest = self.leases.len().saturating_sub(8);
        let from = if self.dice.roll(4) == 0 { &self.leases[..] } else { &self.leases[newest..] };
        (!from.is_empty()).then(|| self.dice.pick(from).clone())
    }

    async fn finish(&mut self) {
        let Some(lease) = self.some_lease() else { return };
        let report = lease.token.clone().into_bytes();
        let failed = self.dice.roll(4) == 0;
        let outcome = if failed {
            Outcome::Failed { reason: lease.token.clone() }
        } else {
            Outcome::Report { summary: summary(), report: report.clone() }
        };
        let finished = self.store.finish(&lease, outcome, self.now_us).await.unwrap();
        let item = self.model.held(&lease);
        assert_eq!(finished, item.is_some());
        let Some(item) = item else { return };
        item.token = None;
        item.state = if failed { State::Failed } else { State::Done };
        item.report = (!failed).then_some(report);
    }

    async fn renew(&mut self) {
        let Some(lease) = self.some_lease() else { return };
        let until_us = self.now_us + 9;
        let renewed = self.store.renew(&lease, until_us).await.unwrap();
        let item = self.model.held(&lease);
        assert_eq!(renewed, item.is_some());
        if let Some(item) = item {
            item.until_us = until_us;
        }
    }

    async fn release(&mut self) {
        let Some(lease) = self.some_lease() else { return };
        let released = self.store.release(&lease).await.unwrap();
        let item = self.model.held(&lease);
        assert_eq!(released, item.is_some());
        if let Some(item) = item {
            item.state = State::Queued;
            item.token = None;
        }
    }

    async fn delete(&mut self) {
        let keys: Vec<_> = self.model.items.keys().cloned().collect();
        if keys.is_empty() {
            return;
        }
        let key = self.dice.pick(&keys).clone();
        let deleted = self.store.delete(&tenant(key.0), &key.1).await.unwrap();
        if self.model.items[&key].state == State::Running {
            assert_eq!(deleted, Deleted::Running);
            return;
        }
        self.model.items.remove(&key);
        let last_use = !self.model.items.keys().any(|other| other.0 == key.0);
        assert!(
            matches!(deleted, Deleted::Gone { last_use: told, .. } if told == last_use),
            "{deleted:?}"
        );
    }

    async fn requeue(&mut self) {
        let mut running = 0;
        for item in self.model.items.values_mut().filter(|item| item.state == State::Running) {
            item.state = State::Queued;
            item.token = None;
            running += 1;
        }
        assert_eq!(self.store.requeue_all().await.unwrap(), running);
    }

    async fn compare(&self) {
        let count = |state| self.model.items.values().filter(|i| i.state == state).count() as u64;
        let depth = self.store.depth().await.unwrap();
        assert_eq!(depth.queued, count(State::Queued));
        assert_eq!(depth.running, count(State::Running));
        for tenant_name in TENANTS {
            let of = tenant(tenant_name);
            let page = self.store.verifications(&of, None, None, 10_000).await.unwrap();
            let expected = self.model.items.iter().rev().filter(|(key, _)| key.0 == tenant_name);
            let expected: Vec<_> =
                expected.map(|(key, item)| (key.1.clone(), item.state, item.attempts)).collect();
            let found: Vec<_> =
                page.items.into_iter().map(|v| (v.id, v.state, v.attempts)).collect();
            assert_eq!(found, expected);
        }
        for ((tenant_name, id), item) in &self.model.items {
            let report = self.store.report(&tenant(tenant_name), id).await.unwrap();
            assert_eq!(report, item.report);
        }
    }
}

#[tokio::test]
async fn the_queue_does_what_its_model_does() {
    for seed in 0..8 {
        let opened = open();
        let mut walk = Walk {
            store: Arc::clone(&opened.store),
            model: Model::default(),
            dice: Dice(seed),
            now_us: 0,
            leases: Vec::new(),
            submitted: 0,
        };
        for _ in 0..400 {
            walk.step().await;
        }
        walk.compare().await;
    }
}

/// Twelve workers claim with leases that are often too short, finish late, give back or vanish.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_workers_give_each_verification_exactly_one_result() {
    const WORK: u64 = 120;
    let opened = open();
    for number in 0..WORK {
        submit(&opened, TENANTS[usize::try_from(number % 3).unwrap()], &format!("{number:04}"))
            .await;
    }
    let clock = Arc::new(AtomicI64::new(0));
    let finished = Arc::new(AtomicU64::new(0));
    let workers = (0..12).map(|seed| {
        let (store, clock) = (Arc::clone(&opened.store), Arc::clone(&clock));
        worker(store, clock, Arc::clone(&finished), Dice(seed))
    });
    let mut workers: tokio::task::JoinSet<_> = workers.collect();
    let mut winners = BTreeMap::new();
    while let Some(won) = workers.join_next().await {
        for (key, token) in won.unwrap() {
            assert_eq!(winners.insert(key.clone(), token), None, "{key:?} was finished twice");
        }
    }
    assert_eq!(winners.len() as u64, WORK);
    for ((tenant, id), token) in winners {
        let found = opened.verification(&tenant, &id).await.unwrap().unwrap();
        assert_eq!(found.state, State::Done);
        let report = opened.report(&tenant, &id).await.unwrap();
        assert_eq!(report, Some(token.into_bytes()), "the report of who finished it");
    }
}

type Won = Vec<((types::Tenant, String), String)>;

async fn worker(
    store: Arc<Store>,
    clock: Arc<AtomicI64>,
    finished: Arc<AtomicU64>,
    mut dice: Dice,
) -> Won {
    let mut won = Vec::new();
    while finished.load(Ordering::SeqCst) < 120 {
        let now_us = clock.fetch_add(1, Ordering::SeqCst);
        let until_us = now_us + i64::try_from(dice.roll(30)).unwrap();
        let Some(lease) = store.claim(now_us, until_us).await.unwrap() else {
            tokio::task::yield_now().await;
            continue;
        };
        for _ in 0..dice.roll(4) {
            tokio::task::yield_now().await;
            clock.fetch_add(1, Ordering::SeqCst);
        }
        match dice.roll(8) {
            0 => drop(lease),
            1 => _ = store.release(&lease).await.unwrap(),
            2 => _ = store.renew(&lease, now_us + 40).await.unwrap(),
            _ => {
                let report = lease.token.clone().into_bytes();
                let outcome = Outcome::Report { summary: summary(), report };
                if store.finish(&lease, outcome, now_us).await.unwrap() {
                    finished.fetch_add(1, Ordering::SeqCst);
                    let verification = lease.verification;
                    won.push(((verification.tenant, verification.id), lease.token));
                }
            }
        }
    }
    won
}
