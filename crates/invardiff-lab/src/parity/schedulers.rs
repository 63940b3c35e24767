//! Samplers: their tables, their steps from stored predictions, and whole trajectories.

mod ddim;
mod dpm;
mod entry;
mod flow;

use burn::tensor::Device;

use super::check::Checks;
use super::folder::Folder;
use crate::error::Result;

/// Compares whatever samplers the manifest lists.
///
/// # Errors
/// When a file that the manifest lists cannot be read.
pub(super) fn check(folder: &Folder, device: &Device, checks: &mut Checks) -> Result<()> {
    if let Some(ddim) = folder.manifest().find("ddim") {
        ddim::check(&ddim, &folder.arrays("ddim.safetensors")?, device, checks)?;
    }
    if let Some(cases) = folder.manifest().find("dpm") {
        dpm::check(&cases.items()?, &folder.arrays("dpm.safetensors")?, device, checks);
    }
    if let Some(cases) = folder.manifest().find("flow") {
        flow::check(&cases.items()?, &folder.arrays("flow.safetensors")?, device, checks);
    }
    Ok(())
}
