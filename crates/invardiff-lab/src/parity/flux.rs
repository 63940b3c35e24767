//! FLUX: one forward and its parts, a trajectory, and the authors' calibration.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use invardiff_calib::Run;
use invardiff_models::{Canvas, Flux, FluxCond};
use invardiff_plan::Kind;
use invardiff_plan::two_phase::{Settings, Variant};
use invardiff_runtime::{
    Denoiser, Executor, Feature, FlowMatchEuler, Full, Policy, Replay, Shift, Site, sample_with,
};

use super::arrays::Arrays;
use super::calibration::{measure, phase1, weights};
use super::check::Checks;
use super::compare::{self, stacked, values};
use super::folder::Folder;
use super::rule::{Origin, Setting, settings, stored_books};
use crate::error::{Context, Result, ensure};

const STREAMS: [Kind; 6] =
    [Kind::ATTN, Kind::CONTEXT_ATTN, Kind::FF, Kind::CONTEXT_FF, Kind::SINGLE_ATTN, Kind::SINGLE_MLP];

/// The most prompts of a calibration, so that a wrong number does not fill the memory.
const MOST_PROMPTS: usize = 4096;

/// Compares outputs in every layout of the weights, module outputs, a batch and a trajectory, as far as the files have them.
///
/// # Errors
/// When inputs are missing or do not fit the model.
pub(super) fn check(folder: &Folder, device: &Device, checks: &mut Checks) -> Result<()> {
    let flux = load(folder, &folder.path, device)?;
    let arrays = folder.arrays("forward.safetensors")?;
    for prefix in ["", "b2."].into_iter().filter(|prefix| arrays.has(&format!("{prefix}out"))) {
        checks.run(format!("forward {prefix}out"), || {
            let out = Inputs::read(prefix, &flux, &arrays, device)?.forward(&flux, &mut Full);
            compare::forward(&values(out), &arrays.get(&format!("{prefix}out"))?)
        });
    }
    if folder.has("bfl.safetensors") {
        checks.run("forward out, bfl.safetensors", || {
            let other = load(folder, &folder.path.join("bfl.safetensors"), device)?;
            let out = Inputs::read("", &other, &arrays, device)?.forward(&other, &mut Full);
            compare::forward(&values(out), &arrays.get("out")?)
        });
    }
    let mut seen = Seen::default();
    Inputs::read("", &flux, &arrays, device)?.forward(&flux, &mut seen);
    for (key, value) in seen.0.into_iter().filter(|(key, _)| arrays.has(key)) {
        checks.run(key.clone(), || compare::forward(&values(value), &arrays.get(&key)?));
    }
    if folder.has("trajectory.safetensors") {
        let arrays = folder.arrays("trajectory.safetensors")?;
        let sampler = sampler(folder)?;
        let cond = cond(folder, &flux, &arrays, 0, device)?;
        trajectory(checks, "latents", "latents0", &arrays, (&flux, &sampler, &cond), device, || Ok(Full));
    }
    Ok(())
}

/// Compares rates, thresholds and books of every setting, and the samples without a plan and under each.
///
/// # Errors
/// When the weights are not found, or the arrays do not fit them.
pub(super) fn check_calibration(
    folder: &Folder,
    all: &[std::path::PathBuf],
    device: &Device,
    checks: &mut Checks,
) -> Result<()> {
    let arrays = folder.arrays("calibration.safetensors")?;
    let flux = load(folder, &weights(folder, all)?, device)?;
    let sampler = sampler(folder)?;
    let prompts = folder.manifest().get("num_prompts")?.count()?;
    ensure!((1..=MOST_PROMPTS).contains(&prompts), "num_prompts is {prompts}, expected 1 to {MOST_PROMPTS}");
    let noise = latents(&flux, &arrays, "latents0", device)?;
    let runs = (0..prompts)
        .map(|row| Ok(Run { noise: noise.clone(), cond: cond(folder, &flux, &arrays, row, device)? }))
        .collect::<Result<Vec<_>>>()?;
    let listed = folder.manifest().get("runs")?.items()?;
    let asked: Vec<Settings> =
        listed.iter().map(|run| settings(run, Variant::Flux, &STREAMS)).collect::<Result<_>>()?;
    let tables = measure(&flux, &sampler, &runs, &asked, true)?;
    phase1(checks, &arrays, &tables);
    let sampled = cond(folder, &flux, &arrays, prompts, device)?;
    let parts = (&flux, &sampler, &sampled);
    if arrays.has("sample.full.latents") {
        trajectory(checks, "sample.full.latents", "sample.latents0", &arrays, parts, device, || Ok(Full));
    }
    for (index, (run, settings)) in listed.iter().zip(asked).enumerate() {
        let run = run.clone();
        Setting { folder, arrays: &arrays, index, origin: Origin::Computed, run, settings }
            .check(checks, &tables);
        let key = format!("s{index}.cached.latents");
        if arrays.has(&key) {
            trajectory(checks, &key, "sample.latents0", &arrays, parts, device, || {
                let topology = flux.topology();
                let books = stored_books(&arrays, &format!("s{index}.book."), &STREAMS)?;
                Ok(Replay::new(Arc::new(books.plan(&topology)?.schedule(&topology)?)))
            });
        }
    }
    Ok(())
}

/// The model at the manifest's size.
fn load(folder: &Folder, path: &Path, device: &Device) -> Result<Flux> {
    let manifest = folder.manifest();
    let sizes = manifest.get("image_tokens")?.sizes()?;
    let [rows, columns] = sizes[..] else {
        crate::error::bail!("image_tokens has {} numbers, expected rows and columns", sizes.len());
    };
    ensure!(
        (1..=256).contains(&rows) && (1..=256).contains(&columns),
        "image_tokens: expected 1 to 256 rows and columns"
    );
    let text_tokens = manifest.get("text_tokens")?.count()?;
    let flux = Flux::load(path, device).context("the weights")?.model;
    Ok(flux.with_canvas(Canvas { rows, columns, text_tokens }))
}

/// The sampler that the manifest describes: shifted by `mu`, or by the scheduler's fixed shift.
fn sampler(folder: &Folder) -> Result<FlowMatchEuler> {
    let manifest = folder.manifest();
    let shift = match manifest.find("mu") {
        Some(mu) => Shift::Dynamic { mu: mu.number()? },
        None => Shift::Static(manifest.get("scheduler")?.get("shift")?.number()?),
    };
    Ok(FlowMatchEuler::new(manifest.get("steps")?.count()?, shift)?)
}

fn latents(flux: &Flux, arrays: &Arrays, key: &str, device: &Device) -> Result<Tensor<3>> {
    let (canvas, config) = (flux.canvas(), flux.config());
    arrays.tensor(key, [1, canvas.rows * canvas.columns, config.in_channels], device)
}

/// The prompt in one row of the embeddings.
fn cond(folder: &Folder, flux: &Flux, arrays: &Arrays, row: usize, device: &Device) -> Result<FluxCond> {
    let (canvas, config) = (flux.canvas(), flux.config());
    let rows = arrays.shape("encoder_hidden_states")?.first().copied().unwrap_or(0);
    ensure!(row < rows, "{}: 'encoder_hidden_states' has {rows} rows, and row {row} is needed", arrays.file);
    let text: Tensor<3> = arrays.tensor(
        "encoder_hidden_states",
        [rows, canvas.text_tokens, config.joint_attention_dim],
        device,
    )?;
    let pooled: Tensor<2> =
        arrays.tensor("pooled_projections", [rows, config.pooled_projection_dim], device)?;
    let guidance = match folder.manifest().find("guidance_scale").filter(|_| config.guidance_embeds) {
        Some(scale) => Some(scale.number()? as f32),
        None => None,
    };
    Ok(flux.cond(text.narrow(0, row, 1), pooled.narrow(0, row, 1), guidance)?)
}

/// The inputs of one forward.
struct Inputs {
    x: Tensor<3>,
    t: Tensor<1>,
    cond: FluxCond,
}

impl Inputs {
    fn read(prefix: &str, flux: &Flux, arrays: &Arrays, device: &Device) -> Result<Self> {
        let (canvas, config, key) = (flux.canvas(), flux.config(), |name: &str| format!("{prefix}{name}"));
        let batch = arrays.shape(&key("hidden_states"))?.first().copied().unwrap_or(0);
        ensure!(batch > 0, "{}: '{}' has no row", arrays.file, key("hidden_states"));
        let tokens = canvas.rows * canvas.columns;
        let text = [batch, canvas.text_tokens, config.joint_attention_dim];
        let scales: Option<Vec<f32>> = if config.guidance_embeds {
            let found = arrays.shaped(&key("guidance"), &[batch])?;
            Some(found.iter().map(|scale| *scale as f32).collect())
        } else {
            None
        };
        let text = arrays.tensor(&key("encoder_hidden_states"), text, device)?;
        let pooled =
            arrays.tensor(&key("pooled_projections"), [batch, config.pooled_projection_dim], device)?;
        Ok(Self {
            x: arrays.tensor(&key("hidden_states"), [batch, tokens, config.in_channels], device)?,
            t: arrays.tensor(&key("timestep"), [batch], device)?,
            cond: flux.cond_by_row(text, pooled, scales.as_deref())?,
        })
    }

    fn forward<E: Executor>(&self, flux: &Flux, exec: &mut E) -> Tensor<3> {
        flux.forward(exec, self.x.clone(), self.t.clone(), &self.cond)
    }
}

/// Module outputs under the fixtures' names.
#[derive(Default)]
struct Seen(Vec<(String, Tensor<3>)>);

impl Executor for Seen {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        let names: &[String] = &match site.kind {
            Kind::TRUNK => vec!["hidden_before_norm_out".to_owned()],
            Kind::ATTN => {
                ["attn", "context_attn"].map(|name| format!("double{}.{name}", site.layer)).to_vec()
            }
            kind @ (Kind::FF | Kind::CONTEXT_FF) => vec![format!("double{}.{kind}", site.layer)],
            _ => Vec::new(),
        };
        self.0.extend(names.iter().cloned().zip(fresh.iter().cloned()));
        fresh
    }

    fn probe(&mut self, site: Site, value: &[Tensor<3>]) {
        let name = site.kind.to_string().replace("single_", "");
        self.0.extend(value.iter().map(|value| (format!("single{}.{name}", site.layer), value.clone())));
    }
}

/// Compares the sample after every step under a policy.
fn trajectory<P: Policy>(
    checks: &mut Checks,
    key: &str,
    start: &str,
    arrays: &Arrays,
    (flux, sampler, cond): (&Flux, &FlowMatchEuler, &FluxCond),
    device: &Device,
    policy: impl FnOnce() -> Result<P>,
) {
    checks.run(key, || {
        let mut after = Vec::with_capacity(sampler.steps());
        let noise = latents(flux, arrays, start, device)?;
        sample_with(flux, sampler, &mut policy()?, noise, cond, |_, _, x| after.push(values(x.clone())));
        compare::trajectory(&stacked(&after)?, &arrays.get(key)?)
    });
}
