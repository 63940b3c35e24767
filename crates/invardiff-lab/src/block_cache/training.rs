//! The training itself, its files and its report.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use invardiff::{Pipeline, adjustment_path, write_adjustment};
use invardiff_calib::{AdamW, Run, ScaleShiftState, ScaleShiftTraining};
use invardiff_plan::CachePlan;
use invardiff_plan::core::SplitMix64;
use invardiff_report::{Highlight, PlanMap, Report, Scale, Table, TrainingChart, TrainingLine};
use invardiff_runtime::Denoiser;
use serde_json::{Map, Value, json};

use super::eval::judge;
use super::made_for::{fitting, made_for};
use super::state;
use super::train::Args;
use crate::commands::request::Work;
use crate::commands::training::{between, flags, of_model};
use crate::held_out::TRAJECTORIES;
use crate::progress::bar;
use crate::stdout::say;

/// Classes or prompts are drawn from the first so many, in turn: all classes of any published model.
const SUBJECTS: usize = 1 << 20;
/// Iterations between two states on disk.
const EVERY: usize = 5;

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    made_for(args.model.as_deref(), &args.plan, &args.prompts).work(&args.device, args)
}

impl Work for &Args {
    fn on<const D: usize, P: Pipeline<D>>(self, full: &P, plan: Option<CachePlan>) -> Result<ExitCode> {
        let plan = &fitting(full, plan, &self.plan)?;
        let path = adjustment_path(&self.plan, plan)?;
        let mut training = start(self, full, plan, &path)?;
        let clock = Instant::now();
        train(self, full, plan, &mut training, &path)?;
        let seconds = clock.elapsed().as_secs_f64();
        let adjustment = training.adjustment(full.device())?;
        let notes = vec![
            format!("{} iterations of {} trajectories", training.state().history.len(), self.batch_size),
            format!("learning rate {}, seed {}", self.learning_rate, self.seed),
            concat!("invardiff ", env!("CARGO_PKG_VERSION")).to_owned(),
        ];
        write_adjustment(&adjustment, plan, notes, &path)?;
        let (adjusted, bytes) = (adjustment.len(), adjustment.bytes());
        let table = judge(full, plan, adjustment, self.images as usize, self.seed)?;
        let report = report(self, full, plan, training.state(), table, seconds)?;
        let page = report.write(&path.with_extension(""))?;
        if self.json {
            let object = json!({
                "plan": self.plan, "adjustment": path, "report": page,
                "iterations": training.state().history.len(), "seconds": seconds,
                "adjusted_modules": adjusted, "bytes": bytes, "table": report.table,
            });
            say(format_args!("{object:#}"))?;
        } else {
            say(format_args!("{}\n{}\n\n{}", report.title, report.subtitle, report.table))?;
            say(format_args!("vectors {}\nreport  {}", path.display(), page.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the state is of: everything that the result depends on but the number of iterations.
fn asked<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    plan: &CachePlan,
) -> Result<Map<String, Value>> {
    let mut asked = flags(json!({
        "PLAN": plan.fingerprint()?, "--batch-size": args.batch_size, "--learning-rate": args.learning_rate,
        "--seed": args.seed,
    }));
    asked.append(&mut of_model(full, &args.prompts));
    Ok(asked)
}

fn state_file(path: &Path) -> PathBuf {
    path.with_extension("state.safetensors")
}

fn start<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    plan: &CachePlan,
    path: &Path,
) -> Result<ScaleShiftTraining> {
    let topology = full.denoiser().topology();
    let schedule = Arc::new(plan.schedule(&topology)?);
    let optimiser = AdamW::new(args.learning_rate);
    if args.resume {
        let state = state::read(&asked(args, full, plan)?, &state_file(path)).context("--resume")?;
        return Ok(ScaleShiftTraining::resume(schedule, topology, optimiser, state)?);
    }
    let started = ScaleShiftTraining::start(schedule, topology, optimiser);
    started.with_context(|| args.plan.display().to_string())
}

fn train<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    plan: &CachePlan,
    training: &mut ScaleShiftTraining,
    path: &Path,
) -> Result<()> {
    let (file, asked) = (state_file(path), asked(args, full, plan)?);
    let total = args.iterations as usize;
    let progress = bar(total, "training (iterations)");
    progress.set_position(training.state().history.len() as u64);
    while training.state().history.len() < total {
        let run = trajectories(args, full, training.state().history.len())?;
        training.iterate(full.denoiser(), full.sampler(), &run)?;
        progress.inc(1);
        let done = training.state().history.len();
        if done.is_multiple_of(EVERY) || done == total {
            state::write(training.state(), &asked, &file)?;
        }
    }
    progress.finish_and_clear();
    Ok(())
}

/// The trajectories of an iteration: new noise, and subjects drawn at random.
fn trajectories<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    iteration: usize,
) -> Result<Run<D, P::Cond>> {
    let batch = args.batch_size as usize;
    let first = args.seed.wrapping_add(TRAJECTORIES).wrapping_add((iteration * batch) as u64);
    let seeds: Vec<u64> = (0..batch as u64).map(|image| first.wrapping_add(image)).collect();
    let mut draws = SplitMix64::of_part(args.seed, iteration as u64);
    let subjects: Vec<P::Subject> = seeds.iter().map(|_| full.subject(draws.below(SUBJECTS))).collect();
    Ok(Run { noise: full.noise(&seeds), cond: full.condition(&subjects)? })
}

fn report<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    plan: &CachePlan,
    state: &ScaleShiftState,
    table: Table,
    seconds: f64,
) -> Result<Report> {
    let topology = full.denoiser().topology();
    let [_, adjusted, plain, ..] = table.rows.as_slice() else { anyhow::bail!("the table lacks its rows") };
    let gain = adjusted.quality.psnr_mean - plain.quality.psnr_mean;
    let width = between(state.history.len());
    let losses = state.history.iter().map(|loss| f64::from(loss.distance));
    Ok(Report {
        title: format!("Block Caching on {}", full.name()),
        subtitle: format!(
            "scales and shifts of {}, {} iterations of {} trajectories",
            args.plan.display(),
            state.history.len(),
            args.batch_size
        ),
        highlights: vec![Highlight {
            label: "gain over the plan alone".into(),
            value: format!("{gain:+.2} dB"),
            detail: format!("worst image {:+.2} dB", adjusted.quality.psnr_worst - plain.quality.psnr_worst),
        }],
        facts: vec![
            ("plan".into(), plan.fingerprint()?),
            (
                "training".into(),
                format!("{seconds:.1} s for what was left of {} iterations", state.history.len()),
            ),
            ("learning rate".into(), args.learning_rate.to_string()),
        ],
        training: vec![TrainingChart {
            title: "Distance to the uncached prediction".into(),
            value: "mean square".into(),
            scale: Scale::Log,
            lines: vec![TrainingLine::smoothed(&format!("mean of {width} iterations"), losses, width)],
        }],
        plan: Some(PlanMap {
            gate: plan.gate().to_vec(),
            kinds: topology.kinds().into_iter().map(|kind| (kind, plan.of_kind(kind))).collect(),
        }),
        provenance: serde_json::to_value(&plan.provenance)?,
        table,
        ..Report::default()
    })
}
