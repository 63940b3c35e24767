//! Weights from a file, or from a formula for tests.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;
use half::{bf16, f16};
use invardiff_plan::files;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::backbone::Backbone;
use crate::error::EvalError;

/// Named tensors in f32, in PyTorch's layout.
#[derive(Clone, Debug)]
pub struct Weights {
    origin: String,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Weights {
    /// Reads a safetensors file of f32, f16 or bf16 tensors.
    ///
    /// # Errors
    /// [`EvalError::Read`] when the file cannot be read, [`EvalError::Format`] when it is no safetensors file or has
    /// another element type.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        let refuse = |detail| EvalError::Format { path: path.to_owned(), detail };
        let bytes = files::read(path, files::TENSORS_LIMIT)
            .map_err(|source| EvalError::Read { path: path.to_owned(), source })?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| refuse(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (key, view) in file.iter().filter(|(key, _)| !is_double(key)) {
            let values = floats(&view).ok_or_else(|| {
                refuse(format!("'{key}' has element type {:?}; store it as F32, F16 or BF16", view.dtype()))
            })?;
            tensors.insert(key.to_owned(), (view.shape().to_vec(), values));
        }
        Ok(Self { origin: path.display().to_string(), tensors })
    }

    /// A named tensor's values, in row-major order.
    pub fn values(&self, key: &str) -> Option<&[f32]> {
        self.tensors.get(key).map(|(_, values)| values.as_slice())
    }

    /// These weights, if they have exactly the parameters of `backbone`.
    pub(super) fn fitting(self, backbone: Backbone) -> Result<Self, EvalError> {
        let expected: BTreeMap<String, Vec<usize>> = backbone.parameters().into_iter().collect();
        let mut wrong = Vec::new();
        for (key, shape) in &expected {
            match self.tensors.get(key) {
                None => wrong.push(format!("'{key}' is missing")),
                Some((found, _)) if found != shape => {
                    wrong.push(format!("'{key}' has shape {found:?}, expected {shape:?}"));
                }
                Some(_) => {}
            }
        }
        let unused = self.tensors.keys().filter(|key| !expected.contains_key(*key));
        wrong.extend(unused.map(|key| format!("'{key}' is not used")));
        if wrong.is_empty() {
            return Ok(self);
        }
        Err(EvalError::Weights {
            origin: self.origin,
            architecture: backbone.metric(),
            detail: wrong.join("; "),
        })
    }

    /// Moves a tensor out.
    ///
    /// # Panics
    /// When the key is not there: only for weights that [`Weights::fitting`] let through, each key once.
    pub(super) fn take(&mut self, key: &str) -> TensorData {
        let (shape, values) = self.tensors.remove(key).expect("checked against the architecture");
        TensorData::new(values, shape)
    }
}

/// Keys of the package's state dict that hold constants, or the `lin` weights a second time.
fn is_double(key: &str) -> bool {
    key.starts_with("scaling_layer.") || key.starts_with("lins.")
}

fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let halves = || view.data().as_chunks::<2>().0.iter();
    match view.dtype() {
        Dtype::F32 => {
            Some(view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        }
        Dtype::F16 => Some(halves().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect()),
        Dtype::BF16 => Some(halves().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect()),
        _ => None,
    }
}

/// Weights that stand for trained ones in tests and parity checks: tensor `i` of `parameters` is filled from a splitmix64
/// stream seeded with `seed + 1000003 (i + 1)`.
///
/// With `r` in `[-1, 1)` from the top 24 bits: keys that start with `lin` get `|r| / channels`, other kernels
/// `r sqrt(6 / fan_in)`, biases `0.05 r`.
pub fn formula_weights(parameters: &[(String, Vec<usize>)], seed: u64) -> Weights {
    let mut tensors = BTreeMap::new();
    for (number, (key, shape)) in (1_u64..).zip(parameters) {
        let mut state = seed.wrapping_add(1_000_003_u64.wrapping_mul(number));
        let fan_in = shape.iter().skip(1).product::<usize>() as f64;
        let lin = key.starts_with("lin");
        let factor = if shape.len() == 4 { (6.0 / fan_in).sqrt() as f32 } else { 0.05 };
        let value = |_| {
            let random = uniform(&mut state);
            if lin { random.abs() / fan_in as f32 } else { random * factor }
        };
        let values = (0..shape.iter().product::<usize>()).map(value).collect();
        tensors.insert(key.clone(), (shape.clone(), values));
    }
    Weights { origin: format!("the formula weights of seed {seed}"), tensors }
}

/// The next number of a splitmix64 stream, in `[-1, 1)`.
fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 40) as f32 / (1_u32 << 24) as f32 * 2.0 - 1.0
}
