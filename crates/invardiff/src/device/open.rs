//! A device in use.

use std::ops::Deref;

use burn::tensor::{DType, Device, Tensor};

use super::choice::DeviceChoice;
use super::found::{DeviceKind, Found};
use crate::error::{Error, Result};
use crate::fault::caught;

/// A device that computes. When it goes, it is waited for: a driver that is still at work when the process ends may take the
/// process with it.
#[derive(Debug)]
pub struct OpenDevice {
    device: Device,
    choice: DeviceChoice,
    kind: DeviceKind,
    notes: Vec<String>,
}

impl OpenDevice {
    /// The processor.
    pub fn processor() -> Self {
        Self {
            device: Device::flex(),
            choice: DeviceChoice::Cpu,
            kind: DeviceKind::Processor,
            notes: Vec::new(),
        }
    }

    /// A device that was found, once it has computed something.
    ///
    /// # Errors
    /// When it does not, with what its driver said.
    pub(super) fn tried(found: Found) -> Result<Self> {
        let device = found.device.clone();
        caught(|| try_out(&device))??;
        Ok(Self { device, choice: found.choice(), kind: found.kind, notes: Vec::new() })
    }

    pub(super) fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }

    /// Why this device and no other, where a better one is there and does not compute; one line per device passed over.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The choice that opens it again; never [`DeviceChoice::Auto`].
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
        self.device.sync().map_err(|error| Error::device(format_args!("{} failed", self.choice), error))
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
    let data = sum.try_into_data().map_err(|error| Error::device("reading a result", error))?;
    let found = data.convert::<f32>().try_to_vec::<f32>();
    let found = found.map_err(|error| Error::device("reading a result", error))?;
    if found == [2.0; 4] {
        return Ok(());
    }
    Err(Error::Device(format!("1 + 1 is {found:?} there")))
}
