//! The embedded models draw what they drew where they were trained.
//!
//! `tests/data/*-check.safetensors` hold the first two rows of the checks that came with the weights, computed there in f32
//! from the same f16 weights: noise, labels, one forward at t = 500, and DDIM-50 with guidance 2 after some steps.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use invardiff::{Calibrating, ClassToImage, Embedded, NamedDit, Sampling, SamplingOptions};
use invardiff_runtime::{Denoiser, Full, sample_with};
use safetensors::SafeTensors;

/// A single forward, absolute; the fixtures' tolerance.
const FORWARD: f32 = 1e-5;
/// A trajectory, relative to its largest value; the fixtures' tolerance.
const TRAJECTORY: f32 = 1e-4;

struct Check {
    bytes: Vec<u8>,
}

impl Check {
    fn read(model: Embedded) -> Self {
        let name = format!("tests/data/{}-check.safetensors", model.name());
        Self { bytes: std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap() }
    }

    fn floats(&self, key: &str) -> (Vec<f32>, Vec<usize>) {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(key).unwrap();
        let values = view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        (values.collect(), view.shape().to_vec())
    }

    fn labels(&self) -> Vec<usize> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor("y").unwrap();
        let values = view.data().chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()));
        values.map(|label| usize::try_from(label).unwrap()).collect()
    }
}

/// The largest difference, and the largest value of what is expected.
fn difference(found: Tensor<4>, expected: &[f32]) -> (f32, f32) {
    let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
    assert_eq!(found.len(), expected.len());
    let most = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    (found.iter().zip(expected).fold(0.0, |most, (a, b)| most.max((a - b).abs())), most)
}

fn holds(model: Embedded) {
    let device = Device::flex();
    let check = Check::read(model);
    let pipeline = ClassToImage::new(
        NamedDit::open(model.name(), &device).unwrap(),
        SamplingOptions::default(),
        &device,
    )
    .unwrap();
    let (z, shape) = check.floats("z");
    let z: Tensor<4> = Tensor::from_data(TensorData::new(z, shape), &device);

    let plain = pipeline.unguided().expect("guidance of a DiT can be left out");
    let cond = plain.condition(&check.labels()).unwrap();
    let out = plain.denoiser().predict(&mut Full, z.clone(), 500.0, &cond);
    let (error, _) = difference(out, &check.floats("t500.out").0);
    assert!(error <= FORWARD, "{}: forward differs by {error}", model.name());

    let cond = pipeline.condition(&check.labels()).unwrap();
    let mut compared = 0;
    sample_with(pipeline.denoiser(), pipeline.sampler(), &mut Full, z, &cond, |_, step, x| {
        let key = match step + 1 {
            10 => "ddim50.step10",
            25 => "ddim50.step25",
            50 => "ddim50.final",
            _ => return,
        };
        let (error, most) = difference(x.clone(), &check.floats(key).0);
        assert!(error <= TRAJECTORY * most, "{}: {key} differs by {error} of {most}", model.name());
        compared += 1;
    });
    assert_eq!(compared, 3);
}

#[test]
fn fashion_draws_what_it_drew() {
    holds(Embedded::Fashion);
}

#[test]
fn emoji_draws_what_it_drew() {
    holds(Embedded::Emoji);
}
