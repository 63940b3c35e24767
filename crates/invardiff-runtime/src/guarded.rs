//! A check while sampling: images that are harder than those of the calibration get more computed steps.

use burn::tensor::{DType, Tensor};
use invardiff_plan::{OutputForm, Site};

use crate::executor::{Executor, Policy};
use crate::feature::Feature;

/// The settings of a [`Guarded`] trajectory.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// The step gate `[steps]`, `true` = skipped. The first step is computed.
    pub gate: Vec<bool>,
    /// The form in which the network's output is extrapolated.
    pub form: OutputForm,
    /// The position of each step on the axis of extrapolation, `[steps]`.
    pub times: Vec<f64>,
    /// For each step, the mean squared error of extrapolating to it from the two computed steps before, as measured in
    /// calibration; `None` where nothing was measured. `[steps]`
    pub expected: Vec<Option<f64>>,
    /// The ratio of an image's error to the expected one above which a further step is computed.
    pub tolerance: f64,
    /// The most steps that are computed besides those of the gate.
    pub extra: usize,
}

/// A step gate on the network's output, extrapolated linearly, with a check: at computed steps it compares the output with what
/// the last two outputs predict. Where the error is more than [`Guard::tolerance`] times the expected one, the middle of
/// the following skipped steps is computed too, up to [`Guard::extra`] steps in all.
///
/// The check runs no network: it takes a difference of outputs, and reads one number from the device at each computed step
/// before a skip. A batch is judged by its worst image.
#[derive(Debug)]
pub struct Guarded<'a> {
    guard: &'a Guard,
    gate: Vec<bool>,
    /// The last two computed outputs, the older first.
    kept: Vec<(usize, Tensor<3>)>,
    spent: usize,
    peak: usize,
}

impl<'a> Guarded<'a> {
    /// A policy for one trajectory (one image or batch).
    pub fn new(guard: &'a Guard) -> Self {
        Self { guard, gate: guard.gate.clone(), kept: Vec::with_capacity(2), spent: 0, peak: 0 }
    }

    /// The number of steps that were computed besides those of the gate.
    pub fn spent(&self) -> usize {
        self.spent
    }

    /// The peak of the kept bytes.
    pub fn peak_bytes(&self) -> usize {
        self.peak
    }

    /// The linear extrapolation of the kept outputs to `step`; `None` before the first output.
    fn extrapolated(&self, step: usize) -> Option<Tensor<3>> {
        let time = |step: usize| self.guard.times[step];
        match self.kept.as_slice() {
            [] => None,
            [(_, only)] => Some(only.clone()),
            [(a, older), (b, newer), ..] => {
                let (of_a, of_b) = (
                    (time(step) - time(*b)) / (time(*a) - time(*b)),
                    (time(step) - time(*a)) / (time(*b) - time(*a)),
                );
                Some(older.clone() * of_a + newer.clone() * of_b)
            }
        }
    }

    /// Compares `fresh` with its prediction, and computes one of the next skipped steps where the error is too large.
    fn look(&mut self, step: usize, fresh: &Tensor<3>) {
        let Some(expected) = self.guard.expected[step].filter(|_| self.kept.len() == 2) else { return };
        let skips = self.gate[step + 1..].iter().take_while(|skipped| **skipped).count();
        if skips == 0 || self.spent == self.guard.extra {
            return;
        }
        let Some(predicted) = self.extrapolated(step) else { return };
        let errors = (predicted - fresh.clone()).cast(DType::F32).square().mean_dim(2).mean_dim(1);
        let worst = f64::from(errors.max().into_scalar::<f32>());
        if worst > self.guard.tolerance * expected {
            self.gate[step + skips.div_ceil(2)] = false;
            self.spent += 1;
        }
    }
}

impl<'a> Policy for Guarded<'a> {
    type Step<'b>
        = GuardedStep<'a, 'b>
    where
        Self: 'b;

    fn step(&mut self, step: usize) -> GuardedStep<'a, '_> {
        GuardedStep { policy: self, step }
    }

    fn output_form(&self) -> Option<OutputForm> {
        Some(self.guard.form)
    }
}

/// The executor of one guarded step. It computes or skips the whole network.
#[derive(Debug)]
pub struct GuardedStep<'a, 'b> {
    policy: &'b mut Guarded<'a>,
    step: usize,
}

impl Executor for GuardedStep<'_, '_> {
    fn recall<const N: usize>(&mut self, site: Site) -> Option<Feature<N>> {
        if site != Site::OUTPUT || !self.policy.gate[self.step] {
            return None;
        }
        let value = self.policy.extrapolated(self.step)?;
        Some(vec![value].try_into().expect("the network has one output"))
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        if site == Site::OUTPUT
            && let Some(value) = fresh.first()
        {
            self.policy.look(self.step, value);
            if self.policy.kept.len() == 2 {
                self.policy.kept.remove(0);
            }
            self.policy.kept.push((self.step, value.clone()));
            let bytes = |tensor: &Tensor<3>| tensor.dims().iter().product::<usize>() * tensor.dtype().size();
            let held = self.policy.kept.iter().map(|(_, tensor)| bytes(tensor)).sum();
            self.policy.peak = self.policy.peak.max(held);
        }
        fresh
    }
}
