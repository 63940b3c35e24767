//! LoRA files, and models changed by hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Tensor};
use invardiff_models::{Canvas, Dit, Flux, LoadOptions, Lora};
use invardiff_runtime::Full;
use tempfile::TempDir;

use crate::fixture::{Dump, Stored, data, device};

/// A pair for one linear map, known by its key in a file of weights.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) rank: usize,
    pub(crate) alpha: Option<f32>,
    seed: usize,
}

impl Pair {
    pub(crate) fn new(key: &str, rank: usize, alpha: Option<f32>) -> Self {
        Self { key: key.to_owned(), rank, alpha, seed: key.len() }
    }

    /// Other values under the same key.
    pub(crate) fn seeded(self, seed: usize) -> Self {
        Self { seed, ..self }
    }

    /// Values of the map to the rank (0) and from it (1).
    fn values(&self, half: usize, count: usize) -> Vec<f32> {
        (0..count).map(|i| 0.2 * ((i * 7 + self.seed * 13 + half * 5) as f32 * 0.37).sin()).collect()
    }

    /// `[rows, columns]` of the map.
    fn size(&self, weights: &Dump) -> [usize; 2] {
        let shape = &weights.0[&format!("{}.weight", self.key)].shape;
        [shape[0], shape[1..].iter().product()]
    }
}

/// How a program names the tensors of a pair.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    /// `transformer.a.b.lora_A.weight`, as diffusers and PEFT.
    Peft,
    /// `lora_unet_a_b.lora_down.weight`, as kohya's scripts.
    Kohya,
    /// `diffusion_model.a.b.lora_down.weight`.
    Dotted,
}

/// A LoRA file of these pairs, for the weights of a file.
pub(crate) fn dump(pairs: &[Pair], weights: &Dump, style: Style) -> Dump {
    let mut tensors = BTreeMap::new();
    for pair in pairs {
        let [rows, columns] = pair.size(weights);
        let rank = pair.rank;
        let (stem, [down, up]) = match style {
            Style::Peft => (format!("transformer.{}", pair.key), ["lora_A", "lora_B"]),
            Style::Kohya => (format!("lora_unet_{}", pair.key.replace('.', "_")), ["lora_down", "lora_up"]),
            Style::Dotted => (format!("diffusion_model.{}", pair.key), ["lora_down", "lora_up"]),
        };
        let whole = &weights.0[&format!("{}.weight", pair.key)].shape;
        // The pair of a convolution is two convolutions, the second of single pixels.
        let (mut down_shape, mut up_shape) = (vec![rank, columns], vec![rows, rank]);
        if whole.len() == 4 {
            down_shape = vec![rank, whole[1], whole[2], whole[3]];
            up_shape.extend([1, 1]);
        }
        tensors.insert(
            format!("{stem}.{down}.weight"),
            Stored::f32(&down_shape, &pair.values(0, rank * columns)),
        );
        tensors.insert(format!("{stem}.{up}.weight"), Stored::f32(&up_shape, &pair.values(1, rows * rank)));
        if let Some(alpha) = pair.alpha {
            tensors.insert(format!("{stem}.alpha"), Stored::f32(&[], &[alpha]));
        }
    }
    Dump(tensors)
}

/// The weights with every pair's product added, `scale * alpha / rank` of it, in f64.
pub(crate) fn added(weights: &Dump, pairs: &[Pair], scale: f32) -> Dump {
    let mut weights = weights.clone();
    for pair in pairs {
        let [rows, columns] = pair.size(&weights);
        let (rank, key) = (pair.rank, format!("{}.weight", pair.key));
        let factor = f64::from(scale) * f64::from(pair.alpha.unwrap_or(rank as f32)) / rank as f64;
        let (down, up) = (pair.values(0, rank * columns), pair.values(1, rows * rank));
        let stored = weights.0.get_mut(&key).unwrap();
        let mut values: Vec<f32> =
            stored.bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        for row in 0..rows {
            for column in 0..columns {
                let product: f64 = (0..rank)
                    .map(|r| f64::from(up[row * rank + r]) * f64::from(down[r * columns + column]))
                    .sum();
                let value = &mut values[row * columns + column];
                *value = (f64::from(*value) + factor * product) as f32;
            }
        }
        *stored = Stored::f32(&stored.shape.clone(), &values);
    }
    weights
}

/// A folder with one model's weights beside their configuration, and LoRA files.
pub(crate) struct Case {
    pub(crate) folder: TempDir,
    pub(crate) weights: PathBuf,
}

impl Case {
    /// `weights` under the name `file`, which the loader knows, beside the configuration `config` of `from`.
    pub(crate) fn new(weights: &Dump, from: &str, config: &str, file: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(data(from).join(config), folder.path().join(config)).unwrap();
        let path = folder.path().join(file);
        weights.write(&path);
        Self { folder, weights: path }
    }

    pub(crate) fn lora(&self, name: &str, dump: &Dump, scale: f32) -> Lora {
        let path = self.folder.path().join(name);
        dump.write(&path);
        Lora::new(path, scale)
    }
}

pub(crate) fn options(loras: &[Lora]) -> LoadOptions {
    LoadOptions::default().with_loras(loras.to_vec())
}

/// What a FLUX makes of the stored input.
pub(crate) fn flux_out(weights: &Path, options: &LoadOptions) -> Tensor<3> {
    let flux = Flux::load_with(weights, options, &device()).unwrap().model;
    let flux = flux.with_canvas(Canvas { rows: 4, columns: 6, text_tokens: 7 });
    let dump = Dump::open(&data("flux_tiny").join("forward.safetensors"));
    let scale = crate::fixture::values(dump.flat("guidance"));
    let cond = flux
        .cond_by_row(dump.tensor("encoder_hidden_states"), dump.tensor("pooled_projections"), Some(&scale))
        .unwrap();
    let x: Tensor<3> = dump.tensor("hidden_states");
    flux.forward(&mut Full, x.cast(flux.dtype()), dump.flat("timestep"), &cond).cast(DType::F32)
}

/// What a DiT makes of the stored input.
pub(crate) fn dit_out(weights: &Path, options: &LoadOptions) -> Tensor<4> {
    let dit = Dit::load_with(weights, options, &device()).unwrap().model;
    let dump = Dump::open(&data("dit_tiny").join("forward.safetensors"));
    dit.forward(&mut Full, dump.tensor("x"), dump.times("t"), dump.labels("y"))
}
