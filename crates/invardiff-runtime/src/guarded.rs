//! A check while sampling: pictures that are harder than the calibration's get more steps.

use burn::tensor::{DType, Tensor};
use invardiff_plan::{OutputForm, Site};

use crate::executor::{Executor, Policy};
use crate::feature::Feature;

/// What a [`Guarded`] trajectory goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// The step gate, `true` = skipped. The first step is computed.
    pub gate: Vec<bool>,
    /// The form in which the network's output is extrapolated.
    pub form: OutputForm,
    /// The place of each step on the axis of extrapolation.
    pub times: Vec<f64>,
    /// At each computed step that follows two others, the mean square error that calibration saw when these two predict it;
    /// `None` where it saw none.
    pub expected: Vec<Option<f64>>,
    /// A picture is in trouble where its own error is more than this many times the expected one.
    pub tolerance: f64,
    /// The most steps that are computed besides the plan's.
    pub extra: usize,
}

/// A step gate on the network's output, extrapolated linearly, that looks at every computed step how well the last two
/// would have predicted it. Where that errs more than [`Guard::tolerance`] times what calibration saw, the middle of the
/// next run of skipped steps is computed too, as long as [`Guard::extra`] lasts.
///
/// The sign of trouble costs no network: one difference of outputs, and one number read back from the device at each step
/// that the plan computes before a skip. A batch is judged as a whole, by its worst picture.
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
    /// A policy for one trajectory (one picture or batch).
    pub fn new(guard: &'a Guard) -> Self {
        Self { guard, gate: guard.gate.clone(), kept: Vec::with_capacity(2), spent: 0, peak: 0 }
    }

    /// Steps that were computed besides the plan's.
    pub fn spent(&self) -> usize {
        self.spent
    }

    /// The most bytes that were kept.
    pub fn peak_bytes(&self) -> usize {
        self.peak
    }

    /// The line through the kept outputs at `step`; `None` before the first.
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

    /// Looks whether `fresh` was predicted as well as expected, and spends a step on the next skips if not.
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

/// The executor of one guarded step. Inside of the network everything is computed.
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
