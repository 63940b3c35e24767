//! A check while sampling: images that are harder than those of the calibration get more computed steps.

use burn::tensor::{DType, Tensor};
use invardiff_plan::{OutputForm, Site};

use crate::error::RuntimeError;
use crate::executor::{Executor, Policy};
use crate::feature::Feature;

/// The settings of a [`Guarded`] trajectory.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    steps: Vec<GuardStep>,
    form: OutputForm,
    tolerance: f64,
    extra: usize,
}

/// One step of a [`Guard`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuardStep {
    /// Whether the gate skips the step.
    pub skipped: bool,
    /// The position of the step on the axis of extrapolation.
    pub time: f64,
    /// The mean squared error of extrapolating to this step from the two computed steps before, as measured in calibration;
    /// `None` where nothing was measured.
    pub expected: Option<f64>,
}

impl Guard {
    /// A guard of these steps, in their order, with the output extrapolated in this form. [`Guard::tolerance`] is 4 and
    /// [`Guard::extra`] 0.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] without steps, when the first step is skipped, and when the times neither rise nor fall from
    /// each step to the next.
    pub fn new(steps: Vec<GuardStep>, form: OutputForm) -> Result<Self, RuntimeError> {
        let range = |what, value, expected| Err(RuntimeError::Range { what, value, expected });
        if steps.first().is_none_or(|step| step.skipped) {
            let found = if steps.is_empty() { "missing" } else { "skipped" };
            return range("the first step of a guard", found.into(), "computed");
        }
        let (rising, falling) =
            (steps.is_sorted_by(|a, b| a.time < b.time), steps.is_sorted_by(|a, b| a.time > b.time));
        if !(rising || falling) || steps.iter().any(|step| !step.time.is_finite()) {
            let times: Vec<f64> = steps.iter().map(|step| step.time).collect();
            return range(
                "the times of a guard",
                format!("{times:?}"),
                "finite, and all rising or all falling",
            );
        }
        Ok(Self { steps, form, tolerance: 4.0, extra: 0 })
    }

    /// The same with this [`Guard::tolerance`].
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when it is negative or NaN.
    pub fn with_tolerance(self, tolerance: f64) -> Result<Self, RuntimeError> {
        if tolerance >= 0.0 {
            return Ok(Self { tolerance, ..self });
        }
        let (what, value, expected) =
            ("the tolerance of a guard", tolerance.to_string(), "a ratio of at least 0");
        Err(RuntimeError::Range { what, value, expected })
    }

    /// The same with this [`Guard::extra`].
    #[must_use]
    pub fn with_extra(self, extra: usize) -> Self {
        Self { extra, ..self }
    }

    /// The steps, the first of which is computed.
    pub fn steps(&self) -> &[GuardStep] {
        &self.steps
    }

    /// The form in which the network's output is extrapolated.
    pub fn form(&self) -> OutputForm {
        self.form
    }

    /// The ratio of an image's error to the expected one above which a further step is computed; infinite for never.
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// The most steps that are computed besides those of the gate.
    pub fn extra(&self) -> usize {
        self.extra
    }
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
        let gate = guard.steps.iter().map(|step| step.skipped).collect();
        Self { guard, gate, kept: Vec::with_capacity(2), spent: 0, peak: 0 }
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
        let time = |step: usize| self.guard.steps[step].time;
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
        let Some(expected) = self.guard.steps[step].expected.filter(|_| self.kept.len() == 2) else { return };
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
