//! Images of several models under several plans.

use std::sync::atomic::Ordering::Relaxed;

use burn::tensor::Device;
use invardiff::{Caching, ClassToImage, Embedded, ModelFacts, Sampling, SamplingOptions};
use invardiff_plan::CachePlan;

use super::Shared;

/// Steps of an image.
const STEPS: usize = 4;

/// Each model under each plan, and the first image of each.
pub(super) struct Images(Vec<(ClassToImage, Vec<f32>)>);

impl Images {
    /// Draws the first images, one after the other.
    pub(super) fn first() -> Result<Self, String> {
        let mut all = Vec::new();
        for model in [Embedded::Fashion, Embedded::Emoji] {
            for pipeline in under_plans(model.name())? {
                let image = draw(&pipeline)?;
                all.push((pipeline, image));
            }
        }
        Ok(Self(all))
    }

    /// Draws one of them again: `which` counts through them.
    pub(super) fn again(&self, shared: &Shared, which: u64) -> Result<(), String> {
        let place = which as usize % self.0.len();
        let (pipeline, first) = &self.0[place];
        if draw(pipeline)? != *first {
            return Err(format!("image {place} of {} differs from the first", pipeline.name()));
        }
        shared.images.fetch_add(1, Relaxed);
        Ok(())
    }

    /// The image of the first model without a plan.
    pub(super) fn of_first_model(&self) -> &[f32] {
        &self.0[0].1
    }
}

/// A model's pipeline without a plan, with every other step skipped, and with modules reused in every other step.
fn under_plans(model: &str) -> Result<Vec<ClassToImage>, String> {
    let full = open(model)?;
    let topology = invardiff::runtime::Denoiser::topology(full.denoiser());
    let skipped = (0..STEPS).map(|step| step % 2 == 1).collect();
    let mut modules = CachePlan::empty(&topology, STEPS);
    for column in 0..topology.sites.len() {
        modules.reuse_module(2, column);
    }
    let mut all = vec![full.clone()];
    for plan in [CachePlan::gate_only(&topology, skipped), modules] {
        let mut cached = full.clone();
        // The plans say nothing of a run, so they fit any.
        cached.force_cache(&plan).map_err(|error| error.to_string())?;
        all.push(cached);
    }
    Ok(all)
}

/// The pipeline of a model, by its name or path.
pub(super) fn open(model: &str) -> Result<ClassToImage, String> {
    let options = SamplingOptions { num_inference_steps: STEPS, ..SamplingOptions::default() };
    ClassToImage::from_pretrained(model, options, &Device::flex())
        .map_err(|error| invardiff::fault::with_causes(&error))
}

/// One image.
pub(super) fn draw(pipeline: &ClassToImage) -> Result<Vec<f32>, String> {
    let sample = pipeline.generate(&[3], &[7]).map_err(|error| error.to_string())?;
    sample.into_data().convert::<f32>().try_to_vec().map_err(|error| format!("{error:?}"))
}
