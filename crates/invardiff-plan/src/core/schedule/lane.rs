//! What happens at one slot, step by step.

use std::collections::HashMap;

use super::action::{Action, Recipe, Source};
use super::weights::weights;
use crate::core::error::PlanError;
use crate::core::fitted::WeightRow;
use crate::core::rule::ReuseRule;
use crate::core::site::Site;

/// Where the weights of a slot come from.
pub(super) enum Rows<'a> {
    /// A rule, over the place of each step on its axis.
    Rule(ReuseRule, &'a dyn Fn(usize) -> f64),
    /// Listed in the plan, a row a step.
    Listed(&'a [WeightRow]),
}

/// One slot: `entries` says for each visited step whether the value is reused.
pub(super) struct Lane<'a> {
    pub(super) site: Site,
    pub(super) entries: &'a [Option<bool>],
    pub(super) rows: Rows<'a>,
}

impl Lane<'_> {
    /// The actions, with exact last reads.
    pub(super) fn actions(&self) -> Result<Vec<Action>, PlanError> {
        let mut computed: Vec<usize> = Vec::new();
        let mut lane = Vec::with_capacity(self.entries.len());
        for (step, entry) in self.entries.iter().enumerate() {
            lane.push(match entry {
                None => Action::Idle,
                Some(false) => {
                    computed.push(step);
                    self.computed(step, &computed)?
                }
                Some(true) => Action::Reuse(self.reused(step, &computed)?),
            });
        }
        close(&mut lane);
        Ok(lane)
    }

    /// What a step does that computes the value; `computed` ends with it.
    fn computed(&self, step: usize, computed: &[usize]) -> Result<Action, PlanError> {
        let Rows::Listed(rows) = self.rows else { return Ok(Action::Compute) };
        if rows[step].kept.is_empty() && rows[step].sample == 0.0 || rows[step].is_fresh() {
            return Ok(Action::Compute);
        }
        Ok(Action::Blend { recipe: self.listed(&rows[step], step, computed)?, keep: false })
    }

    /// What stands in at a step that does not.
    fn reused(&self, step: usize, computed: &[usize]) -> Result<Recipe, PlanError> {
        let Some(last) = computed.last() else {
            return Err(PlanError::ReuseBeforeCompute { site: self.site, step });
        };
        match self.rows {
            Rows::Rule(rule, time) => {
                let nodes = &computed[computed.len().saturating_sub(rule.reach())..];
                let times: Vec<f64> = nodes.iter().map(|node| time(*node)).collect();
                let weights = weights(rule, &times, time(step));
                Ok(nodes.iter().zip(weights).map(|(node, weight)| source(*node, weight)).collect())
            }
            Rows::Listed(rows) if rows[step].kept.is_empty() => Ok(vec![source(*last, 1.0)]),
            Rows::Listed(rows) => self.listed(&rows[step], step, computed),
        }
    }

    /// The sources of a row, the newest first; those without weight are not read.
    fn listed(&self, row: &WeightRow, step: usize, computed: &[usize]) -> Result<Recipe, PlanError> {
        if row.kept.len() > computed.len() {
            return Err(PlanError::Range {
                what: format!("weights of {}[{step}]", self.site),
                value: format!("{} weights", row.kept.len()),
                expected: format!("at most {}: no more values are computed up to there", computed.len()),
            });
        }
        let read = computed.iter().rev().zip(&row.kept).filter(|(_, weight)| **weight != 0.0);
        let recipe: Recipe = read.map(|(node, weight)| source(*node, *weight)).collect();
        if recipe.is_empty() {
            return Err(PlanError::Range {
                what: format!("weights of {}[{step}]", self.site),
                value: "none but 0".into(),
                expected: "at least one that is not 0".into(),
            });
        }
        Ok(recipe)
    }
}

fn source(step: usize, weight: f64) -> Source {
    Source { step, weight, last: false }
}

/// Marks what is kept, and the last read of each kept value. The fresh value of a blend is no read from the store.
fn close(lane: &mut [Action]) {
    let mut last_read: HashMap<usize, usize> = HashMap::new();
    for (step, action) in lane.iter().enumerate() {
        last_read.extend(
            action.sources().iter().filter(|source| source.step < step).map(|source| (source.step, step)),
        );
    }
    for (step, action) in lane.iter_mut().enumerate() {
        let read_later = last_read.contains_key(&step);
        match action {
            Action::Compute if read_later => *action = Action::Keep,
            Action::Blend { recipe, keep } => {
                *keep = read_later;
                mark(recipe, step, &last_read);
            }
            Action::Reuse(recipe) => {
                if mark(recipe, step, &last_read) {
                    *action = Action::Take(std::mem::take(recipe));
                }
            }
            Action::Compute | Action::Keep | Action::Take(_) | Action::Idle => {}
        }
    }
}

/// Marks the last reads in a recipe of `step`; whether there are any.
fn mark(recipe: &mut Recipe, step: usize, last_read: &HashMap<usize, usize>) -> bool {
    for source in recipe.iter_mut() {
        source.last = last_read.get(&source.step) == Some(&step);
    }
    recipe.iter().any(|source| source.last)
}
