//! What fitting may use, and how much it measures.

use invardiff_plan::Provenance;
use invardiff_plan::fitted::Pricing;

/// How times and weights are found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FittedOptions {
    /// How many of the session's runs the plan is chosen on and kept out of the fit: the last ones, at least one run being
    /// fitted on. With 0 the plan is chosen on what it was fitted on.
    pub kept_out: usize,
    /// The most candidate times: steps of the target's sampler, spread evenly, its last ones all among them.
    pub candidates: usize,
    /// How times are priced: one front each.
    pub pricings: Vec<Pricing>,
    /// How weights are fitted: the first on the times of every front, the others on the best times.
    pub fits: Vec<FitOptions>,
    /// Closed-loop fits that the local search of times spends at most.
    pub tries: usize,
    /// Where the plan comes from; the method is set by the planner.
    pub provenance: Provenance,
}

impl Default for FittedOptions {
    /// A third of the runs kept out is for the caller to say; four here. Up to 128 candidates; prices to the powers 1, 2 and 4;
    /// three and four outputs, with and without the sample; 12 moves of single times.
    fn default() -> Self {
        let price = |power| Pricing { power, ..Pricing::default() };
        let usual = FitOptions::default();
        Self {
            kept_out: 4,
            candidates: 128,
            pricings: vec![price(1.0), price(2.0), price(4.0), Pricing { sample: true, ..price(2.0) }],
            fits: vec![
                usual,
                FitOptions { outputs: 4, ..usual },
                FitOptions { sample: true, ..usual },
                FitOptions { ridge: 1e-6, ..usual },
            ],
            tries: 12,
            provenance: Provenance::default(),
        }
    }
}

/// How weights are fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOptions {
    /// How many outputs are weighted at most: the fresh one and those before; 1 to 8.
    pub outputs: usize,
    /// Whether the current sample is weighted too.
    pub sample: bool,
    /// How strongly weights are drawn towards those of DPM-Solver++ 2M, relative to the mean square of the values.
    pub ridge: f64,
}

impl Default for FitOptions {
    /// Three outputs, a ridge of 1e-4.
    fn default() -> Self {
        Self { outputs: 3, sample: false, ridge: 1e-4 }
    }
}
