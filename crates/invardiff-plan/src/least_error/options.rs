//! The options of the planner.

use serde::{Deserialize, Serialize};

use crate::core::ReuseRule;

/// How the errors of single skips add up to the error of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The sum of squared errors: skips err in unrelated directions.
    Squares,
    /// The sum of root-mean-square errors: skips err in the same direction.
    #[default]
    Sum,
}

/// Which steps a plan may skip, and how its error is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlannerOptions {
    /// How a skipped step's value is made; [`ReuseRule::Extrapolate`] of order 1 at most.
    pub rule: ReuseRule,
    /// How errors add up.
    pub criterion: Criterion,
    /// Steps at the start that are computed (at least 1).
    pub warm_up: usize,
    /// Steps at the end that are computed.
    pub last: usize,
    /// The longest run of skipped steps; the atlas's window bounds it too.
    pub longest_run: usize,
}

impl Default for PlannerOptions {
    /// Linear extrapolation, errors added, two steps of warm-up, the last step computed.
    fn default() -> Self {
        Self {
            rule: ReuseRule::Extrapolate(1),
            criterion: Criterion::default(),
            warm_up: 2,
            last: 1,
            longest_run: usize::MAX,
        }
    }
}

impl PlannerOptions {
    /// The same with this [`PlannerOptions::rule`].
    #[must_use]
    pub fn with_rule(self, rule: ReuseRule) -> Self {
        Self { rule, ..self }
    }

    /// The same with this [`PlannerOptions::criterion`].
    #[must_use]
    pub fn with_criterion(self, criterion: Criterion) -> Self {
        Self { criterion, ..self }
    }

    /// The same with this [`PlannerOptions::warm_up`].
    #[must_use]
    pub fn with_warm_up(self, warm_up: usize) -> Self {
        Self { warm_up, ..self }
    }

    /// The same with this [`PlannerOptions::last`].
    #[must_use]
    pub fn with_last(self, last: usize) -> Self {
        Self { last, ..self }
    }

    /// The same with this [`PlannerOptions::longest_run`].
    #[must_use]
    pub fn with_longest_run(self, longest_run: usize) -> Self {
        Self { longest_run, ..self }
    }
}
