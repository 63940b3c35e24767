//! A plan as the actions of a runtime at every step and site, and how long each feature is held.

mod action;
mod lane;
mod weights;

pub use self::action::{Action, Recipe, Source};

use std::collections::HashMap;

use self::lane::{Lane, Rows};
use crate::core::error::PlanError;
use crate::core::fitted::{TimeGrid, WeightRow};
use crate::core::plan::CachePlan;
use crate::core::rule::{GateSite, ReuseRule, TimeAxis};
use crate::core::site::Site;
use crate::core::topology::{SiteSpec, Topology};

/// A site that a schedule decides about, with the size of its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The site.
    pub site: Site,
    /// Elements of one image, over all streams.
    pub elements: usize,
}

/// The precision in which a runtime keeps features between steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// As they were computed.
    #[default]
    AsComputed,
    /// IEEE half precision, 2 bytes per element: 11 significant bits, values up to 65504.
    F16,
    /// bfloat16, 2 bytes per element: 8 significant bits, the range of f32.
    Bf16,
}

impl Storage {
    /// Bytes of one kept element whose value is computed with `computed` bytes. Values computed in half precision are kept
    /// unchanged.
    pub fn element_size(self, computed: usize) -> usize {
        match self {
            Self::AsComputed => computed,
            Self::F16 | Self::Bf16 => computed.min(2),
        }
    }
}

/// The actions of a [`CachePlan`] on a model, per step and site. Every value that a step reuses is kept by an earlier one, and
/// a feature is held exactly from the step that computes it to the last step that reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    gate_site: GateSite,
    storage: Storage,
    slots: Vec<Slot>,
    index: HashMap<Site, usize>,
    actions: Vec<Vec<Action>>,
    live: Vec<usize>,
    peaks: Vec<usize>,
    grid: Option<TimeGrid>,
    of_sample: Vec<f64>,
}

impl CachePlan {
    /// Lowers the plan for a model: what to compute, keep, reuse and take at every step, with exact liveness.
    ///
    /// # Errors
    /// [`PlanError::ReuseBeforeCompute`] names the slot; [`PlanError::Sites`] when the plan is for other sites.
    pub fn schedule(&self, topology: &Topology) -> Result<Schedule, PlanError> {
        Schedule::lower(self, topology)
    }
}

/// The slot of the step gate.
const GATE: usize = 0;

impl Schedule {
    fn lower(plan: &CachePlan, topology: &Topology) -> Result<Self, PlanError> {
        let columns = plan.columns(topology)?;
        let gate = match plan.gate_site() {
            GateSite::Trunk => Slot { site: Site::TRUNK, elements: topology.trunk.elements() },
            GateSite::Output(_) => Slot { site: Site::OUTPUT, elements: topology.output_elements },
        };
        let modules =
            topology.sites.iter().map(|spec: &SiteSpec| Slot { site: spec.site, elements: spec.elements() });
        let slots: Vec<Slot> = std::iter::once(gate).chain(modules).collect();
        let mut actions = vec![vec![Action::Idle; slots.len()]; plan.steps()];
        for (number, slot) in slots.iter().enumerate() {
            let (rule, entries): (ReuseRule, Vec<Option<bool>>) = if number == GATE {
                (plan.gate_rule(), plan.gate().iter().map(|skip| Some(*skip)).collect())
            } else {
                let column = plan.reuse().column(columns[number - 1]);
                let visited = plan.gate().iter().zip(column).map(|(skip, reuse)| (!skip).then_some(*reuse));
                (plan.module_rule(slot.site.kind), visited.collect())
            };
            let rows = match rule {
                ReuseRule::Weights => Rows::Listed(rows(plan, slot.site)?),
                ReuseRule::Hold | ReuseRule::Extrapolate(_) | ReuseRule::Taylor(_) => {
                    Rows::Rule(rule, &|step| time(plan, step))
                }
            };
            let lane = Lane { site: slot.site, entries: &entries, rows }.actions()?;
            for (step, action) in lane.into_iter().enumerate() {
                actions[step][number] = action;
            }
        }
        let index = slots.iter().enumerate().map(|(number, slot)| (slot.site, number)).collect();
        let (live, peaks) = liveness(&slots, &actions);
        Ok(Self {
            gate_site: plan.gate_site(),
            storage: Storage::default(),
            slots,
            index,
            actions,
            live,
            peaks,
            grid: plan.grid().cloned(),
            of_sample: of_sample(plan),
        })
    }

    /// The same schedule, keeping features in another precision.
    pub fn storing(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// The precision in which features are kept.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.actions.len()
    }

    /// Where the step gate acts.
    pub fn gate_site(&self) -> GateSite {
        self.gate_site
    }

    /// The times of the steps, where they are not the sampler's own.
    pub fn grid(&self) -> Option<&TimeGrid> {
        self.grid.as_ref()
    }

    /// Where a step replaces the network's output by a sum, whether it computes it or not, the weight of the current sample in
    /// that sum.
    pub fn sample_weight(&self, step: usize) -> f64 {
        self.of_sample.get(step).copied().unwrap_or(0.0)
    }

    /// The slots: the gate's first, then the module sites in order of execution.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The number of a site's slot.
    pub fn slot(&self, site: Site) -> Option<usize> {
        self.index.get(&site).copied()
    }

    /// What happens at a slot in a step.
    ///
    /// # Panics
    /// When `step` or `slot` is out of range.
    pub fn action(&self, step: usize, slot: usize) -> &Action {
        &self.actions[step][slot]
    }

    /// Elements of one image in the store after each step.
    pub fn live_elements(&self) -> &[usize] {
        &self.live
    }

    /// The most elements of one image in the store at any moment of each step.
    pub fn step_peak_elements(&self) -> &[usize] {
        &self.peaks
    }

    /// The most bytes in the store at any moment, for `images` in a batch whose features are computed with `element_size`
    /// bytes per element. The network's output has the sample's type, which is f32 whatever the model's is.
    pub fn peak_bytes(&self, images: usize, element_size: usize) -> usize {
        let bytes = |slot: &Slot| {
            let size = if slot.site == Site::OUTPUT { size_of::<f32>() } else { element_size };
            Slot { site: slot.site, elements: slot.elements * self.storage.element_size(size) }
        };
        let (_, peaks) = liveness(&self.slots.iter().map(bytes).collect::<Vec<_>>(), &self.actions);
        peaks.into_iter().max().unwrap_or(0) * images
    }
}

fn time(plan: &CachePlan, step: usize) -> f64 {
    match plan.axis() {
        TimeAxis::Step => step as f64,
        TimeAxis::Sampler => plan.times()[step],
    }
}

/// The rows of a site whose rule is [`ReuseRule::Weights`].
fn rows(plan: &CachePlan, site: Site) -> Result<&[WeightRow], PlanError> {
    plan.weights().get(&site).map(Vec::as_slice).ok_or_else(|| PlanError::Sites {
        model: "the plan".into(),
        detail: format!("the rule of {site} is weights, and the plan lists none for it"),
    })
}

/// The weight of the current sample in the output of each step; empty where it has none.
fn of_sample(plan: &CachePlan) -> Vec<f64> {
    let rows = plan.weights().get(&Site::OUTPUT).filter(|_| plan.gate_rule() == ReuseRule::Weights);
    rows.map_or_else(Vec::new, |rows| rows.iter().map(|row| row.sample).collect())
}

/// Elements in the store after each step, and the most at any moment of it. Modules come in order, the gate's value last.
fn liveness(slots: &[Slot], actions: &[Vec<Action>]) -> (Vec<usize>, Vec<usize>) {
    let (mut held, mut live, mut peaks) = (0, Vec::new(), Vec::new());
    for row in actions {
        let mut peak = held;
        let order = (1..slots.len()).chain(std::iter::once(GATE));
        for slot in order {
            let action = &row[slot];
            held -= slots[slot].elements * action.sources().iter().filter(|source| source.last).count();
            if action.keeps() {
                held += slots[slot].elements;
            }
            peak = peak.max(held);
        }
        live.push(held);
        peaks.push(peak);
    }
    (live, peaks)
}
