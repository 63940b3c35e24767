//! Writes a report of made-up numbers, to look at the page while changing it:
//! `cargo run --release -p invardiff-report --example sample_report -- FOLDER`

use std::path::PathBuf;

use invardiff_eval::Quality;
use invardiff_plan::Kind;
use invardiff_plan::core::Threshold;
use invardiff_report::{
    Amplify, Curve, CurvePoint, Group, HeatMap, Highlight, ImageGrid, Measure, PlanMap, Report, Row, Scale,
    Series, StepChart, TrainingChart, TrainingLine, Unit,
};
use ndarray::{Array2, Array4};

const STEPS: usize = 50;
const LAYERS: usize = 8;
const CLASSES: [&str; 10] =
    ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("sample-report"), PathBuf::from);
    println!("{}", sample()?.write(&folder)?.display());
    Ok(())
}

/// A report like that of a calibration of a small DiT; every number is invented.
pub(crate) fn sample() -> Result<Report, Box<dyn std::error::Error>> {
    let mut report = Report {
        title: "Sample report (made-up numbers)".into(),
        subtitle: "fashion, DDIM, 50 steps, guidance 2".into(),
        verdict: "3.02x faster; 27.9 dB from the full run in the mean, 22.4 dB in the worst image.".into(),
        notes: vec!["Every number on this page is made up: it shows the layout, not a result.".into()],
        plan: Some(plan()),
        grids: vec![grid()?],
        heat_maps: heat_maps(),
        provenance: serde_json::json!({ "tool": "sample_report" }),
        ..Report::default()
    };
    report.highlights = [
        ("Measured speed-up", "3.02x", "predicted 3.23x"),
        ("Steps skipped", "34 of 50", "and 24 module calls reused"),
        ("PSNR, mean", "27.9 dB", "worst of 32 images 22.4 dB"),
        ("Peak cache", "312.0 KiB", "as the schedule says"),
    ]
    .map(|(label, value, detail)| Highlight {
        label: label.into(),
        value: value.into(),
        detail: detail.into(),
    })
    .into();
    report.facts = [
        ("Model", "fashion (DiT, patch 4, width 128, 8 blocks)"),
        ("Weights", "sha256 3f1c0d7a9be2"),
        ("Sampler", "DDIM, eta 0, 50 steps"),
        ("Guidance", "2.0, batched"),
        ("Calibration", "16 runs, seeds 0 to 15"),
        ("Quantiles", "step 0.63, msa 0.22, mlp 0.22"),
        ("Warm-up", "1 step"),
        ("Device", "flex (CPU), f32"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    report.thresholds = [(Kind::TRUNK, 0.63, 0.9312), (Kind::MSA, 0.22, 0.8741), (Kind::MLP, 0.22, 0.8566)]
        .map(|(kind, quantile, value)| Threshold { kind, quantile, value })
        .into();
    report.table.rows = rows();
    let (latency, cache_bytes) = charts();
    (report.latency, report.cache_bytes) = (Some(latency), Some(cache_bytes));
    let losses = (0..300).map(|iteration| 0.02 * (-f64::from(iteration) / 90.0).exp() + 1e-3);
    report.training = vec![TrainingChart {
        title: "Distance to full computation".into(),
        value: "mean square".into(),
        scale: Scale::Log,
        lines: vec![TrainingLine::smoothed("router", losses, 10)],
    }];
    let points = [(0.2, 21.0), (0.4, 28.0), (0.6, 33.0), (0.8, 38.5)];
    let points = points.map(|(compute_fraction, psnr)| CurvePoint { compute_fraction, psnr }).into();
    report.curves = vec![Curve { name: "paper's rule, other quantiles".into(), points }];
    Ok(report)
}

fn skipped(step: usize) -> bool {
    (2..16).contains(&step) || (18..48).contains(&step) && !step.is_multiple_of(3)
}

fn plan() -> PlanMap {
    let reuse = |salt: usize| {
        Array2::from_shape_fn((STEPS, LAYERS), |(step, layer)| {
            skipped(step) || (step > 1 && !skipped(step - 1) && (layer * 5 + step * 3 + salt) % 4 < 2)
        })
    };
    PlanMap {
        gate: (0..STEPS).map(skipped).collect(),
        kinds: vec![(Kind::MSA, reuse(0)), (Kind::MLP, reuse(1))],
    }
}

fn heat_maps() -> Vec<HeatMap> {
    let bump = |step: usize, layer: usize, salt: f32| {
        let (t, l) = (step as f32 / STEPS as f32, layer as f32 / LAYERS as f32);
        (3.0 * (t * 7.0 + salt).sin() + 2.0 * (l * 5.0 + t * 9.0).cos()) * 0.5
    };
    let map = |kind, layers, measure, salt: f32, size: f32, spread: f32| {
        let values = Array2::from_shape_fn((STEPS, layers), |(step, layer)| match (measure, step) {
            (_, 0) | (Measure::ChangeRate, 49) => f32::NAN,
            _ => size * (spread * bump(step, layer, salt)).exp(),
        });
        let threshold = (measure == Measure::ChangeRate).then_some(0.87);
        HeatMap { kind, measure, scale: Scale::Log, values, threshold }
    };
    vec![
        map(Kind::TRUNK, 1, Measure::ChangeRate, 0.4, 1.0, 0.12),
        map(Kind::MSA, LAYERS, Measure::ChangeRate, 0.0, 1.0, 0.2),
        map(Kind::MLP, LAYERS, Measure::ChangeRate, 1.0, 0.9, 0.15),
        map(Kind::MSA, LAYERS, Measure::MeanSquare, 0.5, 1e-3, 1.2),
        map(Kind::MLP, LAYERS, Measure::MeanSquare, 2.0, 4e-3, 1.0),
        map(Kind::MSA, LAYERS, Measure::CosineDistance, 0.5, 2e-4, 1.1),
        map(Kind::MLP, LAYERS, Measure::CosineDistance, 2.0, 5e-4, 1.3),
    ]
}

fn grid() -> Result<ImageGrid, Box<dyn std::error::Error>> {
    let full = Array4::from_shape_fn((CLASSES.len(), 1, 28, 28), |(n, _, y, x)| {
        let (u, v) = ((x as f32 - 13.5) / 14.0, (y as f32 - 13.5) / 14.0);
        let wave = (u * (2.0 + n as f32)).sin() * (v * (3.0 + n as f32 * 0.7)).cos();
        if u * u + v * v < 0.75 { wave * 0.8 } else { -1.0 }
    });
    let cached = Array4::from_shape_fn(full.raw_dim(), |(n, c, y, x)| {
        let value = full[[n, c, y, x]];
        if value <= -1.0 { value } else { value + 0.06 * ((x * 3 + y * 5 + n) as f32).sin() }
    });
    let columns = CLASSES.map(str::to_owned).into();
    let mut grid = ImageGrid::compare(
        "Full computation and the plan",
        columns,
        full.view(),
        cached.view(),
        Amplify::Fit,
    )?;
    grid.caption = "Same noise and class in a column.".into();
    Ok(grid)
}

fn rows() -> Vec<Row> {
    let row =
        |name: &str, description: &str, group, part: f64, measured: f64, psnr: [f64; 2], bytes: u64| Row {
            name: name.into(),
            description: description.into(),
            group,
            compute_fraction: part,
            predicted_speedup: Some(1.0 / part),
            measured_speedup: Some(measured),
            cpu_speedup: None,
            quality: Quality {
                psnr_mean: psnr[0],
                psnr_worst: psnr[1],
                ssim_mean: 1.0 - (100.0 - psnr[0]) / 2e3,
                ssim_worst: 1.0 - (100.0 - psnr[1]) / 1e3,
            },
            converged: None,
            peak_cache_bytes: (bytes > 0).then_some(bytes),
        };
    vec![
        row("full", "every module at every step", Group::Reference, 1.0, 1.0, [100.0, 100.0], 0),
        row(
            "paper's rule",
            "step gate, then modules, in two phases",
            Group::Plan,
            0.31,
            3.02,
            [27.9, 22.4],
            319_488,
        ),
        row("step gate", "the gate alone, no module reuse", Group::Part, 0.32, 2.98, [28.6, 23.0], 102_400),
        row("modules", "module reuse alone, no step skipped", Group::Part, 0.83, 1.18, [39.2, 34.1], 217_088),
        row(
            "uniform",
            "every step but each third skipped",
            Group::OtherPlan,
            0.32,
            3.05,
            [29.4, 24.8],
            102_400,
        ),
        row("random", "as many skips, anywhere", Group::OtherPlan, 0.32, 3.04, [21.3, 15.2], 102_400),
        row("DDIM, 16 steps", "a coarser time grid", Group::FewerSteps, 0.32, 3.01, [26.1, 20.9], 0),
        row(
            "DPM-Solver++ 2M, 16 steps",
            "a second-order solver",
            Group::FewerSteps,
            0.32,
            3.00,
            [28.2, 23.1],
            0,
        ),
    ]
}

fn charts() -> (StepChart, StepChart) {
    let series = |name: &str, value: &dyn Fn(usize) -> f64| Series {
        name: name.into(),
        values: (0..STEPS).map(value).collect(),
    };
    let full = |step: usize| 31.0 + (step as f64 * 1.7).sin();
    let plan = |step: usize| if skipped(step) { 0.4 } else { full(step) * 0.93 };
    let held = |step: usize| if skipped(step) { 102_400.0 } else { (step % 5) as f64 * 51_200.0 };
    let latency = StepChart {
        title: "Time per step".into(),
        unit: Unit::Milliseconds,
        scale: Scale::Linear,
        series: vec![series("full", &full), series("paper's rule", &plan)],
    };
    let cache_bytes = StepChart {
        title: "Bytes in the feature store".into(),
        unit: Unit::Bytes,
        scale: Scale::Linear,
        series: vec![series("paper's rule", &held), series("every feature kept", &|_| 820_000.0)],
    };
    (latency, cache_bytes)
}
