//! A run of a DiT that is counted before its weights are read.

use invardiff_calib::RecordOptions;
use invardiff_models::{Architecture, Dit, DitConfig, Outline};
use invardiff_plan::{SiteSpec, Topology};

use crate::decode::{self, FACTOR};
use crate::dtype::Dtype;
#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
use crate::error::Result;
use crate::memory::{MemoryNeed, Phase};
use crate::pipeline::SamplingOptions;
use crate::pretrained::Pretrained;
use crate::text_to_image::Keeps;

/// A DiT whose sizes are known and whose weights are not read yet.
#[derive(Clone, Debug)]
pub struct PreparedDit {
    config: DitConfig,
    /// Elements of its weights.
    elements: u64,
    /// Elements of the autoencoder's weights, where samples are latents and one is there.
    autoencoder: Option<u64>,
    dtype: Dtype,
}

impl PreparedDit {
    /// The DiT among the parts of a pipeline, to be loaded as `dtype`.
    ///
    /// # Errors
    /// When the parts are not those of a DiT, or a file is not whole.
    pub fn new(parts: &Pretrained, dtype: Dtype) -> Result<Self> {
        parts.expect(Architecture::Dit)?;
        let outline = Dit::outline(&parts.transformer)?;
        let path = parts.autoencoder.as_ref().filter(|_| outline.config.pixel_range.is_none());
        let autoencoder = path.map(Outline::of).transpose()?.map(|outline| outline.elements);
        Ok(Self { config: outline.config, elements: outline.elements, autoencoder, dtype })
    }

    /// An embedded model, to be loaded as `dtype`.
    ///
    /// # Errors
    /// As [`Embedded::dit_config`].
    #[cfg(feature = "embedded")]
    pub fn embedded(model: Embedded, dtype: Dtype) -> Result<Self> {
        // Stored in f16, behind a short header.
        let elements = (model.weights().len() / Dtype::F16.size()) as u64;
        Ok(Self { config: model.dit_config()?, elements, autoencoder: None, dtype })
    }

    /// The sites of a step without guidance.
    pub fn topology(&self) -> Topology {
        self.config.topology()
    }

    /// The sites of a step of a run, both halves of guidance together where there is guidance.
    pub fn guided(&self, options: &SamplingOptions) -> Topology {
        if self.halves(options) == 2 { self.topology().batched(2) } else { self.topology() }
    }

    /// What a run of `batch` images at once will take, under a schedule or without one; for a calibration, of `batch` runs at once.
    /// A schedule is one for the sites of [`PreparedDit::guided`].
    pub fn memory(&self, options: &SamplingOptions, batch: usize, keeps: Keeps<'_>) -> MemoryNeed {
        let size = self.dtype.size();
        let transformer = ("transformer's weights".to_owned(), self.elements * size as u64);
        let activations =
            (format!("activations of a block, {batch} at once"), self.activations(options, batch));
        let mut sampling = vec![transformer.clone(), activations];
        match keeps {
            Keeps::Nothing => {}
            Keeps::Schedule(schedule) => {
                sampling.push(("kept features".to_owned(), schedule.peak_bytes(batch, size) as u64));
            }
            Keeps::Calibration => {
                let features = self.recorded(options) * batch as u64;
                sampling.push(("features of earlier steps, to be compared with".to_owned(), features));
            }
        }
        // Kept in f32 whatever the transformer's type.
        let autoencoder = self
            .autoencoder
            .map(|elements| ("autoencoder's weights".to_owned(), elements * size_of::<f32>() as u64));
        sampling.extend(autoencoder.clone());
        let mut phases = vec![Phase { name: "sampling", parts: sampling }];
        if let Some(autoencoder) = autoencoder {
            let side = self.config.input_size * FACTOR;
            let tile = ("activations of a tile and the image".to_owned(), decode::held_bytes(side, side));
            phases.push(Phase { name: "decoding", parts: vec![transformer, autoencoder, tile] });
        }
        MemoryNeed { phases }
    }

    /// Forwards of an image in a batch: both halves of guidance, or one.
    fn halves(&self, options: &SamplingOptions) -> usize {
        let scale = options.guidance_scale.or(self.config.guidance_scale);
        if scale == Some(1.0) { 1 } else { 2 }
    }

    /// The activations of the largest block: its inputs and outputs, the widened ones, and what lies between.
    fn activations(&self, options: &SamplingOptions, batch: usize) -> u64 {
        /// Values of a token's width that are held at once. Resident memory of `generate` with the embedded models grew by 10.6
        /// to 12.2 an image and half, between batches of 50 to 400.
        const HELD: usize = 16;
        let rows = self.halves(options) * batch;
        // Attention and norms compute in f32, whatever the weights are.
        (HELD * self.config.tokens() * self.config.hidden_size * size_of::<f32>()) as u64 * rows as u64
    }

    /// What a calibration holds of one run: features of earlier steps, as far back as they are compared.
    fn recorded(&self, options: &SamplingOptions) -> u64 {
        let RecordOptions { module_window, trunk_window, .. } = RecordOptions::default();
        let steps = |window: usize| window.min(options.num_inference_steps);
        let topology = self.topology();
        let modules: usize = topology.sites.iter().map(SiteSpec::elements).sum();
        let elements = steps(module_window) * modules + steps(trunk_window) * topology.trunk.elements();
        (elements * self.halves(options) * size_of::<f32>()) as u64
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use super::*;

    #[test]
    fn a_run_grows_with_its_batch_guidance_and_what_is_kept() {
        let model = PreparedDit::embedded(Embedded::Fashion, Dtype::F32).unwrap();
        let options = SamplingOptions::default();
        let peak = |options: &SamplingOptions, batch, keeps| model.memory(options, batch, keeps).peak();
        let weights = 2 * Embedded::Fashion.weights().len() as u64;
        let image = 2 * 16 * 49 * 128 * 4;
        assert!(peak(&options, 1, Keeps::Nothing).abs_diff(weights + image) < 4);
        assert!(peak(&options, 400, Keeps::Nothing).abs_diff(weights + 400 * image) < 4);
        let unguided = SamplingOptions { guidance_scale: Some(1.0), ..options };
        assert!(peak(&unguided, 10, Keeps::Nothing).abs_diff(weights + 5 * image) < 4);
        // Eight steps of sixteen modules and 24 of the trunk, of both halves.
        let features = (8 * 16 + 24) * 2 * 49 * 128 * 4;
        let one = peak(&options, 1, Keeps::Calibration);
        assert!(one.abs_diff(weights + image + features) < 4, "{one}");
        let half = PreparedDit::embedded(Embedded::Fashion, Dtype::F16).unwrap();
        assert!(half.memory(&options, 1, Keeps::Nothing).peak().abs_diff(weights / 2 + image) < 4);
    }
}
