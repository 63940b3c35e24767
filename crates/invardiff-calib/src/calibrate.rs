//! Two-phase calibration: measure once, plan twice.

use invardiff_plan::{CachePlan, DistanceTable, Settings, TwoPhase, missing_pairs, two_phase};
use invardiff_runtime::{Denoiser, Sampler, sample};

use crate::run::each;
use crate::{CalibError, Pairs, Record, Run, Similarity, Streams};

/// How to measure.
///
/// A recorded run holds up to `module_window` features of every module stream and `trunk_window` hidden states, in f32; as
/// many runs are in memory as are recorded in parallel.
#[derive(Clone, Debug)]
pub struct RecordOptions {
    /// How many steps back module features are compared, at least 1. What phase 2 needs beyond it costs a second pass.
    pub module_window: usize,
    /// How many steps back the hidden state is compared, at least 1.
    pub trunk_window: usize,
    /// Whether the [`Similarity`] of consecutive steps is measured as well.
    pub similarity: bool,
    /// Whether values are measured where the model shows them on the way ([`Record::witnessing`]): needed to repeat the authors'
    /// FLUX calibration, and without effect on models that show none.
    pub witness: bool,
    /// Whether runs are recorded in parallel. For devices that are processors: elsewhere runs would share one queue.
    pub parallel: bool,
}

impl Default for RecordOptions {
    /// Modules 8 steps back, the hidden state 24 (skips come in longer runs than module reuse, and it is one tensor), with
    /// similarity, in parallel.
    fn default() -> Self {
        Self { module_window: 8, trunk_window: 24, similarity: true, witness: false, parallel: true }
    }
}

/// What a calibration found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The plan, with method, thresholds and warm-up in its provenance; the rest of that is the caller's to add.
    pub plan: CachePlan,
    /// Rates, thresholds and books of both phases.
    pub phases: TwoPhase,
    /// The distances of every run, from which other plans can be made without the model.
    pub tables: Vec<DistanceTable>,
    /// Mean over runs of the similarity of consecutive steps, by stream and step; empty where it was not asked for.
    pub similarities: Vec<Similarity>,
    /// How many times the model ran along each trajectory: 1, or 2 when phase 2 compared steps beyond the window.
    pub passes: usize,
}

/// Measures `runs`, and makes the plan that `settings` ask for.
///
/// One pass serves both phases: phase 2 of the published method compares other pairs of the same uncached features, and
/// the recorder has measured the near ones already. Pairs beyond the window are measured in a second pass, with the same
/// result. `progress` is called after every recorded run.
///
/// # Errors
/// [`CalibError::NoRuns`]; [`CalibError::Runtime`] for a stochastic sampler; [`CalibError::Plan`] when the settings do not
/// fit the model or the number of steps (before anything is measured); [`CalibError::Sites`] for a model that does not pass
/// the sites of its topology.
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
    let streams = Streams::new(model.topology());
    rehearse(&streams, <S as Sampler<D>>::steps(sampler), settings)?;
    let (mut tables, similarities) = record(model, sampler, runs, &streams, options, progress)?;
    let missing = missing_pairs(&tables, settings)?;
    let passes = if missing.is_empty() { 1 } else { 2 };
    if passes == 2 {
        let pairs = Pairs::Listed(missing.into_iter().collect());
        let recorded = each(tables.iter_mut().zip(runs).collect(), options.parallel, |(table, run)| {
            let recorder = Record::new(&streams, &pairs, false).witnessing(options.witness);
            record_run(model, sampler, run, recorder, table).map(|_| progress())
        });
        recorded.into_iter().collect::<Result<(), _>>()?;
    }
    let phases = two_phase(&tables, settings)?;
    let plan = phases.plan(streams.topology())?;
    Ok(Outcome { plan, phases, tables, similarities, passes })
}

/// Records every run over the windows of `options`: the distances of each, and the mean similarity. `progress` is called
/// after every run.
///
/// # Errors
/// [`CalibError::NoRuns`]; [`CalibError::Runtime`] for a stochastic sampler; [`CalibError::Plan`] for fewer than three steps
/// or a window of 0; [`CalibError::Sites`] for a model that does not pass the sites of its topology.
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
    Run::check(runs, sampler)?;
    let RecordOptions { module_window: modules, trunk_window: trunk, similarity, witness, parallel } =
        *options;
    let pairs = Pairs::Window { modules, trunk };
    streams.table(sampler.steps(), modules.min(trunk))?; // refuses a window of 0
    let recorded = each(runs.iter().collect(), parallel, |run| {
        let mut table = streams.table(sampler.steps(), modules.max(trunk))?;
        let recorder = Record::new(streams, &pairs, similarity).witnessing(witness);
        let similarities = record_run(model, sampler, run, recorder, &mut table).inspect(|_| progress())?;
        Ok((table, similarities))
    });
    let recorded: Vec<_> = recorded.into_iter().collect::<Result<_, CalibError>>()?;
    let (tables, similarities): (Vec<_>, Vec<_>) = recorded.into_iter().unzip();
    Ok((tables, Similarity::mean(&similarities)))
}

/// One trajectory into one table.
fn record_run<const D: usize, M, S>(
    model: &M,
    sampler: &S,
    run: &Run<D, M::Cond>,
    mut record: Record<'_>,
    table: &mut DistanceTable,
) -> Result<Vec<Similarity>, CalibError>
where
    M: Denoiser<D>,
    S: Sampler<D>,
{
    sample(model, sampler, &mut record, run.noise.clone(), &run.cond);
    record.finish(table)
}

/// Makes a plan from distances that are all 1: what the settings lack or have too much comes out before the model runs.
fn rehearse(streams: &Streams, steps: usize, settings: &Settings) -> Result<(), CalibError> {
    let mut table = streams.table(steps, 1)?;
    for stream in 0..streams.count() {
        for step in 1..steps {
            table.record(stream, step - 1, step, 1.0)?;
        }
    }
    two_phase(&[table], settings)?.plan(streams.topology())?;
    Ok(())
}
