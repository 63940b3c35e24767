//! Measuring the error atlas: one full trajectory a run, and the final layer for every pair of anchors.

use std::collections::VecDeque;

use burn::tensor::{DType, Tensor};
use invardiff_plan::{ErrorAtlas, GateSite, OutputForm, Site, TimeAxis};
use invardiff_runtime::{Denoiser, Executor, Feature, Sampler};
use rayon::prelude::*;

use crate::{CalibError, Run, Substitute};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct AtlasOptions {
    /// Where skips act.
    pub gate_site: GateSite,
    /// The axis of extrapolation.
    pub axis: TimeAxis,
    /// The farthest anchor, in steps.
    pub window: usize,
    /// Variance of the data in the directions in which errors live, for [`Sampler::error_importance`]. On the embedded
    /// model 1, 10 and 100 gave plans within 3 dB of each other, 10 the best of them in most cases.
    pub variance: f64,
    /// Whether runs are measured in parallel (for devices that are processors).
    pub parallel: bool,
}

impl Default for AtlasOptions {
    /// Skips of the network's output as clean sample, on the step axis, anchors up to 8 steps away.
    fn default() -> Self {
        Self {
            gate_site: GateSite::Output(OutputForm::X0),
            axis: TimeAxis::Step,
            window: 8,
            variance: 10.0,
            parallel: true,
        }
    }
}

/// Measures what each possible skip would cost along the uncached trajectories of `runs`.
///
/// The error of an entry is the mean square, over the elements of a picture, of the clean sample that the anchors predict
/// against the one that the network predicts. For the trunk the final layer (and guidance) runs on the combined feature;
/// nothing else. The importance of a step is [`Sampler::error_importance`] at [`AtlasOptions::variance`].
///
/// # Errors
/// [`CalibError::NoRuns`]; [`CalibError::Runtime`] for a stochastic sampler.
pub fn measure_atlas<const D: usize, M, S>(
    model: &M,
    sampler: &S,
    runs: &[Run<D, M::Cond>],
    options: &AtlasOptions,
    progress: &(dyn Fn() + Sync),
) -> Result<ErrorAtlas, CalibError>
where
    M: Denoiser<D> + Sync,
    M::Cond: Sync,
    S: Sampler<D> + Sync,
{
    sampler.deterministic()?;
    if runs.is_empty() {
        return Err(CalibError::NoRuns);
    }
    let times = (0..sampler.steps()).map(|step| sampler.own_time(step)).collect();
    let mut atlas =
        ErrorAtlas::new(model.topology().model, options.gate_site, options.axis, times, options.window);
    atlas.importance =
        (0..sampler.steps()).map(|step| sampler.error_importance(step, options.variance)).collect();
    let measure = |run: &Run<D, M::Cond>| {
        let errors = errors_of_run(model, sampler, run, &atlas);
        progress();
        errors
    };
    let errors: Vec<Vec<f64>> = if options.parallel {
        runs.par_iter().map(measure).collect()
    } else {
        runs.iter().map(measure).collect()
    };
    for errors in &errors {
        atlas.add_run(errors)?;
    }
    Ok(atlas)
}

/// Sees the value at the gate's site.
struct Look<'a> {
    site: Site,
    seen: &'a mut Option<Tensor<3>>,
}

impl Executor for Look<'_> {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        if site == self.site {
            *self.seen = fresh.first().cloned();
        }
        fresh
    }
}

/// One error an entry of the atlas, in the entries' order.
fn errors_of_run<const D: usize, M, S>(
    model: &M,
    sampler: &S,
    run: &Run<D, M::Cond>,
    atlas: &ErrorAtlas,
) -> Vec<f64>
where
    M: Denoiser<D>,
    S: Sampler<D>,
{
    let mut history = sampler.start();
    let mut x = run.noise.clone();
    let mut anchors: VecDeque<(usize, Tensor<3>)> = VecDeque::new();
    let mut readings = Vec::new();
    for step in 0..sampler.steps() {
        let mut seen = None;
        let mut look = Look { site: Site::TRUNK, seen: &mut seen };
        let prediction = model.predict(&mut look, x.clone(), sampler.time(step), &run.cond);
        let clean = |prediction: Tensor<D>| sampler.to_form(step, x.clone(), prediction, OutputForm::X0);
        let truth = clean(prediction.clone());
        let stand_in = |feature: Tensor<3>| match atlas.gate_site {
            GateSite::Trunk => {
                let mut exec = Substitute::new(Site::TRUNK, vec![feature]);
                clean(model.predict(&mut exec, x.clone(), sampler.time(step), &run.cond))
            }
            GateSite::Output(form) => {
                let value = feature.reshape(x.dims());
                clean(sampler.from_form(step, x.clone(), value, form))
            }
        };
        let mut price = |feature: Tensor<3>| {
            let error = (stand_in(feature) - truth.clone()).square().mean();
            readings.push(error.cast(DType::F32));
        };
        for (b, later) in &anchors {
            if step - b > atlas.window {
                continue;
            }
            price(later.clone());
            for (a, earlier) in &anchors {
                if a < b && b - a <= atlas.window {
                    let (first, second) = atlas.weights(step, *b, *a);
                    price(earlier.clone() * first + later.clone() * second);
                }
            }
        }
        let kept = match atlas.gate_site {
            GateSite::Trunk => seen.expect("a forward that computes everything passes the trunk"),
            GateSite::Output(form) => {
                let value = sampler.to_form(step, x.clone(), prediction.clone(), form);
                let shape = x.dims();
                value.reshape([shape[0], 1, shape[1..].iter().product()])
            }
        };
        anchors.push_back((step, kept));
        while anchors.front().is_some_and(|(old, _)| step + 1 - old > 2 * atlas.window) {
            anchors.pop_front();
        }
        x = sampler.advance(&mut history, step, x, prediction);
    }
    let all: Tensor<1> = Tensor::cat(readings, 0);
    let values: Vec<f32> = all.into_data().try_to_vec().expect("readings are f32");
    values.into_iter().map(f64::from).collect()
}
