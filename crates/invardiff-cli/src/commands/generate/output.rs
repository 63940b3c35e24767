//! The files that `generate` writes: an image grid or the samples, with the settings that made them.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use image::RgbImage;
use ndarray::ArrayD;
use safetensors::{Dtype, tensor::TensorView};
use serde::Serialize;
use serde_json::{Map, Value};

/// The kind of file, by the extension of `--out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A grid of images.
    Png,
    /// The samples, before decoding.
    Safetensors,
}

impl Format {
    /// # Errors
    /// For another extension.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "png" => Ok(Self::Png),
            "safetensors" => Ok(Self::Safetensors),
            _ => bail!("--out {}: expected a name that ends in .png or .safetensors", path.display()),
        }
    }

    /// Refuses image files for a model whose samples are latents that cannot be decoded.
    ///
    /// # Errors
    /// An error that says what to write instead.
    pub(super) fn suits(self, shows_images: bool, path: &Path) -> Result<()> {
        ensure!(
            self == Self::Safetensors || shows_images,
            "--out {}: the samples of this model are latents, not images, and there is no autoencoder beside it to decode \
             them; give a name that ends in .safetensors to write the latents",
            path.display()
        );
        Ok(())
    }
}

/// The subjects that were asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Asked {
    /// Classes.
    Classes {
        /// The class of every column.
        class_labels: Vec<usize>,
        /// Rows of images.
        images_per_class: usize,
    },
    /// Prompts.
    Prompts {
        /// The prompt of every column.
        prompts: Vec<String>,
        /// The negative prompt.
        negative_prompt: Option<String>,
        /// The guidance scale away from it (true CFG).
        true_cfg_scale: Option<f64>,
        /// Rows of images.
        images_per_prompt: usize,
        /// Height of an image in pixels.
        height: usize,
        /// Width of an image in pixels.
        width: usize,
        /// Tokens of a prompt for T5.
        max_sequence_length: usize,
    },
}

/// Converts through the shortest decimal, so that 2.1 is not written as 2.0999999.
pub(super) fn shortest(scale: f32) -> Option<f64> {
    scale.to_string().parse().ok()
}

/// All settings that a sample depends on; written into the file and printed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Facts {
    /// The model's name.
    pub(super) model: String,
    /// SHA-256 of its weights' file.
    pub(super) weights_sha256: String,
    /// What was asked for.
    #[serde(flatten)]
    pub(super) asked: Asked,
    /// The seed of the first image; image n (row by row) has seed + n.
    pub(super) seed: u64,
    /// The sampler's name.
    pub(super) sampler: &'static str,
    /// Its number of steps.
    pub(super) num_inference_steps: usize,
    /// The share of fresh noise.
    pub(super) eta: f64,
    /// Guidance scale; null without guidance.
    pub(super) guidance_scale: Option<f64>,
    /// The type of weights and features.
    pub(super) dtype: &'static str,
    /// Images drawn at once.
    pub(super) batch_size: usize,
    /// The plan's fingerprint, or `none`.
    pub(super) plan: String,
    /// How the run that the plan was made for differs (`--force`).
    pub(super) plan_forced: Vec<String>,
    /// The program and its version.
    #[serde(rename = "software")]
    pub(super) tool: String,
}

impl Facts {
    fn entries(&self) -> Result<Map<String, Value>> {
        match serde_json::to_value(self)? {
            Value::Object(entries) => Ok(entries),
            other => bail!("expected an object, found {other}"),
        }
    }
}

/// Writes the grid as a PNG with one text chunk per fact; `software` has PNG's own keyword.
pub(super) fn png(grid: &RgbImage, facts: &Facts) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, grid.width(), grid.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    for (key, value) in facts.entries()? {
        let key = if key == "software" { "Software".to_owned() } else { key };
        let text = match value {
            Value::Null => "none".to_owned(),
            Value::String(text) => text,
            other => other.to_string(),
        };
        if text.is_ascii() {
            encoder.add_text_chunk(key, text)?;
        } else {
            encoder.add_itxt_chunk(key, text)?;
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(grid.as_raw())?;
    writer.finish()?;
    Ok(bytes)
}

/// Writes the samples as safetensors, one per row, with their seeds and (for a DiT) classes; the facts are JSON in the
/// metadata key `invardiff`.
pub(super) fn samples(samples: &ArrayD<f32>, seeds: &[u64], facts: &Facts) -> Result<Vec<u8>> {
    let values: Vec<u8> = samples.iter().flat_map(|value| value.to_le_bytes()).collect();
    let seed_bytes: Vec<u8> = seeds.iter().flat_map(|seed| seed.to_le_bytes()).collect();
    let labels: Vec<u8> = match &facts.asked {
        Asked::Classes { class_labels, .. } => {
            let labels = class_labels.iter().cycle().take(seeds.len());
            labels.flat_map(|label| (*label as u64).to_le_bytes()).collect()
        }
        Asked::Prompts { .. } => Vec::new(),
    };
    let mut views = vec![
        ("samples", TensorView::new(Dtype::F32, samples.shape().to_vec(), &values)?),
        ("seeds", TensorView::new(Dtype::U64, vec![seeds.len()], &seed_bytes)?),
    ];
    if let Asked::Classes { .. } = facts.asked {
        views.push(("class_labels", TensorView::new(Dtype::U64, vec![seeds.len()], &labels)?));
    }
    let metadata = HashMap::from([("invardiff".to_owned(), serde_json::to_string(facts)?)]);
    safetensors::serialize(views, Some(metadata)).context("safetensors")
}
