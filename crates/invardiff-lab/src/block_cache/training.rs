//! The training itself and its files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use invardiff::{Pipeline, PromptRequest, adjustment_path, write_adjustment};
use invardiff_calib::{AdamW, Run, ScaleShiftTraining};
use invardiff_plan::CachePlan;
use invardiff_plan::core::SplitMix64;
use invardiff_report::Report;
use invardiff_runtime::{Denoiser, Phase, Progress};
use serde_json::{Map, Value, json};

use super::evaluate::evaluate;
use super::options::ScaleShiftOptions;
use super::{present, state};
use crate::error::{Context, Result};
use crate::held_out::TRAJECTORIES;
use crate::resumed::{members, of_model};

/// Classes or prompts are drawn from the first so many, in turn: all classes of any published model.
const SUBJECTS: usize = 1 << 20;
/// Iterations between two states on disk.
const EVERY: usize = 5;

/// Trained scales and shifts, with their report.
#[derive(Clone, Debug)]
pub struct TrainedVectors {
    /// The file of the vectors.
    pub adjustment: PathBuf,
    /// How many reuses they adjust.
    pub adjusted_modules: usize,
    /// Bytes of the vectors.
    pub bytes: usize,
    /// The report, with the table of held-out images.
    pub report: Report,
    /// The page of the report.
    pub page: PathBuf,
    /// Iterations in all.
    pub iterations: usize,
    /// Seconds that the training took, without what it resumed from.
    pub seconds: f64,
}

/// Trains the scales and shifts of a plan's reuses against the uncached model. The files go beside the plan at `path`, named by
/// its fingerprint: the vectors, the state, and a folder with the report. `prompts` are those that the pipeline was opened with.
///
/// # Errors
/// When the plan was made for another run or reuses nothing, the state is of other settings, or a file cannot be written.
pub fn train<const D: usize, P: Pipeline<D>>(
    full: &P,
    plan: &CachePlan,
    path: &Path,
    prompts: &PromptRequest,
    options: &ScaleShiftOptions,
    progress: &dyn Progress,
) -> Result<TrainedVectors> {
    full.clone().enable_cache(plan).with_context(|| path.display().to_string())?;
    let adjustment = adjustment_path(path, plan)?;
    let job =
        Job { full, plan, path, options, asked: asked(full, plan, prompts, options)?, adjustment, progress };
    let mut training = job.start()?;
    let clock = Instant::now();
    job.train(&mut training)?;
    job.finish(&training, clock.elapsed().as_secs_f64())
}

/// A training of vectors for a plan.
struct Job<'a, const D: usize, P: Pipeline<D>> {
    full: &'a P,
    plan: &'a CachePlan,
    path: &'a Path,
    options: &'a ScaleShiftOptions,
    /// Everything that the result depends on but the number of iterations.
    asked: Map<String, Value>,
    /// The file of the vectors.
    adjustment: PathBuf,
    progress: &'a dyn Progress,
}

impl<const D: usize, P: Pipeline<D>> Job<'_, D, P> {
    fn state_file(&self) -> PathBuf {
        self.adjustment.with_extension("state.safetensors")
    }

    fn start(&self) -> Result<ScaleShiftTraining> {
        let topology = self.full.denoiser().topology();
        let schedule = Arc::new(self.plan.schedule(&topology)?);
        let optimiser = AdamW::new(self.options.learning_rate);
        if self.options.resume {
            let state = state::read(&self.asked, &self.state_file()).context("resume")?;
            return Ok(ScaleShiftTraining::resume(schedule, topology, optimiser, state)?);
        }
        let started = ScaleShiftTraining::start(schedule, topology, optimiser);
        started.with_context(|| self.path.display().to_string())
    }

    fn train(&self, training: &mut ScaleShiftTraining) -> Result<()> {
        let (file, total) = (self.state_file(), self.options.iterations);
        let phase = Phase::begin(self.progress, "training (iterations)", total);
        phase.advance(training.state().history.len());
        while training.state().history.len() < total {
            let run = self.trajectories(training.state().history.len())?;
            training.iterate(self.full.denoiser(), self.full.sampler(), &run)?;
            phase.advance(1);
            let done = training.state().history.len();
            if done.is_multiple_of(EVERY) || done == total {
                state::write(training.state(), &self.asked, &file)?;
            }
        }
        Ok(())
    }

    /// The trajectories of an iteration: new noise, and subjects drawn at random.
    fn trajectories(&self, iteration: usize) -> Result<Run<D, P::Cond>> {
        let (full, batch, seed) = (self.full, self.options.batch_size, self.options.seed);
        let first = seed.wrapping_add(TRAJECTORIES).wrapping_add((iteration * batch) as u64);
        let seeds: Vec<u64> = (0..batch as u64).map(|image| first.wrapping_add(image)).collect();
        let mut draws = SplitMix64::of_part(seed, iteration as u64);
        let subjects: Vec<P::Subject> = seeds.iter().map(|_| full.subject(draws.below(SUBJECTS))).collect();
        Ok(Run { noise: full.noise(&seeds), cond: full.condition(&subjects)? })
    }

    /// Writes vectors and report.
    fn finish(&self, training: &ScaleShiftTraining, seconds: f64) -> Result<TrainedVectors> {
        let (full, plan, options) = (self.full, self.plan, self.options);
        let adjustment = training.adjustment(full.device())?;
        let iterations = training.state().history.len();
        let notes = vec![
            format!("{iterations} iterations of {} trajectories", options.batch_size),
            format!("learning rate {}, seed {}", options.learning_rate, options.seed),
            concat!("invardiff ", env!("CARGO_PKG_VERSION")).to_owned(),
        ];
        write_adjustment(&adjustment, plan, notes, &self.adjustment)?;
        let (adjusted_modules, bytes) = (adjustment.len(), adjustment.bytes());
        let table = evaluate(full, plan, adjustment, options.images, options.seed, self.progress)?;
        let trained = present::Trained { plan, path: self.path, state: training.state(), seconds };
        let report = present::report(options, full, &trained, table)?;
        let page = report.write(&self.adjustment.with_extension(""))?;
        let adjustment = self.adjustment.clone();
        Ok(TrainedVectors { adjustment, adjusted_modules, bytes, report, page, iterations, seconds })
    }
}

/// What a state is of: everything that the result depends on but the number of iterations.
fn asked<const D: usize, P: Pipeline<D>>(
    full: &P,
    plan: &CachePlan,
    prompts: &PromptRequest,
    options: &ScaleShiftOptions,
) -> Result<Map<String, Value>> {
    let mut asked = members(json!({
        "plan": plan.fingerprint()?, "batch_size": options.batch_size, "learning_rate": options.learning_rate,
        "seed": options.seed,
    }));
    asked.append(&mut of_model(full, prompts));
    Ok(asked)
}
