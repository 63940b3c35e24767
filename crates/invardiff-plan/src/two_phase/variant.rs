//! Where the authors' three scripts differ.

use serde::{Deserialize, Serialize};

/// One of the authors' three published calibration scripts. The paper (arXiv 2512.05134) describes one rule; the scripts
/// differ in the points below, and the published plans hang on them.
///
/// | | `Dit` | `Flux` | `Wan` |
/// |---|---|---|---|
/// | the second phase corrects the step gate | yes | no | yes |
/// | provisional module rows cleared at the start | warm-up | first | warm-up |
/// | provisional gate written into provisional module rows | no | no | yes |
/// | NaN rates left out before the quantile | no | no | yes |
///
/// Everything else is common: the statistic, the quantile, the strict comparison, and the guards of the final masks.
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
    /// The name under which a plan made by this rule says so.
    pub fn method(self) -> &'static str {
        match self {
            Self::Dit => "invardiff-dit",
            Self::Flux => "invardiff-flux",
            Self::Wan => "invardiff-wan",
        }
    }

    /// Whether the second phase measures the trunk again under the provisional gate. Where it does not, the gate of the
    /// first phase is final.
    pub fn corrects_gate(self) -> bool {
        match self {
            Self::Dit | Self::Wan => true,
            Self::Flux => false,
        }
    }

    /// How many rows at the start the provisional masks of modules have cleared, when the warm-up is `warm_up` steps. The
    /// provisional gate and all final masks have `warm_up` cleared.
    pub fn provisional_module_rows(self, warm_up: usize) -> usize {
        match self {
            Self::Dit | Self::Wan => warm_up,
            Self::Flux => 1,
        }
    }

    /// Whether the provisional gate is written into the provisional masks of modules, as it is into final masks.
    pub fn writes_provisional_gate(self) -> bool {
        match self {
            Self::Dit | Self::Flux => false,
            Self::Wan => true,
        }
    }

    /// Whether rates that are NaN are left out before a quantile is taken. Where they are not, a NaN is refused.
    pub fn skips_nan(self) -> bool {
        match self {
            Self::Dit | Self::Flux => false,
            Self::Wan => true,
        }
    }
}
