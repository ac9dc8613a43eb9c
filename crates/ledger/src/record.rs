//! What is in the journal: samples, deploy marks, uses of overrides, and the state that has to outlive
//! a restart. And the snapshot that replaces them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use slo::alerts::Alerts;
use slo::gate::Memory;
use slo::history::{History, Sample};

use crate::config::{MARKS_MAX, OVERRIDES_MAX};
use crate::tell::Owed;

/// Something that was deployed, for the charts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub at_us: i64,
    /// Absent: all.
    pub service: Option<String>,
    pub text: String,
}

/// A deploy that a freeze would have stopped, and an override did not let it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideUse {
    pub at_us: i64,
    pub service: Option<String>,
    pub change: Option<String>,
    /// Whose override, until when and why.
    pub lifted_by: String,
    /// The API key that asked; absent where nobody was asked for one.
    pub key_id: Option<String>,
}

/// What is kept besides the counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) alerts: Alerts,
    pub(crate) memory: Memory,
    pub(crate) owed: Owed,
}

impl State {
    /// What has to be written down when it changes. The words of an alert that fires are others at
    /// each evaluation, and are made anew after a restart.
    pub(crate) fn essence(&self) -> Value {
        let mut alerts = serde_json::to_value(&self.alerts).unwrap_or_default();
        forget_words(&mut alerts);
        serde_json::json!({ "alerts": alerts, "memory": self.memory, "owed": self.owed })
    }
}

fn forget_words(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "summary" && name != "description");
            fields.values_mut().for_each(forget_words);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_words),
        _ => {}
    }
}

const SAMPLE: u8 = b's';
const STATE: u8 = b't';
const MARK: u8 = b'm';
const OVERRIDE: u8 = b'o';

/// One record of the journal: a byte that says what it is, then the thing itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    Sample(Sample),
    State(Box<State>),
    Mark(Mark),
    Override(OverrideUse),
}

impl Record {
    pub(crate) fn sample(sample: &Sample) -> Vec<u8> {
        let mut bytes = vec![SAMPLE];
        sample.encode(&mut bytes);
        bytes
    }

    pub(crate) fn state(state: &State) -> Vec<u8> {
        tagged(STATE, state)
    }

    pub(crate) fn mark(mark: &Mark) -> Vec<u8> {
        tagged(MARK, mark)
    }

    pub(crate) fn override_use(used: &OverrideUse) -> Vec<u8> {
        tagged(OVERRIDE, used)
    }

    /// `None` for anything that was not written above.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            SAMPLE => Sample::decode(rest).ok().map(Self::Sample),
            STATE => serde_json::from_slice(rest).ok().map(Box::new).map(Self::State),
            MARK => serde_json::from_slice(rest).ok().map(Self::Mark),
            OVERRIDE => serde_json::from_slice(rest).ok().map(Self::Override),
            _ => None,
        }
    }
}

fn tagged(kind: u8, value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![kind];
    // Neither a map with keys that are no texts nor anything else that JSON does not have.
    bytes.extend(serde_json::to_vec(value).unwrap_or_default());
    bytes
}

/// Everything that the ledger knows.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) history: History,
    pub(crate) state: State,
    /// Oldest first.
    pub(crate) marks: VecDeque<Mark>,
    pub(crate) overrides: VecDeque<OverrideUse>,
}

/// The part of a snapshot that is JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Rest {
    state: State,
    marks: VecDeque<Mark>,
    overrides: VecDeque<OverrideUse>,
}

impl Book {
    /// The length of the JSON in four bytes, the JSON, the history.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let rest = Rest {
            state: self.state.clone(),
            marks: self.marks.clone(),
            overrides: self.overrides.clone(),
        };
        let json = serde_json::to_vec(&rest).unwrap_or_default();
        let mut bytes = u32::try_from(json.len()).unwrap_or(0).to_le_bytes().to_vec();
        bytes.extend(json);
        bytes.extend(self.history.snapshot());
        bytes
    }

    /// `None` for anything that [`Self::snapshot`] did not write.
    pub(crate) fn restore(bytes: &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let (json, history) = rest.split_at_checked(len)?;
        let Rest { state, marks, overrides } = serde_json::from_slice(json).ok()?;
        let history = History::restore(history).ok()?;
        Some(Self { history, state, marks, overrides })
    }

    /// What a journal says happened; `false` where nothing new did.
    pub(crate) fn apply(&mut self, record: Record) -> bool {
        match record {
            Record::Sample(sample) => return self.history.add(&sample),
            Record::State(state) => self.state = *state,
            Record::Mark(mark) => push(&mut self.marks, mark, MARKS_MAX),
            Record::Override(used) => push(&mut self.overrides, used, OVERRIDES_MAX),
        }
        true
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() >= max {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use slo::status::Counts;

    use super::{Book, Mark, OverrideUse, Record, State};

    #[test]
    fn records_and_snapshots_are_read_as_they_were_written() {
        let mark = Mark { at_us: 7, service: None, text: "1.2".to_owned() };
        let used = OverrideUse {
            at_us: 8,
            service: Some("gateway".to_owned()),
            change: None,
            lifted_by: "alice".to_owned(),
            key_id: None,
        };
        let sample = slo::history::Sample {
            instance: "a".to_owned(),
            epoch: 1,
            at_us: 1_000_000,
            series: vec![(
                slo::history::Series {
                    slo: "x".to_owned().try_into().unwrap(),
                    revision: 1,
                    scope: slo::status::Scope::All,
                },
                Counts { good: 1, bad: 2, excluded: 3 },
            )],
        };
        let written = [
            (Record::mark(&mark), Record::Mark(mark)),
            (Record::override_use(&used), Record::Override(used)),
            (Record::sample(&sample), Record::Sample(sample)),
            (Record::state(&State::default()), Record::State(Box::default())),
        ];
        let mut book = Book::default();
        for (bytes, record) in written {
            assert_eq!(Record::decode(&bytes).as_ref(), Some(&record));
            assert_eq!(Record::decode(&bytes[..bytes.len() - 1]), None);
            assert!(book.apply(record));
        }
        let again = Book::restore(&book.snapshot()).unwrap();
        assert_eq!((again.marks, again.overrides), (book.marks, book.overrides));
        assert_eq!(again.history.begins_us(), book.history.begins_us());
        assert!(Book::restore(b"\x01").is_none() && Record::decode(b"").is_none());
    }
}
