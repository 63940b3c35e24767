//! How weights are loaded.

use std::path::PathBuf;

use burn::tensor::DType;

/// How weights are loaded.
///
/// ```
/// use burn::tensor::DType;
/// use invardiff_models::{LoadOptions, Lora};
///
/// let style = Lora::new("style.safetensors", 0.8);
/// let options = LoadOptions::default().with_dtype(DType::BF16).with_loras(vec![style]);
/// assert_eq!(options.loras[0].scale, 0.8);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The element type that weights are cast to, a float type of the device. The default is f32.
    pub dtype: DType,
    /// LoRA files that are merged into the weights. The default is none.
    pub loras: Vec<Lora>,
    /// The section of a training file to read, such as `ema`. By default the averaged weights, or the only ones.
    pub section: Option<String>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { dtype: DType::F32, loras: Vec::new(), section: None }
    }
}

impl LoadOptions {
    /// Casts the weights to `dtype`, a float type of the device.
    pub fn with_dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// Reads this section of a training file: its name, or one of the words between the dots of its name.
    pub fn with_section(mut self, section: impl Into<String>) -> Self {
        self.section = Some(section.into());
        self
    }

    /// Merges these LoRA files into the weights.
    pub fn with_loras(mut self, loras: Vec<Lora>) -> Self {
        self.loras = loras;
        self
    }
}

/// A LoRA file and its strength.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Lora {
    /// The file, or a folder with `adapter_model.safetensors` or `pytorch_lora_weights.safetensors`.
    pub path: PathBuf,
    /// The factor of the change: 1 is the strength of the training, 0 changes nothing.
    pub scale: f32,
}

impl Lora {
    /// A file at this strength.
    pub fn new(path: impl Into<PathBuf>, scale: f32) -> Self {
        Self { path: path.into(), scale }
    }
}
