//! Executors and policies: what decides at the sites of a model.

use burn::tensor::Tensor;
use invardiff_plan::core::TimeGrid;
use invardiff_plan::{OutputForm, Site};

use crate::block::{Block, BlockAction};
use crate::feature::Feature;

/// Which forward of a step the model is in. Under guidance in two passes, each step visits every site twice; values of the two
/// passes are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pass {
    /// The forward with the condition; the only one without two-pass guidance.
    #[default]
    Conditional,
    /// The forward without a condition, or with a negative one.
    Unconditional,
}

/// Decides at every site of one step whether the model computes or reuses.
///
/// Models call [`Executor::at`]. Executors implement [`Executor::recall`] and [`Executor::settle`], and can wrap each other.
pub trait Executor: Sized {
    /// Called before a module: returns the values to use instead of computing it, or `None` to compute it.
    fn recall<const N: usize>(&mut self, site: Site) -> Option<Feature<N>>;

    /// Called after a module was computed: takes its values and returns those that the model continues with.
    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N>;

    /// Shows a value inside a computed module that is measured but not cached, such as the input of a projection whose output
    /// is cached. Called between [`Executor::recall`] and [`Executor::settle`] of `site`. Does nothing by default.
    #[inline]
    fn probe(&mut self, _site: Site, _value: &[Tensor<3>]) {}

    /// Called when the model enters another pass; a step begins in the conditional one. Executors that keep or compare values
    /// do so per pass. Does nothing by default.
    #[inline]
    fn enter(&mut self, _pass: Pass) {}

    /// Runs `compute` in `pass`, then returns to the conditional pass.
    #[inline]
    fn within<T>(&mut self, pass: Pass, compute: impl FnOnce(&mut Self) -> T) -> T {
        self.enter(pass);
        let value = compute(self);
        self.enter(Pass::Conditional);
        value
    }

    /// Called before each block of the trunk, in order: returns whether the block is computed. By default it is.
    ///
    /// `hidden` returns the hidden state before the block, with the image tokens in the first stream, and the same streams
    /// before every block. `modulated` returns the input of the block's first module after norm and modulation (of the image
    /// stream, where streams are apart). Both are computed only when called.
    ///
    /// Policies that skip blocks by their hidden state decide here; those that reuse values decide in [`Executor::recall`].
    /// Blocks are not sites, so no value is listed twice.
    ///
    /// # Shapes
    /// - `hidden`, a replaced hidden state: `N` tensors `[batch, tokens, dim]`
    /// - `modulated`: `[batch, tokens, dim]`
    #[inline]
    fn before_block<const N: usize>(
        &mut self,
        _block: Block,
        _hidden: impl FnOnce() -> Feature<N>,
        _modulated: impl FnOnce() -> Tensor<3>,
    ) -> BlockAction<N> {
        BlockAction::Compute
    }

    /// The values at `site`: recalled, or computed by `compute` and settled. `compute` receives the outermost executor.
    #[inline]
    fn at<const N: usize>(
        &mut self,
        site: Site,
        compute: impl FnOnce(&mut Self) -> Feature<N>,
    ) -> Feature<N> {
        if let Some(kept) = self.recall(site) {
            return kept;
        }
        let fresh = compute(self);
        self.settle(site, fresh)
    }
}

/// The state of one trajectory (one image or batch). It lends an [`Executor`] to every step, so there is no step counter that
/// could be left over from an earlier image. Two trajectories at once need two policies.
pub trait Policy {
    /// The executor of one step.
    type Step<'a>: Executor
    where
        Self: 'a;

    /// The executor of step `step` (sampling order). Every step is taken once, in order.
    fn step(&mut self, step: usize) -> Self::Step<'_>;

    /// The form in which the network's output is kept at [`Site::OUTPUT`]; `None` for the form that the model predicts.
    fn output_form(&self) -> Option<OutputForm> {
        None
    }

    /// The times at which the network is evaluated, where they are the policy's own and not the sampler's: the sample then
    /// moves from one to the next by first-order steps ([`FirstOrder`](crate::FirstOrder)).
    fn grid(&self) -> Option<&TimeGrid> {
        None
    }

    /// Where the policy replaces a computed output at `step` by another value, the weight of the current sample that is added
    /// to it; `None` where the network's output goes on as it is.
    fn output_blend(&self, _step: usize) -> Option<f64> {
        None
    }
}
