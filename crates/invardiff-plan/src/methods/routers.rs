//! Learning-to-Cache (Ma et al. 2024, arXiv 2406.01733): trained routers, the plan that a threshold makes of them, and plans over
//! pairs of steps.

mod pairs;

use std::collections::BTreeMap;

use ndarray::Array2;

use crate::core::{CachePlan, PlanError, Provenance, Site, Topology};

pub use pairs::{PairedStep, pairs_of, random_pairs, uniform_pairs};

/// One router per pair of steps, with a logit for every module site. While a router is trained, `sigmoid(logit)` is the weight
/// of the fresh value; afterwards a module is computed where it is above a threshold, and reused elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Routers {
    sites: Vec<Site>,
    logits: Array2<f32>,
    /// Where the routers come from; their plans take it over.
    pub provenance: Provenance,
}

impl Routers {
    /// Routers from their logits, `[pairs, sites]`, rows in sampling order, columns in the order of `sites`.
    ///
    /// # Errors
    /// [`PlanError::TooFewSteps`] without a pair; [`PlanError::Shape`] when logits and sites differ in number;
    /// [`PlanError::Range`] for an infinite or NaN logit; [`PlanError::Sites`] when a site is named twice.
    pub fn new(sites: Vec<Site>, logits: Array2<f32>) -> Result<Self, PlanError> {
        if logits.nrows() == 0 {
            return Err(PlanError::TooFewSteps { steps: 0, needed: 2 });
        }
        if logits.ncols() != sites.len() {
            return Err(PlanError::Shape {
                what: "the router logits [pairs, sites]".into(),
                expected: vec![logits.nrows(), sites.len()],
                found: logits.shape().to_vec(),
            });
        }
        if let Some(((row, column), value)) = logits.indexed_iter().find(|(_, logit)| !logit.is_finite()) {
            return Err(PlanError::Range {
                what: format!("the logit of {} in router {row}", sites[column]),
                value: value.to_string(),
                expected: "a finite number".into(),
            });
        }
        let routers = Self { sites, logits, provenance: Provenance::default() };
        routers.matrix(0.5)?; // refuses a site that stands twice
        Ok(routers)
    }

    /// The routers of a published checkpoint (horseee/learning-to-cache). `probs[i]` is `[sites]`: the logits of solver index
    /// `i`, which counts down over the steps, for attention and feed-forward of every block in turn (the order of a DiT's
    /// topology). Odd indices compute everything and are ignored.
    ///
    /// # Errors
    /// [`PlanError::Range`] for a number of steps that is odd or 0; [`PlanError::Format`] when an even index has no router;
    /// [`PlanError::Shape`] when a router's length is not the number of sites; otherwise as [`Routers::new`].
    pub fn from_published(
        topology: &Topology,
        steps: usize,
        probs: &BTreeMap<usize, Vec<f32>>,
    ) -> Result<Self, PlanError> {
        let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
        let pairs = pairs_of(steps)?;
        let mut logits = Array2::zeros((pairs, sites.len()));
        for row in 0..pairs {
            let index = steps - 2 - 2 * row;
            let found = probs.get(&index).ok_or_else(|| PlanError::Format {
                what: "a Learning-to-Cache checkpoint".into(),
                detail: format!(
                    "'routers.{index}.prob' is missing; {steps} steps need every even index below"
                ),
            })?;
            if found.len() != sites.len() {
                return Err(PlanError::Shape {
                    what: format!("'routers.{index}.prob' for the sites of {}", topology.model),
                    expected: vec![sites.len()],
                    found: vec![found.len()],
                });
            }
            logits.row_mut(row).iter_mut().zip(found).for_each(|(logit, value)| *logit = *value);
        }
        Self::new(sites, logits)
    }

    /// The same routers with the logits of one row replaced by `logit(column)`.
    ///
    /// # Errors
    /// [`PlanError::Range`] for an infinite or NaN logit.
    pub fn with_row(mut self, row: usize, logit: impl Fn(usize) -> f32) -> Result<Self, PlanError> {
        for (column, value) in self.logits.row_mut(row).iter_mut().enumerate() {
            *value = logit(column);
        }
        let provenance = std::mem::take(&mut self.provenance);
        Ok(Self::new(self.sites, self.logits)?.with_provenance(provenance))
    }

    /// The same routers with this provenance.
    pub fn with_provenance(mut self, provenance: Provenance) -> Self {
        self.provenance = provenance;
        self
    }

    /// Module sites, in the order of the columns.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The logits, `[pairs, sites]`.
    pub fn logits(&self) -> &Array2<f32> {
        &self.logits
    }

    /// Number of steps: two per router.
    pub fn steps(&self) -> usize {
        2 * self.logits.nrows()
    }

    /// `sigmoid(logit)`, `[pairs, sites]`.
    pub fn weights(&self) -> Array2<f32> {
        self.logits.mapv(sigmoid)
    }

    /// The number of modules that are computed in routed steps, at this threshold.
    pub fn computed(&self, threshold: f32) -> usize {
        self.logits.iter().filter(|logit| sigmoid(**logit) > threshold).count()
    }

    /// The plan for a threshold: in every second step, a module is computed where its weight is above `threshold`, and reused
    /// from the step before elsewhere. No step is skipped whole.
    ///
    /// # Errors
    /// [`PlanError::Range`] for a NaN threshold.
    pub fn plan(&self, threshold: f32) -> Result<CachePlan, PlanError> {
        if threshold.is_nan() {
            return Err(PlanError::Range {
                what: "the threshold of a router".into(),
                value: threshold.to_string(),
                expected: "a number; 0 computes everything, 1 nothing".into(),
            });
        }
        let mut provenance = self.provenance.clone();
        if provenance.method.is_empty() {
            provenance.method = "learning-to-cache".into();
        }
        provenance.notes.push(format!("routers cut at {threshold}: computed where the weight is above"));
        Ok(self.matrix(threshold)?.with_provenance(provenance))
    }

    fn matrix(&self, threshold: f32) -> Result<CachePlan, PlanError> {
        let reuse = Array2::from_shape_fn((self.steps(), self.sites.len()), |(step, column)| {
            match PairedStep::of(step) {
                PairedStep::Full => false,
                PairedStep::Routed(row) => sigmoid(self.logits[[row, column]]) <= threshold,
            }
        });
        CachePlan::new(self.sites.clone(), vec![false; self.steps()], reuse)
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Action, Kind};

    fn topology() -> Topology {
        Topology::named("dit-s-2-256").unwrap()
    }

    #[test]
    fn a_threshold_makes_a_plan_of_lifetime_one() {
        let topology = topology();
        let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
        let logits =
            Array2::from_shape_fn((3, sites.len()), |(row, column)| [-4.0, 0.0, 4.0][(row + column) % 3]);
        let routers = Routers::new(sites, logits).unwrap();
        assert_eq!((routers.steps(), routers.computed(0.1), routers.computed(0.5)), (6, 48, 24));
        let plan = routers.plan(0.5).unwrap(); // sigmoid(0) is not above
        assert_eq!((plan.skipped_steps(), plan.reused_modules()), (0, 48));
        let schedule = plan.schedule(&topology).unwrap();
        for step in 0..6 {
            for slot in 1..schedule.slots().len() {
                match (PairedStep::of(step), schedule.action(step, slot)) {
                    (PairedStep::Full, Action::Compute | Action::Keep)
                    | (PairedStep::Routed(_), Action::Compute) => {}
                    (PairedStep::Routed(_), Action::Take(recipe)) => assert_eq!(recipe[0].step, step - 1),
                    (role, action) => panic!("{role:?} at step {step}: {action:?}"),
                }
            }
        }
        assert_eq!(routers.plan(1.0).unwrap().reused_modules(), 3 * 24);
        assert_eq!(routers.plan(0.0).unwrap().reused_modules(), 0);
        assert!(routers.plan(f32::NAN).is_err());
    }

    #[test]
    fn published_indices_count_down() {
        let topology = topology();
        let sites = topology.sites.len();
        let probs: BTreeMap<usize, Vec<f32>> =
            (0..4).map(|index| (index, vec![index as f32; sites])).collect();
        let routers = Routers::from_published(&topology, 4, &probs).unwrap();
        // Step 0 is index 3, step 1 index 2, step 3 index 0.
        assert_eq!(routers.logits().column(0).to_vec(), [2.0, 0.0]);
        assert_eq!(routers.sites()[..2], [Site::msa(0), Site::mlp(0)]);
        assert!(routers.plan(0.9).unwrap().of_kind(Kind::MSA).row(1)[3]);
        let message = |steps, probs: &BTreeMap<usize, Vec<f32>>| {
            Routers::from_published(&topology, steps, probs).unwrap_err().to_string()
        };
        assert!(message(5, &probs).contains("even number"));
        assert!(message(6, &probs).contains("routers.4.prob"));
        let short = BTreeMap::from([(0, vec![0.0; 3])]);
        assert!(message(2, &short).contains("routers.0.prob"), "{}", message(2, &short));
    }

    #[test]
    fn logits_that_fit_nothing_are_refused() {
        let sites = vec![Site::msa(0), Site::mlp(0)];
        assert!(Routers::new(sites.clone(), Array2::zeros((0, 2))).is_err());
        assert!(Routers::new(sites.clone(), Array2::zeros((1, 3))).is_err());
        let infinite = Routers::new(sites, Array2::from_elem((1, 2), f32::INFINITY)).unwrap_err().to_string();
        assert!(infinite.contains("msa[0] in router 0"), "{infinite}");
        assert!(Routers::new(vec![Site::msa(0); 2], Array2::zeros((1, 2))).is_err());
    }
}
