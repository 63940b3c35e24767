//! TeaCache, First-Block Cache, DBCache and MagCache as one kind of rule: it decides at every step whether blocks are skipped.

use serde::{Deserialize, Serialize};

use crate::core::PlanError;
use crate::methods::first_blocks::{self, FirstBlocks};
use crate::methods::magcache::MagCache;
use crate::methods::teacache::{self, TeaCache};

/// A published rule that decides at every step of a trajectory whether blocks are skipped. In place of skipped blocks, the
/// hidden state takes what they added to it when they were computed last.
///
/// The rule is data: it decides from one measured number per step and needs no tensor. The runtime measures that number and
/// skips the blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum SkipRule {
    /// Skips all blocks, by the change of the first block's modulated input.
    TeaCache(TeaCache),
    /// Skips all blocks but the first (and last) ones, by the change of what the first ones add: First-Block Cache and
    /// `DBCache`.
    FirstBlocks(FirstBlocks),
    /// Skips all blocks, at steps that follow from magnitudes measured beforehand.
    MagCache(MagCache),
}

/// The value whose change is measured before a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Nothing is measured.
    Nothing,
    /// The modulated input of the first block, compared with that of the step before.
    ModulatedInput,
    /// What the first blocks add to the hidden state, compared with the last step at which the other blocks were computed.
    FirstBlocks,
}

impl SkipRule {
    /// The rule's short name: `teacache`, `first-block`, `dbcache` or `magcache`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TeaCache(_) => "teacache",
            Self::FirstBlocks(FirstBlocks { first: 1, last: 0, .. }) => "first-block",
            Self::FirstBlocks(_) => "dbcache",
            Self::MagCache(_) => "magcache",
        }
    }

    /// The value that the rule measures.
    pub const fn probe(&self) -> Probe {
        match self {
            Self::TeaCache(_) => Probe::ModulatedInput,
            Self::FirstBlocks(_) => Probe::FirstBlocks,
            Self::MagCache(_) => Probe::Nothing,
        }
    }

    /// The numbers of blocks at the start and at the end that are always computed.
    pub const fn computed_blocks(&self) -> [usize; 2] {
        match self {
            Self::TeaCache(_) | Self::MagCache(_) => [0, 0],
            Self::FirstBlocks(rule) => [rule.first, rule.last],
        }
    }

    /// Starts the decisions of one trajectory of `steps` steps.
    ///
    /// # Errors
    /// [`PlanError::Range`] naming a setting that is out of range, [`PlanError::TooFewSteps`] without steps.
    pub fn decide(&self, steps: usize) -> Result<SkipDecider, PlanError> {
        if steps == 0 {
            return Err(PlanError::TooFewSteps { steps, needed: 1 });
        }
        let running = match self {
            Self::TeaCache(rule) => Running::TeaCache(rule.clone(), rule.start()?),
            Self::FirstBlocks(rule) => Running::FirstBlocks(rule.clone(), rule.start()?),
            Self::MagCache(rule) => Running::MagCache(rule.gate(steps)?),
        };
        Ok(SkipDecider { probe: self.probe(), computed_blocks: self.computed_blocks(), steps, running })
    }
}

/// The decisions of a [`SkipRule`] along one trajectory, step by step in order.
#[derive(Clone, Debug)]
pub struct SkipDecider {
    probe: Probe,
    computed_blocks: [usize; 2],
    steps: usize,
    running: Running,
}

/// A rule with its state.
#[derive(Clone, Debug)]
enum Running {
    TeaCache(TeaCache, teacache::Accumulated),
    FirstBlocks(FirstBlocks, first_blocks::Skips),
    MagCache(Vec<bool>),
}

impl SkipDecider {
    /// The value that the rule measures.
    pub fn probe(&self) -> Probe {
        self.probe
    }

    /// The numbers of blocks at the start and at the end that are always computed.
    pub fn computed_blocks(&self) -> [usize; 2] {
        self.computed_blocks
    }

    /// Whether the decision at `step` depends on the measured change. Where it does not, the change need not be read from the
    /// device.
    pub fn asks(&self, step: usize) -> bool {
        match &self.running {
            Running::TeaCache(..) => !self.at_an_end(step),
            Running::FirstBlocks(rule, skips) => rule.asks(step, *skips),
            Running::MagCache(_) => false,
        }
    }

    /// Decides whether the blocks of `step` are skipped. `change` is the measured relative change; `None` where there is
    /// nothing to compare with yet, or [`SkipDecider::asks`] returned `false`. The first step is never skipped, and a NaN
    /// change never skips.
    pub fn skip(&mut self, step: usize, change: Option<f64>) -> bool {
        let at_an_end = self.at_an_end(step);
        match &mut self.running {
            Running::TeaCache(rule, sum) => rule.skip(sum, change.filter(|_| !at_an_end)),
            Running::FirstBlocks(rule, skips) => rule.skip(step, skips, change),
            Running::MagCache(gate) => gate.get(step).copied().unwrap_or(false),
        }
    }

    fn at_an_end(&self, step: usize) -> bool {
        step == 0 || step + 1 >= self.steps
    }
}

/// The decisions for a list of changes, one per step; that of the first step is ignored.
#[cfg(test)]
pub(super) fn drawn(rule: &SkipRule, changes: &[f64]) -> String {
    let mut decider = rule.decide(changes.len()).unwrap();
    let decide = |(step, change): (usize, &f64)| {
        let change = (step > 0 && decider.asks(step)).then_some(*change);
        if decider.skip(step, change) { '#' } else { '.' }
    };
    changes.iter().enumerate().map(decide).collect()
}
