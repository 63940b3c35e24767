//! The cost of a plan in FLOPs of matrix products.

use serde::Serialize;

use crate::core::error::PlanError;
use crate::core::plan::CachePlan;
use crate::core::rule::GateSite;
use crate::core::topology::Topology;

/// FLOPs per image over a whole trajectory: of the full run, and of a plan.
///
/// A skipped step costs [`Topology::head_flops`] (0.01 % of a DiT step), or nothing where the gate acts on the network's
/// output. A reused module costs nothing. Sums of kept values are pointwise and not counted. The full run of a plan with times
/// of its own is the one that it stands for ([`CachePlan::full_steps`]).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// FLOPs when every step is computed in full.
    pub full: f64,
    /// FLOPs of the plan.
    pub planned: f64,
    /// FLOPs of the plan's step gate alone, with no module reused.
    pub gate_only: f64,
}

impl Cost {
    /// Counts the FLOPs of a plan on a model.
    ///
    /// # Errors
    /// [`PlanError::Sites`] when the plan is for other sites; [`PlanError::Range`] when the topology has no FLOPs, as one that
    /// is derived from a cache book.
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
        Ok(Self { full: plan.full_steps() as f64 * full_step, planned: gate_only - saved, gate_only })
    }

    /// The speed-up of the plan over computing everything.
    pub fn speedup(&self) -> f64 {
        self.full / self.planned
    }

    /// The speed-up of the step gate alone.
    pub fn gate_speedup(&self) -> f64 {
        self.full / self.gate_only
    }

    /// The further speed-up by reused modules: [`Cost::speedup`] divided by [`Cost::gate_speedup`].
    pub fn modules_speedup(&self) -> f64 {
        self.gate_only / self.planned
    }

    /// FLOPs of the plan divided by those of the full run, in `(0, 1]`.
    pub fn compute_fraction(&self) -> f64 {
        self.planned / self.full
    }
}
