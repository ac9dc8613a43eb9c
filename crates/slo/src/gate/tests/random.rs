//! What may never be answered, whatever comes.

use super::{Case, page};
use crate::gate::{Answer, Ask};
use crate::spec::{OnUnknown, Severity};
use crate::status::{AlertState, Status};

/// SplitMix64, for cases that are the same each time. <https://prng.di.unimi.it/splitmix64.c>
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).unwrap()
    }

    fn one_in(&mut self, of: u32) -> bool {
        self.below(of) == 0
    }

    /// Mostly near the thresholds.
    fn left(&mut self) -> f64 {
        f64::from(self.below(4000)) / 10_000.0 - 0.05
    }

    fn setting(&mut self) -> OnUnknown {
        [OnUnknown::Unknown, OnUnknown::Freeze, OnUnknown::Allow][self.below(3) as usize]
    }

    fn change(&mut self, status: &mut Status) {
        status.budget.left = (!self.one_in(20)).then(|| self.left());
        status.coverage = if self.one_in(6) { 0.5 } else { 0.95 };
        status.few_events = self.one_in(10);
        let state = [AlertState::Inactive, AlertState::Firing, AlertState::Frozen];
        let state = if self.one_in(8) { state[self.below(3) as usize] } else { state[0] };
        status.alerts = vec![page(state, Severity::Page)];
    }
}

/// A spent budget is never allowed nor slow, and a frozen one opens at 15 % and not before, whatever
/// came in between.
#[test]
fn spent_budgets_never_deploy_and_frozen_ones_open_when_they_are_well() {
    let mut random = Random(4);
    let mut case = Case::new([1.0; 3]);
    let mut frozen = [false; 3];
    let mut seen = [0_u32; 4];
    // As many ten-thousandths as were drawn.
    let under = |left: f64, share: i32| (left * 10_000.0).round() < f64::from(share);
    for round in 0..20_000 {
        case.catalog.gate.on_unknown = random.setting();
        case.catalog.gate.on_few_events = random.setting();
        for status in &mut case.statuses {
            if random.one_in(2) {
                random.change(status);
            }
        }
        case.memory.step(&case.catalog, &case.statuses);
        let decision = case.decide(&Ask::default());
        seen[usize::from(decision.answer.rank())] += 1;
        assert_eq!(decision.answer, decision.answer_of_budgets);
        for (index, status) in case.statuses.iter().enumerate() {
            let reason = decision.reasons.iter().find(|reason| reason.slo == status.slo).unwrap();
            assert!(reason.answer.rank() <= decision.answer.rank(), "round {round}");
            let paging = status.alerts.iter().any(|page| page.state != AlertState::Inactive);
            let covered = status.coverage >= 0.9;
            let left = status.budget.left.filter(|_| !status.few_events);
            // The model: what is frozen, told apart from what is answered.
            frozen[index] = match left {
                _ if paging => true,
                _ if !covered => frozen[index],
                None => false,
                Some(left) => under(left, 1000) || (frozen[index] && under(left, 1500)),
            };
            let deploys = matches!(reason.answer, Answer::Allow | Answer::Slow);
            assert!(!(frozen[index] && deploys), "round {round}: {reason:?}");
            let remembered = case.memory.frozen.contains(&status.slo);
            assert_eq!(remembered, frozen[index], "round {round}: {status:?}");
            if left.is_some_and(|left| under(left, 1000)) {
                assert!(!deploys, "round {round}: {reason:?}");
            }
            if covered && left.is_some_and(|left| !under(left, 2500)) && !paging {
                assert_eq!(reason.answer, Answer::Allow, "round {round}");
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}
