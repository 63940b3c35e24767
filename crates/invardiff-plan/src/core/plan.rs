//! The plan: per step and site, compute or reuse; per step, skip whole.

use std::collections::{BTreeMap, HashMap};

use ndarray::Array2;

use crate::core::error::PlanError;
use crate::core::provenance::{Mismatch, Provenance, RunSpec};
use crate::core::rule::{GateSite, ReuseRule, TimeAxis};
use crate::core::site::{Kind, Site};
use crate::core::topology::Topology;

/// A caching plan: a step gate and a matrix `[steps, sites]`, both in sampling order, `true` = reuse.
///
/// The fields agree in shape by construction; whether every reuse has something to reuse is decided when the plan is
/// lowered by [`CachePlan::schedule`].
#[derive(Clone, Debug, PartialEq)]
pub struct CachePlan {
    sites: Vec<Site>,
    gate: Vec<bool>,
    reuse: Array2<bool>,
    gate_site: GateSite,
    gate_rule: ReuseRule,
    module_rules: BTreeMap<Kind, ReuseRule>,
    axis: TimeAxis,
    times: Vec<f64>,
    /// Where the plan comes from.
    pub provenance: Provenance,
}

impl CachePlan {
    /// A plan from its parts: `gate` has one entry a step, `reuse` is `[steps, sites]`. Rules are [`ReuseRule::Hold`].
    ///
    /// # Errors
    /// [`PlanError::Shape`] when the parts do not fit together, [`PlanError::TooFewSteps`] without steps,
    /// [`PlanError::Sites`] when a site is named twice.
    pub fn new(sites: Vec<Site>, gate: Vec<bool>, reuse: Array2<bool>) -> Result<Self, PlanError> {
        if gate.is_empty() {
            return Err(PlanError::TooFewSteps { steps: 0, needed: 1 });
        }
        let expected = vec![gate.len(), sites.len()];
        if reuse.shape() != expected {
            let found = reuse.shape().to_vec();
            return Err(PlanError::Shape { what: "the reuse matrix [steps, sites]".into(), expected, found });
        }
        let mut sorted = sites.clone();
        sorted.sort_unstable();
        if let Some([site, _]) = sorted.array_windows().find(|[one, next]| one == next) {
            let detail = format!("{site} stands twice in the plan");
            return Err(PlanError::Sites { model: "the plan".into(), detail });
        }
        Ok(Self {
            sites,
            gate,
            reuse,
            gate_site: GateSite::default(),
            gate_rule: ReuseRule::default(),
            module_rules: BTreeMap::new(),
            axis: TimeAxis::default(),
            times: Vec::new(),
            provenance: Provenance::default(),
        })
    }

    /// The plan that computes everything.
    ///
    /// # Panics
    /// When `steps` is 0.
    pub fn empty(topology: &Topology, steps: usize) -> Self {
        let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
        let reuse = Array2::from_elem((steps, sites.len()), false);
        Self::new(sites, vec![false; steps], reuse).expect("shapes agree and steps > 0")
    }

    /// The plan that skips the steps marked in `gate` and reuses no module.
    ///
    /// # Panics
    /// When `gate` is empty.
    pub fn gate_only(topology: &Topology, gate: Vec<bool>) -> Self {
        let mut plan = Self::empty(topology, gate.len());
        plan.gate = gate;
        plan
    }

    /// The same plan with its gate acting elsewhere and by another rule.
    pub fn with_gate_rule(mut self, site: GateSite, rule: ReuseRule) -> Self {
        (self.gate_site, self.gate_rule) = (site, rule);
        self
    }

    /// The same plan with a rule for one kind of module.
    pub fn with_module_rule(mut self, kind: Kind, rule: ReuseRule) -> Self {
        self.module_rules.insert(kind, rule);
        self
    }

    /// The same plan extrapolating along the sampler's own time, one strictly monotone value a step.
    ///
    /// # Errors
    /// [`PlanError::Shape`] when there is not one time a step, [`PlanError::Range`] when they are not strictly monotone.
    pub fn with_times(mut self, axis: TimeAxis, times: Vec<f64>) -> Result<Self, PlanError> {
        if times.len() != self.steps() && !(times.is_empty() && axis == TimeAxis::Step) {
            let (expected, found) = (vec![self.steps()], vec![times.len()]);
            return Err(PlanError::Shape { what: "times [steps]".into(), expected, found });
        }
        let rising = times.windows(2).all(|pair| pair[0] < pair[1]);
        let falling = times.windows(2).all(|pair| pair[0] > pair[1]);
        if !(rising || falling) || times.iter().any(|time| !time.is_finite()) {
            return Err(PlanError::Range {
                what: "times".into(),
                value: "not strictly monotone".into(),
                expected: "finite values that rise or fall at every step".into(),
            });
        }
        (self.axis, self.times) = (axis, times);
        Ok(self)
    }

    /// The same plan with its provenance replaced.
    pub fn with_provenance(mut self, provenance: Provenance) -> Self {
        self.provenance = provenance;
        self
    }

    /// The same plan with no step skipped; the module matrix is kept (rows of skipped steps become computed).
    pub fn modules_alone(&self) -> Self {
        let mut plan = self.clone();
        for (step, skipped) in self.gate.iter().enumerate() {
            if *skipped {
                plan.reuse.row_mut(step).fill(false);
            }
        }
        plan.gate.fill(false);
        plan
    }

    /// The same plan with no module reused outside of skipped steps.
    pub fn gate_alone(&self) -> Self {
        let mut plan = self.clone();
        for (step, skipped) in self.gate.iter().enumerate() {
            plan.reuse.row_mut(step).fill(*skipped);
        }
        plan
    }

    /// Reuses the module in `column` (an index into [`CachePlan::sites`]) at `step`.
    ///
    /// # Panics
    /// When there is no such step or column.
    pub fn reuse_module(&mut self, step: usize, column: usize) {
        self.reuse[[step, column]] = true;
    }

    /// Computes the module in `column` (an index into [`CachePlan::sites`]) at `step`.
    ///
    /// # Panics
    /// When there is no such step or column.
    pub fn compute(&mut self, step: usize, column: usize) {
        self.reuse[[step, column]] = false;
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.gate.len()
    }

    /// Module sites, in the order of the matrix's columns.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The step gate, `true` = skipped.
    pub fn gate(&self) -> &[bool] {
        &self.gate
    }

    /// The module matrix `[steps, sites]`, `true` = reused. Rows of skipped steps say nothing.
    pub fn reuse(&self) -> &Array2<bool> {
        &self.reuse
    }

    /// Where the gate acts.
    pub fn gate_site(&self) -> GateSite {
        self.gate_site
    }

    /// How a skipped step's value is made.
    pub fn gate_rule(&self) -> ReuseRule {
        self.gate_rule
    }

    /// How a reused module's value is made.
    pub fn module_rule(&self, kind: Kind) -> ReuseRule {
        self.module_rules.get(&kind).copied().unwrap_or_default()
    }

    /// The rules that were set by kind.
    pub fn module_rules(&self) -> &BTreeMap<Kind, ReuseRule> {
        &self.module_rules
    }

    /// The axis of extrapolation.
    pub fn axis(&self) -> TimeAxis {
        self.axis
    }

    /// The sampler's own time a step; empty where only step indices count.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// How many steps are skipped.
    pub fn skipped_steps(&self) -> usize {
        self.gate.iter().filter(|skipped| **skipped).count()
    }

    /// How many modules are reused in steps that are not skipped.
    pub fn reused_modules(&self) -> usize {
        self.reuse
            .outer_iter()
            .zip(&self.gate)
            .filter(|(_, skipped)| !**skipped)
            .map(|(row, _)| row.iter().filter(|reused| **reused).count())
            .sum()
    }

    /// The matrix of one kind, `[steps, layers]`, columns by layer.
    pub fn of_kind(&self, kind: Kind) -> Array2<bool> {
        let mut columns: Vec<(u32, usize)> = (0..self.sites.len())
            .filter(|column| self.sites[*column].kind == kind)
            .map(|column| (self.sites[column].layer, column))
            .collect();
        columns.sort_unstable();
        Array2::from_shape_fn((self.steps(), columns.len()), |(step, layer)| {
            self.reuse[[step, columns[layer].1]]
        })
    }

    /// The plan's column of each of the topology's sites.
    ///
    /// # Errors
    /// [`PlanError::Sites`] when the plan is for other sites.
    pub(crate) fn columns(&self, topology: &Topology) -> Result<Vec<usize>, PlanError> {
        let refuse = |detail| PlanError::Sites { model: topology.model.clone(), detail };
        let found: HashMap<Site, usize> =
            self.sites.iter().enumerate().map(|(column, site)| (*site, column)).collect();
        let column =
            |site: Site| found.get(&site).copied().ok_or_else(|| refuse(format!("the plan lacks {site}")));
        let columns = topology.sites.iter().map(|spec| column(spec.site)).collect::<Result<_, _>>()?;
        match self.sites.iter().find(|site| topology.index(**site).is_none()) {
            Some(site) => Err(refuse(format!("the plan has {site}, the model has not"))),
            None => Ok(columns),
        }
    }

    /// Refuses the plan for a run that it was not made for. A plan that does not say what it was made for passes, apart
    /// from its number of steps.
    ///
    /// # Errors
    /// [`PlanError::OtherRun`] with every difference.
    pub fn check(&self, run: &RunSpec) -> Result<(), PlanError> {
        let mut found =
            self.provenance.execution.as_ref().map_or_else(Vec::new, |execution| execution.mismatches(run));
        if self.provenance.execution.is_none() && self.steps() != run.timesteps.len() {
            found.push(Mismatch {
                field: "num_inference_steps",
                plan: self.steps().to_string(),
                run: run.timesteps.len().to_string(),
            });
        }
        if found.is_empty() { Ok(()) } else { Err(PlanError::OtherRun(found)) }
    }
}
