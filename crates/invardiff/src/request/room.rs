//! Whether a run fits into memory.

use burn::tensor::Device;
use invardiff::{MemoryNeed, NoRoom, available, on_processor};

use super::resolve::RunRequest;

/// What a pipeline is opened for.
#[derive(Clone, Copy, Debug)]
pub enum Use {
    /// To draw, with this many images per batch.
    Draw {
        /// Images at once.
        batch: usize,
    },
    /// To calibrate, one run at a time.
    Calibrate,
}

/// The table of what a run takes, with what there is: what the flag allows, or what the system has available for the processor. How
/// much of a card's memory is free is not known.
///
/// # Errors
/// [`NoRoom`] when that is less than the run takes.
pub(super) fn room(request: &RunRequest<'_>, device: &Device, need: &MemoryNeed) -> Result<String, NoRoom> {
    let there = || if on_processor(device) { available() } else { None };
    let limit = request.prompts.memory_limit.or_else(there);
    need.check(limit)?;
    Ok(need.table(limit))
}
