//! What the pool needs to do its work, for `/readyz`.

use std::sync::Arc;

use async_trait::async_trait;
use runtime::http::ops::Dependency;
use store::artifacts::Artifacts;
use store::domain::Health;
use types::ports::Executor;

/// The store takes writes, an artifact could be received, a runner is available.
#[must_use]
pub fn dependencies(
    store: Arc<dyn Health>,
    artifacts: Arc<Artifacts>,
    executor: Arc<dyn Executor>,
) -> Vec<Arc<dyn Dependency>> {
    vec![Arc::new(Store(store)), Arc::new(Folder(artifacts)), Arc::new(Runner(executor))]
}

/// What else there may be: each runner by its name. One that this host lacks is told of and makes
/// nobody unready.
#[must_use]
pub fn extras(executor: &Arc<dyn Executor>) -> Vec<Arc<dyn Dependency>> {
    let one = |(name, _): (String, _)| -> Arc<dyn Dependency> {
        Arc::new(OneRunner {
            name: format!("runner {name}"),
            runner: name,
            executor: Arc::clone(executor),
        })
    };
    executor.runners().into_iter().map(one).collect()
}

#[derive(Debug)]
struct OneRunner {
    name: String,
    runner: String,
    executor: Arc<dyn Executor>,
}

#[async_trait]
impl Dependency for OneRunner {
    fn name(&self) -> &str {
        &self.name
    }

    fn required(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<(), String> {
        let runners = self.executor.runners();
        let found = runners.into_iter().find(|(name, _)| *name == self.runner);
        found.and_then(|(_, reason)| reason).map_or(Ok(()), Err)
    }
}

#[derive(Debug)]
struct Store(Arc<dyn Health>);

#[async_trait]
impl Dependency for Store {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.check().await.map_err(|error| error.to_string())
    }
}

#[derive(Debug)]
struct Folder(Arc<Artifacts>);

#[async_trait]
impl Dependency for Folder {
    fn name(&self) -> &'static str {
        "artifacts"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.check().await.map_err(|error| error.to_string())
    }
}

#[derive(Debug)]
struct Runner(Arc<dyn Executor>);

#[async_trait]
impl Dependency for Runner {
    fn name(&self) -> &'static str {
        "runner"
    }

    async fn check(&self) -> Result<(), String> {
        let runners = self.0.runners();
        if runners.iter().any(|(_, reason)| reason.is_none()) {
            return Ok(());
        }
        let reasons = runners.iter().map(|(name, reason)| {
            format!("{name}: {}", reason.as_deref().unwrap_or("no reason given"))
        });
        let reasons: Vec<_> = reasons.collect();
        Err(if reasons.is_empty() {
            "there is no runner".to_owned()
        } else {
            format!("no runner is available ({})", reasons.join("; "))
        })
    }
}
