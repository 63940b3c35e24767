//! Whole trajectories, compared after every step.

use burn::tensor::{Device, Int, Tensor};
use invardiff_models::Dit;
use invardiff_runtime::{
    BatchedGuidance, Ddim, Denoiser, Event, Observed, Policy, Site, Spacing, sample_with,
};
use ndarray::{ArrayD, Axis, Slice};

use super::arrays::Arrays;
use super::check::Checks;
use super::compare::{stacked, trajectory, values};
use super::folder::Entry;
use super::guidance::{BothHalves, GUIDED_CHANNELS};
use crate::error::{Result, ensure, unfit};

/// The guidance of a fixture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guidance {
    /// The scale.
    pub(crate) scale: f32,
    /// How many leading channels are guided.
    pub(crate) channels: usize,
}

impl Guidance {
    /// Reads the first manifest that has it: `cfg_scale`, and `cfg_channels` or else the original code's number.
    ///
    /// # Errors
    /// When none has a scale, or a value is not a number.
    pub(crate) fn of(manifests: &[Entry<'_>]) -> Result<Self> {
        let find = |key: &str| manifests.iter().find_map(|manifest| manifest.find(key));
        let scale = match (find("cfg_scale"), manifests) {
            (Some(scale), _) => scale.number()?,
            (None, [first, ..]) => first.get("cfg_scale")?.number()?,
            (None, []) => 1.0,
        };
        let channels = find("cfg_channels").map_or(Ok(GUIDED_CHANNELS), |channels| channels.count())?;
        ensure!(channels > 0, "cfg_channels is 0, expected at least 1");
        Ok(Self { scale: scale as f32, channels })
    }
}

/// Noise and labels of a trajectory: arrays `z`, `y` and `y_cfg` of a file.
pub(crate) struct Start {
    /// `[batch, channels, size, size]`
    z: Tensor<4>,
    /// `[batch]`
    y: Tensor<1, Int>,
    /// `[2 * batch]`, conditional rows first; where the file has it.
    y_cfg: Option<Tensor<1, Int>>,
}

/// A model, its sampler and where it starts.
pub(crate) struct Sampling<'a> {
    pub(crate) dit: &'a Dit,
    pub(crate) sampler: &'a Ddim,
    pub(crate) start: &'a Start,
}

impl Start {
    /// Reads `{prefix}z`, `{prefix}y` and, if it is there, `{prefix}y_cfg`.
    ///
    /// # Errors
    /// When one is missing or does not fit the model.
    pub(crate) fn read(arrays: &Arrays, prefix: &str, dit: &Dit, device: &Device) -> Result<Self> {
        let (key, config) = (format!("{prefix}z"), dit.config());
        let batch = arrays.shape(&key)?.first().copied().unwrap_or(0);
        ensure!(batch > 0, "{}: '{key}' has no row", arrays.file);
        let (channels, size) = (config.in_channels, config.input_size);
        let z = arrays.tensor(&key, [batch, channels, size, size], device)?;
        let y = labels(arrays, &format!("{prefix}y"), batch, dit, device)?;
        let guided = format!("{prefix}y_cfg");
        let y_cfg =
            arrays.has(&guided).then(|| labels(arrays, &guided, 2 * batch, dit, device)).transpose()?;
        Ok(Self { z, y, y_cfg })
    }

    fn guided_labels(&self) -> Result<&Tensor<1, Int>> {
        self.y_cfg.as_ref().ok_or_else(|| unfit!("the labels of both halves ('y_cfg') are missing"))
    }
}

/// A list of labels, each one of the model's.
///
/// # Errors
/// When it is missing, or has other than `batch` labels that the model knows.
pub(crate) fn labels(
    arrays: &Arrays,
    key: &str,
    batch: usize,
    dit: &Dit,
    device: &Device,
) -> Result<Tensor<1, Int>> {
    let labels = arrays.indices(key)?;
    ensure!(
        labels.len() == batch,
        "{}: '{key}' has {} labels for a batch of {batch}",
        arrays.file,
        labels.len()
    );
    Ok(dit.labels(&labels, device)?)
}

/// The sampler of a DiT as its authors use it.
///
/// # Errors
/// When the training's schedule cannot be cut into so many steps.
pub(crate) fn respaced(dit: &Dit, steps: usize) -> Result<Ddim> {
    let config = dit.config();
    Ok(Ddim::new(&config.noise_schedule()?, Spacing::Respaced, steps, config.prediction_type)?)
}

impl Sampling<'_> {
    /// Compares the samples after every step with `key`, `[steps, batch, ...]`.
    pub(crate) fn plain<P: Policy>(
        &self,
        checks: &mut Checks,
        name: &str,
        arrays: &Arrays,
        key: &str,
        policy: impl FnOnce() -> Result<P>,
    ) {
        checks.run(name, || {
            let expected = self.stored(arrays, key, &[1])?;
            let found = self.run(self.dit, policy()?, &self.start.z, &self.start.y)?;
            trajectory(&found, &expected)
        });
    }

    /// Compares guided samples with `key`: `[steps, batch, ...]`, or with the unconditional half after the conditional one,
    /// `[steps, 2 * batch, ...]`.
    pub(crate) fn guided<P: Policy>(
        &self,
        checks: &mut Checks,
        name: &str,
        arrays: &Arrays,
        key: &str,
        manifests: &[Entry<'_>],
        policy: impl Fn() -> Result<P>,
    ) {
        let both = arrays.shape(key).is_ok_and(|shape| shape.get(1) == Some(&(2 * self.batch())));
        checks.run(name, || {
            let Guidance { scale, channels } = Guidance::of(manifests)?;
            let model = BatchedGuidance { model: self.dit.clone(), scale, channels: Some(channels) };
            let found = self.run(&model, policy()?, &self.start.z, self.start.guided_labels()?)?;
            let measured = trajectory(&found, &self.half(arrays, key, 0)?)?;
            Ok(if both { measured.with_note("conditional rows") } else { measured })
        });
        if both {
            checks.run(format!("{name}, other half"), || {
                let Guidance { scale, channels } = Guidance::of(manifests)?;
                let model = BothHalves { dit: self.dit.clone(), scale, channels };
                let z = Tensor::cat(vec![self.start.z.clone(); 2], 0);
                let found = self.run(&model, policy()?, &z, self.start.guided_labels()?)?;
                let measured = trajectory(&rows(&found, 1, self.batch()), &self.half(arrays, key, 1)?)?;
                Ok(measured.with_note("unconditional rows"))
            });
        }
    }

    /// Compares the clean samples predicted at every step with `key`, `[steps, batch, ...]`.
    pub(crate) fn clean(&self, checks: &mut Checks, name: &str, arrays: &Arrays, key: &str) {
        checks.run(name, || {
            let expected = self.stored(arrays, key, &[1])?;
            let mut predictions = Vec::new();
            let mut policy = Observed::new(invardiff_runtime::Full, |_, site, event: Event<'_>| {
                if let (Site::OUTPUT, Event::Computed([prediction])) = (site, event) {
                    predictions.push(prediction.clone());
                }
            });
            let mut samples = vec![self.start.z.clone()];
            let (z, y) = (self.start.z.clone(), &self.start.y);
            sample_with(self.dit, self.sampler, &mut policy, z, y, |_, _, x| samples.push(x.clone()));
            let each = samples.into_iter().zip(predictions).enumerate().map(|(step, (x, prediction))| {
                let prediction = prediction.reshape(x.dims());
                values(self.sampler.split(step, x, prediction).0)
            });
            trajectory(&stacked(&each.collect::<Vec<_>>())?, &expected)
        });
    }

    fn batch(&self) -> usize {
        self.start.z.dims()[0]
    }

    /// The sample after every step, `[steps, batch, ...]`.
    fn run<M: Denoiser<4>, P: Policy>(
        &self,
        model: &M,
        mut policy: P,
        z: &Tensor<4>,
        cond: &M::Cond,
    ) -> Result<ArrayD<f64>> {
        let mut samples = Vec::new();
        sample_with(model, self.sampler, &mut policy, z.clone(), cond, |_, _, x| {
            samples.push(values(x.clone()));
        });
        stacked(&samples)
    }

    /// A stored trajectory whose batch is this many times that of the noise.
    fn stored(&self, arrays: &Arrays, key: &str, multiples: &[usize]) -> Result<ArrayD<f64>> {
        let [batch, channels, height, width] = self.start.z.dims();
        let found = arrays.shape(key)?;
        let fitting =
            multiples.iter().map(|times| [self.sampler.steps(), times * batch, channels, height, width]);
        let expected: Vec<_> = fitting.collect();
        ensure!(
            expected.iter().any(|shape| shape == found),
            "{}: '{key}' has shape {found:?}, expected {}",
            arrays.file,
            expected.iter().map(|shape| format!("{shape:?}")).collect::<Vec<_>>().join(" or ")
        );
        arrays.get(key)
    }

    fn half(&self, arrays: &Arrays, key: &str, half: usize) -> Result<ArrayD<f64>> {
        Ok(rows(&self.stored(arrays, key, &[1, 2])?, half, self.batch()))
    }
}

/// The `half`-th `batch` rows of `[steps, rows, ...]`.
fn rows(all: &ArrayD<f64>, half: usize, batch: usize) -> ArrayD<f64> {
    all.slice_axis(Axis(1), Slice::from(half * batch..(half + 1) * batch)).to_owned()
}
