//! Two-phase calibration: measure once, plan twice.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use invardiff_plan::{
    CachePlan, DistanceTable, PlanError, Provenance, Settings, TwoPhase, missing_pairs, two_phase,
};
use invardiff_runtime::{Denoiser, Sampler, sample};
use rayon::prelude::*;

use crate::{CalibError, Pairs, Record, Similarity, Streams};

/// One condition to measure: where the trajectory starts and what it is conditioned on.
#[derive(Clone, Debug)]
pub struct Run<const D: usize, C> {
    /// The starting noise.
    pub noise: Tensor<D>,
    /// The condition, as the model's [`Denoiser::Cond`].
    pub cond: C,
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct RecordOptions {
    /// How many steps back module features are compared. What phase 2 needs beyond it costs a second pass.
    pub module_window: usize,
    /// How many steps back the hidden state is compared.
    pub trunk_window: usize,
    /// Whether mean square and cosine distance of consecutive steps are measured as well.
    pub similarity: bool,
    /// Whether runs are recorded in parallel. For devices that are processors: elsewhere runs would share one queue.
    pub parallel: bool,
}

impl Default for RecordOptions {
    fn default() -> Self {
        Self { module_window: 8, trunk_window: 24, similarity: true, parallel: true }
    }
}

/// What a calibration found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The plan, with thresholds in its provenance.
    pub plan: CachePlan,
    /// Rates, thresholds and books of both phases.
    pub phases: TwoPhase,
    /// The distances of every run, from which other plans can be made without the model.
    pub tables: Vec<DistanceTable>,
    /// Mean over runs of the similarity of consecutive steps.
    pub similarities: Vec<Similarity>,
    /// How many times the model ran along each trajectory: 1, or 2 when phase 2 compared steps beyond the window.
    pub passes: usize,
}

/// Measures `runs`, and makes the plan that `settings` ask for.
///
/// One pass serves both phases: phase 2 of the published method compares other pairs of the same uncached features, and
/// the recorder has measured the near ones already. `progress` is called after every recorded run.
///
/// # Errors
/// [`CalibError::NoRuns`]; [`CalibError::Runtime`] for a stochastic sampler; [`CalibError::Plan`] when the settings do not
/// fit the model or the number of steps.
pub fn calibrate<const D: usize, M, S>(
    model: &M,
    sampler: &S,
    runs: &[Run<D, M::Cond>],
    settings: &Settings,
    options: &RecordOptions,
    progress: &(dyn Fn() + Sync),
) -> Result<Outcome, CalibError>
where
    M: Denoiser<D> + Sync,
    M::Cond: Sync,
    S: Sampler<D> + Sync,
{
    sampler.deterministic()?;
    if runs.is_empty() {
        return Err(CalibError::NoRuns);
    }
    let streams = Streams::new(model.topology());
    let (mut tables, similarities) = record(model, sampler, runs, &streams, options, progress)?;
    let missing = missing_pairs(&tables, settings)?;
    let passes = if missing.is_empty() { 1 } else { 2 };
    if passes == 2 {
        let pairs = Pairs::Listed(missing);
        each(tables.iter_mut().zip(runs).collect(), options.parallel, |(table, run)| {
            let mut record = Record::new(&streams, &pairs, false);
            sample(model, sampler, &mut record, run.noise.clone(), &run.cond);
            progress();
            record.finish(table).map(|_| ())
        })?;
    }
    let phases = two_phase(&tables, settings)?;
    let plan = phases.books.to_plan(streams.topology())?.with_provenance(Provenance {
        method: settings.variant.method().into(),
        thresholds: phases.decisive().thresholds.clone(),
        warm_up: Some(phases.warm_up),
        ..Provenance::default()
    });
    Ok(Outcome { plan, phases, tables, similarities, passes })
}

/// Records every run over the windows of `options`.
///
/// # Errors
/// [`CalibError::Plan`] for fewer than three steps.
pub fn record<const D: usize, M, S>(
    model: &M,
    sampler: &S,
    runs: &[Run<D, M::Cond>],
    streams: &Streams,
    options: &RecordOptions,
    progress: &(dyn Fn() + Sync),
) -> Result<(Vec<DistanceTable>, Vec<Similarity>), CalibError>
where
    M: Denoiser<D> + Sync,
    M::Cond: Sync,
    S: Sampler<D> + Sync,
{
    let pairs = Pairs::Window { modules: options.module_window.max(1), trunk: options.trunk_window.max(1) };
    let window = options.module_window.max(options.trunk_window);
    let recorded = each(runs.iter().collect(), options.parallel, |run| {
        let mut table = DistanceTable::for_topology(streams.topology(), sampler.steps(), window)?;
        let mut record = Record::new(streams, &pairs, options.similarity);
        sample(model, sampler, &mut record, run.noise.clone(), &run.cond);
        progress();
        let similarities = record.finish(&mut table)?;
        Ok((table, similarities))
    })?;
    let (tables, similarities): (Vec<_>, Vec<_>) = recorded.into_iter().unzip();
    Ok((tables, mean(&similarities)))
}

/// `work` on every item, in order of the items, on one thread or several.
fn each<T: Send, R: Send>(
    items: Vec<T>,
    parallel: bool,
    work: impl Fn(T) -> Result<R, PlanError> + Send + Sync,
) -> Result<Vec<R>, PlanError> {
    if parallel { items.into_par_iter().map(work).collect() } else { items.into_iter().map(work).collect() }
}

/// The mean over runs, by stream and step.
fn mean(runs: &[Vec<Similarity>]) -> Vec<Similarity> {
    let mut sums: BTreeMap<(usize, usize), (f64, f64)> = BTreeMap::new();
    for similarity in runs.iter().flatten() {
        let sum = sums.entry((similarity.stream, similarity.step)).or_default();
        sum.0 += f64::from(similarity.mean_square);
        sum.1 += f64::from(similarity.cosine_distance);
    }
    let count = runs.len() as f64;
    sums.into_iter()
        .map(|((stream, step), (square, cosine))| Similarity {
            stream,
            step,
            mean_square: (square / count) as f32,
            cosine_distance: (cosine / count) as f32,
        })
        .collect()
}
