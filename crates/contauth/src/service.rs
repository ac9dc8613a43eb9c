//! contauth itself: memory in front of the store, and one report after another per session and
//! subject.
//!
//! A risk is told from memory where the session is in memory, and costs no I/O then. A report is
//! kept by the store before it is answered; if the store does not keep it, memory forgets the session
//! and the report was not counted.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use runtime::clock::Clock;
use runtime::metrics::Metrics;
use sha2::{Digest, Sha256};
use store::StoreError;
use store::domain::Sessions;
use tokio::sync::Mutex;
use tracing::field::Empty;
use types::cause::chain;
use types::ports::{PortError, RiskSource, Surroundings};
use types::{SessionRisk, Tenant};

use crate::cache::Cache;
use crate::config::Config;
use crate::error::Error;
use crate::meters::{self, Meters};
use crate::observe::{Observed, observe};
use crate::profile::{Profile, at_least_one};
use crate::risk;
use crate::session::Session;
use crate::surroundings::Salt;
use crate::telemetry::Report;

/// Reports on different sessions, or on different subjects, that can be worked on at once.
const LOCKS: usize = 256;
/// How long it is remembered that the store has no such session.
const ABSENT_US: i64 = 5_000_000;

/// The service. Cheap to share, in an `Arc`.
#[derive(Debug)]
pub struct Contauth {
    config: Config,
    store: Arc<dyn Sessions>,
    clock: Arc<dyn Clock>,
    meters: Meters,
    sessions: Arc<Cache<Arc<Session>>>,
    /// Ids the store did not know, and when it was asked.
    absent: Arc<Cache<i64>>,
    profiles: Arc<Cache<Arc<Profile>>>,
    /// A session's lock is taken before its subject's.
    session_locks: Vec<Mutex<()>>,
    subject_locks: Vec<Mutex<()>>,
}

/// What a report is answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// Whether the report was counted; not when its sequence number came before.
    pub counted: bool,
    pub risk: SessionRisk,
}

impl Contauth {
    #[must_use]
    pub fn new(
        config: Config,
        sessions: Arc<dyn Sessions>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Arc<Self> {
        let locks = || (0..LOCKS).map(|_| Mutex::new(())).collect();
        let sessions_max = at_least_one(config.sessions_cached_max);
        let [gone_sessions, gone_absent, gone_profiles] = meters::evictions(&metrics);
        let cached = Arc::new(Cache::new(sessions_max, gone_sessions));
        let absent = Arc::new(Cache::new(sessions_max, gone_absent));
        let profiles_max = at_least_one(config.profiles_cached_max);
        let profiles = Arc::new(Cache::new(profiles_max, gone_profiles));
        meters::sizes(&metrics, &cached, &absent, &profiles);
        Arc::new(Self {
            sessions: cached,
            absent,
            profiles,
            session_locks: locks(),
            subject_locks: locks(),
            meters: Meters::new(&metrics),
            store: sessions,
            clock,
            config,
        })
    }

    /// Takes in one report; durable when it returns.
    ///
    /// # Errors
    /// [`Error::SubjectMissing`] and [`Error::SubjectDiffers`]; [`Error::Store`] when nothing was
    /// kept.
    #[tracing::instrument(
        skip_all,
        name = "contauth.report",
        fields(shieldx.tenant = tenant.as_str(), counted = Empty, risk.level = Empty)
    )]
    pub async fn report(
        &self,
        tenant: &Tenant,
        id: &str,
        report: Report,
    ) -> Result<Reported, Error> {
        let reported = self.take_in(tenant, id, report).await;
        if let Ok(reported) = &reported {
            let span = tracing::Span::current();
            span.record("counted", reported.counted);
            span.record("risk.level", reported.risk.level.as_str());
        }
        if reported.is_err() {
            self.meters.reports_refused.inc();
        }
        reported
    }

    async fn take_in(&self, tenant: &Tenant, id: &str, report: Report) -> Result<Reported, Error> {
        let key = key(tenant, id);
        let _session_lock = lock(&self.session_locks, &key).lock().await;
        let now_us = self.clock.now_us();
        let session = self.find(tenant, id, &key, now_us).await?;
        let subject = subject(session.as_deref(), report.subject.as_deref())?;
        if let Some(session) = &session
            && repeated(session, &report)
        {
            self.meters.reports_repeated.inc();
            let risk = self.assess(session, now_us, &Surroundings::default());
            return Ok(Reported { counted: false, risk });
        }
        let profile_key = self::key(tenant, &subject);
        let _subject_lock = lock(&self.subject_locks, &profile_key).lock().await;
        let profile = self.profile(tenant, &subject, &profile_key).await?;
        let session = session.map_or_else(
            || Session::new(subject, profile.salt.clone()),
            |session| Session::clone(&session),
        );
        let observed = observe(&self.config, session, &profile, report, now_us);
        let session = self.keep(tenant, id, key, profile_key, observed, now_us).await?;
        let risk = self.assess(&session, now_us, &Surroundings::default());
        Ok(Reported { counted: true, risk })
    }

    /// The store first. Memory lets go of both before, so that a caller who hangs up in between
    /// leaves no memory behind the store.
    async fn keep(
        &self,
        tenant: &Tenant,
        id: &str,
        key: String,
        profile_key: String,
        observed: Observed,
        now_us: i64,
    ) -> Result<Arc<Session>, Error> {
        let damaged = |what| move |source| Error::Damaged { what, source };
        let bytes = observed.session.encode().map_err(damaged("session"))?;
        let subject = &observed.session.subject;
        let profile = observed.profile.as_ref().map(|profile| profile.encode()).transpose();
        let profile = profile.map_err(damaged("profile"))?.map(|bytes| (subject.clone(), bytes));
        self.sessions.remove(&key);
        if profile.is_some() {
            self.profiles.remove(&profile_key);
        }
        let kept = self
            .meters
            .store
            .time(self.store.put_session(tenant, id, bytes, profile, now_us))
            .await;
        kept.map_err(|source| self.store_error(source))?;
        self.meters.observed(&observed);
        if let Some(profile) = observed.profile {
            self.profiles.insert(profile_key, Arc::new(profile));
        }
        let session = Arc::new(observed.session);
        self.sessions.insert(key, session.clone());
        Ok(session)
    }

    /// The risk of a session; `None` when nobody reported on it.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Damaged`].
    #[tracing::instrument(
        skip_all,
        name = "contauth.risk",
        fields(shieldx.tenant = tenant.as_str(), risk.level = Empty)
    )]
    pub async fn session_risk(
        &self,
        tenant: &Tenant,
        id: &str,
        surroundings: &Surroundings,
    ) -> Result<Option<SessionRisk>, Error> {
        let begun = Instant::now();
        let session = self.look_up(tenant, id).await?;
        let now_us = self.clock.now_us();
        let risk = session.map(|session| self.assess(&session, now_us, surroundings));
        if let Some(risk) = &risk {
            tracing::Span::current().record("risk.level", risk.level.as_str());
        }
        self.meters.risk_seconds.observe(begun.elapsed().as_secs_f64());
        Ok(risk)
    }

    async fn look_up(&self, tenant: &Tenant, id: &str) -> Result<Option<Arc<Session>>, Error> {
        let key = key(tenant, id);
        let now_us = self.clock.now_us();
        if let Some(session) = self.sessions.get(&key) {
            self.meters.cache_hits.inc();
            return Ok(self.unexpired(session, now_us));
        }
        if self.absent.get(&key).is_some_and(|asked| now_us - asked < ABSENT_US) {
            self.meters.cache_hits.inc();
            return Ok(None);
        }
        let _session_lock = lock(&self.session_locks, &key).lock().await;
        self.find(tenant, id, &key, now_us).await
    }

    /// From memory or the store; the caller holds the session's lock.
    async fn find(
        &self,
        tenant: &Tenant,
        id: &str,
        key: &str,
        now_us: i64,
    ) -> Result<Option<Arc<Session>>, Error> {
        if let Some(session) = self.sessions.get(key) {
            return Ok(self.unexpired(session, now_us));
        }
        self.meters.cache_misses.inc();
        let bytes = self.meters.store.time(self.store.session(tenant, id)).await;
        let Some(bytes) = bytes.map_err(|source| self.store_error(source))? else {
            self.absent.insert(key.to_owned(), now_us);
            return Ok(None);
        };
        let session = Session::decode(&bytes);
        let session = session.map_err(|source| Error::Damaged { what: "session", source })?;
        let session = Arc::new(session);
        self.sessions.insert(key.to_owned(), session.clone());
        Ok(self.unexpired(session, now_us))
    }

    fn unexpired(&self, session: Arc<Session>, now_us: i64) -> Option<Arc<Session>> {
        let age_us = now_us.saturating_sub(session.touched_us);
        (age_us < self.config.session_ttl_us()).then_some(session)
    }

    /// From memory or the store, or a new one; the caller holds the subject's lock.
    async fn profile(
        &self,
        tenant: &Tenant,
        subject: &str,
        key: &str,
    ) -> Result<Arc<Profile>, Error> {
        if let Some(profile) = self.profiles.get(key) {
            return Ok(profile);
        }
        let bytes = self.meters.store.time(self.store.profile(tenant, subject)).await;
        let profile = match bytes.map_err(|source| self.store_error(source))? {
            Some(bytes) => Profile::decode(&bytes)
                .map_err(|source| Error::Damaged { what: "profile", source })?,
            None => Profile::new(Salt::random().map_err(|source| Error::Random { source })?),
        };
        let profile = Arc::new(profile);
        self.profiles.insert(key.to_owned(), profile.clone());
        Ok(profile)
    }

    fn assess(&self, session: &Session, now_us: i64, surroundings: &Surroundings) -> SessionRisk {
        let risk = risk::assess(session, &self.config, now_us, surroundings);
        self.meters.served(risk.level);
        risk
    }

    fn store_error(&self, source: StoreError) -> Error {
        self.meters.store_errors.inc();
        Error::Store { source }
    }

    /// Forgets how a subject types and moves and where from; whether anything was known. Live sessions
    /// keep their evidence until they end, and the next report begins a new profile.
    ///
    /// # Errors
    /// [`Error::Store`].
    #[tracing::instrument(
        skip_all,
        name = "contauth.forget",
        fields(shieldx.tenant = tenant.as_str())
    )]
    pub async fn forget(&self, tenant: &Tenant, subject: &str) -> Result<bool, Error> {
        let key = key(tenant, subject);
        let _subject_lock = lock(&self.subject_locks, &key).lock().await;
        self.profiles.remove(&key);
        let forgotten = self.meters.store.time(self.store.forget_profile(tenant, subject)).await;
        let forgotten = forgotten.map_err(|source| self.store_error(source))?;
        self.meters.profiles_forgotten.inc_by(u64::from(forgotten));
        Ok(forgotten)
    }

    /// Forgets sessions nobody reports on any more; to be called every few minutes. Their number.
    ///
    /// # Errors
    /// [`Error::Store`].
    #[tracing::instrument(skip_all, name = "contauth.expire", fields(sessions = Empty))]
    pub async fn expire(&self) -> Result<u64, Error> {
        let before_us = self.clock.now_us().saturating_sub(self.config.session_ttl_us());
        let expired = self.meters.store.time(self.store.expire_sessions(before_us)).await;
        let expired = expired.map_err(|source| self.store_error(source))?;
        tracing::Span::current().record("sessions", expired);
        self.meters.sessions_expired.inc_by(expired);
        Ok(expired)
    }
}

#[async_trait]
impl RiskSource for Contauth {
    async fn risk(
        &self,
        tenant: &Tenant,
        session: &str,
        now: &Surroundings,
    ) -> Result<SessionRisk, PortError> {
        match self.session_risk(tenant, session, now).await {
            Ok(Some(risk)) => Ok(risk),
            Ok(None) => {
                let risk = risk::unheard_of();
                self.meters.served(risk.level);
                Ok(risk)
            }
            Err(error) => Err(PortError { what: "contauth", reason: chain(&error) }),
        }
    }
}

/// Whose session it is, once a report says whose.
fn subject(session: Option<&Session>, told: Option<&str>) -> Result<String, Error> {
    match (session, told) {
        (Some(session), Some(told)) if session.subject != told => Err(Error::SubjectDiffers),
        (Some(session), _) => Ok(session.subject.clone()),
        (None, Some(told)) => Ok(told.to_owned()),
        (None, None) => Err(Error::SubjectMissing),
    }
}

fn repeated(session: &Session, report: &Report) -> bool {
    matches!((report.sequence, session.sequence), (Some(new), Some(last)) if new <= last)
}

/// A tenant's name has no NUL, so no two pairs share a key.
fn key(tenant: &Tenant, name: &str) -> String {
    format!("{tenant}\0{name}")
}

/// By a hash that callers cannot steer to one lock cheaply.
fn lock<'a>(locks: &'a [Mutex<()>], key: &str) -> &'a Mutex<()> {
    let hash = Sha256::digest(key.as_bytes());
    &locks[usize::from(hash[0]) % locks.len()]
}
