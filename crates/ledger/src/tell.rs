//! Tells receivers what changed: webhooks each change, Alertmanagers everything that fires, again and
//! again, and what is over.
//!
//! What a receiver is owed is kept with the state, so that neither a dead receiver nor a restart loses
//! the end of an alert. It cannot grow: of each alert a receiver is owed the newest state only.
//! Each receiver has a task of its own; evaluation waits for none of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::tasks::Tasks;
use serde::{Deserialize, Serialize};
use slo::Slo;
use slo::alerts::Notice;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Ledger;
use crate::meters::Delivered;

mod alertmanager;
mod hmac;
mod names;
mod post;
mod webhook;

pub(crate) use names::Links;
use post::Post;
pub use webhook::SIGNATURE_HEADER;

/// After a failure, the next attempt comes after a second, then two, and at most this.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// What each receiver has not been told yet, by its URL and the alert.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Owed(BTreeMap<String, BTreeMap<String, Notice>>);

impl Owed {
    /// Owes everybody what changed. Receivers that are not configured any more are owed nothing.
    pub(crate) fn add(&mut self, receivers: &[Arc<Receiver>], notices: &[Notice]) {
        self.0.retain(|url, _| receivers.iter().any(|receiver| receiver.url == *url));
        for receiver in receivers {
            let owed = self.0.entry(receiver.url.clone()).or_default();
            for notice in notices {
                owed.insert(names::key(notice), notice.clone());
            }
        }
    }

    pub(crate) fn to(&self, url: &str) -> Vec<Notice> {
        self.0.get(url).map(|owed| owed.values().cloned().collect()).unwrap_or_default()
    }

    /// They have been told; what changed meanwhile is owed still.
    fn settle(&mut self, url: &str, told: &[Notice]) {
        let Some(owed) = self.0.get_mut(url) else { return };
        for notice in told {
            let key = names::key(notice);
            if owed.get(&key) == Some(notice) {
                owed.remove(&key);
            }
        }
    }
}

/// Who is told, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverKind {
    Webhook,
    Alertmanager,
}

/// How a receiver is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceiverStatus {
    pub kind: ReceiverKind,
    /// Without path, user and password: they may be secrets.
    pub url: String,
    pub delivered: u64,
    pub failed: u64,
    /// Changes it has not been told yet.
    pub owed: u64,
    pub last_delivered_us: Option<i64>,
    /// Why the last attempt failed; absent when it did not.
    pub last_error: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    kind: ReceiverKind,
    url: String,
    post: Post,
    counted: Delivered,
    news: Notify,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    delivered: u64,
    failed: u64,
    last_delivered_us: Option<i64>,
    last_error: Option<String>,
    failures_in_a_row: u32,
    /// Nothing is sent before.
    not_before: Option<Instant>,
    /// When an Alertmanager is told again of what fires.
    resend_at: Option<Instant>,
}

/// One attempt: bodies to be posted in order, and which notices are settled with them.
struct Batch {
    posts: Vec<(Vec<u8>, Vec<Notice>)>,
}

impl Receiver {
    pub(crate) fn new(
        kind: ReceiverKind,
        url: &str,
        secret: Option<Vec<u8>>,
        counted: Delivered,
    ) -> Arc<Self> {
        let post = match kind {
            ReceiverKind::Webhook => Post::new(url.to_owned(), secret),
            ReceiverKind::Alertmanager => Post::new(alertmanager::endpoint(url), None),
        };
        let (news, progress) = (Notify::new(), Mutex::default());
        Arc::new(Self { kind, url: url.to_owned(), post, counted, news, progress })
    }

    /// There may be something to tell.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }

    pub(crate) fn start(self: &Arc<Self>, ledger: &Arc<Ledger>, tasks: &Tasks) {
        let (receiver, ledger) = (Arc::clone(self), Arc::clone(ledger));
        let shutdown = tasks.shutdown().clone();
        let name = match self.kind {
            ReceiverKind::Webhook => "ledger-webhook",
            ReceiverKind::Alertmanager => "ledger-alertmanager",
        };
        tasks.spawn(name, async move {
            loop {
                let wait = receiver.wait();
                tokio::select! {
                    () = shutdown.wait_begun() => return,
                    () = wait => {}
                }
                receiver.attempt(&ledger).await;
            }
        });
    }

    /// Until there may be something to send and it may be sent.
    async fn wait(&self) {
        let (not_before, resend_at) = {
            let progress = self.progress();
            (progress.not_before, progress.resend_at)
        };
        if let Some(at) = not_before {
            return tokio::time::sleep_until(at).await;
        }
        match resend_at {
            Some(at) => {
                tokio::select! {
                    () = self.news.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                }
            }
            None => self.news.notified().await,
        }
    }

    async fn attempt(self: &Arc<Self>, ledger: &Arc<Ledger>) {
        let batch = self.batch(ledger);
        let mut failed = None;
        for (body, notices) in batch.posts {
            let post = self.post.clone();
            let at_s = ledger.now_us().div_euclid(1_000_000);
            let sent = tokio::task::spawn_blocking(move || post.send(&body, at_s)).await;
            match sent.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(()) => {
                    ledger.settle(|owed| owed.settle(&self.url, &notices));
                    self.counted.delivered.inc();
                    let mut progress = self.progress();
                    progress.delivered += 1;
                    progress.last_delivered_us = Some(ledger.now_us());
                }
                Err(reason) => {
                    failed = Some(reason);
                    break;
                }
            }
        }
        self.note(failed, ledger);
    }

    fn batch(&self, ledger: &Ledger) -> Batch {
        let (owed, firing) = ledger.to_tell(&self.url);
        let links = ledger.links();
        let now_us = ledger.now_us();
        let catalog = ledger.catalog();
        // Absent: an objective that is no more, whose alerts are over.
        let of = |notice: &Notice| catalog.get(notice.slo.as_str());
        match self.kind {
            ReceiverKind::Webhook => {
                let post = |notice: Notice| {
                    let body = webhook::body(catalog, of(&notice), &notice, links, now_us);
                    (body, vec![notice])
                };
                Batch { posts: owed.into_iter().map(post).collect() }
            }
            ReceiverKind::Alertmanager => {
                // What fires is told with what is over: one request, whatever happened.
                let over = owed.iter().filter(|notice| !notice.firing);
                let all: Vec<_> = firing.iter().chain(over).collect();
                if all.is_empty() {
                    ledger.settle(|settled| settled.settle(&self.url, &owed));
                    return Batch { posts: Vec::new() };
                }
                let known: Vec<(Option<&Slo>, &Notice)> =
                    all.iter().map(|notice| (of(notice), *notice)).collect();
                let body = alertmanager::body(catalog, &known, links, now_us, ledger.resend());
                Batch { posts: vec![(body, owed)] }
            }
        }
    }

    fn note(&self, failed: Option<String>, ledger: &Ledger) {
        let mut progress = self.progress();
        let resends = self.kind == ReceiverKind::Alertmanager;
        progress.resend_at = resends.then(|| Instant::now() + ledger.resend());
        let Some(reason) = failed else {
            if progress.failures_in_a_row > 0 {
                tracing::info!(receiver = self.shown(), "a receiver of alerts takes them again");
            }
            progress.failures_in_a_row = 0;
            progress.not_before = None;
            progress.last_error = None;
            return;
        };
        self.counted.failed.inc();
        if progress.failures_in_a_row == 0 {
            tracing::warn!(
                receiver = self.shown(),
                reason,
                "a receiver of alerts does not take them"
            );
        }
        progress.failed += 1;
        let pause = Duration::from_secs(1 << progress.failures_in_a_row.min(6)).min(BACKOFF_MAX);
        progress.failures_in_a_row = progress.failures_in_a_row.saturating_add(1);
        progress.not_before = Some(Instant::now() + pause);
        progress.last_error = Some(reason);
    }

    pub(crate) fn status(&self, owed: &Owed) -> ReceiverStatus {
        let progress = self.progress();
        ReceiverStatus {
            kind: self.kind,
            url: self.shown(),
            delivered: progress.delivered,
            failed: progress.failed,
            owed: owed.0.get(&self.url).map_or(0, |owed| owed.len() as u64),
            last_delivered_us: progress.last_delivered_us,
            last_error: progress.last_error.clone(),
        }
    }

    fn shown(&self) -> String {
        post::shown(&self.url)
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
