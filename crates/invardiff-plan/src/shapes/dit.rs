//! DiT (Peebles and Xie, arXiv 2212.09748): the sizes of its table 1, and the FLOPs of its modules.

use crate::core::{Kind, Site, SiteSpec, StreamSpec, Topology};
use crate::shapes::flops::{SINUSOID, attention, embedding, linear};

/// The sizes of the DiT paper, table 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DitSize {
    /// 12 blocks, 384 channels.
    S,
    /// 12 blocks, 768 channels.
    B,
    /// 24 blocks, 1024 channels.
    L,
    /// 28 blocks, 1152 channels.
    XL,
}

impl DitSize {
    /// All sizes, the largest first.
    pub const ALL: [Self; 4] = [Self::XL, Self::L, Self::B, Self::S];

    /// Number of blocks.
    pub const fn depth(self) -> usize {
        match self {
            Self::S | Self::B => 12,
            Self::L => 24,
            Self::XL => 28,
        }
    }

    /// Channels of the hidden state.
    pub const fn hidden(self) -> usize {
        match self {
            Self::S => 384,
            Self::B => 768,
            Self::L => 1024,
            Self::XL => 1152,
        }
    }

    /// Number of attention heads.
    pub const fn heads(self) -> usize {
        match self {
            Self::S => 6,
            Self::B => 12,
            Self::L | Self::XL => 16,
        }
    }

    /// The name in lower case, as in `dit-xl-2-256`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S => "s",
            Self::B => "b",
            Self::L => "l",
            Self::XL => "xl",
        }
    }
}

/// The shape of a DiT: all that its FLOPs depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DitShape {
    /// Number of blocks.
    pub depth: usize,
    /// Channels of the hidden state.
    pub hidden: usize,
    /// Channels of the feed-forward's hidden layer, divided by `hidden`.
    pub mlp_ratio: f64,
    /// Tokens per image.
    pub tokens: usize,
    /// Side of a patch in latent pixels.
    pub patch: usize,
    /// Channels of the latent.
    pub in_channels: usize,
    /// Channels of the prediction: twice `in_channels` for models that predict a variance.
    pub out_channels: usize,
}

impl DitShape {
    /// A model of the paper for images of `pixels` x `pixels`, with patches of `patch` x `patch` latent pixels. Latents are 8
    /// times smaller than images and have 4 channels; the variance is predicted.
    pub const fn of_size(size: DitSize, patch: usize, pixels: usize) -> Self {
        let side = pixels / 8 / patch;
        Self {
            depth: size.depth(),
            hidden: size.hidden(),
            mlp_ratio: 4.0,
            tokens: side * side,
            patch,
            in_channels: 4,
            out_channels: 8,
        }
    }

    /// The topology without guidance; [`Topology::batched`] makes the guided one from it.
    pub fn topology(&self, model: impl Into<String>) -> Topology {
        let Self { depth, hidden, mlp_ratio, tokens, patch, in_channels, out_channels } = *self;
        let middle = (hidden as f64 * mlp_ratio) as usize;
        let msa =
            linear(tokens, hidden, 3 * hidden) + attention(tokens, hidden) + linear(tokens, hidden, hidden);
        let mlp = linear(tokens, hidden, middle) + linear(tokens, middle, hidden);
        let sites = (0..depth as u32)
            .flat_map(|layer| {
                [
                    SiteSpec::single(Site::msa(layer), tokens, hidden, msa),
                    SiteSpec::single(Site::mlp(layer), tokens, hidden, mlp),
                ]
            })
            .collect();
        let modulation = linear(1, hidden, 6 * hidden);
        let patches = linear(tokens, patch * patch * in_channels, hidden);
        let final_layer =
            linear(1, hidden, 2 * hidden) + linear(tokens, hidden, patch * patch * out_channels);
        Topology {
            model: model.into(),
            sites,
            trunk: SiteSpec {
                site: Site::TRUNK,
                streams: vec![StreamSpec { name: Kind::TRUNK, rows: 1, tokens, dim: hidden }],
                flops: depth as f64 * modulation + patches,
            },
            head_flops: embedding(SINUSOID, hidden) + final_layer,
            output_elements: tokens * patch * patch * in_channels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative: the expected numbers are given to four digits.
    fn close(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 1e-3, "{value} is not {expected}");
    }

    #[test]
    fn xl_2_at_256_with_guidance_costs_what_the_model_says() {
        let topology = DitShape::of_size(DitSize::XL, 2, 256).topology("dit-xl-2-256").batched(2);
        close(topology.sites[0].flops, 6.040e9);
        close(topology.sites[1].flops, 10.872e9);
        close(topology.full_flops(), 474.5e9);
        close(topology.head_flops, 0.05485e9);
        assert_eq!(topology.output_elements, 4 * 32 * 32);
        assert_eq!(topology.sites[0].elements(), 2 * 256 * 1152);
        assert_eq!(topology.kinds(), [Kind::MSA, Kind::MLP]);
    }

    #[test]
    fn the_papers_gmacs_come_out_for_every_size() {
        // Table 4 of the DiT paper, "Flops (G)", which counts multiply-accumulates per image.
        let table = [
            (DitSize::S, 8, 0.36),
            (DitSize::S, 2, 6.06),
            (DitSize::B, 4, 5.56),
            (DitSize::L, 2, 80.71),
            (DitSize::XL, 8, 7.39),
            (DitSize::XL, 2, 118.64),
        ];
        for (size, patch, giga_macs) in table {
            let flops = DitShape::of_size(size, patch, 256).topology("").full_flops();
            // Half of the last printed digit, and the pointwise work that we leave out.
            assert!((flops / 2e9 - giga_macs).abs() < 0.005 + 0.002 * giga_macs, "{size:?}/{patch}: {flops}");
        }
    }
}
