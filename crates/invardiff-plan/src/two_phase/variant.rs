//! The authors' three calibration scripts and their differences.

use serde::{Deserialize, Serialize};

/// One of the authors' three published calibration scripts. The paper (arXiv 2512.05134) describes one rule; the scripts
/// differ in these points, and the published plans depend on them:
///
/// | | `Dit` | `Flux` | `Wan` |
/// |---|---|---|---|
/// | the second phase corrects the step gate | yes | no | yes |
/// | provisional module rows cleared at the start | warm-up | first | warm-up |
/// | provisional gate written into provisional module rows | no | no | yes |
/// | NaN rates left out before the quantile | no | no | yes |
///
/// The change metric, the quantile, the strict comparison and the guards of the final masks are common to all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// Class-conditional DiT (streams `msa`, `mlp`).
    #[default]
    Dit,
    /// FLUX (streams of double and single blocks).
    Flux,
    /// Wan 2.1 video (self-attention, cross-attention, feed-forward; the conditional branch alone is measured).
    Wan,
}

impl Variant {
    /// The method name in the provenance of plans made by this variant.
    pub fn method(self) -> &'static str {
        match self {
            Self::Dit => "invardiff-dit",
            Self::Flux => "invardiff-flux",
            Self::Wan => "invardiff-wan",
        }
    }

    /// Whether the second phase corrects the trunk's rates. Where it does not, the gate of the first phase is final.
    pub fn corrects_gate(self) -> bool {
        match self {
            Self::Dit | Self::Wan => true,
            Self::Flux => false,
        }
    }

    /// The number of steps at the start that are computed in the provisional masks of modules, for a warm-up of `warm_up`
    /// steps. In the provisional gate and in all final masks they are `warm_up`.
    pub fn provisional_module_rows(self, warm_up: usize) -> usize {
        match self {
            Self::Dit | Self::Wan => warm_up,
            Self::Flux => 1,
        }
    }

    /// Whether the provisional gate is written into the provisional masks of modules. It always is into the final masks.
    pub fn writes_provisional_gate(self) -> bool {
        match self {
            Self::Dit | Self::Flux => false,
            Self::Wan => true,
        }
    }

    /// Whether NaN rates are left out before a quantile is taken. Where they are not, a NaN is an error.
    pub fn skips_nan(self) -> bool {
        match self {
            Self::Dit | Self::Flux => false,
            Self::Wan => true,
        }
    }
}
