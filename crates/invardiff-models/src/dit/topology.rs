//! The sites of a DiT with their costs.

use invardiff_runtime::{Kind, Site, SiteSpec, StreamSpec, Topology};

use super::config::DitConfig;
use crate::nn::FREQUENCY_CHANNELS;

/// FLOPs of a linear layer (2 x multiply-accumulate).
fn linear(rows: usize, d_input: usize, d_output: usize) -> f64 {
    2.0 * rows as f64 * d_input as f64 * d_output as f64
}

impl DitConfig {
    /// The sites of one forward, with shapes and FLOPs for one sample. Norms, softmax and other pointwise operations are
    /// not counted.
    pub fn topology(&self) -> Topology {
        let (tokens, dim) = (self.tokens(), self.hidden_size);
        let scores_and_values = 2.0 * linear(tokens, tokens, dim);
        let msa = linear(tokens, dim, 3 * dim) + scores_and_values + linear(tokens, dim, dim);
        let mlp = linear(tokens, dim, self.mlp_hidden()) + linear(tokens, self.mlp_hidden(), dim);
        let modulations = self.depth as f64 * linear(1, dim, 6 * dim);
        let timestep = linear(1, FREQUENCY_CHANNELS, dim) + linear(1, dim, dim);
        let patch_out = self.patch_size * self.patch_size * self.out_channels();
        Topology {
            model: self.name(),
            sites: (0..self.depth as u32)
                .flat_map(|layer| {
                    [
                        SiteSpec::single(Site::msa(layer), tokens, dim, msa),
                        SiteSpec::single(Site::mlp(layer), tokens, dim, mlp),
                    ]
                })
                .collect(),
            trunk: SiteSpec {
                site: Site::TRUNK,
                streams: vec![StreamSpec { name: Kind::TRUNK, rows: 1, tokens, dim }],
                flops: linear(tokens, self.patch_elements(), dim) + modulations,
            },
            head_flops: timestep + linear(1, dim, 2 * dim) + linear(tokens, dim, patch_out),
            output_elements: self.in_channels * self.input_size * self.input_size,
        }
    }
}
