//! Calibration of a DiT, and sampling under the plans that it makes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use invardiff_calib::{RecordOptions, Run, Session, SharedDenoiser};
use invardiff_models::Dit;
use invardiff_plan::Kind;
use invardiff_plan::two_phase::{DistanceTable, RateTable, Settings, Variant};
use invardiff_runtime::{Denoiser, Full, Replay, Sampler};

use super::arrays::Arrays;
use super::check::Checks;
use super::folder::{Entry, Folder, MANIFEST};
use super::rule::{Origin, PhaseArrays, Setting, check_rates, check_runs, missing, settings, stored_books};
use super::trajectory::{Sampling, Start, labels, respaced};
use crate::error::{Context, Result, bail, ensure};

/// The most runs of a calibration, so that a wrong number does not fill the memory.
const MOST_RUNS: usize = 4096;

const STREAMS: [Kind; 2] = [Kind::MSA, Kind::MLP];

/// Compares rates, thresholds and books of every setting, and the samples without a plan and under each.
///
/// # Errors
/// When the weights are not found, or the arrays do not fit them.
pub(super) fn check(folder: &Folder, all: &[PathBuf], device: &Device, checks: &mut Checks) -> Result<()> {
    let arrays = folder.arrays("calibration.safetensors")?;
    let weights = weights(folder, all)?;
    let dit = Dit::load(&weights, device).context("the weights")?.model;
    let steps = folder.manifest().get("steps")?.count()?;
    let sampler = respaced(&dit, steps).context("the sampler")?;
    let runs = folder.manifest().get("runs")?.items()?;
    let asked: Vec<Settings> =
        runs.iter().map(|run| settings(run, Variant::Dit, &STREAMS)).collect::<Result<_>>()?;

    let calibrated = self::runs(folder, &arrays, &dit, device)?;
    let tables = measure(&dit, &sampler, &calibrated, &asked, false)?;
    phase1(checks, &arrays, &tables);
    for (index, (run, settings)) in runs.iter().zip(asked).enumerate() {
        let setting =
            Setting { folder, arrays: &arrays, index, origin: Origin::Computed, run: run.clone(), settings };
        setting.check(checks, &tables);
    }
    let beside = Folder::open(&weights).ok();
    let manifests: Vec<Entry<'_>> =
        [Some(folder), beside.as_ref()].into_iter().flatten().map(Folder::manifest).collect();
    let start = Start::read(&arrays, "sample.", &dit, device)?;
    let sampling = Sampling { dit: &dit, sampler: &sampler, start: &start };
    samples(checks, &arrays, &sampling, &manifests, runs.len());
    Ok(())
}

/// The folder of the weights: the fixture itself, one inside of it or beside it with the manifest's name, or any other
/// that is being checked and has this name.
pub(super) fn weights(folder: &Folder, all: &[PathBuf]) -> Result<PathBuf> {
    let name = match folder.manifest().find("weights") {
        Some(name) => name.text()?,
        None if folder.has("weights.safetensors") || folder.has("weights.pt") => {
            return Ok(folder.path.clone());
        }
        None => bail!("{MANIFEST}: weights is missing, and the folder has no weights of its own"),
    };
    let parent = folder.path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
    let near = [Some(folder.path.clone()), parent].into_iter().flatten().map(|near| near.join(name));
    let elsewhere = all.iter().filter(|path| path.file_name().is_some_and(|found| found == name)).cloned();
    near.chain(elsewhere).find(|path| path.exists()).with_context(|| {
        format!("the weights '{name}' are neither beside the folder nor among the given ones; give their folder too")
    })
}

/// The distances of every run that any of the settings reads; with `probe`, measured on the values that the model passes to `probe`.
pub(super) fn measure<const D: usize, M, S>(
    model: &M,
    sampler: &S,
    runs: &[Run<D, M::Cond>],
    asked: &[Settings],
    probe: bool,
) -> Result<Vec<DistanceTable>>
where
    M: SharedDenoiser<D>,
    S: Sampler<D> + Sync,
{
    let session = Session::new(model, sampler, runs)?;
    let options = RecordOptions { similarity: false, probe, ..RecordOptions::default() };
    let (mut tables, _) = session.record(&options)?;
    let far = missing(&tables, asked)?;
    if !far.is_empty() {
        session.record_pairs(&mut tables, far, probe)?;
    }
    Ok(tables)
}

/// Run `r` starts from `calib.z[r mod n]` with label `calib.y[r mod n]`, one sample at a time and without guidance.
fn runs(
    folder: &Folder,
    arrays: &Arrays,
    dit: &Dit,
    device: &Device,
) -> Result<Vec<Run<4, <Dit as Denoiser<4>>::Cond>>> {
    let config = dit.config();
    let count = arrays.shape("calib.z")?.first().copied().unwrap_or(0);
    ensure!(count > 0, "{}: 'calib.z' has no row", arrays.file);
    let z = arrays.tensor(
        "calib.z",
        [count, config.in_channels, config.input_size, config.input_size],
        device,
    )?;
    let y = labels(arrays, "calib.y", count, dit, device)?;
    let asked = folder.manifest().find("num_analysis").map_or(Ok(count), |count| count.count())?;
    ensure!(
        (1..=MOST_RUNS).contains(&asked),
        "{MANIFEST}: num_analysis is {asked}, expected 1 to {MOST_RUNS}"
    );
    let run = |run: usize| {
        let row = run % count;
        Run { noise: z.clone().narrow(0, row, 1), cond: y.clone().narrow(0, row, 1) }
    };
    Ok((0..asked).map(run).collect())
}

/// The first phase does not depend on the settings, so it may be stored once for all of them.
pub(super) fn phase1(checks: &mut Checks, arrays: &Arrays, tables: &[DistanceTable]) {
    let stored = PhaseArrays::read(arrays, "phase1.");
    let rates = |table: &DistanceTable| -> Result<RateTable> { Ok(RateTable::phase1(table)?) };
    check_runs(checks, arrays, Origin::Computed, "phase1.", tables, rates);
    if !stored.averages.is_empty() {
        let each = tables.iter().map(rates).collect::<Result<Vec<_>>>();
        match each.and_then(|each| Ok(RateTable::mean(&each)?)) {
            Ok(mean) => check_rates(checks, arrays, Origin::Computed, "phase 1 rates", &stored, &mean),
            Err(error) => checks.run("phase 1 rates", || Err(error)),
        }
    }
}

/// Samples without a plan, and under the stored books of every setting.
fn samples(
    checks: &mut Checks,
    arrays: &Arrays,
    sampling: &Sampling<'_>,
    manifests: &[Entry<'_>],
    settings: usize,
) {
    let (plain, guided) = ("sample.full.latents", "sample.full.latents_cfg");
    if arrays.has(plain) {
        sampling.plain(checks, plain, arrays, plain, || Ok(Full));
    }
    if arrays.has(guided) {
        sampling.guided(checks, guided, arrays, guided, manifests, || Ok(Full));
    }
    for index in 0..settings {
        let replay = || {
            let topology = sampling.dit.topology();
            let books = stored_books(arrays, &format!("s{index}.book."), &STREAMS)?;
            let schedule = books.plan(&topology)?.schedule(&topology)?;
            ensure!(
                schedule.steps() == sampling.sampler.steps(),
                "the books have {} steps, the sampler {}",
                schedule.steps(),
                sampling.sampler.steps()
            );
            Ok(Replay::new(Arc::new(schedule)))
        };
        let key = |name: &str| format!("s{index}.cached.{name}");
        let (plain, guided) = (key("latents"), key("latents_cfg"));
        if arrays.has(&plain) {
            sampling.plain(checks, &plain, arrays, &plain, replay);
        }
        if arrays.has(&guided) {
            sampling.guided(checks, &guided, arrays, &guided, manifests, replay);
        }
    }
}
