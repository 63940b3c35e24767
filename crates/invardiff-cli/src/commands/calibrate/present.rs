//! The report of a calibration.

use std::path::Path;

use anyhow::Result;
use invardiff::Pipeline;
use invardiff_calib::Similarity;
use invardiff_eval::peak_rss;
use invardiff_lab::held_out::{HELD_OUT, table};
use invardiff_lab::{Evaluation, circumstances};
use invardiff_plan::core::{Target, Threshold};
use invardiff_plan::two_phase::DistanceTable;
use invardiff_plan::{CachePlan, Cost, Kind};
use invardiff_report::{
    Amplify, Curve, CurvePoint, Group, HeatMap, Highlight, ImageGrid, Measure, PlanMap, Report, Scale,
    Series, StepChart, Unit,
};
use invardiff_runtime::{Denoiser, Sampler};
use ndarray::{Array2, Axis, Slice};

use super::Args;
use super::baselines::Comparison;
use super::fitted::FittedPlan;
use super::measure::{Measured, PlanRule};

/// Columns of an image grid.
const COLUMNS: usize = 10;

/// Assembles the report.
pub(super) fn report<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    measured: &Measured,
    comparison: &Comparison<P>,
) -> Result<Report> {
    let plan = measured.plan();
    let topology = full.denoiser().topology();
    let cost = Cost::of(plan, &topology)?;
    let table = table(&comparison.candidates, &comparison.evaluated);
    let placed = placed(plan, full.sampler());
    let mut last = 0.0;
    let kept = placed.iter().map(|at| {
        last = at.map_or(last, |at| measured.trace.bytes[at]);
        last
    });
    let kept = kept.collect();
    let cached = placed.iter().map(|at| at.map_or(0.0, |at| measured.trace.cached[at])).collect();
    let own = &comparison.evaluated[1];
    let mut report = Report {
        title: format!("InvarDiff on {}", full.name()),
        subtitle: format!(
            "{} steps of {}, {}, {} calibration runs",
            full.sampler().steps(),
            full.sampler().name(),
            full.guidance_scale().map_or("no guidance".into(), |scale| format!("guidance {scale}")),
            args.runs(full)
        ),
        highlights: vec![
            Highlight {
                label: "measured speed-up".into(),
                value: format!("{:.2}x", measured.trace.speedup()),
                detail: format!("predicted {:.2}x, gate alone {:.2}x", cost.speedup(), cost.gate_speedup()),
            },
            work(plan),
            Highlight {
                label: "PSNR to the full run".into(),
                value: format!("{:.1} dB", own.quality.psnr_mean),
                detail: format!("worst image {:.1} dB", own.quality.psnr_worst),
            },
            Highlight {
                label: "peak cache".into(),
                value: format!("{} KiB", own.peak_bytes_per_image / 1024),
                detail: format!("an image; the schedule predicts {} KiB", plan.schedule(&topology)?.storing(args.means.storage()).peak_bytes(1, full.dtype().size()) / 1024),
            },
        ],
        facts: facts(args, full, measured, comparison),
        verdict: verdict(comparison, exact(measured)),
        notes: notes(args, measured, vec![
            "PSNR and SSIM compare with the full run from the same noise, on values clamped to their range and not \
             rounded to bytes. The table's speed-ups are medians over batches drawn in turns in one process; FLOPs are those \
             of matrix products."
                .into(),
            measured.trace.note(cost.speedup(), plan.gate()),
            "Rows at the same compute are what a user could have done instead: skipping a step of a deterministic \
             sampler is nearly a coarser time grid. The converged images are where all solvers lead from the same noise: \
             near them, another image than the full run's is no worse."
                .into(),
        ]),
        thresholds: plan.provenance.thresholds.clone(),
        table,
        plan: Some(PlanMap {
            gate: plan.gate().to_vec(),
            kinds: topology.kinds().into_iter().map(|kind| (kind, plan.of_kind(kind))).collect(),
        }),
        grids: grids(full, comparison)?,
        heat_maps: heat_maps(measured),
        latency: Some(StepChart {
            title: "Latency of a step, one image".into(),
            unit: Unit::Milliseconds,
            scale: Scale::Linear,
            series: vec![
                Series { name: "full".into(), values: measured.trace.full.clone() },
                Series { name: "cached".into(), values: cached },
            ],
        }),
        cache_bytes: Some(StepChart {
            title: "Bytes kept after a step, one image".into(),
            unit: Unit::Bytes,
            scale: Scale::Linear,
            series: vec![
                Series { name: "feature store".into(), values: kept },
                Series {
                    name: "most within a step".into(),
                    values: vec![own.peak_bytes_per_image as f64; placed.len()],
                },
            ],
        }),
        training: Vec::new(),
        curves: vec![Curve {
            name: "least error, on the calibration's conditions".into(),
            points: measured
                .least
                .checked
                .iter()
                .map(|point| CurvePoint { compute_fraction: point.compute_fraction, psnr: point.psnr })
                .collect(),
        }],
        provenance: serde_json::to_value(&plan.provenance)?,
    };
    if let Some(gain) = super::fitted::gain(&report) {
        report.verdict = format!("{gain}. {}", report.verdict);
    }
    Ok(report)
}

/// For every step of the sampler, which step of the plan falls on it: its own, or with times of its own at most one, the evaluation
/// whose time is nearest, later ones after earlier ones.
fn placed<const D: usize, S: Sampler<D>>(plan: &CachePlan, sampler: &S) -> Vec<Option<usize>> {
    let steps = sampler.steps();
    let Some(grid) = plan.grid() else { return (0..steps).map(Some).collect() };
    let (count, mut free) = (grid.points.len(), 0);
    let mut placed = vec![None; steps];
    for (at, point) in grid.points.iter().enumerate() {
        let apart = |step: &usize| (sampler.time(*step) - point.time).abs();
        // Later evaluations need a step each.
        let left = (steps + at).saturating_sub(count).max(free);
        let nearest = (free..=left.min(steps - 1)).min_by(|one, other| apart(one).total_cmp(&apart(other)));
        let Some(step) = nearest else { break };
        placed[step] = Some(at);
        free = step + 1;
    }
    placed
}

/// A headline number: how much the plan skips and reuses.
fn work(plan: &CachePlan) -> Highlight {
    if plan.grid().is_some() {
        return Highlight {
            label: "steps".into(),
            value: format!("{} instead of {}", plan.steps(), plan.full_steps()),
            detail: "at times and with weights of the plan's own".into(),
        };
    }
    Highlight {
        label: "skipped steps".into(),
        value: format!("{} of {}", plan.skipped_steps(), plan.steps()),
        detail: format!("{} modules reused in the others", plan.reused_modules()),
    }
}

/// The notes: what the numbers mean, then remarks on this run.
fn notes(args: &Args, measured: &Measured, mut notes: Vec<String>) -> Vec<String> {
    notes.extend(super::least_error::notes(&measured.least));
    notes.extend(measured.fitted.iter().map(|fitted| super::fitted::note(&fitted.found)));
    if let Some(fitted) = &measured.budgeted {
        notes.push(format!(
            "The memory budget of {} bytes an image costs the published rule's plan {} reused modules ({:.3} GFLOPs computed \
             again); it keeps {} bytes.",
            args.means.budget().unwrap_or_default(),
            fitted.dropped,
            fitted.lost_flops / 1e9,
            fitted.peak_bytes
        ));
    }
    notes
}

/// Whether the plan aims at the converged images rather than at the full run's.
fn exact(measured: &Measured) -> bool {
    let converged = |fitted: &FittedPlan| fitted.found.atlas.target == Target::Converged;
    measured.wanted == PlanRule::Fitted && measured.fitted.as_ref().is_some_and(converged)
}

/// Compares the plan with the best row that needs no plan, by the PSNR to the full run or (`exact`)
/// to the converged images.
fn verdict<P>(comparison: &Comparison<P>, exact: bool) -> String {
    let quality = |one: &Evaluation| one.converged.filter(|_| exact).unwrap_or(one.quality);
    let (own, evaluated) = (&comparison.candidates[1].1, &comparison.evaluated[1]);
    let fewer = comparison
        .candidates
        .iter()
        .zip(&comparison.evaluated)
        .filter(|((group, _), _)| *group == Group::FewerSteps);
    let best =
        fewer.max_by(|(_, one), (_, other)| quality(one).psnr_mean.total_cmp(&quality(other).psnr_mean));
    let Some(((_, candidate), baseline)) = best else {
        return "The model has no other solver to compare with.".into();
    };
    let gain = quality(evaluated).psnr_mean - quality(baseline).psnr_mean;
    let worst = quality(evaluated).psnr_worst - quality(baseline).psnr_worst;
    let from = if exact { "the converged images" } else { "the full run" };
    let plain = if gain <= 0.5 {
        "nothing is gained by the plan here: take fewer steps"
    } else {
        "the plan is worth it"
    };
    format!(
        "Against the best row of fewer steps ({}) {} is {gain:+.1} dB in the mean and {worst:+.1} dB in the worst image, \
         measured from {from}: {plain}.",
        candidate.name, own.name
    )
}

fn facts<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    measured: &Measured,
    comparison: &Comparison<P>,
) -> Vec<(String, String)> {
    let reference = &comparison.evaluated[0];
    let mut facts = circumstances(full.device());
    facts.extend([
        ("model".into(), full.name().to_owned()),
        ("weights SHA-256".into(), full.weights_sha256().to_owned()),
        ("calibration".into(), {
            let guided = if args.calibrate_unguided { "conditional half alone" } else { "with guidance" };
            format!(
                "{} runs, {guided}, {:.1} s, {} pass(es)",
                args.runs(full),
                measured.seconds,
                measured.paper.passes
            )
        }),
        (
            "seeds".into(),
            format!("calibration from {}, images from {}", args.seed, args.seed.wrapping_add(HELD_OUT)),
        ),
        ("held-out images".into(), args.images.to_string()),
        ("full run of one batch".into(), format!("{:.2} s (median)", reference.timings.median())),
        ("plan".into(), measured.plan().fingerprint().unwrap_or_default()),
    ]);
    if let Some(converged) = &comparison.converged {
        facts.push(("converged images".into(), converged.clone()));
    }
    if let Some(bytes) = peak_rss() {
        facts.push(("peak resident memory".into(), format!("{} MiB", bytes >> 20)));
    }
    facts
}

/// Image grids: full, cached and their difference for the plan; then the images of every candidate.
fn grids<const D: usize, P: Pipeline<D>>(full: &P, comparison: &Comparison<P>) -> Result<Vec<ImageGrid>> {
    if !full.shows_images() {
        return Ok(Vec::new());
    }
    let shown = comparison.names.len().min(COLUMNS);
    let names = comparison.names[..shown].to_vec();
    let first =
        |evaluated: &Evaluation| evaluated.images.slice_axis(Axis(0), Slice::from(..shown)).to_owned();
    let images: Vec<_> = comparison.evaluated.iter().map(first).collect();
    let compared = ImageGrid::compare(
        "Full, cached, difference",
        names.clone(),
        images[0].view(),
        images[1].view(),
        Amplify::Fit,
    )?;
    let mut all = ImageGrid::new("The same images by every row of the table", names);
    for ((_, candidate), images) in comparison.candidates.iter().zip(&images) {
        all = all.row(candidate.name.clone(), images.view())?;
    }
    Ok(vec![compared, all])
}

fn heat_maps(measured: &Measured) -> Vec<HeatMap> {
    let outcome = &measured.paper;
    // The phase that made the plan: its thresholds are the plan's.
    let decisive = outcome.phases.decisive();
    let rates = &decisive.rates;
    let threshold = |kind: Kind| {
        let found = decisive.thresholds.iter().find(|threshold: &&Threshold| threshold.kind == kind);
        found.map(|threshold| threshold.value)
    };
    let map =
        |kind, measure, values, threshold| HeatMap { kind, measure, scale: Scale::Log, values, threshold };
    let trunk = measured_rows(rates.trunk().to_owned().insert_axis(Axis(1)));
    let mut maps = vec![map(Kind::TRUNK, Measure::ChangeRate, trunk, threshold(Kind::TRUNK))];
    maps.extend(rates.streams().iter().map(|(kind, table)| {
        map(*kind, Measure::ChangeRate, measured_rows(table.to_owned()), threshold(*kind))
    }));
    let Some(table) = outcome.tables.first() else { return maps };
    for (measure, value) in [
        (Measure::MeanSquare, (|s: &Similarity| s.mean_square) as fn(&Similarity) -> f32),
        (Measure::CosineDistance, |s: &Similarity| s.cosine_distance),
    ] {
        let kinds = std::iter::once(Kind::TRUNK).chain(rates.streams().iter().map(|(kind, _)| *kind));
        maps.extend(
            kinds.map(|kind| map(kind, measure, similarity(table, &outcome.similarities, kind, value), None)),
        );
    }
    maps
}

/// Rates without the first and the last row, which are 1 by definition.
fn measured_rows(mut rates: Array2<f32>) -> Array2<f32> {
    let last = rates.nrows().saturating_sub(1);
    rates.row_mut(0).fill(f32::NAN);
    rates.row_mut(last).fill(f32::NAN);
    rates
}

/// One measure of one stream, `[steps, layers]`; the first step is NaN.
fn similarity(
    table: &DistanceTable,
    all: &[Similarity],
    kind: Kind,
    value: fn(&Similarity) -> f32,
) -> Array2<f32> {
    let layers = table.streams().iter().filter(|(name, _)| *name == kind).count();
    let mut values = Array2::from_elem((table.steps(), layers), f32::NAN);
    for similarity in all {
        let (name, layer) = table.streams()[similarity.stream];
        if name == kind {
            values[[similarity.step, layer as usize]] = value(similarity);
        }
    }
    values
}

/// The text at the end, for the terminal.
pub(super) fn summary(report: &Report, measured: &Measured, page: &Path) -> String {
    let plan = measured.plan();
    let gate: String = plan.gate().iter().map(|skipped| if *skipped { '#' } else { '.' }).collect();
    format!(
        "{}\n\n{}\n{}\n\nsteps  {gate}  (. computed, # skipped)\n\n{}\n\nreport {}\nplan   {}\nnext   invardiff generate --plan {} --out images.png",
        report.verdict,
        report.title,
        report.subtitle,
        report.table,
        page.display(),
        page.with_file_name("plan.json").display(),
        page.with_file_name("plan.json").display(),
    )
}

/// One JSON object with the table and the paths of all files.
///
/// # Errors
/// When a number cannot be written as JSON.
pub(super) fn json(report: &Report, measured: &Measured, folder: &Path) -> Result<String> {
    let plan = measured.plan();
    let own = report.table.rows.iter().find(|row| row.group == Group::Plan);
    Ok(serde_json::to_string_pretty(&serde_json::json!({
        "gain": super::fitted::gain(report),
        "folder": folder,
        "plan": folder.join("plan.json"),
        "report": folder.join("report.html"),
        "fingerprint": plan.fingerprint()?,
        "steps": plan.steps(),
        "full_steps": plan.full_steps(),
        "skipped_steps": plan.skipped_steps(),
        "reused_modules": plan.reused_modules(),
        "thresholds": plan.provenance.thresholds,
        "seconds": measured.seconds,
        "closed_loop": {
            "predicted_speedup": own.and_then(|row| row.predicted_speedup),
            "measured_speedup": measured.trace.speedup(),
            "rounds": measured.trace.rounds,
        },
        "passes": measured.paper.passes,
        "front": measured.least.checked.iter().map(|point| serde_json::json!({
            "computed_steps": point.computed, "compute_fraction": point.compute_fraction, "psnr": point.psnr,
            "predicted_psnr": point.predicted,
        })).collect::<Vec<_>>(),
        "verdict": report.verdict,
        "notes": report.notes,
        "table": report.table,
    }))?)
}
