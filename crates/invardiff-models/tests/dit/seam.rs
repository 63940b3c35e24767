//! What holds for every model on the seam, of one model and one input; for the tests of DiT and of FLUX.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use invardiff_plan::{CachePlan, Schedule, Topology};
use invardiff_runtime::{
    Block, BlockAction, Denoiser, Event, Executor, Feature, Full, Observed, Policy, Replay, Site,
};
use ndarray::Array2;

use crate::fixture::{bits, device};

pub(crate) const BATCH: usize = 2;
pub(crate) const STEPS: usize = 7;

/// A deterministic source of numbers.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// From 0 to 1.
    fn roll(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Values of about unit deviation.
    pub(crate) fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| 3.4 * (self.roll() - 0.5)).collect();
        Tensor::from_data(TensorData::new(values, shape), &device())
    }

    /// A plan that skips and reuses at random.
    pub(crate) fn plan(&mut self, topology: &Topology) -> CachePlan {
        let sites = topology.sites.iter().map(|spec| spec.site).collect::<Vec<_>>();
        let gate: Vec<bool> = (0..STEPS).map(|step| step > 0 && self.roll() < 0.3).collect();
        let reuse = Array2::from_shape_fn((STEPS, sites.len()), |(step, _)| step > 0 && self.roll() < 0.4);
        CachePlan::new(sites, gate, reuse).unwrap()
    }
}

/// A model and what it is asked.
pub(crate) struct Asked<'a, const D: usize, M: Denoiser<D>> {
    pub(crate) model: &'a M,
    pub(crate) noise: Tensor<D>,
    pub(crate) cond: &'a M::Cond,
    /// The time of the first step; the others go down from it in even steps.
    pub(crate) first_time: f32,
}

impl<const D: usize, M: Denoiser<D>> Asked<'_, D, M> {
    /// A toy sampler over the steps: what matters is that every step sees another sample and another time.
    pub(crate) fn trajectory<P: Policy>(&self, policy: &mut P, mut look: impl FnMut(&P, usize)) -> Tensor<D> {
        (0..STEPS).fold(self.noise.clone(), |x, step| {
            let time = self.first_time * (1.0 - 0.14 * step as f32);
            let prediction = self.model.predict(&mut policy.step(step), x.clone(), time, self.cond);
            look(policy, step);
            x * 0.9 + prediction * 0.1
        })
    }

    /// Without a plan.
    pub(crate) fn full(&self) -> Vec<u32> {
        bits(self.trajectory(&mut Full, |_, _| {}))
    }

    /// Runs a plan twice; both runs agree in every bit, and the store holds what the schedule says and nothing in the end.
    pub(crate) fn replay(&self, schedule: &Arc<Schedule>) -> Vec<u32> {
        let run = || {
            let mut replay = Replay::new(schedule.clone());
            let out = self.trajectory(&mut replay, |replay: &Replay, step| {
                let live = schedule.live_elements()[step] * BATCH * size_of::<f32>();
                assert_eq!(replay.store().bytes(), live, "after step {step}");
            });
            assert!(replay.store().is_empty());
            assert_eq!(replay.store().peak_bytes(), schedule.peak_bytes(BATCH, size_of::<f32>()));
            bits(out)
        };
        let (first, second) = (run(), run());
        assert_eq!(first, second);
        first
    }

    pub(crate) fn an_empty_plan_is_full_computation(&self) {
        let topology = self.model.topology();
        let schedule = CachePlan::empty(&topology, STEPS).schedule(&topology).unwrap();
        assert_eq!(schedule.peak_bytes(1, 1), 0);
        assert_eq!(self.replay(&Arc::new(schedule)), self.full(), "{}", topology.model);
    }

    /// The sites that the topology names, in its order and with its shapes, whether they are watched or not.
    pub(crate) fn one_forward_visits_the_topology(&self) {
        let topology = self.model.topology();
        let (mut entered, mut shapes) = (Vec::new(), Vec::new());
        let mut observed = Observed::new(Full, |_, site, event: Event<'_>| match event {
            Event::Enter => entered.push(site),
            Event::Computed(tensors) => {
                shapes.push((site, tensors.iter().map(Tensor::dims).collect::<Vec<[usize; 3]>>()));
            }
            Event::Recalled(_) => panic!("nothing is recalled"),
        });
        let (x, time) = (self.noise.clone(), self.first_time / 2.0);
        let out = self.model.predict(&mut observed.step(0), x, time, self.cond);
        let expected: Vec<Site> =
            std::iter::once(Site::TRUNK).chain(topology.sites.iter().map(|spec| spec.site)).collect();
        assert_eq!(entered, expected, "{}", topology.model);
        let specs = topology.sites.iter().chain(std::iter::once(&topology.trunk));
        let expected: Vec<(Site, Vec<[usize; 3]>)> = specs
            .map(|spec| (spec.site, spec.streams.iter().map(|s| [BATCH, s.tokens, s.dim]).collect()))
            .collect();
        assert_eq!(shapes, expected, "{}", topology.model);
        assert_eq!(out.dims().iter().product::<usize>(), BATCH * topology.output_elements);
    }
}

/// Computes everything and notes what it is shown before every block.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) blocks: Vec<Block>,
    pub(crate) streams: Vec<Vec<Tensor<3>>>,
    pub(crate) modulated: Vec<Tensor<3>>,
    pub(crate) trunk: Option<Tensor<3>>,
}

impl Executor for Shown {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        if site == Site::TRUNK {
            self.trunk = Some(fresh[0].clone());
        }
        fresh
    }

    fn before_block<const N: usize>(
        &mut self,
        block: Block,
        hidden: impl FnOnce() -> Feature<N>,
        modulated: impl FnOnce() -> Tensor<3>,
    ) -> BlockAction<N> {
        self.blocks.push(block);
        self.streams.push(hidden().to_vec());
        self.modulated.push(modulated());
        BlockAction::Compute
    }
}
