//! The gate's answer, and what is written down of it: deploys that went on by an override, and marks.

use slo::gate::{Ask, Decision, decide};

use crate::config::TEXT_MAX_CHARS;
use crate::record::{Mark, OverrideUse, Record};
use crate::{Ledger, LedgerError};

impl Ledger {
    /// Whether to deploy. The use of an override is written down, which blocks on the disk.
    #[must_use]
    pub fn gate(&self, ask: &Ask) -> Decision {
        self.gate_for(ask, None)
    }

    /// The same for whoever has this API key.
    #[must_use]
    pub fn gate_for(&self, ask: &Ask, key_id: Option<&str>) -> Decision {
        let decision = self.decide(ask);
        if ask.override_token.is_none() {
            return decision;
        }
        // An override was used where the answer is another one than without it.
        let without = self.decide(&Ask { override_token: None, ..ask.clone() });
        let Some(lifted_by) = decision.lifted_by.clone() else { return decision };
        if without.lifted_by == decision.lifted_by {
            return decision;
        }
        let used = OverrideUse {
            at_us: decision.at_us,
            service: ask.service.clone().map(short),
            change: ask.change.clone().map(short),
            lifted_by,
            key_id: key_id.map(str::to_owned),
        };
        let OverrideUse { service, change, lifted_by, .. } = &used;
        tracing::warn!(?service, ?change, lifted_by, key_id, "a deploy goes on by an override");
        match self.write_down(&[Record::override_use(&used)], Record::Override(used)) {
            Ok(()) => {
                self.meters().overrides.inc();
                decision
            }
            // What cannot be accounted for is not done.
            Err(error) => Decision {
                override_refused: Some(format!("its use cannot be written down: {error}")),
                ..without
            },
        }
    }

    /// Uses of overrides, newest first, at most 1024.
    #[must_use]
    pub fn overrides(&self) -> Vec<OverrideUse> {
        self.book().overrides.iter().rev().cloned().collect()
    }

    /// Remembers that something was deployed. Durable when it returns; blocks on the disk.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn mark(&self, service: Option<String>, text: String) -> Result<Mark, LedgerError> {
        let mark = Mark { at_us: self.now_us(), service: service.map(short), text: short(text) };
        self.write_down(&[Record::mark(&mark)], Record::Mark(mark.clone()))?;
        Ok(mark)
    }

    fn decide(&self, ask: &Ask) -> Decision {
        let statuses = self.statuses().borrow().clone();
        let book = self.book();
        decide(self.catalog(), &statuses, &book.state.memory, ask, self.now_us())
    }

    fn write_down(&self, bytes: &[Vec<u8>], record: Record) -> Result<(), LedgerError> {
        let mut writing = self.writing();
        let written = writing.keeper.write(bytes, self.now_us());
        written.map_err(|error| LedgerError::Unkept { reason: types::cause::chain(&error) })?;
        self.book_mut().apply(record);
        Ok(())
    }
}

fn short(text: String) -> String {
    match text.char_indices().nth(TEXT_MAX_CHARS) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}
