//! A model with two kinds of site, one of them with two streams, and one site that its topology does not list.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor};
use invardiff_calib::{Concurrency, RecordOptions, Run, Session};
use invardiff_plan::StreamSpec;
use invardiff_plan::two_phase::{Phases, Settings, Variant, WarmUp};
use invardiff_runtime::{
    Block, BlockAction, Ddim, Denoiser, Event, Executor, Full, GaussianNoise, Kind, NoiseSchedule, Observed,
    OutputForm, Policy, Progress, Sampler, Site, SiteSpec, Spacing, Topology, sample_with,
};

pub(crate) const MIX: Kind = Kind::new("mix");
pub(crate) const JOINT: Kind = Kind::new("joint");
pub(crate) const JOINT_TEXT: Kind = Kind::new("joint_text");
/// Not in the topology.
pub(crate) const EXTRA: Site = Site::new(Kind::new("extra"), 0);

const LAYERS: usize = 2;
const BATCH: usize = 2;
const TOKENS: usize = 5;
const TEXT: usize = 3;
const DIM: usize = 4;

/// Two layers, each with a `mix` (one tensor) and a `joint` (image and text). The topology is a field, so that a test can
/// make it wrong.
pub(crate) struct Toy {
    weights: Vec<[Tensor<3>; 3]>,
    head: Tensor<3>,
    pub(crate) topology: Topology,
}

impl Toy {
    pub(crate) fn seeded(seed: u64) -> Self {
        let noise = &mut GaussianNoise::seeded(seed);
        let mut weight = || noise.draw([1, DIM, DIM], &Device::flex()) * 0.5;
        let weights = (0..LAYERS).map(|_| std::array::from_fn(|_| weight())).collect();
        Self { weights, head: weight(), topology: topology() }
    }

    /// The final layer, with the new time in it as a DiT has it.
    pub(crate) fn head(&self, hidden: Tensor<3>, t: f32) -> Tensor<3> {
        hidden.matmul(self.head.clone()) * (t / 300.0).cos()
    }
}

fn topology() -> Topology {
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

impl Denoiser<3> for Toy {
    type Cond = Tensor<3>;

    fn topology(&self) -> Topology {
        self.topology.clone()
    }

    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, t: f32, text: &Tensor<3>) -> Tensor<3> {
        let [hidden] = exec.at(Site::TRUNK, |exec| {
            let [mut hidden] = exec.at(EXTRA, |_| [x + (t / 200.0).sin()]);
            let mut text = text.clone();
            for (layer, [mix, image, words]) in (0..).zip(&self.weights) {
                let place = Block { index: layer as usize, count: LAYERS };
                let state = || [hidden.clone(), text.clone()];
                match exec.before_block(place, state, || modulated(&hidden, t)) {
                    BlockAction::Compute => {}
                    BlockAction::Skip | BlockAction::Replace(_) => {
                        panic!("a calibration computes everything")
                    }
                }
                let [mixed] = exec.at(Site::new(MIX, layer), |_| [hidden.clone().matmul(mix.clone()).tanh()]);
                hidden = hidden + mixed;
                let [to_image, to_text] = exec.at(Site::new(JOINT, layer), |_| {
                    let mixed = hidden.clone() + text.clone().mean_dim(1);
                    let other = text.clone() + hidden.clone().mean_dim(1);
                    [mixed.matmul(image.clone()).tanh(), other.matmul(words.clone()).tanh()]
                });
                (hidden, text) = (hidden + to_image, text + to_text);
            }
            [hidden]
        });
        self.head(hidden, t)
    }
}

/// What the first module of a block would see, were there norms and modulations.
pub(crate) fn modulated(hidden: &Tensor<3>, t: f32) -> Tensor<3> {
    hidden.clone() * (t / 400.0).sin()
}

pub(crate) fn solver(steps: usize) -> Ddim {
    Ddim::new(&NoiseSchedule::dit(), Spacing::Linspace, steps, OutputForm::Velocity).unwrap()
}

pub(crate) fn time(sampler: &Ddim, step: usize) -> f32 {
    Sampler::<3>::time(sampler, step)
}

/// Runs of different noise and different text.
pub(crate) fn runs(count: u64) -> Vec<Run<3, Tensor<3>>> {
    let draw = |seed, tokens| GaussianNoise::seeded(seed).draw([BATCH, tokens, DIM], &Device::flex());
    (0..count).map(|run| Run { noise: draw(run, TOKENS), cond: draw(100 + run, TEXT) }).collect()
}

/// One quantile for the gate and one each for `mix`, `joint`, `joint_text`.
pub(crate) fn settings(variant: Variant, gate: f64, [mix, joint, joint_text]: [f64; 3]) -> Settings {
    Settings {
        variant,
        gate_quantile: gate,
        quantiles: BTreeMap::from([(MIX, mix), (JOINT, joint), (JOINT_TEXT, joint_text)]),
        warm_up: WarmUp::Steps(2),
        phases: Phases::Two,
    }
}

/// The whole trajectory in one window, on one thread.
pub(crate) fn options(steps: usize) -> RecordOptions {
    RecordOptions { module_window: steps, trunk_window: steps, ..RecordOptions::default() }
}

/// A session on one thread.
pub(crate) fn session<'a>(
    toy: &'a Toy,
    sampler: &'a Ddim,
    runs: &'a [Run<3, Tensor<3>>],
) -> Session<'a, 3, Toy, Ddim> {
    Session::new(toy, sampler, runs).unwrap().with_concurrency(Concurrency::Sequential)
}

/// Counts units of progress, and refuses units outside of a phase.
#[derive(Default)]
pub(crate) struct Units {
    open: AtomicUsize,
    pub(crate) count: AtomicUsize,
}

impl Progress for Units {
    fn begin(&self, phase: &str, length: u64) {
        assert!(!phase.is_empty() && length > 0);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    fn advance(&self, units: u64) {
        assert!(self.open.load(Ordering::Relaxed) > 0);
        self.count.fetch_add(units as usize, Ordering::Relaxed);
    }

    fn finish(&self) {
        assert!(self.open.fetch_sub(1, Ordering::Relaxed) > 0);
    }
}

pub(crate) fn bits<const D: usize>(tensor: &Tensor<D>) -> Vec<u32> {
    tensor.clone().into_data().iter::<f32>().map(f32::to_bits).collect()
}

pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().into_data().iter().collect()
}

/// Bits of the sample after every step.
pub(crate) fn trajectory<P: Policy>(
    toy: &Toy,
    steps: usize,
    policy: &mut P,
    run: &Run<3, Tensor<3>>,
) -> Vec<Vec<u32>> {
    let mut seen = Vec::new();
    let look = |_: &P, _, x: &Tensor<3>| seen.push(bits(x));
    sample_with(toy, &solver(steps), policy, run.noise.clone(), &run.cond, look);
    seen
}

/// The features of the uncached run as `[stream][step]`, streams in the order of a distance table.
pub(crate) fn features(toy: &Toy, steps: usize, run: &Run<3, Tensor<3>>) -> Vec<Vec<Vec<f32>>> {
    let mut by_site: BTreeMap<Site, Vec<Vec<Vec<f32>>>> = BTreeMap::new();
    let look = |_, site, event: Event<'_>| {
        if let Event::Computed(tensors) = event {
            let streams = by_site.entry(site).or_insert_with(|| vec![Vec::new(); tensors.len()]);
            streams.iter_mut().zip(tensors).for_each(|(stream, tensor)| stream.push(values(tensor)));
        }
    };
    trajectory(toy, steps, &mut Observed::new(Full, look), run);
    let sites = toy.topology.sites.iter().map(|spec| spec.site);
    std::iter::once(Site::TRUNK).chain(sites).flat_map(|site| by_site.remove(&site).unwrap()).collect()
}
