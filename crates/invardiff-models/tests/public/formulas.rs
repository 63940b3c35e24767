//! DoRA, LoHa and LoKr by their formulas, computed here in f64 for layers that the model stores whole, fused and by columns.

use std::path::Path;

use burn::tensor::Tensor;
use invardiff_models::{LoadOptions, Lora};

use crate::fixture::{Dump, Stored, difference, largest, within};
use crate::tiny::{Folder, drawn, floats, public, values, wave};

/// Roundings to f32 on the way to a changed weight: two products, each of two terms, two factors, the sum with the weight.
const ROUNDINGS: f64 = 8.0;

type Matrix = Vec<Vec<f64>>;

fn matrix(stored: &Stored) -> Matrix {
    let values = values(stored);
    values.chunks(stored.shape[1]).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect()
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let cell = |row: &[f64], column: usize| row.iter().zip(b).map(|(x, other)| x * other[column]).sum();
    a.iter().map(|row| (0..b[0].len()).map(|column| cell(row, column)).collect()).collect()
}

fn kronecker(a: &Matrix, b: &Matrix) -> Matrix {
    let row = |a: &[f64], b: &[f64]| a.iter().flat_map(|x| b.iter().map(move |y| x * y)).collect();
    a.iter().flat_map(|a| b.iter().map(move |b| row(a, b))).collect()
}

fn stored(matrix: &Matrix) -> Stored {
    let values: Vec<f32> = matrix.iter().flatten().map(|x| *x as f32).collect();
    Stored::f32(&[matrix.len(), matrix[0].len()], &values)
}

/// Layers that the model keeps whole, of which it keeps rows, and of which it keeps columns.
const LAYERS: [&str; 3] = ["double_blocks.1.img_mlp.0", "single_blocks.0.linear1", "single_blocks.2.linear2"];

/// Compares a LoRA of strength 0.8 with weights that are changed by hand.
fn check(
    what: &str,
    parts: impl Fn(usize, [usize; 2]) -> Vec<(&'static str, Stored)>,
    formula: impl Fn(&Matrix, &dyn Fn(&str) -> Matrix) -> Matrix,
) {
    let folder = Folder::new();
    let base = floats(&public("model/flux1-dev-fp8.safetensors"));
    let (mut lora, mut changed) = (Dump(std::collections::BTreeMap::new()), base.clone());
    for (seed, layer) in LAYERS.into_iter().enumerate() {
        let key = format!("{layer}.weight");
        let weight = matrix(&base.0[&key]);
        let found = parts(seed, [weight.len(), weight[0].len()]);
        let part = |name: &str| {
            let stored = &found.iter().find(|(other, _)| *other == name).unwrap().1;
            matrix(stored)
        };
        let after = formula(&weight, &part);
        let mixed: Matrix = weight
            .iter()
            .zip(&after)
            .map(|(before, after)| before.iter().zip(after).map(|(b, a)| b + 0.8 * (a - b)).collect())
            .collect();
        changed.0.insert(key, stored(&mixed));
        for (name, stored) in found {
            lora.0.insert(format!("lycoris_{}.{name}", layer.replace('.', "_")), stored);
        }
        lora.0.insert(format!("lycoris_{}.alpha", layer.replace('.', "_")), Stored::f32(&[], &[16.0]));
    }
    let run = |path: &Path, loras: Vec<Lora>| -> Tensor<3> {
        drawn(path, &LoadOptions::default().with_loras(loras))
    };
    // What these roundings alone do to the output: the same weights, each off by what they come to at most.
    let mut rounded = changed.clone();
    for layer in LAYERS {
        let key = format!("{layer}.weight");
        let (before, after) = (matrix(&base.0[&key]), matrix(&changed.0[&key]));
        let most = |matrix: &Matrix| matrix.iter().flatten().fold(0.0_f64, |most, x| most.max(x.abs()));
        let off =
            ROUNDINGS * f64::from(f32::EPSILON) / 2.0 * (most(&before) + most(&add(&after, &before, -1.0)));
        let sign = |row: usize, column: usize| if (row * 7 + column * 13) % 5 < 2 { -off } else { off };
        let nudge = |(row, values): (usize, &Vec<f64>)| {
            values.iter().enumerate().map(|(column, x)| x + sign(row, column)).collect()
        };
        rounded.0.insert(key, stored(&after.iter().enumerate().map(nudge).collect()));
    }
    let path = folder.write("base.safetensors", &base);
    let lora = Lora::new(folder.write("lora.safetensors", &lora), 0.8);
    let (before, found) = (run(&path, Vec::new()), run(&path, vec![lora]));
    let expected = run(&folder.write("changed.safetensors", &changed), Vec::new());
    let most = largest(expected.clone());
    assert!(difference(before, expected.clone()) > 0.01 * most, "{what}: the change is not seen");
    let bound =
        difference(run(&folder.write("rounded.safetensors", &rounded), Vec::new()), expected.clone()) / most;
    assert!(bound > 0.0 && bound < 5e-4, "{what}: rounding alone changes the output by {bound}");
    within(what, difference(found, expected) / most, bound);
}

fn add(a: &Matrix, b: &Matrix, factor: f64) -> Matrix {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + factor * b).collect()).collect()
}

/// `(1a 1b) * (2a 2b) * alpha / rank` (Hyeon-Woo et al. 2022).
#[test]
fn loha() {
    let parts = |seed: usize, [rows, columns]: [usize; 2]| {
        vec![
            ("hada_w1_a", wave(seed, rows, 2)),
            ("hada_w1_b", wave(seed + 1, 2, columns)),
            ("hada_w2_a", wave(seed + 2, rows, 2)),
            ("hada_w2_b", wave(seed + 3, 2, columns)),
        ]
    };
    check("LoHa", parts, |weight, part| {
        let one = product(&part("hada_w1_a"), &part("hada_w1_b"));
        let two = product(&part("hada_w2_a"), &part("hada_w2_b"));
        let change: Matrix =
            one.iter().zip(&two).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).collect()).collect();
        add(weight, &change, 8.0)
    });
}

/// `w1 (x) (w2a w2b) * alpha / rank` (Edalati et al. 2022).
#[test]
fn lokr() {
    let parts = |seed: usize, [rows, columns]: [usize; 2]| {
        vec![
            ("lokr_w1", wave(seed, 4, 4)),
            ("lokr_w2_a", wave(seed + 1, rows / 4, 2)),
            ("lokr_w2_b", wave(seed + 2, 2, columns / 4)),
        ]
    };
    check("LoKr", parts, |weight, part| {
        let two = product(&part("lokr_w2_a"), &part("lokr_w2_b"));
        add(weight, &kronecker(&part("lokr_w1"), &two), 8.0)
    });
}

/// Both factors whole: alpha does not count.
#[test]
fn lokr_of_whole_matrices() {
    let parts = |seed: usize, [rows, columns]: [usize; 2]| {
        vec![("lokr_w1", wave(seed, 4, 4)), ("lokr_w2", wave(seed + 1, rows / 4, columns / 4))]
    };
    check("LoKr", parts, |weight, part| add(weight, &kronecker(&part("lokr_w1"), &part("lokr_w2")), 1.0));
}

/// `m * (W + BA) / |W + BA|`, row by row (Liu et al. 2024).
#[test]
fn dora() {
    let parts = |seed: usize, [rows, columns]: [usize; 2]| {
        let magnitudes: Vec<f32> = (0..rows).map(|i| 1.0 + 0.5 * (i as f32 + seed as f32).sin()).collect();
        vec![
            ("lora_down.weight", wave(seed, 2, columns)),
            ("lora_up.weight", wave(seed + 1, rows, 2)),
            ("dora_scale", Stored::f32(&[rows, 1], &magnitudes)),
        ]
    };
    check("DoRA", parts, |weight, part| {
        let direction = add(weight, &product(&part("lora_up.weight"), &part("lora_down.weight")), 8.0);
        let rows = direction.iter().zip(part("dora_scale"));
        rows.map(|(row, magnitude)| {
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.iter().map(|x| magnitude[0] * x / norm).collect()
        })
        .collect()
    });
}

/// Magnitudes per input, which some programs write, do not fit the formula for outputs.
#[test]
fn dora_per_input_is_refused() {
    let folder = Folder::new();
    let path = folder.write("base.safetensors", &floats(&public("model/flux1-dev-fp8.safetensors")));
    let layer = LAYERS[0];
    let shape = Dump::open(&path).0[&format!("{layer}.weight")].shape.clone();
    let (rows, columns) = (shape[0], shape[1]);
    assert_ne!(rows, columns);
    let lora = Dump(
        [
            ("lora_down.weight", wave(1, 2, columns)),
            ("lora_up.weight", wave(2, rows, 2)),
            ("dora_scale", Stored::f32(&[1, columns], &vec![1.0; columns])),
        ]
        .map(|(name, stored)| (format!("lycoris_{}.{name}", layer.replace('.', "_")), stored))
        .into(),
    );
    let lora = Lora::new(folder.write("lora.safetensors", &lora), 1.0);
    let error =
        crate::tiny::load(&path, &LoadOptions::default().with_loras(vec![lora])).unwrap_err().to_string();
    assert!(
        error.contains("lora.safetensors")
            && error.contains(&format!("DoRA with {columns} magnitudes, one per input")),
        "{error}"
    );
    assert!(error.contains("export it with one magnitude per output"), "{error}");
}
