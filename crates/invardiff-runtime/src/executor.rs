//! The seam itself.

use burn::tensor::Tensor;
use invardiff_plan::{OutputForm, Site};

use crate::block::{Block, BlockAction};
use crate::feature::Feature;

/// Which forward of a step the model is in. Where guidance takes two forwards, the same sites are passed twice, and their
/// values are not to be mixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pass {
    /// The only one, or the one with the condition.
    #[default]
    Conditional,
    /// The one without it, or with a negative one.
    Unconditional,
}

/// Decides, at every site of one step, whether the model computes.
///
/// Two small verbs, so that executors compose. The provided [`Executor::at`] is what a model calls.
pub trait Executor: Sized {
    /// Before the module: `Some` stands in for it, and it is not computed.
    fn recall<const N: usize>(&mut self, site: Site) -> Option<Feature<N>>;

    /// After the module: sees the fresh value, returns the value the model goes on with.
    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N>;

    /// On the way to the value at `site`: a value that the model does not cache but others measure, such as the input of
    /// a projection whose output is cached. By default nobody looks. Called between [`Executor::recall`] and
    /// [`Executor::settle`] of the site, and only where it is computed.
    #[inline]
    fn probe(&mut self, _site: Site, _value: &[Tensor<3>]) {}

    /// From here on the sites are those of `pass`. An executor that keeps or compares values does it for each pass apart;
    /// by default there is nothing to keep apart. A step begins in the conditional pass.
    #[inline]
    fn enter(&mut self, _pass: Pass) {}

    /// What `compute` gives, its sites being those of `pass`; afterwards they are those of the conditional pass again.
    #[inline]
    fn within<T>(&mut self, pass: Pass, compute: impl FnOnce(&mut Self) -> T) -> T {
        self.enter(pass);
        let value = compute(self);
        self.enter(Pass::Conditional);
        value
    }

    /// Before each block of the trunk, in order: whether it is computed. By default it is, and nobody looks.
    ///
    /// `hidden` is the hidden state there, the picture's tokens first and the same streams before every block; `modulated`
    /// is what the block's first module sees, after norm and modulation (of the picture's stream, where they are apart).
    /// Neither is made unless it is called.
    ///
    /// A policy that leaves blocks out by looking at the state decides here, one that reuses values at
    /// [`Executor::recall`]; blocks are no sites, so that nothing is listed twice.
    #[inline]
    fn before_block<const N: usize>(
        &mut self,
        _block: Block,
        _hidden: impl FnOnce() -> Feature<N>,
        _modulated: impl FnOnce() -> Tensor<3>,
    ) -> BlockAction<N> {
        BlockAction::Compute
    }

    /// The value at `site`: recalled, or computed and settled. The closure receives the outermost executor.
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

/// One trajectory. Lends the executor of each step, so no counter can be forgotten, skipped or left from the last
/// picture. Two pictures at once are two policies.
pub trait Policy {
    /// The executor of one step.
    type Step<'a>: Executor
    where
        Self: 'a;

    /// The executor of step `step` (sampling order). A trajectory asks for every step once, in order.
    fn step(&mut self, step: usize) -> Self::Step<'_>;

    /// The form in which the network's output stands at [`Site::OUTPUT`]; `None` is the form the model predicts, where
    /// nothing is converted.
    fn output_form(&self) -> Option<OutputForm> {
        None
    }
}
