//! Whether a run fits into memory.

use burn::tensor::Device;

use super::run::RunRequest;
use crate::device::on_processor;
use crate::memory::{MemoryNeed, NoRoom, available};

/// What a pipeline is opened for, on which the memory depends that it will take.
#[derive(Clone, Copy, Debug)]
pub enum Use {
    /// To draw, with this many images per batch.
    Draw {
        /// Images at once.
        batch: usize,
    },
    /// To calibrate, as many runs at a time as the device takes.
    Calibrate,
}

/// The table of what a run takes, with what there is: what the request allows, or what the system has available for the processor.
/// How much of a card's memory is free is not known.
///
/// # Errors
/// [`NoRoom`] when that is less than the run takes.
pub(super) fn room(request: &RunRequest, device: &Device, need: &MemoryNeed) -> Result<String, NoRoom> {
    let there = || if on_processor(device) { available() } else { None };
    let limit = request.memory_limit.or_else(there);
    need.check(limit)?;
    Ok(need.table(limit))
}
