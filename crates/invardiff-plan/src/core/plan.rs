//! The caching plan: which steps are skipped, and which modules are reused in the others.

use std::collections::{BTreeMap, HashMap, HashSet};

use ndarray::Array2;

use crate::core::error::PlanError;
use crate::core::fitted::{FitRecord, TimeGrid, WeightRow};
use crate::core::provenance::{Mismatch, Provenance, RunSpec};
use crate::core::rule::{GateSite, ReuseRule, TimeAxis};
use crate::core::site::{Kind, Site};
use crate::core::topology::Topology;

/// A caching plan: a step gate `[steps]` (`true` = the step is skipped) and a matrix `[steps, sites]` (`true` = the module is
/// reused), steps in sampling order.
///
/// The parts of a plan always fit together. Whether each reuse has an earlier value to reuse is checked by
/// [`CachePlan::schedule`], which turns a plan into what a runtime replays.
///
/// ```
/// use invardiff_plan::{CachePlan, Cost, Site, Topology};
///
/// let topology = Topology::named("dit-xl-2-256")?;
/// let mut plan = CachePlan::empty(&topology, 50);
/// let column = plan.sites().iter().position(|site| *site == Site::mlp(3)).unwrap();
/// plan.reuse_module(10, column);
///
/// let schedule = plan.schedule(&topology)?;
/// assert_eq!(schedule.peak_bytes(1, 2), 256 * 1152 * 2); // one feature of 256 tokens in half precision
/// assert!(Cost::of(&plan, &topology)?.speedup() > 1.0);
/// # Ok::<(), invardiff_plan::PlanError>(())
/// ```
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
    weights: BTreeMap<Site, Vec<WeightRow>>,
    grid: Option<TimeGrid>,
    fit: Option<FitRecord>,
    /// Where the plan comes from: method, run, thresholds.
    pub provenance: Provenance,
}

impl CachePlan {
    /// A plan from its parts: `gate` is `[steps]`, `reuse` is `[steps, sites]`. Reused values are held
    /// ([`ReuseRule::Hold`]).
    ///
    /// # Errors
    /// [`PlanError::Shape`] when the parts do not fit together, [`PlanError::TooFewSteps`] without steps,
    /// [`PlanError::Sites`] when `sites` names a site twice.
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
            weights: BTreeMap::new(),
            grid: None,
            fit: None,
            provenance: Provenance::default(),
        })
    }

    /// A plan that computes everything.
    ///
    /// # Panics
    /// When `steps` is 0.
    pub fn empty(topology: &Topology, steps: usize) -> Self {
        let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
        let reuse = Array2::from_elem((steps, sites.len()), false);
        Self::new(sites, vec![false; steps], reuse).expect("shapes agree and steps > 0")
    }

    /// A plan that skips the steps marked in `gate` `[steps]` and reuses no module in the others.
    ///
    /// # Panics
    /// When `gate` is empty.
    pub fn gate_only(topology: &Topology, gate: Vec<bool>) -> Self {
        let mut plan = Self::empty(topology, gate.len());
        plan.gate = gate;
        plan
    }

    /// The same plan with another site for its step gate, and another rule for the values of skipped steps.
    pub fn with_gate_rule(mut self, site: GateSite, rule: ReuseRule) -> Self {
        (self.gate_site, self.gate_rule) = (site, rule);
        self
    }

    /// The same plan with another rule for reused modules of one kind.
    pub fn with_module_rule(mut self, kind: Kind, rule: ReuseRule) -> Self {
        self.module_rules.insert(kind, rule);
        self
    }

    /// The same plan, extrapolating along `axis`. `times` is `[steps]`, strictly monotone; for [`TimeAxis::Step`] it may be
    /// empty.
    ///
    /// # Errors
    /// [`PlanError::Shape`] when `times` has another length, [`PlanError::Range`] when it is not strictly monotone and
    /// finite.
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

    /// The same plan with weights of its own at `site`, one row per step: the gate's site, or a module of the plan. The rule
    /// there becomes [`ReuseRule::Weights`].
    ///
    /// # Errors
    /// [`PlanError::Sites`] when the plan neither gates nor has the site, [`PlanError::Shape`] when there is not one row per
    /// step or a row is too long, [`PlanError::Range`] for weights that are not finite, and for a weight of the sample
    /// elsewhere than at the network's output in a form.
    pub fn with_weights(mut self, site: Site, rows: Vec<WeightRow>) -> Result<Self, PlanError> {
        if rows.len() != self.steps() {
            let (expected, found) = (vec![self.steps()], vec![rows.len()]);
            return Err(PlanError::Shape { what: format!("weights of {site} [steps]"), expected, found });
        }
        for (step, row) in rows.iter().enumerate() {
            let key = format!("weights of {site}[{step}]");
            row.check(&key)?;
            if row.sample != 0.0 && site != Site::OUTPUT {
                let (value, expected) =
                    (row.sample.to_string(), "0: only the network's output has the sample's shape");
                return Err(PlanError::Range {
                    what: format!("{key}.sample"),
                    value,
                    expected: expected.into(),
                });
            }
        }
        if site == self.gate_site.site() {
            self.gate_rule = ReuseRule::Weights;
        } else if self.sites.contains(&site) {
            self.module_rules.insert(site.kind, ReuseRule::Weights);
        } else {
            let detail = format!("weights are for {site}, which the plan neither gates nor has");
            return Err(PlanError::Sites { model: "the plan".into(), detail });
        }
        self.weights.insert(site, rows);
        Ok(self)
    }

    /// The same plan at times of its own instead of the sampler's steps.
    ///
    /// # Errors
    /// [`PlanError::Shape`] when there is not one point a step, [`PlanError::Range`] for points that are not finite or do not
    /// lead from noise to less noise.
    pub fn with_grid(mut self, grid: TimeGrid) -> Result<Self, PlanError> {
        grid.check(self.steps())?;
        self.grid = Some(grid);
        Ok(self)
    }

    /// The same plan with a record of how its weights were found.
    ///
    /// # Errors
    /// [`PlanError::Shape`] when there is not one residual a step, [`PlanError::Range`] for numbers that are not finite.
    pub fn with_fit(mut self, fit: FitRecord) -> Result<Self, PlanError> {
        fit.check(self.steps())?;
        self.fit = Some(fit);
        Ok(self)
    }

    /// The same plan with this provenance.
    pub fn with_provenance(mut self, provenance: Provenance) -> Self {
        self.provenance = provenance;
        self
    }

    /// The same plan without its step gate: steps that were skipped are computed whole, reused modules stay reused.
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

    /// The same plan with its step gate alone: no module is reused in the steps that are not skipped.
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

    /// The module sites, in the order of the matrix's columns.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The step gate `[steps]`, `true` = skipped.
    pub fn gate(&self) -> &[bool] {
        &self.gate
    }

    /// The module matrix `[steps, sites]`, `true` = reused. Rows of skipped steps have no effect.
    pub fn reuse(&self) -> &Array2<bool> {
        &self.reuse
    }

    /// The site where the step gate acts.
    pub fn gate_site(&self) -> GateSite {
        self.gate_site
    }

    /// The rule that makes the value of a skipped step.
    pub fn gate_rule(&self) -> ReuseRule {
        self.gate_rule
    }

    /// The rule that makes the value of a reused module of this kind.
    pub fn module_rule(&self, kind: Kind) -> ReuseRule {
        self.module_rules.get(&kind).copied().unwrap_or_default()
    }

    /// The rules that differ from the default, by kind.
    pub fn module_rules(&self) -> &BTreeMap<Kind, ReuseRule> {
        &self.module_rules
    }

    /// The axis along which values are extrapolated.
    pub fn axis(&self) -> TimeAxis {
        self.axis
    }

    /// The sampler's own time of each step, `[steps]`; may be empty on the axis [`TimeAxis::Step`].
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// The weights of every site that has some, one row a step.
    pub fn weights(&self) -> &BTreeMap<Site, Vec<WeightRow>> {
        &self.weights
    }

    /// The times of the plan's steps, where they are not the sampler's own.
    pub fn grid(&self) -> Option<&TimeGrid> {
        self.grid.as_ref()
    }

    /// How the weights were found.
    pub fn fit(&self) -> Option<&FitRecord> {
        self.fit.as_ref()
    }

    /// Number of steps of the run that the plan stands for; its own, unless it has times of its own.
    pub fn full_steps(&self) -> usize {
        self.grid.as_ref().map_or(self.steps(), |grid| grid.instead_of)
    }

    /// The number of skipped steps.
    pub fn skipped_steps(&self) -> usize {
        self.gate.iter().filter(|skipped| **skipped).count()
    }

    /// The number of entries that reuse a module in a step that is not skipped.
    pub fn reused_modules(&self) -> usize {
        self.reuse
            .outer_iter()
            .zip(&self.gate)
            .filter(|(_, skipped)| !**skipped)
            .map(|(row, _)| row.iter().filter(|reused| **reused).count())
            .sum()
    }

    /// The matrix of one kind, `[steps, layers]`, columns in order of layers.
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

    /// For each of the topology's sites, its column in the plan's matrix.
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
        let known: HashSet<Site> = topology.sites.iter().map(|spec| spec.site).collect();
        match self.sites.iter().find(|site| !known.contains(site)) {
            Some(site) => Err(refuse(format!("the plan has {site}, the model has not"))),
            None => Ok(columns),
        }
    }

    /// Checks that the plan was made for this run. Of a plan that does not say what it was made for, only the number of
    /// steps is checked.
    ///
    /// # Errors
    /// [`PlanError::OtherRun`] listing every difference.
    pub fn check(&self, run: &RunSpec) -> Result<(), PlanError> {
        let mut found =
            self.provenance.execution.as_ref().map_or_else(Vec::new, |execution| execution.mismatches(run));
        if self.provenance.execution.is_none() && self.full_steps() != run.timesteps.len() {
            found.push(Mismatch {
                field: "num_inference_steps",
                plan: self.full_steps().to_string(),
                run: run.timesteps.len().to_string(),
            });
        }
        if found.is_empty() { Ok(()) } else { Err(PlanError::OtherRun(found)) }
    }
}
