//! The laws of the seam, on several shapes with tiny sizes: bit for bit, on the CPU.

use std::sync::Arc;

use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use invardiff_models::flux::{DoubleStream, SingleBlock};
use invardiff_models::nn::Mlp;
use invardiff_models::{Canvas, Flux, FluxCond, FluxConfig};
use invardiff_plan::CachePlan;
use invardiff_runtime::{Denoiser, Event, Full, Kind, Observed, Policy, Replay, Site};
use ndarray::Array2;

use crate::fixture::{bits, device};
use crate::seam::{Asked, BATCH, Dice, STEPS};

/// With and without guidance, with and without blocks of either kind, wide and narrow images; one that has a reference image, and
/// one that fills in.
pub(crate) fn models() -> Vec<Flux> {
    let shapes = [
        (2, 3, 3, [4, 6, 6], true),
        (3, 5, 2, [2, 4, 2], false),
        (2, 0, 1, [2, 2, 4], true),
        (0, 2, 4, [4, 2, 2], false),
    ];
    let canvases = [(4, 6, 7), (1, 5, 3), (3, 3, 1)];
    let mut models = Vec::new();
    for (num_layers, num_single_layers, num_attention_heads, axes_dims_rope, guidance_embeds) in shapes {
        let config = FluxConfig {
            in_channels: 6,
            out_channels: 6,
            num_layers,
            num_single_layers,
            attention_head_dim: axes_dims_rope.iter().sum(),
            num_attention_heads,
            joint_attention_dim: 10,
            pooled_projection_dim: 5,
            guidance_embeds,
            axes_dims_rope,
        };
        for (rows, columns, text_tokens) in canvases {
            let flux = Flux::random(&config, 7, &device()).unwrap();
            models.push(flux.with_canvas(Canvas { rows, columns, text_tokens }));
        }
    }
    let plain = models[0].config().clone();
    let fill = FluxConfig { in_channels: 2 * plain.out_channels + FluxConfig::MASK_CHANNELS, ..plain };
    let fill = Flux::random(&fill, 7, &device()).unwrap();
    models.push(models[0].clone().with_reference(3, 2));
    models.push(fill.with_canvas(models[0].canvas()));
    models
}

/// What a model is told of an image, if it edits one.
fn image(flux: &Flux, dice: &mut Dice) -> Option<Tensor<3>> {
    let (config, [rows, columns]) = (flux.config(), flux.reference());
    if config.fills() {
        let further = config.in_channels - config.out_channels;
        return Some(dice.tensor([BATCH, flux.canvas().image_tokens(), further]));
    }
    (rows * columns > 0).then(|| dice.tensor([BATCH, rows * columns, config.in_channels]))
}

pub(crate) fn noise(flux: &Flux, dice: &mut Dice) -> Tensor<3> {
    dice.tensor([BATCH, flux.canvas().image_tokens(), flux.config().out_channels])
}

pub(crate) fn cond(flux: &Flux, dice: &mut Dice) -> FluxCond {
    let config = flux.config();
    let text = dice.tensor([BATCH, flux.canvas().text_tokens, config.joint_attention_dim]);
    let pooled = dice.tensor([BATCH, config.pooled_projection_dim]);
    let guidance = config.guidance_embeds.then_some([3.5; BATCH]);
    flux.cond_with_image(text, pooled, guidance.as_ref().map(|scales| &scales[..]), image(flux, dice))
        .unwrap()
}

fn asked<'a>(flux: &'a Flux, noise: &Tensor<3>, cond: &'a FluxCond) -> Asked<'a, 3, Flux> {
    Asked { model: flux, noise: noise.clone(), cond, first_time: 1.0 }
}

fn project(linear: &Linear, x: Tensor<3>) -> Tensor<3> {
    let [batch, tokens, channels] = x.dims();
    let y = linear.forward(x.reshape([batch * tokens, channels]));
    let [_, channels] = y.dims();
    y.reshape([batch, tokens, channels])
}

fn modulations<const N: usize>(linear: &Linear, c: &Tensor<2>) -> [Tensor<3>; N] {
    let chunks = linear.forward(c.clone()).chunk(N, 1);
    std::array::from_fn(|i| chunks[i].clone().unsqueeze_dim(1))
}

fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, cond: &FluxCond) -> Tensor<3> {
    let [batch, heads, tokens, channels] = v.dims();
    let (q, k) = (cond.rope().apply(q), cond.rope().apply(k));
    let mixed = attention(q, k, v, None, None, AttentionModuleOptions::default());
    mixed.swap_dims(1, 2).reshape([batch, tokens, heads * channels])
}

/// The forward of the paper, written without a seam.
fn plain(flux: &Flux, x: Tensor<3>, t: f32, text: Tensor<3>, cond: &FluxCond) -> Tensor<3> {
    let c = silu(flux.embed(Tensor::full([BATCH], t, &device()), cond));
    let (own_tokens, text_tokens) = (flux.canvas().image_tokens(), flux.canvas().text_tokens);
    let (mut img, mut txt) = (project(&flux.img_in, cond.beside(x)), project(&flux.txt_in, text));
    let [_, image_tokens, _] = img.dims();
    for block in &flux.double_blocks {
        let [a1, b1, g1, a2, b2, g2] = modulations(&block.img.modulation, &c);
        let [c1, d1, h1, c2, d2, h2] = modulations(&block.txt.modulation, &c);
        let enter = |s: &DoubleStream, x: &Tensor<3>, shift: Tensor<3>, scale: Tensor<3>| {
            s.qkv.forward(s.norm1.forward(x.clone()) * (scale + 1.0) + shift)
        };
        let [iq, ik, iv] = enter(&block.img, &img, a1, b1);
        let [tq, tk, tv] = enter(&block.txt, &txt, c1, d1);
        let cat = |t: Tensor<4>, i: Tensor<4>| Tensor::cat(vec![t, i], 2);
        let mixed = attend(cat(tq, iq), cat(tk, ik), cat(tv, iv), cond);
        txt = txt + project(&block.txt.proj, mixed.clone().narrow(1, 0, text_tokens)) * h1;
        img = img + project(&block.img.proj, mixed.narrow(1, text_tokens, image_tokens)) * g1;
        let leave = |s: &DoubleStream, x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>, gate: Tensor<3>| {
            let ff = s.mlp.forward(s.norm2.forward(x.clone()) * (scale + 1.0) + shift);
            x + ff * gate
        };
        txt = leave(&block.txt, txt, c2, d2, h2);
        img = leave(&block.img, img, a2, b2, g2);
    }
    let joint = Tensor::cat(vec![txt, img], 1);
    let joint = flux.single_blocks.iter().fold(joint, |x, block| plain_single(block, x, &c, cond));
    flux.output.forward(joint.narrow(1, text_tokens, own_tokens), c)
}

fn plain_single(block: &SingleBlock, x: Tensor<3>, c: &Tensor<2>, cond: &FluxCond) -> Tensor<3> {
    let [shift, scale, gate] = modulations(&block.modulation, c);
    let normed = block.norm.forward(x.clone()) * (scale + 1.0) + shift;
    let [q, k, v] = block.qkv.forward(normed.clone());
    let attn = project(&block.attn_out, attend(q, k, v, cond));
    let mlp = Mlp { fc1: block.mlp_in.clone(), fc2: block.mlp_out.clone() }.forward(normed);
    x + (attn + mlp + block.bias.val().unsqueeze()) * gate
}

#[test]
fn the_seam_changes_no_bit() {
    for flux in models() {
        let config = flux.config();
        let mut dice = Dice(1);
        let text = dice.tensor([BATCH, flux.canvas().text_tokens, config.joint_attention_dim]);
        let pooled = dice.tensor([BATCH, config.pooled_projection_dim]);
        let guidance = config.guidance_embeds.then_some([3.5; BATCH]);
        let guidance = guidance.as_ref().map(|scales| &scales[..]);
        let cond = flux.cond_with_image(text.clone(), pooled, guidance, image(&flux, &mut dice)).unwrap();
        let x = noise(&flux, &mut dice);
        let out = flux.predict(&mut Full, x.clone(), 0.3, &cond);
        assert_eq!(out.dims(), x.dims());
        let expected = bits(plain(&flux, x.clone(), 0.3, text, &cond));
        assert_eq!(bits(out), expected, "{}", flux.topology().model);
        let mut observed = Observed::new(Full, |_, _, _: Event<'_>| {});
        let watched = flux.predict(&mut observed.step(0), x, 0.3, &cond);
        assert_eq!(bits(watched), expected, "observed {}", flux.topology().model);
        assert!(expected.iter().all(|bits| f32::from_bits(*bits).is_finite()));
    }
}

#[test]
fn one_forward_visits_the_topology() {
    for flux in models() {
        let mut dice = Dice(2);
        let (x, cond) = (noise(&flux, &mut dice), cond(&flux, &mut dice));
        asked(&flux, &x, &cond).one_forward_visits_the_topology();
    }
}

#[test]
fn an_empty_plan_is_full_computation() {
    for flux in models() {
        let mut dice = Dice(3);
        let (noise, cond) = (noise(&flux, &mut dice), cond(&flux, &mut dice));
        asked(&flux, &noise, &cond).an_empty_plan_is_full_computation();
    }
}

#[test]
fn a_random_plan_keeps_what_its_schedule_says() {
    let mut dice = Dice(4);
    for flux in models() {
        let (noise, cond, topology) = (noise(&flux, &mut dice), cond(&flux, &mut dice), flux.topology());
        let schedule = Arc::new(dice.plan(&topology).schedule(&topology).unwrap());
        assert!(schedule.peak_bytes(1, 1) > 0);
        let asked = asked(&flux, &noise, &cond);
        assert_ne!(asked.replay(&schedule), asked.full(), "{}", topology.model);
    }
}

/// Every kind alone can be reused: it is recalled where the plan says, and nothing else is.
#[test]
fn every_kind_is_reused_alone() {
    let flux = &models()[0];
    let mut dice = Dice(5);
    let (noise, cond, topology) = (noise(flux, &mut dice), cond(flux, &mut dice), flux.topology());
    let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    let asked = asked(flux, &noise, &cond);
    let full = asked.full();
    let kinds = topology.kinds();
    assert_eq!(kinds, [Kind::ATTN, Kind::FF, Kind::CONTEXT_FF, Kind::SINGLE_ATTN, Kind::SINGLE_MLP]);
    for kind in kinds {
        let reuse = Array2::from_shape_fn((STEPS, sites.len()), |(step, site)| {
            step % 2 == 1 && sites[site].kind == kind
        });
        let plan = CachePlan::new(sites.clone(), vec![false; STEPS], reuse).unwrap();
        let schedule = Arc::new(plan.schedule(&topology).unwrap());
        let mut recalled = Vec::new();
        let mut observed = Observed::new(Replay::new(schedule), |step, site, event: Event<'_>| {
            if let Event::Recalled(_) = event {
                recalled.push((step, site));
            }
        });
        let out = asked.trajectory(&mut observed, |_, _| {});
        assert_ne!(bits(out), full, "{kind}");
        let expected: Vec<(usize, Site)> = (0..STEPS)
            .filter(|step| step % 2 == 1)
            .flat_map(|step| sites.iter().filter(|site| site.kind == kind).map(move |site| (step, *site)))
            .collect();
        assert_eq!(recalled, expected, "{kind}");
    }
}

/// A recalled trunk ignores the sample and the prompt's tokens; only the output layer follows the new time.
#[test]
fn a_skipped_step_runs_the_output_layer_alone() {
    let flux = &models()[0];
    let topology = flux.topology();
    let gate: Vec<bool> = (0..STEPS).map(|step| step > 0).collect();
    let schedule = Arc::new(CachePlan::gate_only(&topology, gate).schedule(&topology).unwrap());
    let mut dice = Dice(6);
    let (a, b, cond) = (noise(flux, &mut dice), noise(flux, &mut dice), cond(flux, &mut dice));
    let run = |second: &Tensor<3>, time: f32| {
        let mut policy = Replay::new(schedule.clone());
        flux.predict(&mut policy.step(0), a.clone(), 0.9, &cond);
        let elements = flux.canvas().image_tokens() * flux.config().hidden_size();
        assert_eq!(policy.store().bytes(), BATCH * elements * size_of::<f32>(), "the image's tokens alone");
        bits(flux.predict(&mut policy.step(1), second.clone(), time, &cond))
    };
    assert_eq!(run(&a, 0.5), run(&b, 0.5));
    assert_ne!(run(&a, 0.5), run(&a, 0.4));
}

/// Same seed, same weights; another seed, others. The model can be shared between threads.
#[test]
fn random_weights_are_seeded() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    let config = models()[0].config().clone();
    let weights = |seed| {
        let flux = Flux::random(&config, seed, &device()).unwrap();
        shared(&flux);
        [bits(flux.single_blocks[1].mlp_out.weight.val()), bits(flux.double_blocks[0].txt.proj.weight.val())]
    };
    assert_eq!(weights(1), weights(1));
    assert_ne!(weights(1), weights(2));
    let invalid = FluxConfig { attention_head_dim: 18, ..config };
    let error = Flux::random(&invalid, 1, &device()).unwrap_err();
    assert!(error.to_string().contains("add up to attention_head_dim 18"), "{error}");
}
