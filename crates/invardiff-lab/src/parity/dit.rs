//! One forward of a DiT, all its parts, and its trajectories.

mod forward;

use burn::tensor::Device;
use invardiff_models::Dit;
use invardiff_runtime::Full;

use super::check::Checks;
use super::compare;
use super::folder::Folder;
use super::trajectory::{Sampling, Start, respaced};
use crate::error::{Context, Result};

/// Arrays of one forward.
const FORWARD: &str = "forward.safetensors";
/// Arrays of a trajectory.
const DDIM: &str = "ddim.safetensors";
/// Tolerance of f64 tables, in which only the order of operations may differ.
const TABLES: f64 = 1e-12;

/// Compares what the folder's files hold.
///
/// # Errors
/// When the model cannot be loaded.
pub(super) fn check(folder: &Folder, device: &Device, checks: &mut Checks) -> Result<()> {
    let loaded = Dit::load(&folder.path, device).context("the weights")?;
    if folder.has(FORWARD) {
        forward::check(folder, &loaded, &folder.arrays(FORWARD)?, device, checks)?;
    }
    if folder.has(DDIM) {
        trajectories(folder, &loaded.model, device, checks)?;
    }
    Ok(())
}

fn trajectories(folder: &Folder, dit: &Dit, device: &Device, checks: &mut Checks) -> Result<()> {
    let arrays = folder.arrays(DDIM)?;
    let steps = folder.manifest().get("ddim_steps")?.count()?;
    let sampler = respaced(dit, steps).context("the sampler")?;
    let map: Vec<f64> = sampler.timestep_map().iter().map(|timestep| *timestep as f64).collect();
    compare::tables(checks, &arrays, [("timestep_map".into(), map)], compare::equal);
    let tables = sampler.schedule();
    let tables = [("betas", tables.betas()), ("alphas_cumprod", tables.alphas_cumprod())];
    let tables = tables.map(|(name, table)| (name.to_owned(), table.to_vec()));
    compare::tables(checks, &arrays, tables, |found, expected| compare::relative(found, expected, TABLES));

    let start = Start::read(&arrays, "", dit, device)?;
    let sampling = Sampling { dit, sampler: &sampler, start: &start };
    if arrays.has("latents") {
        sampling.plain(checks, "latents", &arrays, "latents", || Ok(Full));
    }
    if arrays.has("pred_x0") {
        sampling.clean(checks, "pred_x0", &arrays, "pred_x0");
    }
    if arrays.has("latents_cfg") {
        let manifests = [folder.manifest()];
        sampling.guided(checks, "latents_cfg", &arrays, "latents_cfg", &manifests, || Ok(Full));
    }
    Ok(())
}
