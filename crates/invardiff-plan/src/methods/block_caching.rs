//! Block Caching (Wimbauer et al. 2024, arXiv 2312.03209): a module is reused until its changes add up to a threshold.

use ndarray::Array2;

use crate::core::{CachePlan, Cost, Kind, PlanError, Provenance, Site, Topology};

/// The relative change of every module from step to step, averaged over runs:
/// `||O[k] - O[k-1]||_1 / ||O[k]||_1`, with `O` the module's output before its gate, over all streams of the site.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeTable {
    sites: Vec<Site>,
    sums: Array2<f64>,
    runs: usize,
}

impl ChangeTable {
    /// An empty table for the sites of a model.
    ///
    /// # Errors
    /// [`PlanError::TooFewSteps`] for fewer than two steps.
    pub fn new(topology: &Topology, steps: usize) -> Result<Self, PlanError> {
        if steps < 2 {
            return Err(PlanError::TooFewSteps { steps, needed: 2 });
        }
        let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
        let sums = Array2::zeros((steps, sites.len()));
        Ok(Self { sites, sums, runs: 0 })
    }

    /// Adds one run. `changes` is `[steps, sites]`: the change from the step before. The first row is ignored.
    ///
    /// # Errors
    /// [`PlanError::Shape`] for another shape, [`PlanError::Range`] for a negative or NaN change.
    pub fn add_run(&mut self, changes: &Array2<f64>) -> Result<(), PlanError> {
        if changes.dim() != self.sums.dim() {
            return Err(PlanError::Shape {
                what: "the changes of a run [steps, sites]".into(),
                expected: self.sums.shape().to_vec(),
                found: changes.shape().to_vec(),
            });
        }
        let odd = changes
            .indexed_iter()
            .find(|((step, _), change)| *step > 0 && (change.is_nan() || **change < 0.0));
        if let Some(((step, column), change)) = odd {
            return Err(PlanError::Range {
                what: format!("the change of {} at step {step}", self.sites[column]),
                value: change.to_string(),
                expected: "a number from 0 on".into(),
            });
        }
        self.sums += changes;
        self.sums.row_mut(0).fill(0.0);
        self.runs += 1;
        Ok(())
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.sums.nrows()
    }

    /// The module sites, in the order of the columns.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The number of runs so far.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// The mean changes over runs, `[steps, sites]`; the first row is 0.
    pub fn changes(&self) -> Array2<f64> {
        &self.sums / self.runs.max(1) as f64
    }

    /// The plan for the threshold `delta`. A module computed at step `a` is reused up to the last step `b` where its changes
    /// at `a + 1 ..= b` add up to at most `delta`, and computed at the next step. The first step is computed, and no step is
    /// skipped whole. Only modules of `kinds` are reused, or all where `kinds` is empty.
    ///
    /// # Errors
    /// [`PlanError::Range`] for a negative or NaN `delta`, or a table without runs;
    /// [`PlanError::MissingKind`] for a kind without a site.
    pub fn plan(&self, delta: f64, kinds: &[Kind]) -> Result<CachePlan, PlanError> {
        self.check(delta, kinds)?;
        let changes = self.changes();
        let mut reuse = Array2::from_elem(changes.dim(), false);
        for (column, site) in self.sites.iter().enumerate() {
            if !(kinds.is_empty() || kinds.contains(&site.kind)) {
                continue;
            }
            let mut added = 0.0;
            for step in 1..self.steps() {
                added += changes[[step, column]];
                reuse[[step, column]] = added <= delta;
                if added > delta {
                    added = 0.0;
                }
            }
        }
        let provenance = Provenance {
            method: "block-caching".into(),
            notes: vec![format!("delta {delta}, changes averaged over {} runs", self.runs)],
            ..Provenance::default()
        };
        Ok(CachePlan::new(self.sites.clone(), vec![false; self.steps()], reuse)?.with_provenance(provenance))
    }

    /// The smallest threshold whose plan costs at most `compute_fraction` of the full run, and its plan. The result is exact:
    /// a plan changes only where the threshold passes a sum of consecutive changes, and a larger threshold never computes
    /// more.
    ///
    /// # Errors
    /// [`PlanError::Range`] when even the largest threshold costs more, with its cost; otherwise as
    /// [`ChangeTable::plan`] and [`Cost::of`].
    pub fn plan_at(
        &self,
        compute_fraction: f64,
        kinds: &[Kind],
        topology: &Topology,
    ) -> Result<(f64, CachePlan), PlanError> {
        let thresholds = self.thresholds(kinds);
        let fraction = |delta: f64| -> Result<f64, PlanError> {
            Ok(Cost::of(&self.plan(delta, kinds)?, topology)?.compute_fraction())
        };
        let largest = thresholds.last().copied().unwrap_or(0.0);
        let least = fraction(largest)?;
        if least.is_nan() || compute_fraction.is_nan() || least > compute_fraction {
            return Err(PlanError::Range {
                what: "the compute fraction".into(),
                value: compute_fraction.to_string(),
                expected: format!(
                    "{least:.4} or more: the first step is computed, and what lies outside of the modules"
                ),
            });
        }
        let (mut low, mut high) = (0, thresholds.len() - 1);
        while low < high {
            let middle = usize::midpoint(low, high);
            if fraction(thresholds[middle])? <= compute_fraction {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok((thresholds[low], self.plan(thresholds[low], kinds)?))
    }

    /// 0 and every sum of consecutive changes of one module, in increasing order.
    fn thresholds(&self, kinds: &[Kind]) -> Vec<f64> {
        let changes = self.changes();
        let mut sums = vec![0.0];
        for (column, site) in self.sites.iter().enumerate() {
            if kinds.is_empty() || kinds.contains(&site.kind) {
                for first in 1..self.steps() {
                    let mut added = 0.0;
                    sums.extend((first..self.steps()).map(|step| {
                        added += changes[[step, column]];
                        added
                    }));
                }
            }
        }
        sums.retain(|sum| sum.is_finite());
        sums.sort_unstable_by(f64::total_cmp);
        sums.dedup();
        sums
    }

    fn check(&self, delta: f64, kinds: &[Kind]) -> Result<(), PlanError> {
        let refuse = |what: &str, value: String, expected: &str| {
            Err(PlanError::Range { what: what.into(), value, expected: expected.into() })
        };
        if delta.is_nan() || delta < 0.0 {
            return refuse("delta", delta.to_string(), "a number from 0 on");
        }
        if self.runs == 0 {
            return refuse("the runs of a change table", "0".into(), "at least 1");
        }
        match kinds.iter().find(|kind| self.sites.iter().all(|site| site.kind != **kind)) {
            Some(kind) => Err(PlanError::MissingKind { kind: *kind, what: "the table of changes".into() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::SiteSpec;

    fn topology() -> Topology {
        let spec = |site, flops| SiteSpec::single(site, 4, 2, flops);
        Topology {
            model: "toy".into(),
            sites: vec![spec(Site::msa(0), 30.0), spec(Site::mlp(0), 60.0)],
            trunk: spec(Site::TRUNK, 5.0),
            head_flops: 5.0,
            output_elements: 8,
        }
    }

    fn table(changes: &[[f64; 2]]) -> ChangeTable {
        let mut table = ChangeTable::new(&topology(), changes.len()).unwrap();
        table
            .add_run(&Array2::from_shape_fn((changes.len(), 2), |(step, column)| changes[step][column]))
            .unwrap();
        table
    }

    fn drawn(plan: &CachePlan, kind: Kind) -> String {
        plan.of_kind(kind).iter().map(|reused| if *reused { '#' } else { '.' }).collect()
    }

    #[test]
    fn changes_add_up_until_delta_and_start_again_after_a_computation() {
        let nan = f64::NAN; // the first row says nothing
        let once =
            table(&[[nan, nan], [0.2, 0.5], [0.2, 0.1], [0.2, 0.1], [0.2, 0.1], [0.0, 0.1], [0.25, 0.1]]);
        let plan = once.plan(0.45, &[]).unwrap();
        assert_eq!(drawn(&plan, Kind::MSA), ".##.###");
        assert_eq!(drawn(&plan, Kind::MLP), "..####.");
        assert_eq!(drawn(&once.plan(0.0, &[]).unwrap(), Kind::MSA), ".....#.");
        let attention = once.plan(9.0, &[Kind::MSA]).unwrap();
        assert_eq!(
            (drawn(&attention, Kind::MSA), drawn(&attention, Kind::MLP)),
            (".######".into(), ".......".into())
        );
        plan.schedule(&topology()).unwrap();
        assert!(once.plan(-0.1, &[]).is_err() && once.plan(f64::NAN, &[]).is_err());
        assert!(once.plan(0.1, &[Kind::FF]).unwrap_err().to_string().contains("'ff'"));
    }

    #[test]
    fn runs_are_averaged_and_odd_ones_refused() {
        let mut table = table(&[[0.0, 0.0], [0.2, 0.4]]);
        table.add_run(&Array2::from_elem((2, 2), 0.4)).unwrap();
        assert!((table.changes()[[1, 0]] - 0.3).abs() < 1e-12);
        assert_eq!((table.changes()[[0, 0]], table.runs()), (0.0, 2));
        assert!(table.add_run(&Array2::from_elem((3, 2), 0.4)).is_err());
        let message = table.add_run(&Array2::from_elem((2, 2), f64::NAN)).unwrap_err().to_string();
        assert!(message.contains("msa[0] at step 1"), "{message}");
        assert!(ChangeTable::new(&topology(), 1).is_err());
        assert!(ChangeTable::new(&topology(), 2).unwrap().plan(1.0, &[]).is_err());
    }

    /// Pseudo-random changes: more threshold never computes more, and the found threshold is the smallest that will do.
    #[test]
    fn the_threshold_of_a_compute_fraction_is_the_smallest_that_will_do() {
        let mut state = 3_u64;
        let mut roll = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(u32::MAX)
        };
        let changes: Vec<[f64; 2]> = (0..12).map(|_| [roll(), roll()]).collect();
        let table = table(&changes);
        let fraction = |plan: &CachePlan| Cost::of(plan, &topology()).unwrap().compute_fraction();
        let thresholds = table.thresholds(&[]);
        let costs: Vec<f64> =
            thresholds.iter().map(|delta| fraction(&table.plan(*delta, &[]).unwrap())).collect();
        assert!(costs.windows(2).all(|pair| pair[0] >= pair[1]));
        for target in [1.0, 0.8, 0.5, 0.33, 0.2] {
            let (delta, plan) = table.plan_at(target, &[], &topology()).unwrap();
            let expected = thresholds.iter().zip(&costs).find(|(_, cost)| **cost <= target).unwrap();
            assert_eq!((delta, fraction(&plan)), (*expected.0, *expected.1), "{target}");
        }
        let message = table.plan_at(0.1, &[], &topology()).unwrap_err().to_string();
        assert!(message.contains("0.17"), "{message}"); // one step of twelve, and 10 % of the other eleven
    }
}
