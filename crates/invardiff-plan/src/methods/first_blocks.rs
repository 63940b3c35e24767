//! First-Block Cache (`ParaAttention`) and `DBCache` (cache-dit).

use serde::{Deserialize, Serialize};

use crate::core::PlanError;
use crate::methods::threshold::check_threshold;

/// Computes the first blocks and skips the following ones while what the first blocks add changes little since the last
/// computed step. The last blocks are computed, on the hidden state that replaces the skipped blocks' output.
///
/// With one first and no last block this is the First-Block Cache of `ParaAttention` (thresholds 0.06 to 0.12 published for
/// FLUX.1-dev, diffusers' default 0.05). With other numbers it is `DBCache` of cache-dit (`Fn` and `Bn`; default: 8 first blocks,
/// 8 steps of warm-up, threshold 0.08). Deviations: a change equal to the threshold skips (in cache-dit it does not);
/// cache-dit's limit on the accumulated change, its periodic warm-up and its hybrid with `TaylorSeer` are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstBlocks {
    /// The number of blocks at the start that are always computed, at least 1 (`Fn`).
    pub first: usize,
    /// The number of blocks at the end that are always computed (`Bn`).
    pub last: usize,
    /// The largest relative change at which blocks are skipped.
    pub threshold: f64,
    /// The number of steps at the start that are always computed.
    pub warm_up: usize,
    /// The most skipped steps in a row; `None` for no limit.
    pub longest_run: Option<usize>,
    /// The most skipped steps in a trajectory; `None` for no limit.
    pub most: Option<usize>,
}

/// The numbers of skipped steps: since the last computed one, and in all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skips {
    run: usize,
    all: usize,
}

impl FirstBlocks {
    /// First-Block Cache with this threshold.
    pub const fn first_block(threshold: f64) -> Self {
        Self { first: 1, last: 0, threshold, warm_up: 1, longest_run: None, most: None }
    }

    /// `DBCache` with the defaults of cache-dit.
    pub const fn dbcache() -> Self {
        Self { first: 8, last: 0, threshold: 0.08, warm_up: 8, longest_run: None, most: None }
    }

    pub(super) fn start(&self) -> Result<Skips, PlanError> {
        check_threshold("First-Block Cache", self.threshold)?;
        if self.first == 0 {
            return Err(PlanError::Range {
                what: "the number of first blocks".into(),
                value: "0".into(),
                expected: "at least 1: their change decides".into(),
            });
        }
        Ok(Skips { run: 0, all: 0 })
    }

    pub(super) fn asks(&self, step: usize, skips: Skips) -> bool {
        step >= self.warm_up.max(1)
            && self.longest_run.is_none_or(|longest| skips.run < longest)
            && self.most.is_none_or(|most| skips.all < most)
    }

    pub(super) fn skip(&self, step: usize, skips: &mut Skips, change: Option<f64>) -> bool {
        let skip = self.asks(step, *skips) && change.is_some_and(|change| change <= self.threshold);
        *skips = Skips { run: if skip { skips.run + 1 } else { 0 }, all: skips.all + usize::from(skip) };
        skip
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::block_skip::{SkipRule, drawn};

    const CHANGES: [f64; 9] = [0.0, 0.01, 0.2, 0.05, 0.04, 0.01, 0.01, 0.9, 0.0];

    fn decide(rule: FirstBlocks) -> String {
        drawn(&SkipRule::FirstBlocks(rule), &CHANGES)
    }

    /// The last step has no rule of its own, unlike in `TeaCache`.
    #[test]
    fn small_changes_skip() {
        let rule = FirstBlocks::first_block(0.05);
        assert_eq!(decide(rule.clone()), ".#.####.#");
        assert_eq!(decide(FirstBlocks { threshold: 0.0, ..rule.clone() }), "........#");
        assert_eq!(decide(FirstBlocks { warm_up: 4, ..rule }), "....###.#");
    }

    #[test]
    fn runs_and_totals_are_bounded() {
        let rule = FirstBlocks::first_block(0.05);
        assert_eq!(decide(FirstBlocks { longest_run: Some(2), ..rule.clone() }), ".#.##.#.#");
        assert_eq!(decide(FirstBlocks { longest_run: Some(0), ..rule.clone() }), ".........");
        assert_eq!(decide(FirstBlocks { most: Some(3), ..rule }), ".#.##....");
    }

    #[test]
    fn names_tell_the_two_apart_and_no_first_block_is_refused() {
        let named = |rule| SkipRule::FirstBlocks(rule).name();
        assert_eq!(named(FirstBlocks::first_block(0.1)), "first-block");
        assert_eq!(named(FirstBlocks::dbcache()), "dbcache");
        let none = SkipRule::FirstBlocks(FirstBlocks { first: 0, ..FirstBlocks::dbcache() });
        assert!(none.decide(4).unwrap_err().to_string().contains("first blocks is 0"));
    }
}
