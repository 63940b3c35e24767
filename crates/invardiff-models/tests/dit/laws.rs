//! The laws of the seam, on every size class with tiny sizes: bit for bit, on the CPU.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::activation::silu;
use burn::tensor::{Tensor, TensorData};
use invardiff_models::{Dit, DitConfig};
use invardiff_plan::{CachePlan, Schedule, Topology};
use invardiff_runtime::{BatchedGuidance, Denoiser, Event, Full, Observed, Policy, Replay, Site};
use ndarray::Array2;

use crate::fixture::{bits, device};

pub(crate) const BATCH: usize = 2;
const STEPS: usize = 7;

/// Every size class and patch size with fewer layers and channels; 1, 3 and 4 channels, with and without sigma.
pub(crate) fn configs() -> impl Iterator<Item = DitConfig> {
    ["s", "b", "l", "xl"].into_iter().flat_map(|class| {
        [2, 4, 8].into_iter().flat_map(move |patch| {
            let published = DitConfig::named(&format!("dit-{class}-{patch}-256")).unwrap();
            [1, 3, 4].into_iter().flat_map(move |channels| {
                let published = published.clone();
                [true, false].into_iter().map(move |learn_sigma| DitConfig {
                    input_size: 16,
                    in_channels: channels,
                    hidden_size: published.num_heads * 4,
                    depth: published.depth / 4,
                    num_classes: 3,
                    learn_sigma,
                    ..published.clone()
                })
            })
        })
    })
}

/// A deterministic source of numbers.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    pub(crate) fn sample(&mut self, config: &DitConfig) -> Tensor<4> {
        let shape = [BATCH, config.in_channels, config.input_size, config.input_size];
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| 3.0 * (self.roll() - 0.5)).collect();
        Tensor::from_data(TensorData::new(values, shape), &device())
    }
}

/// The forward of the paper, written without a seam.
fn plain(dit: &Dit, x: Tensor<4>, t: f32, labels: &[usize]) -> Tensor<4> {
    let t = Tensor::full([labels.len()], t, &device());
    let c = silu(dit.t_embedder.forward(t) + dit.embed_labels(dit.labels(labels, &device()).unwrap()));
    let mut x = dit.x_embedder.forward(x) + dit.pos_embed.val();
    for block in &dit.blocks {
        let m = block.modulation.forward(c.clone()).chunk(6, 1);
        let [shift1, scale1, gate1, shift2, scale2, gate2]: [Tensor<3>; 6] =
            std::array::from_fn(|i| m[i].clone().unsqueeze_dim(1));
        let msa = block.attn.forward(block.norm1.forward(x.clone()) * (scale1 + 1.0) + shift1);
        x = x + msa * gate1;
        let mlp = block.mlp.forward(block.norm2.forward(x.clone()) * (scale2 + 1.0) + shift2);
        x = x + mlp * gate2;
    }
    dit.final_layer.forward(x, c)
}

/// A toy sampler over the steps: what matters is that every step sees another sample and another time.
fn trajectory<M: Denoiser<4>, P: Policy>(
    model: &M,
    policy: &mut P,
    noise: Tensor<4>,
    cond: &M::Cond,
    mut look: impl FnMut(&P, usize),
) -> Tensor<4> {
    (0..STEPS).fold(noise, |x, step| {
        let time = 999.0 - 140.0 * step as f32;
        let prediction = model.predict(&mut policy.step(step), x.clone(), time, cond);
        look(policy, step);
        x * 0.9 + prediction * 0.1
    })
}

fn random_plan(topology: &Topology, dice: &mut Dice) -> CachePlan {
    let sites = topology.sites.iter().map(|spec| spec.site).collect::<Vec<_>>();
    let gate: Vec<bool> = (0..STEPS).map(|step| step > 0 && dice.roll() < 0.3).collect();
    let reuse = Array2::from_shape_fn((STEPS, sites.len()), |(step, _)| step > 0 && dice.roll() < 0.4);
    CachePlan::new(sites, gate, reuse).unwrap()
}

#[test]
fn the_seam_changes_no_bit() {
    let mut dice = Dice(1);
    let mut count = 0;
    for config in configs() {
        let dit = Dit::random(&config, 7, &device()).unwrap();
        let (x, labels) = (dice.sample(&config), [1, 3]);
        let t = Tensor::full([BATCH], 321.0, &device());
        let y = dit.labels(&labels, &device()).unwrap();
        let out = dit.forward(&mut Full, x.clone(), t.clone(), y.clone());
        assert_eq!(out.dims(), [BATCH, config.out_channels(), 16, 16]);
        let expected = bits(plain(&dit, x.clone(), 321.0, &labels));
        assert_eq!(bits(out), expected, "{}", config.name());
        let mut observed = Observed::new(Full, |_, _, _: Event<'_>| {});
        let watched = dit.forward(&mut observed.step(0), x, t, y);
        assert_eq!(bits(watched), expected, "observed {}", config.name());
        assert!(expected.iter().all(|bits| f32::from_bits(*bits).is_finite()));
        count += 1;
    }
    assert_eq!(count, 4 * 3 * 3 * 2);
}

#[test]
fn one_forward_visits_the_topology() {
    for config in configs() {
        let dit = Dit::random(&config, 8, &device()).unwrap();
        let topology = dit.topology();
        let (mut entered, mut shapes) = (Vec::new(), Vec::new());
        let mut observed = Observed::new(Full, |_, site, event: Event<'_>| match event {
            Event::Enter => entered.push(site),
            Event::Computed(tensors) => shapes.push((site, tensors[0].dims())),
            Event::Recalled(_) => panic!("nothing is recalled"),
        });
        let y = dit.labels(&[0, 2], &device()).unwrap();
        let out = dit.predict(&mut observed.step(0), Dice(2).sample(&config), 500.0, &y);
        let expected: Vec<Site> =
            std::iter::once(Site::TRUNK).chain(topology.sites.iter().map(|spec| spec.site)).collect();
        assert_eq!(entered, expected, "{}", config.name());
        let specs = topology.sites.iter().chain(std::iter::once(&topology.trunk));
        let expected: Vec<(Site, [usize; 3])> =
            specs.map(|spec| (spec.site, [BATCH, spec.streams[0].tokens, spec.streams[0].dim])).collect();
        assert_eq!(shapes, expected, "{}", config.name());
        assert_eq!(out.dims().iter().product::<usize>(), BATCH * topology.output_elements);
    }
}

#[test]
fn an_empty_plan_is_full_computation() {
    let mut dice = Dice(3);
    for config in configs() {
        let dit = Dit::random(&config, 9, &device()).unwrap();
        let (noise, y) = (dice.sample(&config), dit.labels(&[2, 0], &device()).unwrap());
        let full = trajectory(&dit, &mut Full, noise.clone(), &y, |_, _| {});
        let topology = dit.topology();
        let schedule = CachePlan::empty(&topology, STEPS).schedule(&topology).unwrap();
        let mut replay = Replay::new(Arc::new(schedule));
        let replayed = trajectory(&dit, &mut replay, noise, &y, |_, _| {});
        assert_eq!(bits(full), bits(replayed), "{}", config.name());
        assert_eq!(replay.store().peak_bytes(), 0);
    }
}

/// Runs a plan twice; both runs agree in every bit, and the store holds what the schedule says and nothing in the end.
fn replay<M: Denoiser<4>>(
    model: &M,
    schedule: &Arc<Schedule>,
    noise: &Tensor<4>,
    cond: &M::Cond,
) -> Tensor<4> {
    let run = || {
        let mut replay = Replay::new(schedule.clone());
        let out = trajectory(model, &mut replay, noise.clone(), cond, |replay: &Replay, step| {
            let live = schedule.live_elements()[step] * BATCH * size_of::<f32>();
            assert_eq!(replay.store().bytes(), live, "after step {step}");
        });
        assert!(replay.store().is_empty());
        assert_eq!(replay.store().peak_bytes(), schedule.peak_bytes(BATCH, size_of::<f32>()));
        out
    };
    let (first, second) = (run(), run());
    assert_eq!(bits(first.clone()), bits(second));
    first
}

#[test]
fn a_random_plan_keeps_what_its_schedule_says() {
    let mut dice = Dice(4);
    let mut changed = 0;
    for config in configs() {
        let dit = Dit::random(&config, 10, &device()).unwrap();
        let (noise, topology) = (dice.sample(&config), dit.topology());
        let plan = random_plan(&topology, &mut dice);
        let y = dit.labels(&[1, 2], &device()).unwrap();
        let full = trajectory(&dit, &mut Full, noise.clone(), &y, |_, _| {});
        let schedule = Arc::new(plan.schedule(&topology).unwrap());
        changed += usize::from(bits(replay(&dit, &schedule, &noise, &y)) != bits(full));

        let labels = dit.labels(&[1, 2, 3, 3], &device()).unwrap();
        let guided = BatchedGuidance { model: dit, scale: 1.5, channels: Some(3) };
        let topology = guided.topology();
        let schedule = Arc::new(plan.schedule(&topology).unwrap());
        replay(&guided, &schedule, &noise, &labels);
    }
    assert_eq!(changed, 72, "a plan that reuses anything changes the result");
}

/// A recalled trunk ignores the sample; only the final layer follows the new time.
#[test]
fn a_skipped_step_runs_the_final_layer_alone() {
    let config = configs().next().unwrap();
    let dit = Dit::random(&config, 11, &device()).unwrap();
    let topology = dit.topology();
    let gate: Vec<bool> = (0..STEPS).map(|step| step > 0).collect();
    let schedule = Arc::new(CachePlan::gate_only(&topology, gate).schedule(&topology).unwrap());
    let y = dit.labels(&[0, 1], &device()).unwrap();
    let (a, b) = (Dice(5).sample(&config), Dice(6).sample(&config));
    let run = |second: &Tensor<4>, time: f32| {
        let mut policy = Replay::new(schedule.clone());
        dit.predict(&mut policy.step(0), a.clone(), 900.0, &y);
        bits(dit.predict(&mut policy.step(1), second.clone(), time, &y))
    };
    assert_eq!(run(&a, 500.0), run(&b, 500.0));
    assert_ne!(run(&a, 500.0), run(&a, 400.0));
}

#[test]
fn costs_are_those_of_the_paper() {
    let topology = DitConfig::named("dit-xl-2-256").unwrap().topology().batched(2);
    let giga = |flops: f64| (flops / 1e7).round() / 100.0;
    assert_eq!(giga(topology.sites[0].flops), 6.04);
    assert_eq!(giga(topology.sites[1].flops), 10.87);
    assert_eq!((topology.full_flops() / 1e8).round() / 10.0, 474.5);
    assert_eq!((topology.head_flops / 1e6).round() / 1e3, 0.055);
    assert_eq!(topology.sites.len(), 56);
}

/// Same seed, same weights; another seed, others. The model can be shared between threads.
#[test]
fn random_weights_are_seeded() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    let config = configs().next().unwrap();
    let weights = |seed| {
        let dit = Dit::random(&config, seed, &device()).unwrap();
        shared(&dit);
        [bits(dit.blocks[0].mlp.fc1.weight.val()), bits(dit.y_embedder.val())]
    };
    assert_eq!(weights(1), weights(1));
    assert_ne!(weights(1), weights(2));
    let invalid = DitConfig { num_heads: 5, ..config.clone() };
    let error = Dit::random(&invalid, 1, &device()).unwrap_err();
    assert!(error.to_string().contains("num_heads 5"), "{error}");
    let dit = Dit::random(&config, 1, &device()).unwrap();
    let mut silent = dit.clone();
    silent.y_embedder = Param::from_tensor(silent.y_embedder.val() * 0.0);
    assert_eq!(silent.num_params(), dit.num_params());
    let y = dit.labels(&[0, 1], &device()).unwrap();
    let run = |dit: &Dit| bits(dit.predict(&mut Full, Dice(7).sample(&config), 10.0, &y));
    assert_ne!(run(&dit), run(&silent), "the class matters");
}
