//! Clean samples with their subjects, on which routers are trained.

use std::path::Path;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use invardiff::{Caching, Sampling};
use invardiff_calib::Example;
use invardiff_models::DitConfig;
use invardiff_plan::core::SplitMix64;
use invardiff_plan::files;
use invardiff_runtime::Sampler;
use safetensors::{Dtype, SafeTensors};

use crate::error::{Context, Result, ensure, unfit};

/// Samples without noise, and the subject of each: a class, a prompt.
#[derive(Clone, Debug)]
pub struct ExampleSet<const D: usize, S> {
    /// The model's samples, one row per example.
    samples: Tensor<D>,
    subjects: Vec<S>,
    /// Their origin, in words.
    pub origin: String,
}

impl<const D: usize, S: Clone> ExampleSet<D, S> {
    /// Samples that a pipeline draws itself, of its subjects in turn, from the noise of `seed` on. `progress` is called
    /// after each batch of [`default_batch`](invardiff::Subjects::default_batch).
    ///
    /// # Errors
    /// As [`Caching::generate`].
    pub fn draw<P: Caching<D, Subject = S>>(
        pipeline: &P,
        count: usize,
        seed: u64,
        progress: &dyn Fn(),
    ) -> Result<Self> {
        ensure!(count > 0, "no example to draw");
        let subjects: Vec<S> = (0..count).map(|image| pipeline.subject(image)).collect();
        let seeds: Vec<u64> = (0..count as u64).map(|image| seed.wrapping_add(image)).collect();
        let (batch, mut drawn) = (pipeline.default_batch().max(1), Vec::new());
        for (subjects, seeds) in subjects.chunks(batch).zip(seeds.chunks(batch)) {
            drawn.push(pipeline.generate(subjects, seeds)?);
            progress();
        }
        let steps = pipeline.sampler().steps();
        let origin = format!("{count} images that the model drew itself ({steps} steps, from seed {seed})");
        Ok(Self { samples: Tensor::cat(drawn, 0), subjects, origin })
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.subjects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// A batch drawn with replacement from `seed`, conditioned as `pipeline` is. Each subject is replaced by
    /// the [null subject](invardiff::Subjects::null_subject) with probability `dropout`, where the model has one.
    ///
    /// # Errors
    /// When the model does not know a subject.
    pub fn batch<P: Sampling<D, Subject = S>>(
        &self,
        pipeline: &P,
        seed: u64,
        size: usize,
        dropout: f64,
    ) -> Result<Example<D, P::Cond>> {
        let mut draws = SplitMix64::seeded(seed);
        let (mut rows, mut subjects) = (Vec::<u32>::new(), Vec::new());
        for _ in 0..size {
            let chosen = draws.below(self.len());
            let dropped = draws.unit() < dropout;
            let null = pipeline.null_subject().filter(|_| dropped);
            rows.push(chosen as u32);
            subjects.push(null.unwrap_or_else(|| self.subjects[chosen].clone()));
        }
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [size]), pipeline.device());
        Ok(Example { clean: self.samples.clone().select(0, rows), cond: pipeline.condition(&subjects)? })
    }
}

impl ExampleSet<4, usize> {
    /// The samples that `generate --out FILE.safetensors` writes, or any file with f32 `samples`, `[count, channels, height,
    /// width]` in the model's own values, and u64 or i64 `class_labels`, `[count]`.
    ///
    /// # Errors
    /// When the file cannot be read, lacks a tensor, or does not fit the model; names file and tensor.
    pub fn read(path: &Path, config: &DitConfig, device: &Device) -> Result<Self> {
        let file = path.display().to_string();
        let bytes = files::read(path, files::TENSORS_LIMIT).with_context(|| file.clone())?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| unfit!("{file}: no whole safetensors file: {error}"))?;
        let get = |name: &str| tensors.tensor(name).map_err(|_| unfit!("{file}: '{name}' is missing"));
        let (samples, labels) = (get("samples")?, get("class_labels")?);
        let count = samples.shape().first().copied().unwrap_or(0);
        let shape = [count, config.in_channels, config.input_size, config.input_size];
        ensure!(
            samples.dtype() == Dtype::F32 && samples.shape() == shape && count > 0,
            "{file}: 'samples' is {:?} of shape {:?}, expected F32 of shape [1 or more, {}, {}, {}]",
            samples.dtype(),
            samples.shape(),
            shape[1],
            shape[2],
            shape[3]
        );
        ensure!(
            matches!(labels.dtype(), Dtype::U64 | Dtype::I64) && labels.shape() == [count],
            "{file}: 'class_labels' is {:?} of shape {:?}, expected U64 or I64 of shape [{count}]",
            labels.dtype(),
            labels.shape(),
        );
        let values: Vec<f32> =
            samples.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let labels = labels.data().as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        if let Some(label) = labels.clone().find(|label| *label > config.num_classes as u64) {
            let last = config.num_classes - 1;
            return Err(unfit!("{file}: class {label}: the model has classes 0 to {last}"));
        }
        let subjects: Vec<usize> = labels.map(|label| label as usize).collect();
        let samples = Tensor::from_data(TensorData::new(values, shape), (device, DType::F32));
        Ok(Self { samples, subjects, origin: format!("{count} samples of {file}") })
    }
}
