//! FLUX.1 (Black Forest Labs): double-stream blocks, then single-stream blocks, and the FLOPs of their modules.

use crate::core::{Kind, Site, SiteSpec, StreamSpec, Topology};
use crate::shapes::flops::{SINUSOID, attention, embedding, linear};

/// Which values are cached in a single-stream block, whose output is `proj_out(cat(attention, mlp))`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SingleFeature {
    /// The two inputs of the projection, as the authors do. The projection always runs, and the feature of the feed-forward
    /// has the channels of its hidden layer.
    #[default]
    BeforeProjection,
    /// The two summands of the projection, of `hidden` channels each. A reuse saves its share of the projection as well.
    Projected,
}

/// The shape of a FLUX transformer: all that its FLOPs depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FluxShape {
    /// Number of double-stream blocks.
    pub double: usize,
    /// Number of single-stream blocks.
    pub single: usize,
    /// Channels of the hidden state.
    pub hidden: usize,
    /// Channels of a feed-forward's hidden layer, divided by `hidden`.
    pub mlp_ratio: f64,
    /// Packed latent tokens per image.
    pub img_tokens: usize,
    /// Tokens per prompt.
    pub txt_tokens: usize,
    /// Channels of a token that goes in: those of a packed latent token, or more in models that fill in.
    pub in_channels: usize,
    /// Channels of a packed latent token.
    pub out_channels: usize,
    /// Channels of a prompt token (T5 embedding).
    pub context_dim: usize,
    /// Channels of the pooled prompt (CLIP embedding).
    pub pooled_dim: usize,
    /// Whether the model embeds a guidance scale (dev does, schnell does not).
    pub guidance_embed: bool,
    /// Which values are cached in single-stream blocks.
    pub single_feature: SingleFeature,
}

impl FluxShape {
    /// FLUX.1-dev for images of `pixels` x `pixels` and 512 prompt tokens.
    pub const fn dev(pixels: usize) -> Self {
        let side = pixels / 16;
        Self {
            double: 19,
            single: 38,
            hidden: 3072,
            mlp_ratio: 4.0,
            img_tokens: side * side,
            txt_tokens: 512,
            in_channels: 64,
            out_channels: 64,
            context_dim: 4096,
            pooled_dim: 768,
            guidance_embed: true,
            single_feature: SingleFeature::BeforeProjection,
        }
    }

    /// The same shape with other values cached in its single-stream blocks.
    pub const fn with_single_feature(mut self, feature: SingleFeature) -> Self {
        self.single_feature = feature;
        self
    }

    /// The topology of one forward.
    pub fn topology(&self, model: impl Into<String>) -> Topology {
        let double = (0..self.double as u32).flat_map(|layer| self.double_block(layer));
        let single = (0..self.single as u32).flat_map(|layer| self.single_block(layer));
        Topology {
            model: model.into(),
            sites: double.chain(single).collect(),
            trunk: SiteSpec::single(Site::TRUNK, self.img_tokens, self.hidden, self.trunk_flops()),
            head_flops: self.head_flops(),
            output_elements: self.img_tokens * self.out_channels,
        }
    }

    fn middle(&self) -> usize {
        (self.hidden as f64 * self.mlp_ratio) as usize
    }

    fn tokens(&self) -> usize {
        self.img_tokens + self.txt_tokens
    }

    /// Joint attention (two streams at one site), then the two feed-forwards.
    fn double_block(&self, layer: u32) -> [SiteSpec; 3] {
        let (hidden, tokens, middle) = (self.hidden, self.tokens(), self.middle());
        let stream = |name, tokens| StreamSpec { name, rows: 1, tokens, dim: hidden };
        let feed_forward = |tokens| linear(tokens, hidden, middle) + linear(tokens, middle, hidden);
        [
            SiteSpec {
                site: Site::new(Kind::ATTN, layer),
                streams: vec![
                    stream(Kind::ATTN, self.img_tokens),
                    stream(Kind::CONTEXT_ATTN, self.txt_tokens),
                ],
                flops: linear(tokens, hidden, 3 * hidden)
                    + attention(tokens, hidden)
                    + linear(tokens, hidden, hidden),
            },
            SiteSpec::single(
                Site::new(Kind::FF, layer),
                self.img_tokens,
                hidden,
                feed_forward(self.img_tokens),
            ),
            SiteSpec::single(
                Site::new(Kind::CONTEXT_FF, layer),
                self.txt_tokens,
                hidden,
                feed_forward(self.txt_tokens),
            ),
        ]
    }

    fn single_block(&self, layer: u32) -> [SiteSpec; 2] {
        let (hidden, tokens, middle) = (self.hidden, self.tokens(), self.middle());
        let attn = linear(tokens, hidden, 3 * hidden) + attention(tokens, hidden);
        let mlp = linear(tokens, hidden, middle);
        let (width, attn, mlp) = match self.single_feature {
            SingleFeature::BeforeProjection => (middle, attn, mlp),
            SingleFeature::Projected => {
                (hidden, attn + linear(tokens, hidden, hidden), mlp + linear(tokens, middle, hidden))
            }
        };
        [
            SiteSpec::single(Site::new(Kind::SINGLE_ATTN, layer), tokens, hidden, attn),
            SiteSpec::single(Site::new(Kind::SINGLE_MLP, layer), tokens, width, mlp),
        ]
    }

    /// FLOPs of modulations, the two input embeddings and, where it always runs, the single-stream projection.
    fn trunk_flops(&self) -> f64 {
        let hidden = self.hidden;
        let modulation = (12 * self.double + 3 * self.single) as f64 * linear(1, hidden, hidden);
        let inputs = linear(self.img_tokens, self.in_channels, hidden)
            + linear(self.txt_tokens, self.context_dim, hidden);
        let projection = match self.single_feature {
            SingleFeature::BeforeProjection => linear(self.tokens(), hidden + self.middle(), hidden),
            SingleFeature::Projected => 0.0,
        };
        modulation + inputs + self.single as f64 * projection
    }

    /// FLOPs of the embeddings of time, guidance and pooled prompt, and of the output layer.
    fn head_flops(&self) -> f64 {
        let hidden = self.hidden;
        let times = if self.guidance_embed { 2.0 } else { 1.0 };
        times * embedding(SINUSOID, hidden)
            + embedding(self.pooled_dim, hidden)
            + linear(1, hidden, 2 * hidden)
            + linear(self.img_tokens, hidden, self.out_channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_at_1024_costs_and_shares_what_the_model_says() {
        let topology = FluxShape::dev(1024).topology("flux1-dev-1024");
        let full = topology.full_flops();
        assert_eq!(format!("{:.2}", full / 1e12), "74.38");
        let share = |kind: Kind| {
            let flops: f64 = topology.sites.iter().filter(|s| s.site.kind == kind).map(|s| s.flops).sum();
            format!("{:.1}", 100.0 * flops / full)
        };
        let shares = [Kind::ATTN, Kind::FF, Kind::CONTEXT_FF, Kind::SINGLE_ATTN, Kind::SINGLE_MLP].map(share);
        assert_eq!(shares, ["15.6", "15.8", "2.0", "26.7", "17.8"]);
        assert_eq!(format!("{:.3}", 100.0 * topology.head_flops / full), "0.002");
        assert_eq!(topology.sites.len(), 19 * 3 + 38 * 2);
        assert_eq!(topology.output_elements, 4096 * 64);
        assert_eq!(topology.streams()[1], (Kind::CONTEXT_ATTN, Kind::ATTN));
    }

    #[test]
    fn projecting_first_moves_work_without_changing_the_total() {
        let before = FluxShape::dev(1024);
        let projected = before.with_single_feature(SingleFeature::Projected);
        let (before, projected) = (before.topology(""), projected.topology(""));
        assert!((projected.full_flops() / before.full_flops() - 1.0).abs() < 1e-12);
        let moved = (before.trunk.flops - projected.trunk.flops) / before.full_flops();
        assert_eq!(format!("{:.1}", 100.0 * moved), "22.2");
        let width = |topology: &Topology| topology.sites.last().unwrap().streams[0].dim;
        assert_eq!((width(&before), width(&projected)), (4 * 3072, 3072));
    }
}
