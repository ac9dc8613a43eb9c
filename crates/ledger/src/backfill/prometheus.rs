//! Asks a Prometheus for the past of some counters. Its answers are data from outside: bounded, and
//! nothing in them is believed to be a number before it has been read as one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use ureq::Agent;

use super::BackfillError;

/// Half a day of a thousand series, once a minute, is about 20 MB.
const ANSWER_MAX_BYTES: u64 = 256 << 20;
const TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(super) struct Prometheus {
    agent: Agent,
    url: String,
}

#[derive(Debug)]
pub(super) struct Query {
    pub(super) expression: String,
    pub(super) from_s: i64,
    pub(super) to_s: i64,
    pub(super) step_s: i64,
}

/// One series: seconds since 1970 and whole events, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) points: Vec<(i64, u64)>,
}

impl Found {
    pub(super) fn label(&self, name: &str) -> Option<String> {
        self.labels.get(name).cloned()
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
struct Data {
    result: Vec<Matrix>,
}

#[derive(Debug, Deserialize)]
struct Matrix {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Prometheus {
    pub(super) fn new(url: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("shieldx/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), url: url.trim_end_matches('/').to_owned() }
    }

    pub(super) fn ask(&self, query: &Query) -> Result<Vec<Found>, BackfillError> {
        let unreachable = |reason| BackfillError::Unreachable { url: self.url.clone(), reason };
        let wrong = |reason| BackfillError::Answer { url: self.url.clone(), reason };
        let numbers = [query.from_s, query.to_s, query.step_s].map(|number| number.to_string());
        let [from, to, step] = &numbers;
        let pairs = [
            ("query", query.expression.as_str()),
            ("start", from.as_str()),
            ("end", to.as_str()),
            ("step", step.as_str()),
        ];
        let asked =
            self.agent.get(format!("{}/api/v1/query_range", self.url)).query_pairs(pairs).call();
        let mut response = asked.map_err(|error| unreachable(error.to_string()))?;
        let status = response.status();
        let reader = response.body_mut().with_config().limit(ANSWER_MAX_BYTES);
        let bytes = reader.read_to_vec().map_err(|error| unreachable(error.to_string()))?;
        let answer: Answer =
            serde_json::from_slice(&bytes).map_err(|error| wrong(format!("{status}: {error}")))?;
        match answer.data {
            Some(data) if answer.status == "success" => {
                Ok(data.result.into_iter().map(Found::from).collect())
            }
            _ => {
                let said: String = answer.error.chars().take(300).collect();
                Err(wrong(format!("{status}: {}", said.escape_debug())))
            }
        }
    }
}

impl From<Matrix> for Found {
    fn from(Matrix { metric, values }: Matrix) -> Self {
        let point = |(at, value): (f64, String)| Some((whole(at)?, whole(value.parse().ok()?)?));
        let point = |pair| point(pair).and_then(|(at, value)| Some((at, value.try_into().ok()?)));
        Self { labels: metric, points: values.into_iter().filter_map(point).collect() }
    }
}

/// A number without a part; `None` for what is none or beyond what a double counts exactly.
#[expect(clippy::cast_possible_truncation, reason = "within ±2^53")]
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let value = value.round();
    (value.is_finite() && value.abs() <= EXACT).then_some(value as i64)
}
