//! The rules by which a value that is not computed is made from earlier ones.

use serde::{Deserialize, Serialize};

use crate::core::site::Site;

/// How a reused value is made from earlier computed ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReuseRule {
    /// The last computed value, unchanged (the paper's rule).
    #[default]
    Hold,
    /// The polynomial of this order (1 or 2) through the last `order + 1` computed values; a lower order while fewer were
    /// computed.
    Extrapolate(u8),
    /// TaylorSeer's series of this order (1 to [`ReuseRule::MAX_ORDER`]) from the last `order + 1` computed values, by finite
    /// differences; a lower order while fewer were computed. Order 1 equals [`ReuseRule::Extrapolate`] of order 1. From
    /// order 2 it is not the polynomial through the values: each difference is divided by the distance of its own last two
    /// values, and the powers are those of a Taylor series.
    Taylor(u8),
    /// A weighted sum of kept values, with the weights that the plan lists for the site, one row per step
    /// ([`CachePlan::weights`](crate::CachePlan::weights)). A computed step may have weights too: the model then goes on with
    /// the weighted sum of the fresh value and kept ones.
    Weights,
}

impl ReuseRule {
    /// The highest order of [`ReuseRule::Taylor`].
    pub const MAX_ORDER: u8 = 4;

    /// The most kept values that [`ReuseRule::Weights`] reads.
    pub const MAX_WEIGHTS: usize = 8;

    /// The most computed values that one reuse reads.
    pub const fn reach(self) -> usize {
        match self {
            Self::Hold => 1,
            Self::Extrapolate(order) | Self::Taylor(order) => order as usize + 1,
            Self::Weights => Self::MAX_WEIGHTS,
        }
    }
}

/// The axis on which values are extrapolated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeAxis {
    /// The index of the step.
    #[default]
    Step,
    /// The sampler's own time (half log-SNR for DDIM and DPM-Solver++, sigma for flow matching), as
    /// [`CachePlan::times`](crate::core::plan::CachePlan::times) lists it.
    Sampler,
}

/// The form in which the network's output is kept when the gate acts on [`Site::OUTPUT`](crate::core::site::Site::OUTPUT).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputForm {
    /// The predicted clean sample.
    X0,
    /// The predicted noise.
    Epsilon,
    /// The predicted velocity (v-prediction, or the flow's velocity).
    Velocity,
}

/// Where the step gate acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateSite {
    /// On the hidden state after the last block; the final layer is computed at every step (the paper's rule).
    #[default]
    Trunk,
    /// On the network's output after guidance, in this form.
    Output(OutputForm),
}

impl GateSite {
    /// The site where the gate acts.
    pub const fn site(self) -> Site {
        match self {
            Self::Trunk => Site::TRUNK,
            Self::Output(_) => Site::OUTPUT,
        }
    }
}
