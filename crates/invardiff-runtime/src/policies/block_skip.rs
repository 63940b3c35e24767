//! Skipping blocks, as TeaCache, First-Block Cache, DBCache and MagCache do.

use burn::tensor::Tensor;
use invardiff_plan::methods::block_skip::{Probe, SkipDecider, SkipRule};
use invardiff_plan::{PlanError, Site};

use crate::block::{Block, BlockAction};
use crate::executor::{Executor, Pass, Policy};
use crate::feature::Feature;
use crate::policies::change::relative_change;

/// One trajectory under a [`SkipRule`]. Where the rule skips, the hidden state takes what the skipped blocks added to it when
/// they were computed last.
///
/// One decision is made per step, for the whole batch, by its most changed row ([`relative_change`]). To decide for each image,
/// give each its own trajectory. Under guidance in two passes, the conditional pass decides and the other follows, each with
/// what its own blocks added.
///
/// **Synchronisation.** A decision that depends on the measured change reads one number from the device, at most one per step;
/// the host waits there for everything queued so far. Steps whose decision is fixed read nothing, and `MagCache` never does.
///
/// The model must call [`Executor::before_block`] for every block, once per step and pass, and have its trunk at
/// [`Site::TRUNK`] as one tensor. The image tokens are the first stream of the hidden state.
#[derive(Debug)]
pub struct BlockSkip {
    decider: SkipDecider,
    /// The state of the conditional pass and of the other.
    held: [Held; 2],
    decisions: Vec<Decision>,
    peak: usize,
}

/// The decision of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Whether blocks were skipped.
    pub skipped: bool,
    /// The measured relative change; `None` where the decision did not depend on it.
    pub change: Option<f64>,
}

/// What is kept along a trajectory, per pass.
#[derive(Debug, Default)]
struct Held {
    /// The value that the next measurement is compared with.
    compared: Option<Tensor<3>>,
    /// What the blocks that may be skipped added at the last computed step, per stream.
    added: Vec<Tensor<3>>,
    /// The hidden state before them, while they are computed.
    before: Vec<Tensor<3>>,
    /// The hidden state of the image before the first block, while the first blocks are computed.
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

    /// The decisions so far, one per step.
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// The bytes held now.
    pub fn bytes(&self) -> usize {
        self.held.iter().map(Held::bytes).sum()
    }

    /// The peak of the bytes held between blocks: what is kept for later steps, and in a computed step the hidden state before
    /// the blocks.
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
    /// Whether blocks are skipped; `None` before the decision.
    decided: Option<bool>,
}

impl BlockSkipStep<'_> {
    /// The state of the current pass.
    fn held(&mut self) -> &mut Held {
        let [conditional, unconditional] = &mut self.policy.held;
        match self.pass {
            Pass::Conditional => conditional,
            Pass::Unconditional => unconditional,
        }
    }

    /// Measures the change that the rule asks for, and decides; the unconditional pass follows the other.
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

    /// The streams whose change is kept: all of them where computed blocks follow, otherwise that of the image.
    fn streams<const N: usize>(hidden: Feature<N>, last: usize) -> impl Iterator<Item = Tensor<3>> {
        hidden.into_iter().take(if last == 0 { 1 } else { N })
    }

    /// Keeps what the computed blocks added.
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
