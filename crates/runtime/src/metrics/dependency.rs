//! How long what a service asks for takes: `shieldx_<service>_dependency_duration_seconds`, by
//! dependency and by how it ended. What a dependency is, or what its failure means, is not known here.

use std::time::Instant;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::Metrics;

/// Upper bounds in seconds: from a look-up in memory to a call that is given up.
const BUCKETS_S: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// One dependency of one service.
#[derive(Debug, Clone)]
pub struct Dependency {
    ok: Histogram,
    failed: Histogram,
    /// Whoever asked did not wait for the answer.
    abandoned: Histogram,
}

impl Metrics {
    /// A service's dependencies, by names from its own code. To be called once per service.
    #[must_use]
    pub fn dependencies<const N: usize>(&self, names: [&'static str; N]) -> [Dependency; N] {
        let make: fn() -> Histogram = || Histogram::new(BUCKETS_S);
        let family = Family::<[(&str, &str); 2], Histogram, _>::new_with_constructor(make);
        let name =
            format!("shieldx_{}_dependency_duration_seconds", self.service().replace('-', "_"));
        let help = "Calls of dependencies, by how they ended (ok, failed, abandoned)";
        let family = self.register(&name, help, family);
        names.map(|name| {
            let of =
                |outcome| family.get_or_create_owned(&[("dependency", name), ("outcome", outcome)]);
            Dependency { ok: of("ok"), failed: of("failed"), abandoned: of("abandoned") }
        })
    }
}

impl Dependency {
    /// Measures a call. An answer nobody waited for is counted, too.
    ///
    /// # Errors
    /// The call's.
    pub async fn time<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut asked = Asked { of: self, since: Instant::now(), ok: None };
        let answer = call.await;
        asked.ok = Some(answer.is_ok());
        answer
    }
}

struct Asked<'a> {
    of: &'a Dependency,
    since: Instant,
    ok: Option<bool>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let histogram = match self.ok {
            Some(true) => &self.of.ok,
            Some(false) => &self.of.failed,
            None => &self.of.abandoned,
        };
        histogram.observe(self.since.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use crate::metrics::Metrics;

    #[tokio::test]
    async fn a_call_is_counted_once_by_how_it_ended() {
        let metrics = Metrics::new("some-service");
        let [store, _other] = metrics.dependencies(["store", "other"]);
        assert_eq!(store.time(async { Ok::<_, ()>(1) }).await, Ok(1));
        assert_eq!(store.time(async { Err::<(), _>(2) }).await, Err(2));
        let mut call = Box::pin(store.time(std::future::pending::<Result<(), ()>>()));
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Pending);
        drop(call);
        let text = metrics.text();
        for (dependency, count) in [("store", 1), ("other", 0)] {
            for outcome in ["ok", "failed", "abandoned"] {
                let line = format!(
                    "shieldx_some_service_dependency_duration_seconds_count\
                     {{dependency=\"{dependency}\",outcome=\"{outcome}\"}} {count}\n"
                );
                assert!(text.contains(&line), "{line}{text}");
            }
        }
    }
}
