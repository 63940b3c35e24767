//! The steps of another run of a plan's model.

use crate::progress::Bars;
use anyhow::{Context, Result, bail, ensure};
use invardiff::{DitSampler, Dtype, Embedded, PreparedFlux, Pretrained, SamplerKind, TextToImageOptions};
use invardiff_models::{Architecture, Dit, DitConfig};
use invardiff_plan::{RunSpec, Topology};
use invardiff_runtime::Sampler;

/// The steps of a run with another number of steps. Weights are not read.
pub(in crate::commands::plan) struct Grid {
    pub(in crate::commands::plan) topology: Topology,
    /// The sampler's own time of every step.
    pub(in crate::commands::plan) times: Vec<f64>,
    /// The run, the plan's but for the number of steps.
    pub(in crate::commands::plan) execution: RunSpec,
}

impl Grid {
    /// The run of a plan with another number of steps; `model` is the path or name of its model where the plan's own name
    /// does not find it.
    ///
    /// # Errors
    /// When there is no such model, it is another one than the plan's, or the sampler is unknown.
    pub(in crate::commands::plan) fn new(run: &RunSpec, model: Option<&str>, steps: usize) -> Result<Self> {
        let sampler = run.sampler.parse::<SamplerKind>().map_err(|_| {
            anyhow::anyhow!("its sampler is {}, which this command does not have", run.sampler)
        })?;
        let name = model.unwrap_or(&run.model);
        if let Some(embedded) = Embedded::ALL.into_iter().find(|embedded| embedded.name() == name) {
            return Self::dit(run, name, &embedded.dit_config()?, sampler, steps);
        }
        let Some(model) = model else {
            bail!("--model is missing: the plan was made for {}; name the file of its weights", run.model)
        };
        let named = || format!("--model {model}");
        let parts = Pretrained::open_with(model, &Bars::default()).with_context(named)?;
        match parts.architecture {
            Architecture::Dit => {
                let config = Dit::outline(&parts.transformer).with_context(named)?.config;
                Self::dit(run, &config.name(), &config, sampler, steps)
            }
            Architecture::Flux => Self::flux(run, &parts, steps).with_context(named),
        }
    }

    fn dit(
        run: &RunSpec,
        name: &str,
        config: &DitConfig,
        sampler: SamplerKind,
        steps: usize,
    ) -> Result<Self> {
        let sampler = DitSampler::new(sampler, config, steps, 0.0)?;
        let topology = config.topology();
        let topology = if run.guidance_scale.is_some() { topology.batched(2) } else { topology };
        Self::of(run, name, topology, &sampler)
    }

    fn flux(run: &RunSpec, parts: &Pretrained, steps: usize) -> Result<Self> {
        let options = TextToImageOptions {
            height: run.height,
            width: run.width,
            num_inference_steps: Some(steps),
            guidance_scale: run.guidance_scale,
            dtype: Dtype::ALL.into_iter().find(|dtype| dtype.name() == run.dtype).unwrap_or_default(),
            ..TextToImageOptions::default()
        };
        let prepared = PreparedFlux::new(parts, &options)?;
        Self::of::<3>(run, &prepared.model_name(), prepared.topology(), prepared.sampler())
    }

    fn of<const D: usize>(
        run: &RunSpec,
        name: &str,
        topology: Topology,
        sampler: &impl Sampler<D>,
    ) -> Result<Self> {
        ensure!(name == run.model, "the plan was made for {}, this is {name}", run.model);
        let steps = 0..sampler.steps();
        Ok(Self {
            topology,
            times: steps.clone().map(|step| sampler.schedule_time(step)).collect(),
            execution: RunSpec { timesteps: steps.map(|step| sampler.time(step)).collect(), ..run.clone() },
        })
    }
}
