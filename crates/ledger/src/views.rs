//! What the console and the API look at.

use slo::evaluate::{self, BurnDown, Step};
use slo::history::History;
use slo::status::Scope;
use slo::{Slo, Status};

use crate::{Ledger, Mark};

impl Ledger {
    /// An objective now, in any view; alerts are of scope *all* only. `None` where there is no such
    /// objective or view.
    #[must_use]
    pub fn status(&self, name: &str, scope: &Scope) -> Option<Status> {
        if *scope == Scope::All {
            let statuses = self.statuses().borrow().clone();
            return statuses.iter().find(|status| status.slo.as_str() == name).cloned();
        }
        self.look(name, scope, |slo, history| evaluate::status(slo, scope, history, self.now_us()))
    }

    /// The views there are counts of.
    #[must_use]
    pub fn scopes(&self, name: &str) -> Vec<Scope> {
        let Some(slo) = self.catalog().get(name) else { return Vec::new() };
        self.book().history.scopes(&slo.name, slo.revision)
    }

    #[must_use]
    pub fn burn_down(&self, name: &str, scope: &Scope, points: u32) -> Option<BurnDown> {
        self.look(name, scope, |slo, history| {
            evaluate::burn_down(slo, scope, history, self.now_us(), points)
        })
    }

    #[must_use]
    pub fn explain(&self, name: &str, scope: &Scope) -> Option<Vec<Step>> {
        self.look(name, scope, |slo, history| evaluate::explain(slo, scope, history, self.now_us()))
    }

    /// For charts that need more: looks at the history, which stands still meanwhile; be quick.
    pub fn with_history<R>(&self, look: impl FnOnce(&History) -> R) -> R {
        look(&self.book().history)
    }

    /// Newest first, at most 256.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        self.book().marks.iter().rev().cloned().collect()
    }

    fn look<R>(
        &self,
        name: &str,
        scope: &Scope,
        look: impl FnOnce(&Slo, &History) -> R,
    ) -> Option<R> {
        let slo = self.catalog().get(name)?;
        let book = self.book();
        let known =
            *scope == Scope::All || book.history.scopes(&slo.name, slo.revision).contains(scope);
        known.then(|| look(slo, &book.history))
    }
}
