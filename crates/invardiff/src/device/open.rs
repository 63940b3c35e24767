//! A device in use.

use std::ops::Deref;

use anyhow::{Context, Result, anyhow, ensure};
use burn::tensor::{DType, Device, Tensor};

use super::{DeviceChoice, DeviceKind, Found};
use crate::fault::caught;

/// A device that computes. When it goes, it is waited for: a driver that is still at work when the process ends may take the
/// process with it.
#[derive(Debug)]
pub struct OpenDevice {
    device: Device,
    choice: DeviceChoice,
    kind: DeviceKind,
}

impl OpenDevice {
    /// The processor.
    pub fn processor() -> Self {
        Self { device: Device::flex(), choice: DeviceChoice::Cpu, kind: DeviceKind::Processor }
    }

    /// A device that was found, once it has computed something.
    ///
    /// # Errors
    /// When it does not, with what its driver said.
    pub(super) fn tried(found: Found) -> Result<Self> {
        let device = found.device.clone();
        caught(|| try_out(&device)).map_err(|fault| anyhow!(fault.into_message())).flatten()?;
        Ok(Self { device, choice: found.choice(), kind: found.kind })
    }

    /// What `--device` takes for it; never `auto`.
    pub fn choice(&self) -> DeviceChoice {
        self.choice
    }

    /// What it is.
    pub fn kind(&self) -> DeviceKind {
        self.kind
    }

    /// The device's own name, where it has one.
    pub fn model(&self) -> Option<String> {
        model(&self.device)
    }

    /// Its name here and its own: `wgpu:0 (llvmpipe)`.
    pub fn describe(&self) -> String {
        match self.model() {
            Some(model) => format!("{} ({model})", self.choice),
            None => self.choice.to_string(),
        }
    }

    /// Waits until everything asked of it is done.
    ///
    /// # Errors
    /// When something that was asked of it failed.
    pub fn wait(&self) -> Result<()> {
        self.device.sync().with_context(|| format!("{} failed", self.choice))
    }
}

impl Deref for OpenDevice {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

impl Drop for OpenDevice {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What failed was reported where its result was read.
            self.device.sync().ok();
        }
    }
}

/// Whether a device is the processor. There, runs are worth spreading over threads; elsewhere they would share one queue.
pub fn on_processor(device: &Device) -> bool {
    *device == Device::flex()
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn model(device: &Device) -> Option<String> {
    device.identity().map(|identity| identity.name)
}

#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
fn model(_: &Device) -> Option<String> {
    None
}

/// A few numbers there and back, through a kernel.
fn try_out(device: &Device) -> Result<()> {
    let sum = Tensor::<1>::ones([4], (device, DType::F32)) + 1.0;
    let found =
        sum.try_into_data()?.convert::<f32>().try_to_vec::<f32>().map_err(|error| anyhow!("{error:?}"))?;
    ensure!(found == [2.0; 4], "1 + 1 is {found:?} there");
    Ok(())
}
