//! The training itself and its files.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use invardiff::{Pipeline, RunRequest, Use, write_routers};
use invardiff_calib::{RouterState, RouterTraining};
use invardiff_plan::CachePlan;
use invardiff_plan::core::Calibration;
use invardiff_plan::methods::routers::Routers;
use invardiff_report::Report;
use invardiff_runtime::{Denoiser, Phase, Progress, Sampler};
use serde_json::{Map, Value, json};

use super::evaluate::{Controls, evaluate};
use super::options::RouterOptions;
use super::present::{self, Trained};
use super::state;
use crate::error::{Context, Error, Result};
use crate::examples::ExampleSet;
use crate::held_out::EXAMPLES;
use crate::resumed::{members, of_model};

/// Iterations between two states on disk.
const EVERY: usize = 50;

/// Trained routers, with their plan and their report.
#[derive(Clone, Debug)]
pub struct TrainedRouters {
    /// The routers, with where they come from.
    pub routers: Routers,
    /// The plan of the routers, cut at the threshold of the options.
    pub plan: CachePlan,
    /// The report, with the table of held-out images.
    pub report: Report,
    /// The folder of the files: `state.safetensors`, `routers.safetensors`, `plan.json` and the report.
    pub folder: PathBuf,
    /// The page of the report.
    pub page: PathBuf,
    /// Iterations in all.
    pub iterations: usize,
    /// Seconds that the training took, without what it resumed from.
    pub seconds: f64,
    /// Where the examples come from, in words.
    pub origin: String,
}

/// Opens the model of a request and trains routers for it, on the samples of a file (a DiT) or on images that the model draws.
/// Files go to `folder`; by default that is `out/MODEL-routers`.
///
/// # Errors
/// When the model cannot be opened, an option or the file does not fit it, or a file cannot be written.
pub fn train(
    request: &RunRequest,
    options: &RouterOptions,
    examples: Option<&Path>,
    folder: Option<&Path>,
    device: &Device,
    progress: &dyn Progress,
) -> Result<TrainedRouters> {
    options.check()?;
    let resolved = request.resolve(progress)?;
    if resolved.model.draws_prompts() {
        if examples.is_some() {
            let problem = "are given, but a FLUX model is trained on images that it draws";
            return Err(Error::setting("examples", problem));
        }
        let prompts = request.prompts.texts(&[])?;
        let full = resolved.prompts(request, &prompts, Use::Calibrate, device, progress)?.0;
        return train_on(&full, request, options, None, folder, progress);
    }
    let full = resolved.classes(request, Use::Calibrate, device, progress)?.0;
    let config = full.model().config();
    let given =
        examples.map(|path| ExampleSet::read(path, config, device).context("examples")).transpose()?;
    train_on(&full, request, options, given.map(|set| (examples, set)), folder, progress)
}

/// Trains routers for a pipeline that is open, as [`train`] does. Examples come with their file, where they have one.
///
/// # Errors
/// As [`train`].
pub fn train_on<const D: usize, P: Pipeline<D>>(
    full: &P,
    request: &RunRequest,
    options: &RouterOptions,
    examples: Option<(Option<&Path>, ExampleSet<D, P::Subject>)>,
    folder: Option<&Path>,
    progress: &dyn Progress,
) -> Result<TrainedRouters> {
    options.check()?;
    let (file, given) = examples.unzip();
    let job = Job { full, options, asked: asked(full, request, options, file.flatten()), progress };
    let named = || PathBuf::from("out").join(format!("{}-routers", full.name()));
    let folder = folder.map_or_else(named, Path::to_owned);
    std::fs::create_dir_all(&folder)
        .map_err(|error| Error::setting("out", format_args!("{}: {error}", folder.display())))?;
    let mut training = job.start(&folder)?; // refuses bad settings before examples are drawn
    let examples = given.map_or_else(|| job.draw(), Ok)?;
    let clock = Instant::now();
    job.train(&examples, &mut training, &folder)?;
    job.finish(training.state(), examples.origin, clock.elapsed().as_secs_f64(), folder)
}

/// A training of routers for a pipeline.
struct Job<'a, const D: usize, P: Pipeline<D>> {
    full: &'a P,
    options: &'a RouterOptions,
    /// Everything that the result depends on but the number of iterations.
    asked: Map<String, Value>,
    progress: &'a dyn Progress,
}

impl<const D: usize, P: Pipeline<D>> Job<'_, D, P> {
    fn start(&self, folder: &Path) -> Result<RouterTraining> {
        let settings = self.options.settings();
        if self.options.resume {
            let state = state::read(&self.asked, &state_file(folder)).context("resume")?;
            return Ok(RouterTraining::resume(settings, state)?);
        }
        let (topology, steps) = (self.full.denoiser().topology(), self.full.sampler().steps());
        Ok(RouterTraining::start(&topology, steps, settings)?)
    }

    fn draw(&self) -> Result<ExampleSet<D, P::Subject>> {
        let (count, seed) = (self.options.drawn_examples, self.options.seed.wrapping_add(EXAMPLES));
        let batches = count.div_ceil(self.full.default_batch());
        let phase = Phase::begin(self.progress, "drawing examples (batches)", batches);
        ExampleSet::draw(self.full, count, seed, &|| phase.advance(1))
    }

    fn train(
        &self,
        examples: &ExampleSet<D, P::Subject>,
        training: &mut RouterTraining,
        folder: &Path,
    ) -> Result<()> {
        let (file, total) = (state_file(folder), self.options.iterations);
        let plain = self.full.unguided().unwrap_or_else(|| self.full.clone());
        let phase = Phase::begin(self.progress, "training (iterations)", total);
        phase.advance(training.state().history.len());
        while training.state().history.len() < total {
            let (size, dropout) = (self.options.batch_size, self.options.label_dropout);
            let example = examples.batch(&plain, training.data_seed(), size, dropout)?;
            training.iterate(plain.denoiser(), plain.sampler(), example)?;
            phase.advance(1);
            let done = training.state().history.len();
            if done.is_multiple_of(EVERY) || done == total {
                state::write(training.state(), &self.asked, &file)?;
            }
        }
        Ok(())
    }

    /// Writes routers, plan and report.
    fn finish(
        &self,
        state: &RouterState,
        origin: String,
        seconds: f64,
        folder: PathBuf,
    ) -> Result<TrainedRouters> {
        let (full, options) = (self.full, self.options);
        let routers = self.signed(&origin, state);
        write_routers(&routers, &folder.join("routers.safetensors"))?;
        let plan = routers.plan(options.threshold).context("threshold")?;
        plan.write(folder.join("plan.json"))?;
        let controls = Controls { images: options.images, seed: options.seed, randoms: 3 };
        let table = evaluate(full, &routers, &plan, controls, self.progress)?;
        let trained = Trained { state, origin: &origin, plan: &plan, seconds };
        let report = present::report(options, full, &trained, table)?;
        let page = report.write(&folder)?;
        let iterations = state.history.len();
        Ok(TrainedRouters { routers, plan, report, folder, page, iterations, seconds, origin })
    }

    /// The routers with where they come from.
    fn signed(&self, origin: &str, state: &RouterState) -> Routers {
        let options = self.options;
        let mut provenance = state.routers.provenance.clone();
        provenance.tool = concat!("invardiff ", env!("CARGO_PKG_VERSION")).into();
        provenance.execution = Some(self.full.execution());
        provenance.calibration =
            Some(Calibration { conditions: Vec::new(), seeds: vec![options.seed], guidance_scale: None });
        provenance.notes = vec![
            format!("{} iterations of {} examples: {}", state.history.len(), options.batch_size, origin),
            format!("lambda {}, learning rate {}", options.lambda, options.learning_rate),
        ];
        state.routers.clone().with_provenance(provenance)
    }
}

fn state_file(folder: &Path) -> PathBuf {
    folder.join("state.safetensors")
}

/// What a state is of: everything that the result depends on but the number of iterations.
fn asked<const D: usize, P: Pipeline<D>>(
    full: &P,
    request: &RunRequest,
    options: &RouterOptions,
    examples: Option<&Path>,
) -> Map<String, Value> {
    let mut asked = members(json!({
        "num_inference_steps": full.sampler().steps(), "batch_size": options.batch_size,
        "examples": examples, "drawn_examples": options.drawn_examples, "lambda": options.lambda,
        "learning_rate": options.learning_rate, "straight_through": options.straight_through,
        "label_dropout": options.label_dropout, "guidance_scale": request.guidance_scale, "seed": options.seed,
    }));
    asked.append(&mut of_model(full, &request.prompts));
    asked
}
