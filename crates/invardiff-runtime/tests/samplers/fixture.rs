//! Reading the stored files, and comparing with them.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use invardiff_runtime::{Ddim, NoiseSchedule, OutputForm, Sampler, Spacing};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

pub(crate) const FORMS: [OutputForm; 3] = [OutputForm::X0, OutputForm::Epsilon, OutputForm::Velocity];

pub(crate) fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/schedulers").join(name)
}

pub(crate) fn manifest() -> Value {
    serde_json::from_slice(&std::fs::read(data("manifest.json")).unwrap()).unwrap()
}

/// A fixture file, every number as f64.
pub(crate) struct Fixture(Vec<u8>);

impl Fixture {
    pub(crate) fn open(name: &str) -> Self {
        Self(std::fs::read(data(name)).unwrap())
    }

    pub(crate) fn values(&self, key: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(key).unwrap();
        let bytes = view.data();
        match view.dtype() {
            Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect(),
            Dtype::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            other => panic!("{key} is {other:?}"),
        }
    }

    /// The tensor, or row `row` of its first axis.
    pub(crate) fn row(&self, key: &str, row: Option<usize>, width: usize) -> Vec<f64> {
        let values = self.values(key);
        row.map_or(values.clone(), |row| values[row * width..(row + 1) * width].to_vec())
    }
}

pub(crate) fn tensor(values: &[f64]) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let shape = [1, values.len()];
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

pub(crate) fn read<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}

/// Largest difference, as a fraction of the largest expected value.
pub(crate) fn error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(found.iter().all(|value| value.is_finite()));
    worst / largest
}

/// Largest relative difference, element by element.
pub(crate) fn relative(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let one = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { (a - b).abs() / b.abs() };
    found.iter().zip(expected).map(one).fold(0.0, f64::max)
}

pub(crate) fn check(what: &str, error: f64, tolerance: f64) {
    println!("{what}: {error:.2e} (tolerance {tolerance:.0e})");
    assert!(error <= tolerance, "{what}: {error:e} is above {tolerance:e}");
}

pub(crate) fn timesteps(values: &[f64]) -> Vec<usize> {
    values.iter().map(|value| *value as usize).collect()
}

pub(crate) fn dit(steps: usize, prediction: OutputForm) -> Ddim {
    Ddim::new(&NoiseSchedule::dit(), Spacing::Respaced, steps, prediction).unwrap()
}

/// The next sample of a sampler without memory of earlier steps, or from the first of them.
pub(crate) fn advance<S: Sampler<2>>(
    sampler: &S,
    step: usize,
    x: &Tensor<2>,
    prediction: Tensor<2>,
) -> Tensor<2> {
    sampler.advance(&mut sampler.start(), step, x.clone(), prediction)
}
