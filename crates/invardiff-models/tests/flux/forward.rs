//! One forward against the fixture: 1e-5 absolute, as its README suggests for f32.

use burn::tensor::Tensor;
use invardiff_models::flux::Rope;
use invardiff_models::{Flux, FluxConfig, Golden};
use invardiff_runtime::{Denoiser, Event, Executor, Feature, Full, Kind, Observed, Policy, Site};

use crate::fixture::{Dump, bits, device, difference, values, within};
use crate::seam::Dice;
use crate::tiny::{self, CANVAS, FILES, cond, dump, model, output};

const TOLERANCE: f32 = 1e-5;

#[test]
fn outputs() {
    let dump = dump();
    for file in FILES {
        let flux = model(file);
        within(&format!("{file} out"), difference(output(&flux, &dump), dump.tensor("out")), TOLERANCE);
        let cond = cond(&flux, &dump, "b2.", true);
        let out = flux.forward(&mut Full, dump.tensor("b2.hidden_states"), dump.flat("b2.timestep"), &cond);
        within(&format!("{file} b2.out"), difference(out, dump.tensor("b2.out")), TOLERANCE);
    }
}

/// The denoiser is the forward at one time for the whole batch.
#[test]
fn a_prediction_is_a_forward() {
    let (flux, dump) = (model(FILES[0]), dump());
    let (t, scale) = (tiny::values(&dump, "timestep")[0], tiny::values(&dump, "guidance")[0]);
    let cond =
        flux.cond(dump.tensor("encoder_hidden_states"), dump.tensor("pooled_projections"), Some(scale));
    let out = flux.predict(&mut Full, dump.tensor("hidden_states"), t, &cond.unwrap());
    assert_eq!(bits(out), bits(output(&flux, &dump)));
}

#[test]
fn every_module_output() {
    let dump = dump();
    for file in FILES {
        let flux = model(file);
        let mut golden = Golden::new().expect(Site::TRUNK, vec![dump.tensor("hidden_before_norm_out")]);
        for layer in 0..2 {
            let stored = |name: &str| dump.tensor::<3>(&format!("double{layer}.{name}"));
            golden = golden
                .expect(Site::new(Kind::ATTN, layer), vec![stored("attn"), stored("context_attn")])
                .expect(Site::new(Kind::FF, layer), vec![stored("ff")])
                .expect(Site::new(Kind::CONTEXT_FF, layer), vec![stored("context_ff")]);
        }
        let cond = cond(&flux, &dump, "", true);
        flux.forward(&mut golden, dump.tensor("hidden_states"), dump.flat("timestep"), &cond);
        assert_eq!(golden.differences.len(), 2 * 4 + 1);
        for found in &golden.differences {
            within(&format!("{file} {} stream {}", found.site, found.stream), found.max_abs, TOLERANCE);
        }
    }
}

/// Computes all and keeps what it is shown: a witness, and what is then settled at its site.
#[derive(Default)]
struct Probed(Vec<(Site, Tensor<3>, Option<Tensor<3>>)>);

struct Watch<'a>(&'a mut Probed);

impl Policy for Probed {
    type Step<'a> = Watch<'a>;

    fn step(&mut self, _: usize) -> Watch<'_> {
        Watch(self)
    }
}

impl Executor for Watch<'_> {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        if let Some((_, _, projected)) = self.0.0.iter_mut().find(|(seen, ..)| *seen == site) {
            *projected = Some(fresh[0].clone());
        }
        fresh
    }

    fn probe(&mut self, site: Site, value: &[Tensor<3>]) {
        let [value] = value else { panic!("one tensor at {site}") };
        self.0.0.push((site, value.clone(), None));
    }
}

/// Before the projection of a single-stream block, where the authors cache and measure. The projected contributions that
/// are cached here add up with the bias to the projection of both.
#[test]
fn witnesses_of_the_single_blocks() {
    let dump = dump();
    for file in FILES {
        let flux = model(file);
        let mut probe = Probed::default();
        let condition = cond(&flux, &dump, "", true);
        let (x, t): (Tensor<3>, Tensor<1>) = (dump.tensor("hidden_states"), dump.flat("timestep"));
        flux.forward(&mut probe.step(0), x.clone(), t.clone(), &condition);
        assert_eq!(probe.0.len(), 2 * 3);
        let mut observed = Observed::new(Probed::default(), |_, _, _: Event<'_>| {});
        flux.forward(&mut observed.step(0), x, t, &condition);
        let shown = |probe: &Probed| {
            probe.0.iter().map(|(site, value, _)| (*site, bits(value.clone()))).collect::<Vec<_>>()
        };
        assert_eq!(shown(&observed.inner), shown(&probe), "an observed executor is shown the same");
        for (site, value, _) in &probe.0 {
            let key = match site.kind {
                Kind::SINGLE_ATTN => format!("single{}.attn", site.layer),
                Kind::SINGLE_MLP => format!("single{}.mlp", site.layer),
                _ => panic!("no witness is due at {site}"),
            };
            within(&format!("{file} {key}"), difference(value.clone(), dump.tensor(&key)), TOLERANCE);
        }
        let stored = Dump::open(&tiny::folder().join(FILES[0]));
        for (layer, pair) in probe.0.chunks(2).enumerate() {
            let [(_, attn, Some(a)), (_, mlp, Some(m))] = pair else { panic!("a pair a block") };
            let name = |field| format!("single_transformer_blocks.{layer}.proj_out.{field}");
            let both = Tensor::cat(vec![attn.clone(), mlp.clone()], 2);
            let weight = stored.tensor::<2>(&name("weight")).transpose();
            let whole = both.matmul(weight.unsqueeze()) + stored.flat(&name("bias")).unsqueeze();
            let split = a.clone() + m.clone() + flux.single_blocks[layer].bias.val().unsqueeze();
            within(&format!("{file} single{layer} projection"), difference(split, whole), TOLERANCE);
        }
    }
}

#[test]
fn every_hidden_state() {
    let dump = dump();
    for file in FILES {
        let flux = model(file);
        let cond = cond(&flux, &dump, "", true);
        let c = burn::tensor::activation::silu(flux.embed(dump.flat("timestep"), &cond));
        let mut streams = [
            flux.img_in.forward(dump.tensor::<3>("hidden_states")),
            flux.txt_in.forward(dump.tensor::<3>("encoder_hidden_states")),
        ];
        let check = |key: String, found: Tensor<3>| {
            within(&format!("{file} {key}"), difference(found, dump.tensor(&key)), TOLERANCE);
        };
        for (layer, block) in (0..).zip(&flux.double_blocks) {
            streams = block.forward(&mut Full, layer, streams, c.clone(), cond.rope());
            check(format!("double{layer}.hidden"), streams[0].clone());
            check(format!("double{layer}.encoder_hidden"), streams[1].clone());
        }
        let [img, txt] = streams;
        let mut x = Tensor::cat(vec![txt, img], 1);
        for (layer, block) in (0..).zip(&flux.single_blocks) {
            x = block.forward(&mut Full, layer, x, c.clone(), cond.rope());
            check(format!("single{layer}.hidden"), x.clone());
        }
    }
}

#[test]
fn embeddings() {
    let dump = dump();
    for file in FILES {
        let flux = model(file);
        let cond = cond(&flux, &dump, "", true);
        let temb = flux.embed(dump.flat("timestep"), &cond);
        within(&format!("{file} temb"), difference(temb, dump.tensor("temb")), TOLERANCE);
    }
}

/// Neighbouring channels are turned together, so the stored tables have every value twice.
#[test]
fn rope_tables() {
    let dump = dump();
    let ids = |key: &str| {
        values(dump.tensor::<2>(key)).chunks_exact(3).map(|id| [id[0], id[1], id[2]]).collect::<Vec<_>>()
    };
    let stored = [ids("txt_ids"), ids("img_ids")].concat();
    assert_eq!(stored, CANVAS.positions());
    let axes = model(FILES[0]).config().axes_dims_rope;
    let tables = Rope::new(&stored, axes, &device()).tables();
    for (table, key) in tables.into_iter().zip(["rope_cos", "rope_sin"]) {
        let pairs = dump.tensor::<2>(key).reshape([31, 8, 2]);
        for channel in 0..2 {
            let stored = pairs.clone().narrow(2, channel, 1).squeeze_dim::<2>(2);
            within(&format!("{key} {channel}"), difference(table.clone(), stored), 1e-7);
        }
    }
}

/// A turn keeps the length of a pair, and scores depend on the distance of two tokens alone.
#[test]
fn rope_turns_by_relative_positions() {
    let axes = [4, 6, 6];
    let [q, k] = [11, 12].map(|seed| Dice(seed).tensor([1, 2, 1, 16]));
    let score = |of: [f32; 3], to: [f32; 3]| {
        let turn = |x: &Tensor<4>, position| Rope::new(&[position], axes, &device()).apply(x.clone());
        values((turn(&q, of) * turn(&k, to)).sum_dim(3))
    };
    let here = score([0.0, 3.0, 5.0], [0.0, 1.0, 9.0]);
    let there = score([7.0, 13.0, 25.0], [7.0, 11.0, 29.0]);
    let apart = score([0.0, 3.0, 5.0], [0.0, 2.0, 9.0]);
    for head in 0..2 {
        within("score after a shift", (here[head] - there[head]).abs(), 1e-5);
        assert!((here[head] - apart[head]).abs() > 1e-3, "another distance, another score");
    }
    let q_length = values(q.clone().square().sum_dim(3));
    let turned = Rope::new(&[[0.0, 40.0, 2.0]], axes, &device()).apply(q);
    let turned_length = values(turned.square().sum_dim(3));
    within("length", (q_length[0] - turned_length[0]).abs(), 1e-5);
}

/// Schnell is the same model without the guidance embedder.
#[test]
fn without_guidance() {
    let dump = dump();
    let weights = Dump::open(&tiny::folder().join(FILES[1]));
    let mut bare = weights.clone();
    bare.0.retain(|key, _| !key.starts_with("guidance_in."));
    let config = FluxConfig { guidance_embeds: false, ..model(FILES[1]).config().clone() };
    let schnell = Flux::from_bytes(&bare.bytes(), &config, &device()).unwrap().model.with_canvas(CANVAS);
    assert!(schnell.guidance_in.is_none());

    let mut silent = weights;
    for part in ["weight", "bias"] {
        let stored = silent.0.get_mut(&format!("guidance_in.out_layer.{part}")).unwrap();
        stored.bytes.fill(0);
    }
    let config = FluxConfig { guidance_embeds: true, ..config };
    let silent = Flux::from_bytes(&silent.bytes(), &config, &device()).unwrap().model.with_canvas(CANVAS);
    let out = output(&schnell, &dump);
    assert_eq!(bits(out.clone()), bits(output(&silent, &dump)), "an embedding of zeros adds nothing");
    assert!(difference(out, dump.tensor("out")) > 1e-2, "the guidance scale matters");
}

#[test]
fn conditions_are_checked() {
    let flux = model(FILES[0]);
    let mut dice = Dice(3);
    let (text, pooled) = (dice.tensor([2, 7, 24]), dice.tensor([2, 20]));
    let says = |text: &Tensor<3>, pooled: &Tensor<2>, guidance: Option<&[f32]>| {
        flux.cond_by_row(text.clone(), pooled.clone(), guidance).unwrap_err().to_string()
    };
    let error = says(&text.clone().narrow(1, 0, 6), &pooled, Some(&[1.0, 1.0]));
    assert_eq!(error, "the prompt embeddings have shape [2, 6, 24], expected [batch, 7, 24]");
    let error = says(&text, &pooled.clone().narrow(0, 0, 1), Some(&[1.0, 1.0]));
    assert_eq!(error, "the pooled prompt embeddings have shape [1, 20], expected [2, 20]");
    let error = says(&text, &pooled, None);
    assert_eq!(error, "flux-2+3x48 embeds a guidance scale, but none is given");
    let error = says(&text, &pooled, Some(&[1.0]));
    assert_eq!(error, "flux-2+3x48 needs one guidance scale for each of the 2 rows, found 1");
    let config = FluxConfig { guidance_embeds: false, ..flux.config().clone() };
    let schnell = Flux::random(&config, 1, &device()).unwrap().with_canvas(CANVAS);
    let error = schnell.cond(text, pooled, Some(3.5)).unwrap_err();
    assert_eq!(error.to_string(), "flux-2+3x48 embeds no guidance scale, but one is given");
}
