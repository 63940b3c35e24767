//! The embedded model twice: on the processor and on the device.

use std::path::PathBuf;

use invardiff::fault::caught;
use invardiff::{ClassToImage, Embedded, OpenDevice, Sampling, SamplingOptions};
use invardiff_runtime::Sampler;

use crate::error::Result;

/// How much is computed.
#[derive(Clone, Debug)]
pub struct Amounts {
    /// Trajectories of the calibration.
    pub runs: usize,
    /// Steps of all trajectories.
    pub num_inference_steps: usize,
    /// Images that are compared.
    pub images: usize,
    /// The seed of the first run.
    pub seed: u64,
    /// Batch, heads, tokens and channels of a head of the attention that is compared.
    pub attention: [usize; 4],
    /// Folders of arrays to compare networks with.
    pub fixtures: Vec<PathBuf>,
}

/// The embedded model on the processor and on the device.
pub(super) struct Pair<'a> {
    pub(super) amounts: &'a Amounts,
    pub(super) processor: ClassToImage,
    pub(super) device: ClassToImage,
}

impl<'a> Pair<'a> {
    /// Loads the model on both.
    ///
    /// # Errors
    /// When it does not load.
    pub(super) fn open(device: &OpenDevice, amounts: &'a Amounts) -> Result<Self> {
        let options = SamplingOptions {
            num_inference_steps: amounts.num_inference_steps,
            ..SamplingOptions::default()
        };
        let on = |device: &OpenDevice| ClassToImage::new(Embedded::Fashion.load(device)?, options, device);
        let loaded = caught(|| on(device))??;
        Ok(Self { amounts, processor: on(&OpenDevice::processor())?, device: loaded })
    }

    /// The classes of `count` trajectories, in turns.
    pub(super) fn classes(&self, count: usize) -> Vec<usize> {
        (0..count).map(|index| index % self.processor.model().config().num_classes).collect()
    }

    /// The steps of a trajectory.
    pub(super) fn steps(&self) -> usize {
        self.processor.sampler().steps()
    }
}
