//! The laws of the seam, on every size class with tiny sizes: bit for bit, on the CPU.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use invardiff_models::{Dit, DitConfig};
use invardiff_plan::CachePlan;
use invardiff_runtime::{BatchedGuidance, Denoiser, Event, Full, Observed, Policy, Replay};

use crate::fixture::{bits, device};
use crate::seam::{Asked, BATCH, Dice, STEPS};

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

pub(crate) fn sample(dice: &mut Dice, config: &DitConfig) -> Tensor<4> {
    dice.tensor([BATCH, config.in_channels, config.input_size, config.input_size])
}

fn asked<'a, M: Denoiser<4>>(model: &'a M, noise: &Tensor<4>, cond: &'a M::Cond) -> Asked<'a, 4, M> {
    Asked { model, noise: noise.clone(), cond, first_time: 999.0 }
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

#[test]
fn the_seam_changes_no_bit() {
    let mut dice = Dice(1);
    let mut count = 0;
    for config in configs() {
        let dit = Dit::random(&config, 7, &device()).unwrap();
        let (x, labels) = (sample(&mut dice, &config), [1, 3]);
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
        let y = dit.labels(&[0, 2], &device()).unwrap();
        asked(&dit, &sample(&mut Dice(2), &config), &y).one_forward_visits_the_topology();
    }
}

#[test]
fn an_empty_plan_is_full_computation() {
    let mut dice = Dice(3);
    for config in configs() {
        let dit = Dit::random(&config, 9, &device()).unwrap();
        let y = dit.labels(&[2, 0], &device()).unwrap();
        asked(&dit, &sample(&mut dice, &config), &y).an_empty_plan_is_full_computation();
    }
}

#[test]
fn a_random_plan_keeps_what_its_schedule_says() {
    let mut dice = Dice(4);
    let mut changed = 0;
    for config in configs() {
        let dit = Dit::random(&config, 10, &device()).unwrap();
        let (noise, topology) = (sample(&mut dice, &config), dit.topology());
        let plan = dice.plan(&topology);
        let y = dit.labels(&[1, 2], &device()).unwrap();
        let alone = asked(&dit, &noise, &y);
        let schedule = Arc::new(plan.schedule(&topology).unwrap());
        changed += usize::from(alone.replay(&schedule) != alone.full());

        let labels = dit.labels(&[1, 2, 3, 3], &device()).unwrap();
        let guided = BatchedGuidance { model: dit, scale: 1.5, channels: Some(3) };
        let topology = guided.topology();
        let schedule = Arc::new(plan.schedule(&topology).unwrap());
        asked(&guided, &noise, &labels).replay(&schedule);
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
    let (a, b) = (sample(&mut Dice(5), &config), sample(&mut Dice(6), &config));
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
    let run = |dit: &Dit| bits(dit.predict(&mut Full, sample(&mut Dice(7), &config), 10.0, &y));
    assert_ne!(run(&dit), run(&silent), "the class matters");
}
