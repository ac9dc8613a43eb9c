//! Random batches, restarts and questions, against the plainest thing that could be right: a list of
//! every value ever told.

use std::collections::BTreeMap;
use std::sync::Arc;

use ml_service::history::{Page, Place, Question};
use ml_service::value::Value;
use ml_service::{Row, Values};

use crate::support::{House, MemoryLog, NOW_US, tenant};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// One row as it was told, in the order of telling.
#[derive(Debug, Clone)]
struct Told {
    entity: String,
    event_us: i64,
    values: BTreeMap<String, Value>,
}

#[derive(Default)]
struct Model(Vec<Told>);

impl Model {
    fn latest(&self, entity: &str, feature: &str) -> Option<(i64, Value)> {
        let of = self.0.iter().filter(|told| told.entity == entity);
        let told = of.filter_map(|told| Some((told.event_us, told.values.get(feature)?.clone())));
        // Of equal times the one told last.
        told.max_by_key(|(event_us, _)| *event_us)
    }

    fn history(&self, entity: &str, from_us: i64, to_us: i64) -> Vec<Told> {
        let mut rows: Vec<Told> = self.0.clone();
        rows.retain(|told| told.entity == entity && (from_us..=to_us).contains(&told.event_us));
        rows.sort_by_key(|told| told.event_us);
        rows
    }
}

fn random_row(random: &mut Random) -> (Row, Told) {
    let entity = format!("e{}", random.below(4));
    let event_us = NOW_US + i64::try_from(random.below(12)).unwrap();
    let mut values = BTreeMap::new();
    for _ in 0..=random.below(3) {
        let column = random.below(4);
        let number = random.below(1_000).cast_signed();
        let value = match (random.below(5), column) {
            (0, _) => Value::Null,
            (_, 0) => Value::Text(number.to_string().into()),
            (_, 1) => Value::Bool(number % 2 == 0),
            _ => Value::Integer(number),
        };
        values.insert(format!("c{column}"), value);
    }
    let row = Row {
        entity: entity.clone(),
        event_time: runtime::clock::rfc3339(event_us),
        values: Values(values.clone().into_iter().collect()),
    };
    (row, Told { entity, event_us, values })
}

async fn pages(house: &House, question: Question) -> Vec<(i64, BTreeMap<String, Value>)> {
    let (mut rows, mut after): (Vec<_>, Option<Place>) = (Vec::new(), None);
    loop {
        let question = Question { after, ..question.clone() };
        let page: Page = house.service.history(&tenant("a"), "model", &question).await.unwrap();
        for row in page.rows {
            let values = row.values.into_iter().map(|(name, value)| (name.into(), value));
            rows.push((row.place.event_us, values.collect()));
        }
        match page.next {
            None => return rows,
            next => after = next,
        }
    }
}

async fn compare(house: &House, model: &Model, random: &mut Random) {
    let view = house.service.view(&tenant("a"), "model").unwrap();
    for entity in ["e0", "e1", "e2", "e3", "e4"] {
        for column in ["c0", "c1", "c2", "c3"] {
            let latest = view.read();
            let found = latest.reading(entity, column);
            let found = found.map(|reading| (reading.stamp.event_us, reading.value.clone()));
            assert_eq!(found, model.latest(entity, column), "{entity} {column}");
        }
        let from_us = NOW_US + i64::try_from(random.below(12)).unwrap();
        let to_us = NOW_US + i64::try_from(random.below(14)).unwrap();
        let limit = usize::try_from(1 + random.below(9)).unwrap();
        let entity = entity.to_owned();
        let expected: Vec<_> = model
            .history(&entity, from_us, to_us)
            .into_iter()
            .map(|told| (told.event_us, told.values))
            .collect();
        let question = Question { entity, from_us, to_us, after: None, limit };
        assert_eq!(pages(house, question).await, expected);
    }
}

#[tokio::test]
async fn the_store_answers_as_a_list_of_everything_told_would() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let log = Arc::new(MemoryLog::default());
        let (mut house, mut model) = (House::over(log.clone()).await, Model::default());
        for _ in 0..30 {
            let rows = (0..=random.below(5)).map(|_| random_row(&mut random));
            let (rows, told): (Vec<Row>, Vec<Told>) = rows.unzip();
            house.service.ingest(&tenant("a"), "model", rows).await.unwrap();
            model.0.extend(told);
            match random.below(6) {
                0 => house = House::over(log.clone()).await,
                1 => house.clock.advance_us(-5),
                2 => house.clock.advance_us(5),
                _ => {}
            }
            compare(&house, &model, &mut random).await;
        }
    }
}
