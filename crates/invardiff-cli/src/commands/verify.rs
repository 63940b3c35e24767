//! `invardiff verify`: checks of determinism and caching on this machine with this model.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use invardiff::{Pipeline, SamplerKind, Use};
use invardiff_lab::verify::{Check, Verification};
use invardiff_plan::CachePlan;
use invardiff_runtime::Sampler;
use serde_json::{Value, json};

use super::labels;
use super::request::{self, PromptFlags};
use crate::args::DeviceArg;
use crate::progress::Bars;
use crate::stdout::say;

const HELP: &str = "\
Examples:
  invardiff verify
  invardiff verify --model emoji --num-inference-steps 50
  invardiff verify --plan out/fashion/plan.json
  invardiff verify --model DiT-XL-2-256x256.pt --num-inference-steps 6 --class-labels 207 --json

Checks: an empty plan is bit-identical to the uncached run; two runs are bit-identical; a calibration sees the uncached run
and leaves the random state untouched; the peak bytes of the cache are those of the schedule (with a negative prompt
at most those); two threads with two
plans at once draw the same as each alone. Samples are compared by SHA-256, of which the lines show the first 12 digits.

Without --plan the plans are evenly skipped steps, a random plan of skips and reused modules, and evenly skipped steps whose
output is extrapolated. The exit code is 1 if a check fails.

--json prints one object: model, weights_sha256, sampler, num_inference_steps, guidance_scale, dtype, class_labels or prompts, seed,
plan, passed, failed, and checks (name, ok, expected, found).";

/// Check on this machine that runs repeat bit for bit and that caching changes only what it should
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights, or the id of a repository on a hub (owner/name); by
    /// default the plan's model, or fashion
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The plan to check with (any format that `plan show` reads); by default three made-up plans
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Steps of the sampler; by default the plan's, or 20 for DiT and as published for FLUX
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..=1000))]
    num_inference_steps: Option<u32>,
    /// Classes to draw: numbers, ranges (0-9), the model's class names
    #[arg(long, default_value = "0,1", value_name = "LABELS")]
    class_labels: String,
    /// Guidance scale (1: none); by default the plan's, or the model's own
    #[arg(long, value_name = "SCALE")]
    guidance_scale: Option<f32>,
    /// The sampler; by default the plan's, or ddim for DiT and flow-match-euler for FLUX
    #[arg(long, value_parser = crate::args::sampler())]
    sampler: Option<SamplerKind>,
    /// Seed of the first image's noise
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    seed: u64,
    /// Check with a plan that was made for another model, time grid or guidance
    #[arg(long, requires = "plan")]
    force: bool,
    #[command(flatten)]
    prompts: PromptFlags,
    #[command(flatten)]
    device: DeviceArg,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When a flag, the plan or the model does not fit. A check that fails is exit code 1.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut asked = args.prompts.request();
    asked.model.clone_from(&args.model);
    asked.plan.clone_from(&args.plan);
    asked.sampler = args.sampler;
    asked.num_inference_steps = request::steps(args.num_inference_steps);
    asked.default_steps = 20;
    asked.guidance_scale = args.guidance_scale;
    let (device, bars) = (args.device.open()?, Bars::default());
    let resolved = asked.resolve(&bars)?;
    if resolved.model.draws_prompts() {
        let prompts = asked.prompts.texts(&PROMPTS)?;
        let draw = Use::Draw { batch: prompts.len() };
        let (full, plan) = resolved.prompts(&asked, &prompts, draw, &device, &bars)?;
        let subjects = full.prompts().to_vec();
        return check(args, &full, plan, &subjects, json!({"prompts": prompts}));
    }
    let batch = args.class_labels.split(',').count();
    let (full, plan) = resolved.classes(&asked, Use::Draw { batch }, &device, &bars)?;
    let labels = labels::parse(&args.class_labels, full.model().config())?;
    check(args, &full, plan, &labels, json!({"class_labels": labels}))
}

/// Default prompts.
const PROMPTS: [&str; 1] = ["a red panda in the snow"];

/// Runs the checks on a pipeline; `asked` has the subjects to draw.
fn check<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    plan: Option<CachePlan>,
    subjects: &[P::Subject],
    asked: Value,
) -> Result<ExitCode> {
    let steps = full.sampler().steps();
    ensure!(steps >= 4, "the run has {steps} steps; there is nothing to check below 4");
    if let (Some(plan), Some(path), false) = (&plan, &args.plan, args.force) {
        plan.check(&full.execution())
            .with_context(|| format!("--plan {} (--force replays it all the same)", path.display()))?;
    }
    let last = args
        .seed
        .checked_add(subjects.len() as u64)
        .context("--seed is too large: image n takes seed + n")?;
    let verification = Verification { full, subjects, seeds: &(args.seed..last).collect::<Vec<_>>() };
    let checks = verification.run(plan, |check| if args.json { Ok(()) } else { say(check) })?;
    let failed = checks.iter().filter(|check| !check.ok).count();
    if args.json {
        let mut object = json!({
            "model": full.name(),
            "weights_sha256": full.weights_sha256(),
            "sampler": full.sampler().name(),
            "num_inference_steps": steps,
            "guidance_scale": full.guidance_scale(),
            "dtype": full.dtype().name(),
            "seed": args.seed,
            "plan": args.plan.as_ref().map(|path| path.display().to_string()),
            "passed": checks.len() - failed,
            "failed": failed,
            "checks": checks,
        });
        if let (Value::Object(object), Value::Object(asked)) = (&mut object, asked) {
            object.extend(asked);
        }
        say(format_args!("{object:#}"))?;
    } else {
        say(format_args!("{}: {} of {} checks passed", full.name(), checks.len() - failed, checks.len()))?;
    }
    Ok(exit_code(&checks))
}

fn exit_code(checks: &[Check]) -> ExitCode {
    if checks.iter().all(|check| check.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_is_seen_in_its_line_and_in_the_exit_code() {
        let good = Check::equal("two runs", "0a1b".repeat(16), "0a1b".repeat(16));
        let bad = Check::equal("two runs", "0a1b".repeat(16), "0a1c".repeat(16));
        assert!(good.to_string().starts_with("ok    two runs"), "{good}");
        assert!(bad.to_string().starts_with("FAIL  two runs"), "{bad}");
        assert!(bad.to_string().ends_with("0a1b0a1b0a1b != 0a1c0a1c0a1c"), "{bad}");
        assert_eq!(exit_code(std::slice::from_ref(&good)), ExitCode::SUCCESS);
        assert_eq!(exit_code(&[good, bad]), ExitCode::FAILURE);
    }
}
