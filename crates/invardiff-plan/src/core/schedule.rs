//! A plan lowered into what a runtime does: compute, keep, reuse, take; with exact liveness.

mod weights;

use std::collections::HashMap;

use self::weights::weights;
use crate::core::error::PlanError;
use crate::core::plan::CachePlan;
use crate::core::rule::{GateSite, ReuseRule, TimeAxis};
use crate::core::site::Site;
use crate::core::topology::{SiteSpec, Topology};

/// One kept feature that a reuse reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    /// The step at which it was computed.
    pub step: usize,
    /// Its weight in the sum that stands in for the value.
    pub weight: f64,
    /// Whether this is its last read: it leaves the store.
    pub last: bool,
}

/// How a value is made from kept ones: the sum of `weight * feature`. [`ReuseRule::Hold`] is one source of weight 1.
pub type Recipe = Vec<Source>;

/// What a runtime does at one slot in one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Run the module and keep nothing.
    Compute,
    /// Run the module and keep its value: a later step reads it.
    Keep,
    /// Stand in for the module; everything read stays in the store.
    Reuse(Recipe),
    /// Stand in for the module; at least one source is read for the last time and is moved out.
    Take(Recipe),
    /// Not visited: it lies inside a skipped step.
    Idle,
}

impl Action {
    /// The recipe, where the action stands in for the module.
    pub fn recipe(&self) -> Option<&[Source]> {
        match self {
            Self::Reuse(recipe) | Self::Take(recipe) => Some(recipe),
            Self::Compute | Self::Keep | Self::Idle => None,
        }
    }
}

/// A site that a schedule decides about, with the size of its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The place.
    pub site: Site,
    /// Elements of one picture, over all streams.
    pub elements: usize,
}

/// The precision in which a runtime keeps features between steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// As they were computed.
    #[default]
    AsComputed,
    /// IEEE half precision, 2 bytes an element: 11 significant bits, values up to 65504.
    F16,
    /// bfloat16, 2 bytes an element: 8 significant bits, the range of f32.
    Bf16,
}

impl Storage {
    /// Bytes of a kept element that is computed with `computed` bytes. Values that are computed in half precision are
    /// kept as they are.
    pub fn element_size(self, computed: usize) -> usize {
        match self {
            Self::AsComputed => computed,
            Self::F16 | Self::Bf16 => computed.min(2),
        }
    }
}

/// What a [`CachePlan`] does on a model, step by step: every reuse has its keep, and a feature is held exactly from the
/// step that computes it to the last step that reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    gate_site: GateSite,
    storage: Storage,
    slots: Vec<Slot>,
    index: HashMap<Site, usize>,
    actions: Vec<Vec<Action>>,
    live: Vec<usize>,
    peaks: Vec<usize>,
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
            let lane = lane(slot.site, rule, &entries, &|step| time(plan, step))?;
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

    /// Elements of one picture in the store after each step.
    pub fn live_elements(&self) -> &[usize] {
        &self.live
    }

    /// The most elements of one picture in the store at any moment of each step.
    pub fn step_peak_elements(&self) -> &[usize] {
        &self.peaks
    }

    /// The most bytes in the store at any moment, for `pictures` in a batch whose features are computed with `element_size`
    /// bytes an element. The network's output has the sample's type, which is f32 whatever the model's is.
    pub fn peak_bytes(&self, pictures: usize, element_size: usize) -> usize {
        let bytes = |slot: &Slot| {
            let size = if slot.site == Site::OUTPUT { size_of::<f32>() } else { element_size };
            Slot { site: slot.site, elements: slot.elements * self.storage.element_size(size) }
        };
        let (_, peaks) = liveness(&self.slots.iter().map(bytes).collect::<Vec<_>>(), &self.actions);
        peaks.into_iter().max().unwrap_or(0) * pictures
    }
}

fn time(plan: &CachePlan, step: usize) -> f64 {
    match plan.axis() {
        TimeAxis::Step => step as f64,
        TimeAxis::Sampler => plan.times()[step],
    }
}

/// The actions of one slot: `entries` says for each visited step whether the value is reused.
fn lane(
    site: Site,
    rule: ReuseRule,
    entries: &[Option<bool>],
    time: &dyn Fn(usize) -> f64,
) -> Result<Vec<Action>, PlanError> {
    let mut computed: Vec<usize> = Vec::new();
    let mut last_read: HashMap<usize, usize> = HashMap::new();
    let mut lane = Vec::with_capacity(entries.len());
    for (step, entry) in entries.iter().enumerate() {
        lane.push(match entry {
            None => Action::Idle,
            Some(false) => {
                computed.push(step);
                Action::Compute
            }
            Some(true) => {
                let nodes = &computed[computed.len().saturating_sub(rule.reach())..];
                if nodes.is_empty() {
                    return Err(PlanError::ReuseBeforeCompute { site, step });
                }
                last_read.extend(nodes.iter().map(|node| (*node, step)));
                Action::Reuse(recipe(rule, nodes, step, time))
            }
        });
    }
    for (step, action) in lane.iter_mut().enumerate() {
        if *action == Action::Compute && last_read.contains_key(&step) {
            *action = Action::Keep;
        }
        if let Action::Reuse(recipe) = action {
            for source in recipe.iter_mut() {
                source.last = last_read[&source.step] == step;
            }
            if recipe.iter().any(|source| source.last) {
                *action = Action::Take(std::mem::take(recipe));
            }
        }
    }
    Ok(lane)
}

/// What is read of each of `nodes` to stand in at `step`.
fn recipe(rule: ReuseRule, nodes: &[usize], step: usize, time: &dyn Fn(usize) -> f64) -> Recipe {
    let times: Vec<f64> = nodes.iter().map(|node| time(*node)).collect();
    let weights = weights(rule, &times, time(step));
    nodes.iter().zip(weights).map(|(node, weight)| Source { step: *node, weight, last: false }).collect()
}

/// Elements in the store after each step, and the most at any moment of it. Modules come in order, the gate's value last.
fn liveness(slots: &[Slot], actions: &[Vec<Action>]) -> (Vec<usize>, Vec<usize>) {
    let (mut held, mut live, mut peaks) = (0, Vec::new(), Vec::new());
    for row in actions {
        let mut peak = held;
        let order = (1..slots.len()).chain(std::iter::once(GATE));
        for slot in order {
            match &row[slot] {
                Action::Keep => held += slots[slot].elements,
                Action::Take(recipe) => {
                    held -= slots[slot].elements * recipe.iter().filter(|source| source.last).count();
                }
                Action::Compute | Action::Reuse(_) | Action::Idle => {}
            }
            peak = peak.max(held);
        }
        live.push(held);
        peaks.push(peak);
    }
    (live, peaks)
}
