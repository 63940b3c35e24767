//! Skipping blocks by what they added the last time.

use burn::tensor::Tensor;
use invardiff_plan::methods::block_skip::{Probe, SkipDecider, SkipRule};
use invardiff_plan::{PlanError, Site};

use crate::block::{Block, BlockAction};
use crate::executor::{Executor, Pass, Policy};
use crate::feature::Feature;
use crate::policies::change::relative_change;

/// One trajectory under a [`SkipRule`]. Where the rule skips, the hidden state takes what the left-out blocks added to it
/// when they were computed last, and goes on behind them.
///
/// One decision is made a step, for everything in the batch ([`relative_change`] says how rows count): a picture with both
/// halves of its guidance is one decision, and a batch is decided by its most changed row. To decide a picture at a time,
/// give each its own trajectory. Where guidance takes two passes, the conditional one decides and the other follows, each with
/// what its own blocks added.
///
/// **Synchronisation.** A decision that asks for the measured change reads one scalar from the device, at most one a step: the
/// host waits there for everything queued so far. Steps whose decision is forced read nothing, and `MagCache` never does.
///
/// A model must pass its blocks through [`Executor::before_block`], once a step and pass, and its trunk as one tensor; the
/// picture's tokens are the first stream of the hidden state.
#[derive(Debug)]
pub struct BlockSkip {
    decider: SkipDecider,
    /// Of the conditional pass and of the other.
    held: [Held; 2],
    decisions: Vec<Decision>,
    peak: usize,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Whether the blocks behind the first ones were skipped.
    pub skipped: bool,
    /// The relative change that was read; `None` where the decision did not depend on it.
    pub change: Option<f64>,
}

/// What is kept along a trajectory, a pass.
#[derive(Debug, Default)]
struct Held {
    /// What the next measurement is compared with.
    compared: Option<Tensor<3>>,
    /// What the left-out blocks added at the last computed step, a stream each.
    added: Vec<Tensor<3>>,
    /// The hidden state before them, while they are computed.
    before: Vec<Tensor<3>>,
    /// The picture's hidden state before the first block, while the first blocks are computed.
    entered: Option<Tensor<3>>,
}

impl Held {
    fn bytes(&self) -> usize {
        let tensors = self.compared.iter().chain(&self.entered).chain(&self.added).chain(&self.before);
        tensors.map(|tensor| tensor.dims().iter().product::<usize>() * tensor.dtype().size()).sum()
    }
}

impl BlockSkip {
    /// A policy for one trajectory of `steps` steps.
    ///
    /// # Errors
    /// As [`SkipRule::decide`].
    pub fn new(rule: &SkipRule, steps: usize) -> Result<Self, PlanError> {
        Ok(Self {
            decider: rule.decide(steps)?,
            held: Default::default(),
            decisions: Vec::with_capacity(steps),
            peak: 0,
        })
    }

    /// What was decided, one a step so far.
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.held.iter().map(Held::bytes).sum()
    }

    /// The most bytes held at the borders of blocks so far: what is kept for later steps, and in a computed step the hidden
    /// state that it will be told apart from.
    pub fn peak_bytes(&self) -> usize {
        self.peak
    }

    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.bytes());
    }
}

impl Policy for BlockSkip {
    type Step<'a> = BlockSkipStep<'a>;

    fn step(&mut self, step: usize) -> BlockSkipStep<'_> {
        BlockSkipStep { policy: self, step, pass: Pass::default(), decided: None }
    }
}

/// The executor of one step under a [`BlockSkip`].
#[derive(Debug)]
pub struct BlockSkipStep<'a> {
    policy: &'a mut BlockSkip,
    step: usize,
    pass: Pass,
    /// Once it is decided, whether blocks are skipped.
    decided: Option<bool>,
}

impl BlockSkipStep<'_> {
    /// What is kept for the pass that the model is in.
    fn held(&mut self) -> &mut Held {
        let [conditional, unconditional] = &mut self.policy.held;
        match self.pass {
            Pass::Conditional => conditional,
            Pass::Unconditional => unconditional,
        }
    }

    /// Measures what the rule asks for and decides; the unconditional pass follows the other.
    fn decide<const N: usize>(&mut self, hidden: &Feature<N>, modulated: impl FnOnce() -> Tensor<3>) -> bool {
        if let (Pass::Unconditional, Some(decided)) = (self.pass, self.decided) {
            return decided;
        }
        let step = self.step;
        let BlockSkip { decider, held: [held, _], .. } = &mut *self.policy;
        let measured = match decider.probe() {
            Probe::Nothing => None,
            Probe::ModulatedInput => Some(modulated()),
            Probe::FirstBlocks => held.entered.take().map(|entered| hidden[0].clone() - entered),
        };
        let asked = held.compared.as_ref().zip(measured.as_ref()).filter(|_| decider.asks(step));
        let change = asked.map(|(previous, current)| {
            f64::from(relative_change(previous.clone(), current.clone()).into_scalar::<f32>())
        });
        // Nothing was added yet, so there is nothing to skip by.
        let skipped = decider.skip(step, change) && !held.added.is_empty();
        match decider.probe() {
            Probe::Nothing => {}
            // Compared with the last step whose other blocks were computed.
            Probe::FirstBlocks if skipped => {}
            Probe::ModulatedInput | Probe::FirstBlocks => held.compared = measured,
        }
        self.policy.decisions.push(Decision { skipped, change });
        self.decided = Some(skipped);
        self.policy.note_peak();
        skipped
    }

    /// The streams that are told apart: all where blocks follow, otherwise the picture's alone.
    fn streams<const N: usize>(hidden: Feature<N>, last: usize) -> impl Iterator<Item = Tensor<3>> {
        hidden.into_iter().take(if last == 0 { 1 } else { N })
    }

    /// Notes what the computed blocks added.
    fn learn(&mut self, after: impl Iterator<Item = Tensor<3>>) {
        let held = self.held();
        let before = std::mem::take(&mut held.before);
        held.added = after.zip(before).map(|(after, before)| after - before).collect();
        self.policy.note_peak();
    }
}

impl Executor for BlockSkipStep<'_> {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        if site == Site::TRUNK {
            match (self.decided, self.pass) {
                (Some(_), _) if !self.held().before.is_empty() => self.learn(fresh.clone().into_iter()),
                (Some(_), _) | (None, Pass::Unconditional) => {}
                // Too few blocks to leave any out.
                (None, Pass::Conditional) => {
                    self.policy.decisions.push(Decision { skipped: false, change: None });
                }
            }
        }
        fresh
    }

    fn enter(&mut self, pass: Pass) {
        self.pass = pass;
    }

    fn before_block<const N: usize>(
        &mut self,
        block: Block,
        hidden: impl FnOnce() -> Feature<N>,
        modulated: impl FnOnce() -> Tensor<3>,
    ) -> BlockAction<N> {
        let [first, last] = self.policy.decider.computed_blocks();
        let end = block.count.saturating_sub(last);
        if first >= end {
            return BlockAction::Compute;
        }
        if block.index == 0 && first > 0 {
            if self.pass == Pass::Conditional {
                self.held().entered = hidden().into_iter().next();
                self.policy.note_peak();
            }
            return BlockAction::Compute;
        }
        if block.index == first {
            let hidden = hidden();
            if self.decide(&hidden, modulated) {
                let mut added = self.held().added.iter();
                return BlockAction::Replace(hidden.map(|stream| match added.next() {
                    Some(added) => stream + added.clone(),
                    None => stream,
                }));
            }
            let held = self.held();
            held.added.clear();
            held.before = Self::streams(hidden, last).collect();
            self.policy.note_peak();
            return BlockAction::Compute;
        }
        let skipping = self.decided == Some(true);
        if (first..end).contains(&block.index) {
            return if skipping { BlockAction::Skip } else { BlockAction::Compute };
        }
        if block.index == end && self.decided == Some(false) {
            self.learn(hidden().into_iter());
        }
        BlockAction::Compute
    }
}
