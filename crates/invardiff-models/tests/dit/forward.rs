//! One forward against the fixtures: 1e-5 absolute, as their README suggests for f32.

use invardiff_models::{Dit, DitConfig, Golden};
use invardiff_runtime::{BatchedGuidance, Denoiser, Full, Site};

use crate::fixture::{Dump, bits, data, device, difference, manifest, within};

const FOLDERS: [&str; 3] = ["dit_tiny", "dit_tiny_diffusers", "dit_trained"];
const TOLERANCE: f32 = 1e-5;
/// Sines and cosines of the same angles: the last place of a value below 1. (A frequency rounded the other way would move
/// the angle of timestep 999 by 6e-5.)
const SINUSOID: f32 = 1e-7;

fn load(folder: &str) -> (Dit, Dump) {
    let dit = Dit::load(data(folder), &device()).unwrap().model;
    (dit, Dump::open(&data(folder).join("forward.safetensors")))
}

#[test]
fn outputs() {
    for folder in FOLDERS {
        let (dit, dump) = load(folder);
        let out = dit.forward(&mut Full, dump.tensor("x"), dump.times("t"), dump.labels("y"));
        within(&format!("{folder} out"), difference(out, dump.tensor("out")), TOLERANCE);
    }
}

#[test]
fn every_module_output() {
    for folder in FOLDERS {
        let (dit, dump) = load(folder);
        let depth = dit.config().depth as u32;
        let mut golden = Golden::new();
        for layer in 0..depth {
            golden = golden
                .expect(Site::msa(layer), vec![dump.tensor(&format!("block{layer}.msa"))])
                .expect(Site::mlp(layer), vec![dump.tensor(&format!("block{layer}.mlp"))]);
        }
        let last = dump.tensor(&format!("block{}.hidden", depth - 1));
        let mut golden = golden.expect(Site::TRUNK, vec![last]);
        dit.forward(&mut golden, dump.tensor("x"), dump.times("t"), dump.labels("y"));
        assert_eq!(golden.differences.len(), 2 * depth as usize + 1);
        for found in &golden.differences {
            within(&format!("{folder} {}", found.site), found.max_abs, TOLERANCE);
        }
    }
}

#[test]
fn a_wrong_module_is_named_alone() {
    let (dit, dump) = load("dit_tiny");
    let mut golden = Golden::new()
        .expect(Site::mlp(0), vec![dump.tensor("block0.mlp")])
        .expect(Site::msa(1), vec![dump.tensor::<3>("block1.msa") + 1.0])
        .expect(Site::mlp(1), vec![dump.tensor::<3>("block1.mlp").narrow(1, 0, 1)]);
    dit.forward(&mut golden, dump.tensor("x"), dump.times("t"), dump.labels("y"));
    let [ok, shifted, misshapen] = golden.differences.as_slice() else { panic!("three comparisons") };
    assert!(ok.max_abs < TOLERANCE);
    assert_eq!(shifted.site, Site::msa(1));
    assert!((shifted.max_abs - 1.0).abs() < TOLERANCE);
    assert_eq!(misshapen.max_abs, f32::INFINITY);
}

/// The hidden state after every block: the last one of the same weights without the later blocks.
#[test]
fn every_hidden_state() {
    for (folder, file) in [
        ("dit_tiny", "weights.safetensors"),
        ("dit_tiny_diffusers", "diffusion_pytorch_model.safetensors"),
        ("dit_trained", "weights.safetensors"),
    ] {
        let (dit, dump) = load(folder);
        let weights = Dump::open(&data(folder).join(file));
        for depth in 1..=dit.config().depth {
            let config = DitConfig { depth, ..dit.config().clone() };
            let mut shorter = weights.clone();
            shorter.0.retain(|key, _| {
                let mut parts = key.split('.').skip_while(|part| !part.ends_with("blocks"));
                parts.nth(1).is_none_or(|layer| layer.parse::<usize>().unwrap() < depth)
            });
            let dit = Dit::from_bytes(&shorter.bytes(), &config, &device()).unwrap().model;
            let key = format!("block{}.hidden", depth - 1);
            let mut golden = Golden::new().expect(Site::TRUNK, vec![dump.tensor(&key)]);
            dit.forward(&mut golden, dump.tensor("x"), dump.times("t"), dump.labels("y"));
            within(&format!("{folder} {key}"), golden.differences[0].max_abs, TOLERANCE);
        }
    }
}

#[test]
fn embeddings() {
    for folder in FOLDERS {
        let (dit, dump) = load(folder);
        let t = &dit.t_embedder;
        let sinusoid = t.sinusoid(dump.times("temb.t"));
        within(&format!("{folder} sinusoid"), difference(sinusoid, dump.tensor("temb.sinusoid")), SINUSOID);
        if folder == "dit_tiny_diffusers" {
            let stored = dump.tensor("pos_embed");
            within("dit_tiny_diffusers pos_embed", difference(dit.pos_embed.val(), stored), 1e-6);
            continue;
        }
        let out = t.forward(dump.times("temb.t"));
        within(&format!("{folder} temb.out"), difference(out, dump.tensor("temb.out")), TOLERANCE);
        let out = t.forward(dump.times("t"));
        within(&format!("{folder} t_emb"), difference(out, dump.tensor("t_emb")), TOLERANCE);
        let out = dit.embed_labels(dump.labels("y"));
        assert_eq!(bits(out), bits(dump.tensor::<2>("y_emb")), "a row of the table is copied");
        let out = dit.x_embedder.forward(dump.tensor("x"));
        within(&format!("{folder} x_emb"), difference(out, dump.tensor("x_emb_no_pos")), TOLERANCE);
    }
}

#[test]
fn guidance_on_three_channels() {
    for folder in ["dit_tiny", "dit_trained"] {
        let (dit, dump) = load(folder);
        let scale = manifest(folder, "cfg_scale") as f32;
        let channels = Some(manifest(folder, "cfg_channels") as usize);
        let times = dump.ints("cfg.t");
        assert!(times.iter().all(|t| *t == times[0]), "one time for the whole batch");
        let guided = BatchedGuidance { model: dit, scale, channels };
        let x = dump.tensor::<4>("cfg.x").narrow(0, 0, 2);
        let out = guided.predict(&mut Full, x, times[0] as f32, &dump.labels("cfg.y"));
        let expected = dump.tensor::<4>("cfg.out").narrow(0, 0, 2).narrow(1, 0, 4);
        within(&format!("{folder} cfg.out"), difference(out, expected), TOLERANCE);
    }
}
