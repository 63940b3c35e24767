//! Whole trajectories: 20 DDIM steps, to 1e-4 of the largest value.

use burn::tensor::Tensor;
use invardiff_models::Dit;
use invardiff_runtime::{BatchedGuidance, Ddim, Denoiser, Full, Spacing, sample_with};

use crate::fixture::{Dump, data, device, difference, largest, manifest, within};

const FOLDERS: [&str; 2] = ["dit_tiny", "dit_trained"];

fn load(folder: &str) -> (Dit, Dump, Ddim) {
    let dit = Dit::load(data(folder), &device()).unwrap().model;
    let config = dit.config();
    let steps = manifest(folder, "ddim_steps") as usize;
    let sampler =
        Ddim::new(&config.noise_schedule().unwrap(), Spacing::Respaced, steps, config.prediction_type)
            .unwrap();
    (dit, Dump::open(&data(folder).join("ddim.safetensors")), sampler)
}

/// Compares the sample after every step with row `k` of `key`, of which the first rows of the batch are taken.
fn trajectory<M: Denoiser<4>>(what: &str, model: &M, sampler: &Ddim, dump: &Dump, key: &str, cond: &M::Cond) {
    let expected: Tensor<5> = dump.tensor(key);
    let z: Tensor<4> = dump.tensor("z");
    let [batch, ..] = z.dims();
    let scale = largest(expected.clone());
    let mut worst = 0f32;
    sample_with(model, sampler, &mut Full, z, cond, |_, step, x| {
        let row = expected.clone().narrow(0, step, 1).squeeze_dim::<4>(0).narrow(0, 0, batch);
        worst = worst.max(difference(x.clone(), row) / scale);
    });
    within(what, worst, 1e-4);
}

#[test]
fn without_guidance() {
    for folder in FOLDERS {
        let (dit, dump, sampler) = load(folder);
        trajectory(&format!("{folder} ddim"), &dit, &sampler, &dump, "latents", &dump.labels("y"));
    }
}

#[test]
fn with_guidance() {
    for folder in FOLDERS {
        let (dit, dump, sampler) = load(folder);
        let scale = manifest(folder, "cfg_scale") as f32;
        let channels = Some(manifest(folder, "cfg_channels") as usize);
        let guided = BatchedGuidance { model: dit, scale, channels };
        let labels = dump.labels("y_cfg");
        trajectory(&format!("{folder} guided ddim"), &guided, &sampler, &dump, "latents_cfg", &labels);
    }
}
