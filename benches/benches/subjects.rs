//! Models with random weights, and what is needed to sample from them.

use burn::tensor::{Device, Int, Tensor};
use invardiff_models::{Dit, DitConfig};
use invardiff_plan::OutputForm;
use invardiff_runtime::{BatchedGuidance, Ddim, GaussianNoise, NoiseSchedule, Spacing};

/// A model to measure, without guidance.
pub(crate) struct Subject {
    /// What benchmarks call it.
    pub(crate) name: &'static str,
    /// The model.
    pub(crate) dit: Dit,
}

impl Subject {
    /// The size of the embedded models: 8 blocks, 128 wide, 49 tokens.
    pub(crate) fn embedded() -> Self {
        let text = include_str!("../../crates/invardiff/assets/fashion/config.json");
        Self::random("embedded", &DitConfig::from_json(text).expect("a valid configuration"))
    }

    /// As wide and with as many tokens as DiT-S/2 at 256x256 (384, 256), but 4 blocks.
    pub(crate) fn small() -> Self {
        Self::random("384x4", &DitConfig { hidden_size: 384, depth: 4, num_heads: 6, ..DitConfig::default() })
    }

    /// One block of `hidden` channels on the 256 tokens of a 256x256 image.
    pub(crate) fn block(hidden: usize, heads: usize) -> Self {
        let config = DitConfig { hidden_size: hidden, depth: 1, num_heads: heads, ..DitConfig::default() };
        Self::random("block", &config)
    }

    /// A model of any size.
    pub(crate) fn random(name: &'static str, config: &DitConfig) -> Self {
        Self { name, dit: Dit::random(config, 1, &Device::flex()).expect("a valid configuration") }
    }

    /// The model under guidance in one batch.
    pub(crate) fn guided(&self) -> BatchedGuidance<Dit> {
        BatchedGuidance::new(self.dit.clone(), 2.0)
    }

    /// Starting noise of one image.
    pub(crate) fn noise(&self) -> Tensor<4> {
        let config = self.dit.config();
        let shape = [1, config.in_channels, config.input_size, config.input_size];
        GaussianNoise::seeded(1).draw(shape, &Device::flex())
    }

    /// Class 3.
    pub(crate) fn class(&self) -> Tensor<1, Int> {
        self.dit.labels(&[3], &Device::flex()).expect("a class of the model")
    }

    /// Class 3 and none, for guidance.
    pub(crate) fn guided_class(&self) -> Tensor<1, Int> {
        Tensor::cat(vec![self.class(), self.dit.null_labels(1, &Device::flex())], 0)
    }

    /// DDIM as the authors use it.
    pub(crate) fn sampler(&self, steps: usize) -> Ddim {
        let prediction: OutputForm = self.dit.config().prediction_type;
        Ddim::new(&NoiseSchedule::dit(), Spacing::Linspace, steps, prediction).expect("few enough steps")
    }
}
