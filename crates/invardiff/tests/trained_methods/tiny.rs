//! Tiny models of both families, with random weights.

use burn::tensor::{Device, Int, Tensor};
use invardiff_models::{Canvas, Dit, DitConfig, Flux, FluxCond, FluxConfig};
use invardiff_plan::methods::routers::Routers;
use invardiff_plan::{Site, Topology};
use invardiff_runtime::{
    Ddim, Denoiser, FlowMatchEuler, GaussianNoise, NoiseSchedule, OutputForm, Policy, Sampler, Shift,
    Spacing, sample_with,
};
use ndarray::Array2;

pub(crate) const STEPS: usize = 6;

/// A model with its sampler, starting noise and condition.
pub(crate) struct Case<const D: usize, M: Denoiser<D>, S: Sampler<D>> {
    pub(crate) model: M,
    pub(crate) sampler: S,
    pub(crate) noise: Tensor<D>,
    pub(crate) cond: M::Cond,
}

impl<const D: usize, M: Denoiser<D>, S: Sampler<D>> Case<D, M, S> {
    /// Bits of the sample after every step.
    pub(crate) fn trajectory<P: Policy>(&self, policy: &mut P) -> Vec<Vec<u32>> {
        let mut seen = Vec::new();
        let look = |_: &P, _, x: &Tensor<D>| {
            seen.push(x.clone().into_data().iter::<f32>().map(f32::to_bits).collect());
        };
        sample_with(&self.model, &self.sampler, policy, self.noise.clone(), &self.cond, look);
        seen
    }
}

/// Three blocks; an odd number of heads, learned sigma.
pub(crate) fn dit() -> Case<4, Dit, Ddim> {
    let config = DitConfig {
        input_size: 8,
        in_channels: 2,
        hidden_size: 24,
        depth: 3,
        num_heads: 3,
        num_classes: 3,
        ..DitConfig::default()
    };
    let device = Device::flex();
    let model = Dit::random(&config, 5, &device).unwrap();
    let cond: Tensor<1, Int> = model.labels(&[1, 3], &device).unwrap();
    Case {
        noise: GaussianNoise::seeded(2).draw([2, 2, 8, 8], &device),
        sampler: Ddim::new(&NoiseSchedule::dit(), Spacing::Respaced, STEPS, OutputForm::Epsilon).unwrap(),
        model,
        cond,
    }
}

/// Two double and two single blocks.
pub(crate) fn flux() -> Case<3, Flux, FlowMatchEuler> {
    let config = FluxConfig {
        in_channels: 6,
        out_channels: 6,
        num_layers: 2,
        num_single_layers: 2,
        attention_head_dim: 8,
        num_attention_heads: 2,
        joint_attention_dim: 10,
        pooled_projection_dim: 5,
        guidance_embeds: true,
        axes_dims_rope: [2, 4, 2],
    };
    let (device, mut noise) = (Device::flex(), GaussianNoise::seeded(3));
    let canvas = Canvas { rows: 3, columns: 2, text_tokens: 4 };
    let model = Flux::random(&config, 7, &device).unwrap().with_canvas(canvas);
    let (text, pooled) = (noise.draw([2, 4, 10], &device), noise.draw([2, 5], &device));
    let cond: FluxCond = model.cond(text, pooled, Some(3.5)).unwrap();
    Case {
        noise: noise.draw([2, 6, 6], &device),
        sampler: FlowMatchEuler::new(STEPS, Shift::Static(3.0)).unwrap(),
        model,
        cond,
    }
}

/// Routers whose logits take four values in a seeded order.
pub(crate) fn routers(topology: &Topology, seed: u64) -> Routers {
    let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    let mut draws = invardiff_plan::core::SplitMix64::seeded(seed);
    let logits =
        Array2::from_shape_simple_fn((STEPS / 2, sites.len()), || [-6.0, -0.5, 0.5, 6.0][draws.below(4)]);
    Routers::new(sites, logits).unwrap()
}
