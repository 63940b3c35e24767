//! FLUX with or without a negative prompt.

use burn::tensor::Tensor;
use invardiff_models::{Flux, FluxCond};
use invardiff_plan::Topology;
use invardiff_runtime::{Denoiser, Executor, TwoPassCond, TwoPassGuidance};

/// A FLUX transformer, alone or guided by two passes.
#[derive(Clone, Debug)]
pub enum GuidedFlux {
    /// One forward a step; the guidance of FLUX.1-dev is a number that the network is told.
    Plain(Flux),
    /// Two forwards a step, away from a negative prompt ("true" classifier-free guidance).
    TwoPass(TwoPassGuidance<Flux>),
}

/// What a batch is conditioned on.
#[derive(Clone, Debug)]
pub enum PromptCond {
    /// The prompts.
    One(Box<FluxCond>),
    /// The prompts, and the negative ones.
    Two(Box<TwoPassCond<FluxCond>>),
}

impl PromptCond {
    /// The prompts.
    pub fn conditional(&self) -> &FluxCond {
        match self {
            Self::One(cond) => cond,
            Self::Two(both) => &both.conditional,
        }
    }
}

impl GuidedFlux {
    /// The transformer.
    pub fn flux(&self) -> &Flux {
        match self {
            Self::Plain(flux) => flux,
            Self::TwoPass(guided) => &guided.model,
        }
    }
}

impl Denoiser<3> for GuidedFlux {
    /// Without a negative prompt, or a model that takes one, the conditional prediction is the result.
    type Cond = PromptCond;

    fn topology(&self) -> Topology {
        match self {
            Self::Plain(flux) => flux.topology(),
            Self::TwoPass(guided) => Denoiser::<3>::topology(guided),
        }
    }

    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, t: f32, cond: &PromptCond) -> Tensor<3> {
        match (self, cond) {
            (Self::TwoPass(guided), PromptCond::Two(both)) => guided.predict(exec, x, t, both),
            (Self::Plain(_), _) | (Self::TwoPass(_), PromptCond::One(_)) => {
                self.flux().predict(exec, x, t, cond.conditional())
            }
        }
    }
}
