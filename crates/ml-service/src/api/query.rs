//! Query strings: names may repeat, and a name that means nothing is a mistake worth telling.

use runtime::http::Problem;
use serde::Deserialize;

use crate::history::{Place, Question};
use crate::pipeline::validate::{ENTITY_CHARS_MAX, VALUES_MAX, is_name};
use crate::time;

/// Entities in one question.
pub(super) const ENTITIES_MAX: usize = 100;
/// Rows in a page of history, and where nothing is said.
pub(super) const LIMIT_MAX: usize = 1_000;
pub(super) const LIMIT_DEFAULT: usize = 100;
/// Oldest age that can be asked for: 2^53 − 1 ms, an integer every JSON reader knows.
pub(super) const AGE_MAX_MS: i64 = 9_007_199_254_740_991;

/// The query as it came.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Pairs(Vec<(String, String)>);

/// What is asked of the latest values.
#[derive(Debug)]
pub(super) struct AskedLatest {
    pub(super) entities: Vec<String>,
    /// Empty: all.
    pub(super) features: Vec<String>,
    pub(super) max_age_us: Option<i64>,
}

impl Pairs {
    /// Refuses names that are not among these.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Problem> {
        let unknown = self.0.iter().find(|(name, _)| !names.contains(&name.as_str()));
        unknown.map_or(Ok(()), |(name, _)| {
            let name: String = name.chars().take(64).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(bad(format!("there is no parameter {name:?}; this takes {known}")))
        })
    }

    pub(super) fn latest(&self) -> Result<AskedLatest, Problem> {
        self.only(&["entity", "feature", "max_age_ms"])?;
        let entities = self.all("entity");
        if !(1..=ENTITIES_MAX).contains(&entities.len()) {
            return Err(bad(format!("give entity 1 to {ENTITIES_MAX} times")));
        }
        entities.iter().try_for_each(|entity| check_entity(entity))?;
        let features = self.all("feature");
        if features.len() > VALUES_MAX {
            return Err(bad(format!("give feature at most {VALUES_MAX} times")));
        }
        if let Some(wrong) = features.iter().find(|name| !is_name(name)) {
            let wrong: String = wrong.chars().take(64).collect();
            return Err(bad(format!("{wrong:?} is no feature's name")));
        }
        let max_age_ms = self.number("max_age_ms", 0, AGE_MAX_MS)?;
        let max_age_us = max_age_ms.map(|age| age.saturating_mul(1_000));
        Ok(AskedLatest { entities, features, max_age_us })
    }

    pub(super) fn history(&self) -> Result<Question, Problem> {
        self.only(&["entity", "from", "to", "limit", "cursor"])?;
        let entity = self.one("entity")?;
        let entity = entity.ok_or_else(|| bad("give the entity".to_owned()))?;
        check_entity(entity)?;
        let limit = self.number("limit", 1, i64::try_from(LIMIT_MAX).unwrap_or(i64::MAX))?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIMIT_DEFAULT);
        let place = |text: &str| {
            let place = text.parse::<Place>();
            place.map_err(|()| bad("cursor is not one that a page gave as next".to_owned()))
        };
        Ok(Question {
            entity: entity.to_owned(),
            from_us: self.time("from")?.unwrap_or(i64::MIN),
            to_us: self.time("to")?.unwrap_or(i64::MAX),
            after: self.one("cursor")?.map(place).transpose()?,
            limit,
        })
    }

    fn all(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(given, _)| given == name);
        named.map(|(_, value)| value.clone()).collect()
    }

    fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(given, _)| given == name);
        let first = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            Some(_) => Err(bad(format!("{name} is there twice"))),
            None => Ok(first),
        }
    }

    fn number(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        // Digits only: `parse` would also take a plus sign.
        let digits = text.bytes().all(|c| c.is_ascii_digit());
        let number = text.parse::<i64>().ok().filter(|number| (min..=max).contains(number));
        let wrong = || bad(format!("{name} is a whole number from {min} to {max}"));
        number.filter(|_| digits).map(Some).ok_or_else(wrong)
    }

    fn time(&self, name: &str) -> Result<Option<i64>, Problem> {
        let wrong = |error| bad(format!("{name}: {error}"));
        self.one(name)?.map(time::parse).transpose().map_err(wrong)
    }
}

fn check_entity(entity: &str) -> Result<(), Problem> {
    if (1..=ENTITY_CHARS_MAX).contains(&entity.chars().count()) {
        return Ok(());
    }
    Err(bad(format!("an entity has 1 to {ENTITY_CHARS_MAX} characters")))
}

fn bad(detail: String) -> Problem {
    Problem::bad_request("invalid-parameter", detail)
}
