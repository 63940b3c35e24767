//! The training itself and its files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use invardiff::{Pipeline, write_routers};
use invardiff_calib::{RouterSettings, RouterState, RouterTraining};
use invardiff_plan::core::Calibration;
use invardiff_plan::methods::routers::Routers;
use invardiff_runtime::{Denoiser, Sampler};
use serde_json::{Map, Value, json};

use super::judge::{Trial, judge};
use super::present::{self, Trained};
use super::state;
use super::train::Args;
use crate::commands::request::{ModelSource, RunRequest, Use};
use crate::commands::training::{flags, of_model};
use crate::examples::ExampleSet;
use crate::held_out::EXAMPLES;
use crate::progress::bar;
use crate::stdout::say;

/// Iterations between two states on disk.
const EVERY: usize = 50;
/// Steps of a DiT where nothing is said.
const STEPS: usize = 20;

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    ensure!(
        (0.0..=1.0).contains(&args.label_dropout),
        "--label-dropout is {}, expected a number from 0 to 1",
        args.label_dropout
    );
    let request = RunRequest {
        model: Some(&args.model),
        num_inference_steps: args.num_inference_steps,
        default_steps: STEPS,
        guidance_scale: args.guidance_scale,
        ..RunRequest::of(&args.prompts)
    };
    let (choice, device) = (request.resolve()?, args.device.open()?);
    match choice.model {
        ModelSource::Embedded(_) | ModelSource::Dit(_) => {
            let full = choice.classes(&request, Use::Calibrate, &device)?.0;
            let config = full.model().config();
            let read = |path: &PathBuf| ExampleSet::read(path, config, &device).context("--examples");
            run_on(args, &full, args.examples.as_ref().map(read).transpose()?)
        }
        ModelSource::Flux(_) => {
            ensure!(args.examples.is_none(), "--examples: a FLUX model is trained on images that it draws");
            let prompts = args.prompts.prompts(&[])?;
            let full = choice.prompts(&request, &prompts, Use::Calibrate, &device)?.0;
            run_on(args, &full, None)
        }
    }
}

fn run_on<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    given: Option<ExampleSet<D, P::Subject>>,
) -> Result<ExitCode> {
    let folder = args.out.clone();
    let folder = folder.unwrap_or_else(|| PathBuf::from("out").join(format!("{}-routers", full.name())));
    std::fs::create_dir_all(&folder).with_context(|| format!("--out {}", folder.display()))?;
    let mut training = start(args, full, &folder)?; // refuses bad flags before examples are drawn
    let examples = given.map_or_else(|| draw(args, full), Ok)?;
    let clock = Instant::now();
    train(args, full, &examples, &mut training, &folder)?;
    let seconds = clock.elapsed().as_secs_f64();
    let routers = finished(args, full, &examples.origin, training.state());
    write_routers(&routers, &folder.join("routers.safetensors"))?;
    let plan = routers.plan(args.threshold).context("--threshold")?;
    plan.write(folder.join("plan.json"))?;
    let trial = Trial { images: args.images as usize, seed: args.seed, randoms: 3 };
    let trained = Trained { state: training.state(), origin: &examples.origin, plan: &plan, seconds };
    let report = present::report(args, full, &trained, judge(full, &routers, &plan, trial)?)?;
    let page = report.write(&folder)?;
    let (computed, routed) = (routers.computed(args.threshold), routers.logits().len());
    if args.json {
        let object = json!({
            "folder": folder, "routers": folder.join("routers.safetensors"), "plan": folder.join("plan.json"),
            "report": page, "iterations": training.state().history.len(), "seconds": seconds,
            "examples": examples.origin, "computed_modules": computed, "routed_modules": routed,
            "table": report.table,
        });
        say(format_args!("{object:#}"))?;
    } else {
        say(format_args!("{}\n{}\n\n{}", report.title, report.subtitle, report.table))?;
        say(format_args!("{computed} of {routed} routed modules computed\nreport {}", page.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the state is of: everything that the result depends on but the number of iterations.
fn asked<const D: usize, P: Pipeline<D>>(args: &Args, full: &P) -> Map<String, Value> {
    let mut asked = flags(json!({
        "--num-inference-steps": full.sampler().steps(), "--batch-size": args.batch_size,
        "--examples": args.examples, "--drawn-examples": args.drawn_examples, "--lambda": args.lambda,
        "--learning-rate": args.learning_rate, "--straight-through": args.straight_through,
        "--label-dropout": args.label_dropout, "--guidance-scale": args.guidance_scale, "--seed": args.seed,
    }));
    asked.append(&mut of_model(full, &args.prompts));
    asked
}

fn start<const D: usize, P: Pipeline<D>>(args: &Args, full: &P, folder: &Path) -> Result<RouterTraining> {
    let settings = RouterSettings {
        lambda: args.lambda,
        learning_rate: args.learning_rate,
        straight_through: args.straight_through,
        seed: args.seed,
        ..RouterSettings::default()
    };
    let file = folder.join("state.safetensors");
    if args.resume {
        let state = state::read(&asked(args, full), &file).context("--resume")?;
        return Ok(RouterTraining::resume(settings, state)?);
    }
    Ok(RouterTraining::start(&full.denoiser().topology(), full.sampler().steps(), settings)?)
}

fn draw<const D: usize, P: Pipeline<D>>(args: &Args, full: &P) -> Result<ExampleSet<D, P::Subject>> {
    let count = args.drawn_examples as usize;
    let progress = bar(count.div_ceil(full.default_batch()), "drawing examples (batches)");
    let drawn = ExampleSet::draw(full, count, args.seed.wrapping_add(EXAMPLES), &|| progress.inc(1));
    progress.finish_and_clear();
    drawn
}

fn train<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    examples: &ExampleSet<D, P::Subject>,
    training: &mut RouterTraining,
    folder: &Path,
) -> Result<()> {
    let (file, asked) = (folder.join("state.safetensors"), asked(args, full));
    let plain = full.unguided().unwrap_or_else(|| full.clone());
    let total = args.iterations as usize;
    let progress = bar(total, "training (iterations)");
    progress.set_position(training.state().history.len() as u64);
    while training.state().history.len() < total {
        let (size, dropout) = (args.batch_size as usize, args.label_dropout);
        let example = examples.batch(&plain, training.data_seed(), size, dropout)?;
        training.iterate(plain.denoiser(), plain.sampler(), example)?;
        progress.inc(1);
        let done = training.state().history.len();
        if done.is_multiple_of(EVERY) || done == total {
            state::write(training.state(), &asked, &file)?;
        }
    }
    progress.finish_and_clear();
    Ok(())
}

/// The routers with where they come from.
fn finished<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    origin: &str,
    state: &RouterState,
) -> Routers {
    let mut provenance = state.routers.provenance.clone();
    provenance.tool = concat!("invardiff ", env!("CARGO_PKG_VERSION")).into();
    provenance.execution = Some(full.execution());
    provenance.calibration =
        Some(Calibration { conditions: Vec::new(), seeds: vec![args.seed], guidance_scale: None });
    provenance.notes = vec![
        format!("{} iterations of {} examples: {}", state.history.len(), args.batch_size, origin),
        format!("lambda {}, learning rate {}", args.lambda, args.learning_rate),
    ];
    state.routers.clone().with_provenance(provenance)
}
