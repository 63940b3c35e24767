//! Two-phase calibration: measure once, plan twice.

use invardiff_plan::CachePlan;
use invardiff_plan::two_phase::{DistanceTable, Settings, StepPair, TwoPhase, missing_pairs, two_phase};
use invardiff_runtime::{Denoiser, Sampler, sample};

use crate::error::CalibError;
use crate::record::{Pairs, Record};
use crate::run::Run;
use crate::session::{Session, SharedDenoiser};
use crate::similarity::Similarity;
use crate::streams::Streams;

/// How features are compared in a calibration.
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
    /// Whether values are measured where the model shows them on the way ([`Record::probing`]): needed to repeat the authors'
    /// FLUX calibration, and without effect on models that show none.
    pub probe: bool,
}

impl Default for RecordOptions {
    /// Modules 8 steps back, the hidden state 24 (skips come in longer runs than module reuse, and it is one tensor), with
    /// similarity.
    fn default() -> Self {
        Self { module_window: 8, trunk_window: 24, similarity: true, probe: false }
    }
}

/// The result of a calibration.
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

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Session<'_, D, M, S> {
    /// The plan of the paper's two-phase calibration (arXiv 2512.05134) for `settings`, with everything that was measured.
    ///
    /// One pass serves both phases: phase 2 of the published method compares other pairs of the same uncached features, and
    /// the recorder has measured the near ones already. Pairs beyond the window are measured in a second pass, with the same
    /// result.
    ///
    /// # Errors
    /// [`CalibError::Plan`] when the settings do not fit the model or the number of steps (before anything is measured);
    /// [`CalibError::Sites`] for a model that does not pass the sites of its topology.
    pub fn two_phase(&self, settings: &Settings, options: &RecordOptions) -> Result<Outcome, CalibError> {
        let streams = Streams::new(self.model.topology());
        rehearse(&streams, self.steps(), settings)?;
        let (mut tables, similarities) = self.record(options)?;
        let missing = missing_pairs(&tables, settings)?;
        let passes = if missing.is_empty() { 1 } else { 2 };
        if passes == 2 {
            self.record_pairs(&mut tables, missing, options.probe)?;
        }
        let phases = two_phase(&tables, settings)?;
        let plan = phases.plan(streams.topology())?;
        Ok(Outcome { plan, phases, tables, similarities, passes })
    }

    /// Records every run over the windows of `options`: the distances of each run, and the mean over runs of the similarity
    /// of consecutive steps.
    ///
    /// # Errors
    /// [`CalibError::Plan`] for fewer than three steps or a window of 0; [`CalibError::Sites`] for a model that does not pass
    /// the sites of its topology.
    pub fn record(
        &self,
        options: &RecordOptions,
    ) -> Result<(Vec<DistanceTable>, Vec<Similarity>), CalibError> {
        let streams = Streams::new(self.model.topology());
        let RecordOptions { module_window: modules, trunk_window: trunk, similarity, probe } = *options;
        let pairs = Pairs::Window { modules, trunk };
        streams.table(self.steps(), modules.min(trunk))?; // refuses a window of 0
        let recorded = self.each_run("calibrating (runs)", |run| {
            let mut table = streams.table(self.steps(), modules.max(trunk))?;
            let recorder = Record::new(&streams, &pairs, similarity).probing(probe);
            let similarities = record_run(self.model, self.sampler, run, recorder, &mut table)?;
            Ok((table, similarities))
        });
        let recorded: Vec<_> = recorded.into_iter().collect::<Result<_, CalibError>>()?;
        let (tables, similarities): (Vec<_>, Vec<_>) = recorded.into_iter().unzip();
        Ok((tables, Similarity::mean(&similarities)))
    }

    /// Records every run once more for distances between listed steps, into the tables that [`Session::record`] made of the
    /// same runs. `probe` is [`RecordOptions::probe`].
    ///
    /// # Errors
    /// [`CalibError::Plan`] for a pair that the tables have no room for; [`CalibError::Sites`] for a model that does not pass
    /// the sites of its topology.
    pub fn record_pairs(
        &self,
        tables: &mut [DistanceTable],
        pairs: impl IntoIterator<Item = StepPair>,
        probe: bool,
    ) -> Result<(), CalibError> {
        let streams = Streams::new(self.model.topology());
        let pairs = Pairs::Listed(pairs.into_iter().collect());
        let phase = self.phase("measuring distant pairs (runs)", self.runs.len());
        let recorded = self.concurrency.each(tables.iter_mut().zip(self.runs).collect(), |(table, run)| {
            let recorder = Record::new(&streams, &pairs, false).probing(probe);
            record_run(self.model, self.sampler, run, recorder, table).map(|_| phase.advance(1))
        });
        recorded.into_iter().collect()
    }
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
