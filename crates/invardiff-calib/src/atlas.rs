//! Measuring the error atlas: one full trajectory per run, and the final layer for every pair of anchors.

use std::collections::BTreeMap;

use burn::tensor::{DType, Tensor};
use invardiff_plan::least_error::SkipErrors;
use invardiff_plan::{GateSite, OutputForm, PlanError, Site, TimeAxis};
use invardiff_runtime::{Denoiser, Event, Executor, Full, Observed, Policy, Sampler};

use crate::error::CalibError;
use crate::readings::Readings;
use crate::run::Run;
use crate::session::{Session, SharedDenoiser};
use crate::substitute::Substitute;

/// Which skips are priced, and how.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AtlasOptions {
    /// Where skips act.
    pub gate_site: GateSite,
    /// The axis of extrapolation.
    pub axis: TimeAxis,
    /// The farthest anchor, in steps, at least 1.
    pub window: usize,
    /// Variance of the data in the directions in which errors live, for [`Sampler::error_importance`]. The default, 10,
    /// was chosen on the embedded model among powers of ten.
    pub variance: f64,
}

impl Default for AtlasOptions {
    /// Skips of the network's output as clean sample, on the step axis, anchors up to 8 steps away.
    fn default() -> Self {
        Self { gate_site: GateSite::Output(OutputForm::X0), axis: TimeAxis::Step, window: 8, variance: 10.0 }
    }
}

impl AtlasOptions {
    /// The same with this [`AtlasOptions::gate_site`].
    #[must_use]
    pub fn with_gate_site(self, gate_site: GateSite) -> Self {
        Self { gate_site, ..self }
    }

    /// The same with this [`AtlasOptions::axis`].
    #[must_use]
    pub fn with_axis(self, axis: TimeAxis) -> Self {
        Self { axis, ..self }
    }

    /// The same with this [`AtlasOptions::window`].
    #[must_use]
    pub fn with_window(self, window: usize) -> Self {
        Self { window, ..self }
    }

    /// The same with this [`AtlasOptions::variance`].
    #[must_use]
    pub fn with_variance(self, variance: f64) -> Self {
        Self { variance, ..self }
    }
}

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Session<'_, D, M, S> {
    /// Measures what each possible skip would cost along the uncached trajectories of the runs.
    ///
    /// The error of an entry is the mean square, over the elements of an image, of the difference between the clean sample
    /// that the anchors predict and the one that the network predicts. For the trunk the final layer (and guidance) runs on
    /// the combined feature; nothing else. The importance of a step is [`Sampler::error_importance`] at
    /// [`AtlasOptions::variance`].
    ///
    /// # Errors
    /// [`CalibError::Plan`] for a window of 0, more steps and window than can be planned from, and a variance that gives no
    /// finite importance; [`CalibError::Sites`] when skips act on the trunk and the model does not pass
    /// it as one tensor.
    pub fn skip_errors(&self, options: &AtlasOptions) -> Result<SkipErrors, CalibError> {
        let mut atlases = self.skip_errors_at(&[options.gate_site], options)?;
        Ok(atlases.swap_remove(0))
    }

    /// One atlas for each of `gate_sites` (in place of [`AtlasOptions::gate_site`]) along the same trajectories: the network
    /// runs as often as for one.
    ///
    /// # Errors
    /// As [`Session::skip_errors`].
    pub fn skip_errors_at(
        &self,
        gate_sites: &[GateSite],
        options: &AtlasOptions,
    ) -> Result<Vec<SkipErrors>, CalibError> {
        if options.window == 0 {
            let (value, expected) = ("0".into(), "at least 1 step".into());
            return Err(
                PlanError::Range { what: "the window of an error atlas".into(), value, expected }.into()
            );
        }
        let sampler = self.sampler;
        let times: Vec<f64> = (0..sampler.steps()).map(|step| sampler.schedule_time(step)).collect();
        let importance: Vec<f64> =
            (0..sampler.steps()).map(|step| sampler.error_importance(step, options.variance)).collect();
        let atlas = |site: &GateSite| {
            let topology = self.model.topology();
            SkipErrors::new(topology, *site, options.axis, times.clone(), options.window)?
                .with_importance(importance.clone())
        };
        let mut atlases: Vec<SkipErrors> = gate_sites.iter().map(atlas).collect::<Result<_, _>>()?;
        let errors = self
            .each_run("measuring skips (runs)", |run| errors_of_run(self.model, self.sampler, run, &atlases));
        for errors in errors {
            for (atlas, errors) in atlases.iter_mut().zip(errors?) {
                atlas.add_run(&errors)?;
            }
        }
        Ok(atlases)
    }
}

/// One error per entry, in the order of the entries, for every atlas.
fn errors_of_run<const D: usize, M, S>(
    model: &M,
    sampler: &S,
    run: &Run<D, M::Cond>,
    atlases: &[SkipErrors],
) -> Result<Vec<Vec<f64>>, CalibError>
where
    M: Denoiser<D>,
    S: Sampler<D>,
{
    let mut history = sampler.start();
    let mut x = run.noise.clone();
    // All atlases have the same steps, window and axis.
    let Some(Plain { window, entries, weights }) = atlases.first().map(Plain::of) else {
        return Ok(Vec::new());
    };
    let mut anchors: BTreeMap<usize, Vec<Tensor<3>>> = BTreeMap::new();
    let mut readings: Readings<usize, 1> = Readings::new();
    let mut entries = entries.into_iter().zip(weights).peekable();
    for step in 0..sampler.steps() {
        let here = Here { model, sampler, cond: &run.cond, step, x };
        let (prediction, trunk) = here.compute();
        let value = |atlas: &SkipErrors| here.value(atlas.gate_site(), &prediction, &trunk);
        let values = atlases.iter().map(value).collect::<Result<_, _>>()?;
        let truth = here.clean(prediction.clone());
        while let Some(((_, b, a), (of_a, of_b))) = entries.next_if(|((at, ..), _)| *at == step) {
            for (index, atlas) in atlases.iter().enumerate() {
                let later = anchors[&b][index].clone();
                let combined = match a {
                    None => later,
                    Some(a) => anchors[&a][index].clone() * of_a + later * of_b,
                };
                let change = here.clean(here.stand_in(atlas.gate_site(), combined)) - truth.clone();
                readings.push(index, change.cast(DType::F32).square().mean());
            }
        }
        anchors.insert(step, values);
        anchors.retain(|old, _| step + 1 - old <= 2 * window); // as far back as the next step's entries reach
        x = sampler.advance(&mut history, step, here.x, prediction);
    }
    let mut errors = vec![Vec::new(); atlases.len()];
    for (index, [error]) in readings.read() {
        errors[index].push(f64::from(error));
    }
    Ok(errors)
}

/// What the atlases of one pass have in common.
struct Plain {
    window: usize,
    entries: Vec<(usize, usize, Option<usize>)>,
    /// Of the earlier and the later anchor of each entry.
    weights: Vec<(f64, f64)>,
}

impl Plain {
    fn of(atlas: &SkipErrors) -> Self {
        let entries = atlas.entries();
        let weights = entries
            .iter()
            .map(|(step, b, a)| a.map_or((0.0, 1.0), |a| atlas.weights(*step, *b, a)))
            .collect();
        Self { window: atlas.window(), entries, weights }
    }
}

/// One step of a trajectory.
struct Here<'a, const D: usize, M: Denoiser<D>, S> {
    model: &'a M,
    sampler: &'a S,
    cond: &'a M::Cond,
    step: usize,
    x: Tensor<D>,
}

impl<const D: usize, M: Denoiser<D>, S: Sampler<D>> Here<'_, D, M, S> {
    /// The full prediction, and the tensors that passed the trunk's site.
    fn compute(&self) -> (Tensor<D>, Vec<Tensor<3>>) {
        let mut trunk = Vec::new();
        let look = |_, site, event: Event<'_>| {
            if let (Site::TRUNK, Event::Computed(tensors)) = (site, event) {
                trunk.extend_from_slice(tensors);
            }
        };
        let mut policy = Observed::new(Full, look);
        let prediction = self.predict(&mut policy.step(self.step));
        (prediction, trunk)
    }

    /// The value that a skip would stand in for: `[batch, tokens, dim]`.
    fn value(
        &self,
        gate_site: GateSite,
        prediction: &Tensor<D>,
        trunk: &[Tensor<3>],
    ) -> Result<Tensor<3>, CalibError> {
        match (gate_site, trunk) {
            (GateSite::Trunk, [value]) => Ok(value.clone()),
            (GateSite::Trunk, _) => Err(CalibError::Sites {
                model: self.model.topology().model,
                detail: format!("one tensor should pass {} at every step", Site::TRUNK),
            }),
            (GateSite::Output(form), _) => {
                let dims = self.x.dims();
                let value = self.sampler.to_form(self.step, self.x.clone(), prediction.clone(), form);
                Ok(value.reshape([dims[0], 1, dims[1..].iter().product()]))
            }
        }
    }

    /// The prediction, were this the value at the gate's site.
    fn stand_in(&self, gate_site: GateSite, value: Tensor<3>) -> Tensor<D> {
        match gate_site {
            GateSite::Trunk => self.predict(&mut Substitute::new(Site::TRUNK, vec![value])),
            GateSite::Output(form) => {
                let value = value.reshape(self.x.dims());
                self.sampler.from_form(self.step, self.x.clone(), value, form)
            }
        }
    }

    /// The clean sample that a prediction means.
    fn clean(&self, prediction: Tensor<D>) -> Tensor<D> {
        self.sampler.to_form(self.step, self.x.clone(), prediction, OutputForm::X0)
    }

    fn predict<E: Executor>(&self, exec: &mut E) -> Tensor<D> {
        self.model.predict(exec, self.x.clone(), self.sampler.time(self.step), self.cond)
    }
}
