//! What a plan costs, counted in FLOPs of the matrix products.

use serde::Serialize;

use crate::core::error::PlanError;
use crate::core::plan::CachePlan;
use crate::core::rule::GateSite;
use crate::core::topology::Topology;

/// FLOPs of one picture over a whole trajectory.
///
/// A skipped step spends what no reuse of the trunk saves (0.01 % of a DiT step), or nothing where the gate acts on the
/// network's output; a reused module spends nothing; extrapolation is pointwise and not counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Every step computed in full.
    pub full: f64,
    /// The plan.
    pub planned: f64,
    /// The plan's step gate with no module reused.
    pub gate_only: f64,
}

impl Cost {
    /// Counts a plan on a model.
    ///
    /// # Errors
    /// [`PlanError::Sites`] when the plan is for other sites; [`PlanError::Range`] when the topology knows no FLOPs
    /// (those derived from a book alone do not).
    pub fn of(plan: &CachePlan, topology: &Topology) -> Result<Self, PlanError> {
        let columns = plan.columns(topology)?;
        let full_step = topology.full_flops();
        if full_step.is_nan() || full_step <= 0.0 {
            return Err(PlanError::Range {
                what: format!("the FLOPs of {}", topology.model),
                value: full_step.to_string(),
                expected: "a number above 0: name a model whose shapes are known".into(),
            });
        }
        let skipped_step = match plan.gate_site() {
            GateSite::Trunk => topology.head_flops,
            GateSite::Output(_) => 0.0,
        };
        let skipped = plan.skipped_steps() as f64;
        let computed = plan.steps() as f64 - skipped;
        let gate_only = computed * full_step + skipped * skipped_step;
        let saved: f64 = plan
            .gate()
            .iter()
            .zip(plan.reuse().outer_iter())
            .filter(|(skip, _)| !**skip)
            .flat_map(|(_, row)| {
                columns
                    .iter()
                    .zip(&topology.sites)
                    .map(move |(column, spec)| f64::from(row[*column]) * spec.flops)
            })
            .sum();
        Ok(Self { full: plan.steps() as f64 * full_step, planned: gate_only - saved, gate_only })
    }

    /// How many times faster than computing everything.
    pub fn speedup(&self) -> f64 {
        self.full / self.planned
    }

    /// The same of the step gate alone.
    pub fn gate_speedup(&self) -> f64 {
        self.full / self.gate_only
    }

    /// The factor that reused modules add on top of the gate: [`Cost::speedup`] over [`Cost::gate_speedup`].
    pub fn modules_speedup(&self) -> f64 {
        self.gate_only / self.planned
    }

    /// The share of the full work that the plan does, in `(0, 1]`.
    pub fn compute_fraction(&self) -> f64 {
        self.planned / self.full
    }
}
