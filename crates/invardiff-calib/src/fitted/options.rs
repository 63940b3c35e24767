//! What fitting may use, and how much it measures.

use invardiff_plan::Provenance;
use invardiff_plan::fitted::Pricing;

use super::solver::{Multistep, SOLVERS};

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
    /// Evaluations of the network a run that moving single times may spend; a move costs as many as the plan has.
    pub moves: usize,
    /// The Gauss-Newton steps at the end; `None` for none.
    pub polish: Option<Polish>,
    /// Where the plan comes from; the method is set by the planner.
    pub provenance: Provenance,
}

impl Default for FittedOptions {
    /// Four runs kept out. Up to 128 candidates; prices to the powers 1, 2 and 4, and 2 with the sample; three and four
    /// outputs, with and without the sample, drawn to DPM-Solver++ 2M or to UniPC; moves of single times for 120 evaluations a
    /// run; polish of small plans.
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
                FitOptions { prior: Multistep::UniPc(2), ..usual },
                FitOptions { prior: Multistep::UniPc(2), ridge: 1e-2, ..usual },
            ],
            moves: 120,
            polish: Some(Polish::default()),
            provenance: Provenance::default(),
        }
    }
}

impl FittedOptions {
    /// The polish of plans of so many evaluations.
    pub(super) fn polish_of(&self, evaluations: usize) -> Option<Polish> {
        self.polish.filter(|polish| evaluations <= polish.most)
    }

    /// The most evaluations of the network that replays take for a plan of so many evaluations on so many runs: fits, moves,
    /// solvers at the times tried and polish, each run counting for itself. The recording comes on top: the target's steps, for every run.
    pub fn replays(&self, runs: usize, evaluations: usize) -> usize {
        let moves = self.moves / evaluations.max(1);
        let times = self.pricings.len() + moves;
        let fits = times + 2 * self.fits.len() + SOLVERS.len();
        let solvers = SOLVERS.len() * times * if self.kept_out == 0 { runs } else { self.kept_out.min(runs) };
        let polish = self.polish_of(evaluations).map_or(0, |polish| {
            let weights =
                self.fits.iter().map(|fit| fit.outputs + usize::from(fit.sample)).max().unwrap_or(1);
            let round = Polish::evaluations(evaluations, weights) * polish.runs.min(runs);
            polish.rounds * (round + 2 * evaluations * runs)
        });
        (fits * runs + solvers) * evaluations + polish
    }
}

/// How weights are fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOptions {
    /// How many outputs are weighted at most: the fresh one and those before; 1 to 8.
    pub outputs: usize,
    /// Whether the current sample is weighted too.
    pub sample: bool,
    /// How strongly weights are drawn towards the prior's, relative to the mean square of the values.
    pub ridge: f64,
    /// The solver whose weights they are drawn towards.
    pub prior: Multistep,
}

impl Default for FitOptions {
    /// Three outputs, a ridge of 1e-4 towards DPM-Solver++ 2M.
    fn default() -> Self {
        Self { outputs: 3, sample: false, ridge: 1e-4, prior: Multistep::DpmSolverPlusPlus }
    }
}

/// Gauss-Newton steps on the finished samples, which turn all weights and times at once. A fit step after step brings every
/// sample as near to the target's as it can, also where that does not help the finished one; with few evaluations that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polish {
    /// The most rounds.
    pub rounds: usize,
    /// The most runs that are looked at: the first of those that are fitted on.
    pub runs: usize,
    /// The most evaluations of a plan that is polished: the cost of a round grows with their square.
    pub most: usize,
}

impl Default for Polish {
    /// Three rounds on eight runs, for plans of up to 12 evaluations.
    fn default() -> Self {
        Self { rounds: 3, runs: 8, most: 12 }
    }
}

impl Polish {
    /// Evaluations of the network a run for one round at a plan of so many evaluations, each row having so many weights.
    pub fn evaluations(evaluations: usize, weights: usize) -> usize {
        evaluations * evaluations.saturating_sub(1) / 2 * (weights + 1) + evaluations
    }
}
