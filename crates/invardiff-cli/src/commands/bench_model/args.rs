//! The flags of `invardiff bench-model`, and the plan that they name.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use invardiff::{Dtype, PlanSource};
use invardiff_plan::methods::baseline::uniform_gate;
use invardiff_plan::{CachePlan, Cost, Topology};

use crate::args::DeviceArg;

const HELP: &str = "\
Examples:
  invardiff bench-model --model dit-xl-2-256 --random-weights --plan fast.json --device cuda --dtype bf16
  invardiff bench-model --model flux1-dev-1024 --random-weights --plan fast.json --device cuda --dtype bf16 --json
  invardiff bench-model --model dit-s-2-256 --random-weights --num-inference-steps 6 --rounds 1
      Something small, for a look at the output

  invardiff bench-model --model dit-xl-2-256 --random-weights --calibration --rounds 1 --warm-up 0
      What a calibration costs: about 2.2 times a plain run of 50 steps, timed three times

Whole trajectories are timed in turns, with the device waited for at the end of each alone. The processor computes at once:
there, single steps are timed in the same trajectories, and CPU times and peak resident memory are given too; `--rounds 1
--warm-up 0` runs one trajectory of each kind. On other devices steps are timed in further trajectories, each step waited for.
Without --plan every second step is skipped. The weights' values change nothing: times are those of real weights.

--calibration times one calibration run (recording, both phases, the plan), without and with similarity, against one plain
run, all on one image without guidance, with the published settings.

--json prints one object: model, device, device_model, dtype, seed, num_inference_steps, plan (fingerprint), rounds, warm_up,
full_ms, cached_ms, full_cpu_ms, cached_cpu_ms (every trajectory), full_step_ms, computed_step_ms, skipped_step_ms (medians),
computed_steps, skipped_steps, speedup, cpu_speedup, predicted_speedup, peak_cache_bytes, scheduled_cache_bytes,
full_peak_rss_bytes, cached_peak_rss_bytes, memory_in_use_bytes, memory_reserved_bytes, and attention (path, shape,
bytes_taken, score_bytes). With --calibration: passes, and plain, calibration and with_similarity, each with ms, cpu_ms (every
run), peak_rss_bytes, and ratio and cpu_ratio to the plain run.";

/// Time a model of published size with random weights, full and under a plan, or its calibration
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// dit-{s,b,l,xl}-{2,4,8}-{256,512}, flux1-dev-PIXELS, flux1-schnell-PIXELS, or the config.json of a DiT or FLUX
    #[arg(long, value_name = "MODEL")]
    pub(super) model: String,
    /// Draw the weights on the device instead of loading any
    #[arg(long, required = true)]
    pub(super) random_weights: bool,
    /// The plan to replay (any format that `plan show` reads)
    #[arg(long, value_name = "FILE")]
    pub(super) plan: Option<PathBuf>,
    /// Time calibration runs instead of runs under a plan
    #[arg(long, conflicts_with = "plan")]
    pub(super) calibration: bool,
    /// Steps of the sampler; by default the plan's, or 50 (FLUX: 28)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(super) num_inference_steps: Option<u32>,
    #[command(flatten)]
    pub(super) device: DeviceArg,
    /// Element type of weights and features
    #[arg(long, value_parser = crate::args::dtype(), default_value_t, value_name = "TYPE")]
    pub(super) dtype: Dtype,
    /// Timed trajectories of each kind
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) rounds: u32,
    /// Trajectories of each kind before them
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(super) warm_up: u32,
    /// Seed of the weights and the noise
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(super) seed: u64,
    /// Pixels along the side of a FLUX image, where the model's name says none
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=16_384))]
    pub(super) pixels: u32,
    /// Tokens of FLUX's prompt
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) text_tokens: u32,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub(super) json: bool,
}

/// A plan laid over a model, and what is known before it runs.
pub(super) struct Prepared {
    pub(super) plan: CachePlan,
    pub(super) predicted_speedup: f64,
    pub(super) peak_cache_bytes: usize,
}

impl Args {
    /// Steps as asked for, as planned, or as usual.
    pub(super) fn steps(&self, topology: &Topology, usual: usize) -> Result<usize> {
        let asked = self.num_inference_steps.map(|steps| steps as usize);
        let planned = self.read_plan(topology)?.map(|plan| plan.full_steps());
        if let (Some(asked), Some(planned)) = (asked, planned) {
            ensure!(asked == planned, "--num-inference-steps {asked}: the plan has {planned} steps");
        }
        Ok(asked.or(planned).unwrap_or(usual))
    }

    /// Lays the plan over the model: the one of the flags, or one that skips every second step.
    pub(super) fn prepare(&self, topology: &Topology, steps: usize) -> Result<Prepared> {
        let plan = match self.read_plan(topology)? {
            Some(plan) => plan,
            None => CachePlan::gate_only(topology, uniform_gate(steps, steps.div_ceil(2))?),
        };
        let predicted_speedup = Cost::of(&plan, topology)?.speedup();
        let peak_cache_bytes = plan.schedule(topology)?.peak_bytes(1, self.dtype.burn().size());
        Ok(Prepared { plan, predicted_speedup, peak_cache_bytes })
    }

    fn read_plan(&self, topology: &Topology) -> Result<Option<CachePlan>> {
        let Some(path) = &self.plan else { return Ok(None) };
        let plan = PlanSource::read(path).and_then(|source| source.plan(Some(topology)));
        Ok(Some(plan.with_context(|| format!("--plan {}", path.display()))?))
    }
}
