//! Published solvers as weights of the last outputs, over any times.

use std::fmt;

use invardiff_plan::core::{TimePoint, WeightRow};
use invardiff_plan::fitted::solver_rows;
use invardiff_runtime::{RuntimeError, UniPc};

/// A multistep solver on the predicted clean sample. Over any times it is a plan without a fit: its rows of weights follow from
/// the noise levels alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Multistep {
    /// DDIM, or Euler on a straight path.
    FirstOrder,
    /// DPM-Solver++ 2M ([`solver_rows`]).
    DpmSolverPlusPlus,
    /// UniPC of order 1 to 3 with `bh2` ([`UniPc::rows`]).
    UniPc(usize),
}

/// Solvers whose own weights a fitted plan may end with.
pub(super) const SOLVERS: [Multistep; 3] =
    [Multistep::DpmSolverPlusPlus, Multistep::UniPc(2), Multistep::UniPc(3)];

impl Multistep {
    /// The weights over these points, a row an evaluation.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] for UniPC of another order than 1 to 3.
    pub fn rows(self, points: &[TimePoint]) -> Result<Vec<WeightRow>, RuntimeError> {
        match self {
            Self::FirstOrder => Ok(points.iter().map(|_| first_order()).collect()),
            Self::DpmSolverPlusPlus => Ok(solver_rows(points)),
            Self::UniPc(order) => UniPc::rows(points, order),
        }
    }
}

impl fmt::Display for Multistep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstOrder => f.pad("first order"),
            Self::DpmSolverPlusPlus => f.pad("dpm-solver++"),
            Self::UniPc(order) => f.pad(&format!("unipc-{order}")),
        }
    }
}

fn first_order() -> WeightRow {
    WeightRow { kept: vec![1.0], sample: 0.0 }
}
