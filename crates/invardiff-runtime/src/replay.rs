//! Replay of a plan.

use std::sync::Arc;

use burn::tensor::Tensor;
use invardiff_plan::core::{Action, Source, TimeGrid};
use invardiff_plan::{GateSite, OutputForm, Schedule, Site};

use crate::executor::{Executor, Pass, Policy};
use crate::feature::Feature;
use crate::scale_shift::ScaleShift;
use crate::store::FeatureStore;

/// One trajectory under a schedule. It keeps exactly the features that later steps read, and none after the last step. Under
/// guidance in two passes, each pass follows the schedule with features of its own.
#[derive(Debug)]
pub struct Replay {
    schedule: Arc<Schedule>,
    adjustment: Option<Arc<ScaleShift>>,
    store: FeatureStore,
}

impl Replay {
    /// A policy for one trajectory (one image or batch).
    pub fn new(schedule: Arc<Schedule>) -> Self {
        let store = FeatureStore::new(schedule.storage());
        Self { schedule, adjustment: None, store }
    }

    /// A policy that scales and shifts reused values by vectors that were trained for this schedule. With
    /// [`ScaleShift::identity`] it equals [`Replay::new`], bit for bit.
    pub fn with_adjustment(schedule: Arc<Schedule>, adjustment: Arc<ScaleShift>) -> Self {
        Self { adjustment: Some(adjustment), ..Self::new(schedule) }
    }

    /// The kept features.
    pub fn store(&self) -> &FeatureStore {
        &self.store
    }
}

impl Policy for Replay {
    type Step<'a> = ReplayStep<'a>;

    fn step(&mut self, step: usize) -> ReplayStep<'_> {
        let adjustment = self.adjustment.as_deref();
        let store = &mut self.store;
        ReplayStep { schedule: &self.schedule, adjustment, store, step, pass: Pass::default() }
    }

    fn output_form(&self) -> Option<OutputForm> {
        match self.schedule.gate_site() {
            GateSite::Trunk => None,
            GateSite::Output(form) => Some(form),
        }
    }

    fn grid(&self) -> Option<&TimeGrid> {
        self.schedule.grid()
    }

    fn output_blend(&self, step: usize) -> Option<f64> {
        let slot = self.schedule.slot(Site::OUTPUT)?;
        match self.schedule.action(step, slot) {
            Action::Blend { .. } | Action::Reuse(_) | Action::Take(_) => {
                Some(self.schedule.sample_weight(step))
            }
            Action::Compute | Action::Keep | Action::Idle => None,
        }
    }
}

/// The executor of one replayed step. Sites that the schedule does not have are computed.
#[derive(Debug)]
pub struct ReplayStep<'a> {
    schedule: &'a Schedule,
    adjustment: Option<&'a ScaleShift>,
    store: &'a mut FeatureStore,
    step: usize,
    pass: Pass,
}

impl ReplayStep<'_> {
    /// The place in the store of a slot's value, which differs per pass.
    fn place(&self, slot: usize) -> usize {
        match self.pass {
            Pass::Conditional => slot,
            Pass::Unconditional => self.schedule.slots().len() + slot,
        }
    }

    /// The sum of a recipe over kept values and, where this step computes one, the fresh one.
    fn sum(&mut self, slot: usize, recipe: &[Source], fresh: Option<&[Tensor<3>]>) -> Option<Vec<Tensor<3>>> {
        let mut made: Option<Vec<Tensor<3>>> = None;
        for source in recipe {
            let value = match fresh {
                Some(fresh) if source.step == self.step => fresh.to_vec(),
                Some(_) | None => self.read(slot, source),
            };
            made = Some(match made {
                None if source.weight == 1.0 => value,
                None => value.into_iter().map(|tensor| tensor * source.weight).collect(),
                Some(sum) => {
                    sum.into_iter().zip(value).map(|(sum, tensor)| sum + tensor * source.weight).collect()
                }
            });
        }
        made
    }

    fn read(&mut self, slot: usize, source: &Source) -> Vec<Tensor<3>> {
        let place = self.place(slot);
        let kept = if source.last {
            self.store.take(place, source.step)
        } else {
            self.store.get(place, source.step)
        };
        kept.unwrap_or_else(|| {
            let site = self.schedule.slots()[slot].site;
            panic!(
                "{site} of step {} is not kept at step {}: a policy replays one trajectory, every step once and in order",
                source.step, self.step
            )
        })
    }
}

impl Executor for ReplayStep<'_> {
    fn recall<const N: usize>(&mut self, site: Site) -> Option<Feature<N>> {
        let schedule = self.schedule;
        let slot = schedule.slot(site)?;
        let recipe = schedule.action(self.step, slot).recipe()?;
        let mut made = self.sum(slot, recipe, None);
        if let Some(affine) = self.adjustment.and_then(|adjustment| adjustment.get(self.step, site)) {
            made = made
                .map(|made| made.into_iter().zip(affine).map(|(tensor, one)| one.apply(tensor)).collect());
        }
        made.map(|tensors| tensors.try_into().expect("a site has as many tensors at every step"))
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        let schedule = self.schedule;
        let Some(slot) = schedule.slot(site) else { return fresh };
        let action = schedule.action(self.step, slot);
        let blended = match action {
            Action::Blend { recipe, .. } => self.sum(slot, recipe, Some(&fresh)),
            Action::Compute | Action::Keep | Action::Reuse(_) | Action::Take(_) | Action::Idle => None,
        };
        if action.keeps() {
            self.store.put(self.place(slot), self.step, &fresh);
        }
        blended.map_or(fresh, |tensors| tensors.try_into().expect("a site has as many tensors at every step"))
    }

    fn enter(&mut self, pass: Pass) {
        self.pass = pass;
    }
}
