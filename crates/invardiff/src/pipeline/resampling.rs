//! Other samplers for the same model.

use invardiff_calib::Multistep;

use super::sampling::Sampling;
use crate::error::Result;
use crate::sampler::SamplerKind;

/// The same model under other samplers and steps.
pub trait Resampling<const D: usize>: Sampling<D> + Sized {
    /// Samplers that could draw the same images in fewer steps; the last, with many steps, draws the converged images.
    fn solvers(&self) -> &'static [SamplerKind];

    /// Solvers that can be put over any times as plans: what a fitted plan is compared with.
    fn multistep(&self) -> Vec<Multistep> {
        vec![Multistep::DpmSolverPlusPlus, Multistep::UniPc(2), Multistep::UniPc(3)]
    }

    /// The same sampler over some of its own steps, uncached: which of them, rising. Solvers of several steps look back over
    /// the steps that are left.
    ///
    /// # Errors
    /// When there are none, they do not rise, or there is no such step.
    fn with_steps(&self, steps: &[usize]) -> Result<Self>;

    /// The same model and guidance under another sampler, uncached.
    ///
    /// # Errors
    /// When the sampler does not suit the model or cannot have so many steps.
    fn with_sampler(&self, sampler: SamplerKind, num_inference_steps: usize) -> Result<Self>;
}
