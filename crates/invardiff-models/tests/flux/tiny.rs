//! The stored tiny model.

use std::path::PathBuf;

use burn::tensor::Tensor;
use invardiff_models::{Canvas, Flux, FluxCond, Loaded};

use crate::fixture::{Dump, data, device};

/// The same weights under the names of diffusers and under the original ones.
pub(crate) const FILES: [&str; 2] = ["diffusion_pytorch_model.safetensors", "bfl.safetensors"];

pub(crate) const CANVAS: Canvas = Canvas { rows: 4, columns: 6, text_tokens: 7 };

pub(crate) fn folder() -> PathBuf {
    data("flux_tiny")
}

pub(crate) fn load(file: &str) -> Loaded<Flux> {
    Flux::load(folder().join(file), &device()).unwrap()
}

/// The model of a file, for the stored inputs.
pub(crate) fn model(file: &str) -> Flux {
    load(file).model.with_canvas(CANVAS)
}

/// The stored results of one forward.
pub(crate) fn dump() -> Dump {
    Dump::open(&folder().join("forward.safetensors"))
}

/// The stored condition under a prefix, with or without the guidance scales.
pub(crate) fn cond(flux: &Flux, dump: &Dump, prefix: &str, guidance: bool) -> FluxCond {
    let scales = values(dump, &format!("{prefix}guidance"));
    let text = dump.tensor(&format!("{prefix}encoder_hidden_states"));
    let pooled = dump.tensor(&format!("{prefix}pooled_projections"));
    flux.cond_by_row(text, pooled, guidance.then_some(scales.as_slice())).unwrap()
}

/// The stored one-dimensional values of a key.
pub(crate) fn values(dump: &Dump, key: &str) -> Vec<f32> {
    crate::fixture::values(dump.flat(key))
}

/// The prediction for the stored input.
pub(crate) fn output(flux: &Flux, dump: &Dump) -> Tensor<3> {
    let cond = cond(flux, dump, "", flux.config().guidance_embeds);
    let x: Tensor<3> = dump.tensor("hidden_states");
    flux.forward(&mut invardiff_runtime::Full, x.cast(flux.dtype()), dump.flat("timestep"), &cond)
}
