//! Adapting a plan to another number of steps.

use serde::Serialize;

use crate::core::error::PlanError;
use crate::core::plan::CachePlan;
use crate::core::topology::Topology;

/// How reliable a transferred plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The numbers of steps differ by at most a factor of 1.25.
    High,
    /// They differ by at most a factor of 2: compare images before using the plan.
    Fair,
}

/// A plan that was transferred to another number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Transferred {
    /// The plan. Its notes say where it comes from; its `execution` is `None` until that of the new run is set.
    pub plan: CachePlan,
    /// How reliable it is.
    pub confidence: Confidence,
}

/// The largest ratio of the numbers of steps for [`Confidence::High`].
const HIGH: f64 = 1.25;
/// The largest ratio for [`Confidence::Fair`]; beyond it nothing is transferred.
const FAIR: f64 = 2.0;

impl CachePlan {
    /// The step gate transferred to another number of steps of the same sampler. `times` is `[new steps]`: the sampler's own
    /// time of each new step.
    ///
    /// The new grid computes the same share of its steps around each time as the plan does. With `C(t)` the number of
    /// computed steps up to time `t` (linear between steps), `N` the old and `M` the new number of steps, new step `j` is
    /// computed where `C(t_j) M / N` passes the next half. The first two steps and the last are always computed. Plans
    /// that reuse modules are refused.
    ///
    /// # Errors
    /// [`PlanError::Range`] when the plan reuses modules, has fitted weights, lists no times, is for more than twice or less than half as many
    /// steps, or the new grid spans other times (another sampler).
    pub fn transfer(&self, topology: &Topology, times: &[f64]) -> Result<Transferred, PlanError> {
        let refuse = |what: &str, value: String, expected: &str| PlanError::Range {
            what: what.into(),
            value,
            expected: expected.into(),
        };
        if self.reused_modules() > 0 {
            let expected = "none: only step gates are transferred; calibrate for the new number of steps";
            return Err(refuse("reused modules", self.reused_modules().to_string(), expected));
        }
        if self.grid().is_some() || !self.weights().is_empty() {
            let expected =
                "none: fitted weights belong to their steps; fit again from the measurements for this number";
            return Err(refuse("fitted weights", "there".into(), expected));
        }
        if self.times().len() != self.steps() || self.steps() < 3 || times.len() < 3 {
            let expected = "one time a step in the plan, and at least 3 steps in both";
            return Err(refuse("the sampler's times", self.times().len().to_string(), expected));
        }
        let confidence = confidence(self.steps(), times.len()).ok_or_else(|| {
            let expected = "from half to twice as many; calibrate for this number of steps";
            refuse("the number of steps", format!("{} for {}", times.len(), self.steps()), expected)
        })?;
        let spans = |of: &[f64]| of[of.len() - 1] - of[0];
        let (old, new) = (spans(self.times()), spans(times));
        let apart = (times[0] - self.times()[0]).abs().max((new - old).abs());
        if apart > 0.25 * old.abs() {
            let expected = "times that span what the plan's span: another sampler needs a plan of its own";
            return Err(refuse(
                "the sampler's times",
                format!("{:?}", (times[0], times[times.len() - 1])),
                expected,
            ));
        }
        let mut plan = Self::gate_only(topology, self.resampled_gate(times))
            .with_gate_rule(self.gate_site(), self.gate_rule())
            .with_times(self.axis(), times.to_vec())?;
        plan.provenance = crate::core::provenance::Provenance { execution: None, ..self.provenance.clone() };
        plan.provenance.notes.push(format!("transferred from {} to {} steps", self.steps(), times.len()));
        Ok(Transferred { plan, confidence })
    }

    fn resampled_gate(&self, times: &[f64]) -> Vec<bool> {
        let (from, to) = (self.steps(), times.len());
        let scale = to as f64 / from as f64;
        // Computed steps up to each time, on the new grid's scale.
        let mut counted = 0.0;
        let cumulative: Vec<f64> = self
            .gate()
            .iter()
            .map(|skipped| {
                counted += f64::from(!skipped);
                counted
            })
            .collect();
        let passed = |time: f64| scale * interpolate(self.times(), &cumulative, time);
        let mut gate: Vec<bool> = Vec::with_capacity(to);
        let mut computed = 0.0;
        for (step, time) in times.iter().enumerate() {
            let wanted = step < 2 || step + 1 == to || passed(*time) >= computed + 0.5;
            computed += f64::from(wanted);
            gate.push(!wanted);
        }
        gate
    }
}

fn confidence(from: usize, to: usize) -> Option<Confidence> {
    let ratio = (to as f64 / from as f64).max(from as f64 / to as f64);
    match ratio {
        ratio if ratio <= HIGH => Some(Confidence::High),
        ratio if ratio <= FAIR => Some(Confidence::Fair),
        _ => None,
    }
}

/// `values` over `grid` (strictly monotone), linear between its points and constant outside.
fn interpolate(grid: &[f64], values: &[f64], at: f64) -> f64 {
    let rising = grid[0] < grid[grid.len() - 1];
    let beyond = |point: f64| if rising { point >= at } else { point <= at };
    let Some(next) = grid.iter().position(|point| beyond(*point)) else { return values[values.len() - 1] };
    if next == 0 {
        return values[0];
    }
    let part = (at - grid[next - 1]) / (grid[next] - grid[next - 1]);
    values[next - 1] + part * (values[next] - values[next - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rule::{GateSite, OutputForm, ReuseRule, TimeAxis};
    use crate::core::site::Site;
    use crate::core::topology::SiteSpec;

    fn topology() -> Topology {
        let spec = |site| SiteSpec::single(site, 4, 2, 1.0);
        Topology {
            model: "toy".into(),
            sites: vec![spec(Site::msa(0)), spec(Site::mlp(0))],
            trunk: spec(Site::TRUNK),
            head_flops: 1.0,
            output_elements: 8,
        }
    }

    fn grid(steps: usize) -> Vec<f64> {
        (0..steps).map(|step| -5.0 + 10.0 * step as f64 / (steps - 1) as f64).collect()
    }

    /// Dense at the start, sparse afterwards.
    fn plan() -> CachePlan {
        let gate: Vec<bool> = (0..40).map(|step| !(step < 10 || step % 4 == 3)).collect();
        CachePlan::gate_only(&topology(), gate)
            .with_gate_rule(GateSite::Output(OutputForm::X0), ReuseRule::Extrapolate(1))
            .with_times(TimeAxis::Step, grid(40))
            .unwrap()
    }

    #[test]
    fn the_same_grid_keeps_the_gate() {
        let same = plan().transfer(&topology(), &grid(40)).unwrap();
        assert_eq!(same.plan.gate(), plan().gate());
        assert_eq!(same.confidence, Confidence::High);
    }

    #[test]
    fn density_is_carried_over() {
        for steps in [20, 30, 48, 80] {
            let found = plan().transfer(&topology(), &grid(steps)).unwrap().plan;
            let early = found.gate()[..steps / 4].iter().filter(|skipped| !**skipped).count();
            let late = found.gate()[steps / 4..].iter().filter(|skipped| !**skipped).count();
            assert!(early + 1 >= steps / 4, "{steps}: {early} of the first {}", steps / 4);
            let expected = 3 * steps / 16;
            assert!(late.abs_diff(expected) <= 2, "{steps}: {late} of about {expected}");
            assert!(!found.gate()[0] && !found.gate()[1] && !found.gate()[steps - 1]);
            found.schedule(&topology()).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_carried_over_is_refused() {
        let refused =
            |plan: &CachePlan, times: &[f64]| plan.transfer(&topology(), times).unwrap_err().to_string();
        assert!(refused(&plan(), &grid(19)).contains("half"));
        assert!(refused(&plan(), &grid(81)).contains("twice"));
        let elsewhere: Vec<f64> = grid(40).iter().map(|time| time * 2.0).collect();
        assert!(refused(&plan(), &elsewhere).contains("another sampler"));
        let mut modules = plan();
        modules.reuse_module(5, 0);
        assert!(refused(&modules, &grid(40)).contains("step gates"));
        let timeless = CachePlan::gate_only(&topology(), plan().gate().to_vec());
        assert!(refused(&timeless, &grid(40)).contains("one time a step"));
    }
}
