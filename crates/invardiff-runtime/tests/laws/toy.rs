//! A model with two kinds of site, one of them with two streams, and plans for it.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use invardiff_plan::core::WeightRow;
use invardiff_plan::{CachePlan, GateSite, ReuseRule, StreamSpec, TimeAxis};
use invardiff_runtime::{
    Block, BlockAction, Denoiser, DpmSolverPlusPlus, Executor, GaussianNoise, Kind, NoiseSchedule,
    OutputForm, Policy, Replay, Sampler, Site, SiteSpec, Spacing, Topology, sample_with,
};
use ndarray::Array2;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

pub(crate) const MIX: Kind = Kind::new("mix");
pub(crate) const JOINT: Kind = Kind::new("joint");
pub(crate) const JOINT_TEXT: Kind = Kind::new("joint_text");
pub(crate) const FORMS: [OutputForm; 3] = [OutputForm::X0, OutputForm::Epsilon, OutputForm::Velocity];

pub(crate) const LAYERS: usize = 4;
pub(crate) const BATCH: usize = 2;
pub(crate) const TOKENS: usize = 5;
pub(crate) const TEXT: usize = 3;
pub(crate) const DIM: usize = 4;

/// Four blocks, each with a `mix` (one tensor) and a `joint` (image and text).
pub(crate) struct Toy {
    weights: Vec<[Tensor<3>; 3]>,
    head: Tensor<3>,
}

impl Toy {
    pub(crate) fn seeded(seed: u64) -> Self {
        let noise = &mut GaussianNoise::seeded(seed);
        let mut weight = || noise.draw([1, DIM, DIM], &Device::flex()) * 0.5;
        Self { weights: (0..LAYERS).map(|_| std::array::from_fn(|_| weight())).collect(), head: weight() }
    }

    pub(crate) fn embed(x: Tensor<3>, t: f32) -> Tensor<3> {
        x + (t / 200.0).sin()
    }

    fn mix(&self, layer: usize, hidden: &Tensor<3>) -> [Tensor<3>; 1] {
        [hidden.clone().matmul(self.weights[layer][0].clone()).tanh()]
    }

    fn joint(&self, layer: usize, hidden: &Tensor<3>, text: &Tensor<3>) -> [Tensor<3>; 2] {
        let [_, image_weight, text_weight] = self.weights[layer].clone();
        let mixed = hidden.clone() + text.clone().mean_dim(1);
        [mixed.matmul(image_weight).tanh(), text.clone().matmul(text_weight).tanh()]
    }

    /// The output, with the new time in it as the final layer of a DiT has it.
    pub(crate) fn head(&self, hidden: Tensor<3>, t: f32) -> Tensor<3> {
        hidden.matmul(self.head.clone()) * (t / 300.0).cos()
    }

    /// What the first module of a block would see, were there norms and modulations.
    pub(crate) fn modulated(hidden: &Tensor<3>, t: f32) -> Tensor<3> {
        hidden.clone() * (t / 400.0).sin()
    }

    /// One block written out without the seam: image and text.
    pub(crate) fn block(&self, layer: usize, [hidden, text]: [Tensor<3>; 2]) -> [Tensor<3>; 2] {
        let [mixed] = self.mix(layer, &hidden);
        let hidden = hidden + mixed;
        let [image, words] = self.joint(layer, &hidden, &text);
        [hidden + image, text + words]
    }

    /// The same network written out without the seam.
    pub(crate) fn plain(&self, x: Tensor<3>, t: f32, text: &Tensor<3>) -> Tensor<3> {
        let start = [Self::embed(x, t), text.clone()];
        let [hidden, _] = (0..LAYERS).fold(start, |state, layer| self.block(layer, state));
        self.head(hidden, t)
    }
}

impl Denoiser<3> for Toy {
    type Cond = Tensor<3>;

    fn topology(&self) -> Topology {
        let stream = |name, tokens| StreamSpec { name, rows: 1, tokens, dim: DIM };
        let layer = |layer| {
            let streams = vec![stream(JOINT, TOKENS), stream(JOINT_TEXT, TEXT)];
            let joint = SiteSpec { site: Site::new(JOINT, layer), streams, flops: 2.0 };
            [SiteSpec::single(Site::new(MIX, layer), TOKENS, DIM, 1.0), joint]
        };
        Topology {
            model: "toy".into(),
            sites: (0..LAYERS as u32).flat_map(layer).collect(),
            trunk: SiteSpec::single(Site::TRUNK, TOKENS, DIM, 1.0),
            head_flops: 1.0,
            output_elements: TOKENS * DIM,
        }
    }

    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, t: f32, text: &Tensor<3>) -> Tensor<3> {
        let [hidden] = exec.at(Site::TRUNK, |exec| {
            let (mut hidden, mut text) = (Self::embed(x, t), text.clone());
            for layer in 0..LAYERS {
                let place = Block { index: layer, count: LAYERS };
                let state = || [hidden.clone(), text.clone()];
                match exec.before_block(place, state, || Self::modulated(&hidden, t)) {
                    BlockAction::Compute => {}
                    BlockAction::Skip => continue,
                    BlockAction::Replace(state) => {
                        [hidden, text] = state;
                        continue;
                    }
                }
                let [mixed] = exec.at(Site::new(MIX, layer as u32), |_| self.mix(layer, &hidden));
                hidden = hidden + mixed;
                let [image, words] =
                    exec.at(Site::new(JOINT, layer as u32), |_| self.joint(layer, &hidden, &text));
                (hidden, text) = (hidden + image, text + words);
            }
            [hidden]
        });
        self.head(hidden, t)
    }
}

pub(crate) fn noise(seed: u64) -> Tensor<3> {
    GaussianNoise::seeded(seed).draw([BATCH, TOKENS, DIM], &Device::flex())
}

pub(crate) fn text() -> Tensor<3> {
    GaussianNoise::seeded(99).draw([BATCH, TEXT, DIM], &Device::flex())
}

/// A solver that has a history, so that it is under test as well.
pub(crate) fn solver(steps: usize) -> DpmSolverPlusPlus {
    DpmSolverPlusPlus::new(&NoiseSchedule::dit(), Spacing::Linspace, steps, OutputForm::Velocity).unwrap()
}

pub(crate) fn bits<const D: usize>(tensor: &Tensor<D>) -> Vec<u32> {
    tensor.clone().into_data().iter::<f32>().map(f32::to_bits).collect()
}

pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}

/// Bits of the sample after every step.
pub(crate) fn trajectory<P: Policy>(steps: usize, policy: &mut P, seed: u64) -> Vec<Vec<u32>> {
    let mut seen = Vec::new();
    let look = |_: &P, _, x: &Tensor<3>| seen.push(bits(x));
    sample_with(&Toy::seeded(1), &solver(steps), policy, noise(seed), &text(), look);
    seen
}

pub(crate) fn replay(plan: &CachePlan) -> Replay {
    Replay::new(Arc::new(plan.schedule(&Toy::seeded(1).topology()).unwrap()))
}

/// A plan that computes everything at step 0 and decides the rest at random, with random rules.
pub(crate) fn random_plan(seed: u64) -> CachePlan {
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(seed);
    let topology = Toy::seeded(1).topology();
    let steps = rng.random_range(3..=9);
    let (skip, reuse) = (rng.random_range(0.0..0.8), rng.random_range(0.0..0.9));
    let gate = (0..steps).map(|step| step > 0 && rng.random_bool(skip)).collect();
    let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    let matrix = Array2::from_shape_fn((steps, sites.len()), |(step, _)| step > 0 && rng.random_bool(reuse));
    let rule = |rng: &mut Xoshiro256PlusPlus| match rng.random_range(0..6) {
        0 => ReuseRule::Hold,
        order @ 1..=2 => ReuseRule::Extrapolate(order),
        order => ReuseRule::Taylor(order - 2),
    };
    let gate_site =
        if rng.random_bool(0.5) { GateSite::Trunk } else { GateSite::Output(FORMS[rng.random_range(0..3)]) };
    let axis = if rng.random_bool(0.5) { TimeAxis::Step } else { TimeAxis::Sampler };
    let times = (0..steps).map(|step| Sampler::<3>::schedule_time(&solver(steps), step)).collect();
    let (gate_rule, mix_rule, joint_rule) = (rule(rng), rule(rng), rule(rng));
    CachePlan::new(sites, gate, matrix)
        .unwrap()
        .with_gate_rule(gate_site, gate_rule)
        .with_module_rule(MIX, mix_rule)
        .with_module_rule(JOINT, joint_rule)
        .with_times(axis, times)
        .unwrap()
}

/// [`random_plan`] with listed weights at its gate and its modules: computed steps blend too.
pub(crate) fn weighted_plan(seed: u64) -> CachePlan {
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(seed ^ 0xf17);
    let mut plan = random_plan(seed);
    let sites: Vec<Site> =
        std::iter::once(plan.gate_site().site()).chain(plan.sites().iter().copied()).collect();
    for site in sites {
        let column = plan.sites().iter().position(|own| *own == site);
        let reused =
            |step: usize| plan.gate()[step] || column.is_some_and(|column| plan.reuse()[[step, column]]);
        let mut computed = 0;
        let mut rows = Vec::new();
        for step in 0..plan.steps() {
            computed += usize::from(!reused(step));
            let count = rng.random_range(0..=computed.min(3));
            let kept: Vec<f64> = (0..count).map(|_| rng.random_range(-0.5..1.0)).collect();
            let sample = if site == Site::OUTPUT && count > 0 { rng.random_range(-0.3..0.3) } else { 0.0 };
            rows.push(WeightRow { kept, sample });
        }
        plan = plan.with_weights(site, rows).unwrap();
    }
    plan
}
