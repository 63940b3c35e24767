//! A study of made-up numbers.

use invardiff_eval::Quality;
use invardiff_report::{ImageGrid, Line, Panel, Point, Scores, Study};
use ndarray::Array4;

fn point(setting: &str, compute_fraction: f64, psnr: f64) -> Point {
    let quality = Quality { psnr_mean: psnr, psnr_worst: psnr - 5.0, ssim_mean: 0.95, ssim_worst: f64::NAN };
    Point {
        setting: setting.into(),
        compute_fraction,
        measured_speedup: 0.9 / compute_fraction,
        cpu_speedup: Some(1.0 / compute_fraction),
        full: Scores { quality, lpips: None },
        converged: Some(Scores { quality: Quality { psnr_mean: psnr - 3.0, ..quality }, lpips: None }),
        peak_cache_bytes: 2048,
        frechet: None,
        accuracy: None,
    }
}

pub(crate) fn line(name: &str, psnr: f64) -> Line {
    let points = vec![point("n 2", 0.5, psnr), point("n 4", 0.25, psnr - 8.0)];
    Line { name: name.into(), description: format!("what <{name}> does"), points }
}

pub(crate) fn study() -> Study {
    let images = Array4::from_shape_fn((2, 1, 8, 8), |(n, _, y, x)| (n + y + x) as f32 / 8.0 - 1.0);
    let strip = ImageGrid::new("About half", vec!["coat".into(), "bag".into()]);
    Study {
        title: "Methods on toy".into(),
        subtitle: "ten steps".into(),
        verdict: "Plans are worth it.".into(),
        facts: vec![("model".into(), "toy".into())],
        notes: vec!["every image is drawn alone".into()],
        baselines: vec![line("fewer steps", 30.0)],
        panels: vec![
            Panel { title: "Plans".into(), note: "made before".into(), lines: vec![line("fora", 35.0)] },
            Panel { title: "Policies".into(), note: String::new(), lines: vec![line("first-block", 33.0)] },
        ],
        strips: vec![strip.row("full", images.view()).unwrap()],
        provenance: serde_json::json!({ "seed": 3 }),
    }
}
