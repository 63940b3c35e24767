//! The measurements that `TeaCache` and `MagCache`, rules of `BlockSkip`, are calibrated from.

use burn::tensor::{DType, Tensor};
use invardiff_plan::methods::magcache::Magnitudes;
use invardiff_plan::methods::teacache::TeaCacheFit;
use invardiff_plan::{PlanError, Site};
use invardiff_runtime::{
    Block, BlockAction, Executor, Feature, Pass, Policy, Sampler, relative_change, sample,
};

use crate::error::CalibError;
use crate::readings::Readings;
use crate::session::{Session, SharedDenoiser};

/// How one uncached trajectory changes from step to step: entry `k` compares step `k` with step `k - 1`, the first step
/// with nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Relative change of the first block's modulated input, as [`relative_change`] has it; the first entry is 0.
    pub modulated: Vec<f64>,
    /// Relative change of the network's output after guidance, in the form that the model predicts; the first entry is 0.
    pub output: Vec<f64>,
    /// Mean over tokens of the L2 norm of what all blocks add, over that of the step before; the first entry is 1.
    pub magnitude: Vec<f64>,
}

impl Changes {
    /// `TeaCache`'s polynomial for these trajectories: from the modulated input's change to the output's, over all steps but
    /// the first of each.
    ///
    /// # Errors
    /// As [`TeaCacheFit::of`].
    pub fn teacache(runs: &[Self]) -> Result<TeaCacheFit, PlanError> {
        let pairs = |run: &Self| {
            run.modulated.iter().copied().zip(run.output.iter().copied()).skip(1).collect::<Vec<_>>()
        };
        TeaCacheFit::of(&runs.iter().flat_map(pairs).collect::<Vec<_>>())
    }

    /// `MagCache`'s ratios: the mean over trajectories.
    pub fn magnitudes(runs: &[Self]) -> Magnitudes {
        let steps = runs.iter().map(|run| run.magnitude.len()).min().unwrap_or(0);
        let mean = |step: usize| runs.iter().map(|run| run.magnitude[step]).sum::<f64>() / runs.len() as f64;
        Magnitudes { ratios: (0..steps).map(mean).collect() }
    }
}

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Session<'_, D, M, S> {
    /// Measures how the uncached trajectories change, along the conditional pass where guidance takes two: what `TeaCache`
    /// and `MagCache` are calibrated from.
    ///
    /// # Errors
    /// [`CalibError::Sites`] for a model that does not pass its blocks once per step.
    pub fn changes(&self) -> Result<Vec<Changes>, CalibError> {
        let measured = self.each_run("measuring changes (runs)", |run| {
            let mut watch = Watch::new();
            sample(self.model, self.sampler, &mut watch, run.noise.clone(), &run.cond);
            watch
                .finish(self.steps())
                .map_err(|detail| CalibError::Sites { model: self.model.topology().model, detail })
        });
        measured.into_iter().collect()
    }
}

/// The quantity that a reading measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Modulated,
    Output,
    Magnitude,
}

/// A trajectory that is watched. Holds the last step's values, and what it measures on the device.
struct Watch {
    modulated: Option<Tensor<3>>,
    output: Option<Tensor<3>>,
    added: Option<Tensor<3>>,
    /// The image's hidden state before the first block of this step.
    entered: Option<Tensor<3>>,
    pass: Pass,
    readings: Readings<What, 1>,
}

impl Watch {
    fn new() -> Self {
        Self {
            modulated: None,
            output: None,
            added: None,
            entered: None,
            pass: Pass::default(),
            readings: Readings::new(),
        }
    }

    /// Reads everything from the device, once.
    fn finish(self, steps: usize) -> Result<Changes, String> {
        let mut changes = Changes { modulated: vec![0.0], output: vec![0.0], magnitude: vec![1.0] };
        for (what, [value]) in self.readings.read() {
            let of = match what {
                What::Modulated => &mut changes.modulated,
                What::Output => &mut changes.output,
                What::Magnitude => &mut changes.magnitude,
            };
            of.push(f64::from(value));
        }
        for (name, of) in [("its first block", &changes.modulated), ("its trunk", &changes.magnitude)] {
            if of.len() != steps {
                return Err(format!("{name} was passed {} times in {steps} steps", of.len()));
            }
        }
        Ok(changes)
    }
}

impl Policy for Watch {
    type Step<'a> = &'a mut Self;

    fn step(&mut self, _: usize) -> &mut Self {
        self
    }
}

impl Executor for &mut Watch {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        let Some(value) = fresh.first() else { return fresh };
        if site == Site::OUTPUT {
            if let Some(before) = self.output.replace(value.clone()) {
                self.readings.push(What::Output, relative_change(before, value.clone()));
            }
        } else if site == Site::TRUNK
            && let Some(entered) = self.entered.take()
        {
            let added = (value.clone() - entered).cast(DType::F32);
            if let Some(before) = self.added.replace(added.clone()) {
                self.readings.push(What::Magnitude, growth(before, added));
            }
        }
        fresh
    }

    fn enter(&mut self, pass: Pass) {
        self.pass = pass;
    }

    fn before_block<const N: usize>(
        &mut self,
        block: Block,
        hidden: impl FnOnce() -> Feature<N>,
        modulated: impl FnOnce() -> Tensor<3>,
    ) -> BlockAction<N> {
        if block.index == 0 && self.pass == Pass::Conditional {
            self.entered = hidden().into_iter().next();
            let modulated = modulated();
            if let Some(before) = self.modulated.replace(modulated.clone()) {
                self.readings.push(What::Modulated, relative_change(before, modulated));
            }
        }
        BlockAction::Compute
    }
}

/// The mean over tokens of `|b| / |a|`, L2 norms over channels.
///
/// # Shapes
/// - `a`, `b`: `[batch, tokens, dim]`
/// - result: `[1]`
fn growth(a: Tensor<3>, b: Tensor<3>) -> Tensor<1> {
    let norm = |x: Tensor<3>| x.square().sum_dim(2).sqrt();
    (norm(b) / norm(a)).mean()
}
