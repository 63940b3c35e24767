//! Thresholds that the authors published.

use invardiff_plan::two_phase::{Phases, Settings, Variant, WarmUp};
use invardiff_plan::{Kind, Topology};

/// Thresholds that the authors published for DiT-XL/2 (50 steps) and FLUX.1-dev (28 steps), in their repository's commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// The faster plan. DiT: step quantile 0.63, modules 0.22. FLUX: 0.7 and 0.68, a tenth of the steps as warm-up.
    #[default]
    PaperFast,
    /// The slower plan. DiT: 0.61 and 0.20. FLUX: 0.72, attention 0.68, feed-forward 0.66, single mlp 0.62, context
    /// feed-forward computed, 0.22 of the steps as warm-up.
    PaperSlow,
}

impl Preset {
    /// The quantile of the step gate.
    pub const fn gate_quantile(self, variant: Variant) -> f64 {
        match (variant, self) {
            (Variant::Dit | Variant::Wan, Self::PaperFast) => 0.63,
            (Variant::Dit | Variant::Wan, Self::PaperSlow) => 0.61,
            (Variant::Flux, Self::PaperFast) => 0.7,
            (Variant::Flux, Self::PaperSlow) => 0.72,
        }
    }

    /// The quantile of a stream of modules; 0 reuses none.
    pub fn quantile(self, variant: Variant, stream: Kind) -> f64 {
        match (variant, self) {
            (Variant::Dit | Variant::Wan, Self::PaperFast) => 0.22,
            (Variant::Dit | Variant::Wan, Self::PaperSlow) => 0.20,
            (Variant::Flux, Self::PaperFast) => 0.68,
            (Variant::Flux, Self::PaperSlow) => match stream {
                Kind::FF => 0.66,
                Kind::CONTEXT_FF => 0.0,
                Kind::SINGLE_MLP => 0.62,
                _ => 0.68,
            },
        }
    }

    /// The steps at the start that are always computed.
    pub const fn warm_up(self, variant: Variant) -> WarmUp {
        match (variant, self) {
            (Variant::Dit | Variant::Wan, Self::PaperFast | Self::PaperSlow) => WarmUp::Steps(1),
            (Variant::Flux, Self::PaperFast) => WarmUp::Rate(0.1),
            (Variant::Flux, Self::PaperSlow) => WarmUp::Rate(0.22),
        }
    }

    /// The settings of a two-phase calibration of a model with these sites.
    pub fn settings(self, variant: Variant, topology: &Topology) -> Settings {
        let streams = topology.streams().into_iter();
        Settings {
            variant,
            gate_quantile: self.gate_quantile(variant),
            quantiles: streams.map(|(stream, _)| (stream, self.quantile(variant, stream))).collect(),
            warm_up: self.warm_up(variant),
            phases: Phases::Two,
        }
    }
}
