//! TaylorSeer (arXiv 2503.06923): features are extrapolated by a Taylor series instead of held.

use crate::core::{CachePlan, PlanError, ReuseRule, Topology};
use crate::methods::fora::every_module;

/// The settings of TaylorSeer. Its plan computes every module at the first steps and then at one step per interval, and
/// extrapolates it at the others from its last computed values.
///
/// The extrapolation is the plan's reuse rule [`ReuseRule::Taylor`] on the axis of step numbers. Order 1 equals
/// [`ReuseRule::Extrapolate`], order 0 is [`ReuseRule::Hold`]. Deviations from the authors' code: a higher order is used as
/// soon as enough steps were computed (theirs ignores those before the last two of [`TaylorSeer::first`]), and values are
/// kept in the model's type (theirs keeps differences, which are rounded once more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaylorSeer {
    /// Steps from one computed step to the next.
    pub interval: usize,
    /// Order of the series, 0 to 4.
    pub order: u8,
    /// The number of steps at the start that are all computed, at least 1.
    pub first: usize,
}

impl Default for TaylorSeer {
    /// The authors' setting for DiT: interval 4, order 4, two first steps.
    fn default() -> Self {
        Self { interval: 4, order: 4, first: 2 }
    }
}

impl TaylorSeer {
    /// The plan for a model.
    ///
    /// # Errors
    /// [`PlanError::Range`] for an interval or a number of first steps of 0 and for an order above 4,
    /// [`PlanError::TooFewSteps`] without steps.
    pub fn plan(&self, topology: &Topology, steps: usize) -> Result<CachePlan, PlanError> {
        let Self { interval, order, first } = *self;
        for (what, value, fits, expected) in [
            ("the interval of TaylorSeer", interval, interval > 0, "at least 1 step"),
            ("the first steps of TaylorSeer", first, first > 0, "at least 1"),
            ("the order of TaylorSeer", usize::from(order), order <= ReuseRule::MAX_ORDER, "0 to 4"),
        ] {
            if !fits {
                let (what, value, expected) = (what.into(), value.to_string(), expected.into());
                return Err(PlanError::Range { what, value, expected });
            }
        }
        let computed = |step: usize| step < first || (step + 1 - first).is_multiple_of(interval);
        let method = format!("taylorseer-{interval}-{order}");
        let rule = if order == 0 { ReuseRule::Hold } else { ReuseRule::Taylor(order) };
        let plan = every_module(topology, steps, computed, method)?;
        Ok(topology.kinds().into_iter().fold(plan, |plan, kind| plan.with_module_rule(kind, rule)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Kind;

    fn plan(settings: TaylorSeer, steps: usize) -> CachePlan {
        settings.plan(&Topology::named("dit-s-2-256").unwrap(), steps).unwrap()
    }

    #[test]
    fn one_step_of_each_interval_is_computed_after_the_first_ones() {
        let drawn = |interval, first| -> String {
            let plan = plan(TaylorSeer { interval, order: 2, first }, 12);
            plan.reuse().column(0).iter().map(|reused| if *reused { '#' } else { '.' }).collect()
        };
        assert_eq!(drawn(4, 2), "..###.###.##");
        assert_eq!(drawn(3, 1), ".##.##.##.##");
        assert_eq!(drawn(1, 2), "............");
    }

    #[test]
    fn every_kind_has_the_rule() {
        let plan = plan(TaylorSeer::default(), 12);
        assert_eq!(plan.module_rule(Kind::MSA), ReuseRule::Taylor(4));
        assert_eq!(plan.module_rule(Kind::MLP), ReuseRule::Taylor(4));
        let topology = Topology::named("dit-s-2-256").unwrap();
        let schedule = plan.schedule(&topology).unwrap();
        let slot = schedule.slot(crate::core::Site::msa(0)).unwrap();
        // Two values at steps 0 and 1, a third at 5.
        let reads = |step| schedule.action(step, slot).recipe().map_or(0, <[_]>::len);
        assert_eq!([reads(1), reads(2), reads(4), reads(5), reads(6), reads(10)], [0, 2, 2, 0, 3, 4]);
    }

    #[test]
    fn nonsense_is_refused() {
        let topology = Topology::named("dit-s-2-256").unwrap();
        let refused = |settings: TaylorSeer| settings.plan(&topology, 8).unwrap_err().to_string();
        let good = TaylorSeer::default();
        assert!(refused(TaylorSeer { interval: 0, ..good }).contains("interval"));
        assert!(refused(TaylorSeer { first: 0, ..good }).contains("first steps"));
        assert!(
            refused(TaylorSeer { order: 5, ..good }).contains("order of TaylorSeer is 5, expected 0 to 4")
        );
    }
}
