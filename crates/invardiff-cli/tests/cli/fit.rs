//! `invardiff fit`: measured files that are read back.

use invardiff_plan::Kind;
use invardiff_plan::formats::Fit;
use invardiff_plan::methods::magcache::Magnitudes;
use invardiff_plan::methods::smoothcache::ComponentErrors;
use invardiff_plan::methods::teacache::TeaCacheFit;

use crate::support::{run, stdout};

const SMALL: [&str; 4] = ["--num-inference-steps", "8", "--runs", "2"];

fn fit(folder: &std::path::Path, method: &str) -> (serde_json::Value, std::path::PathBuf) {
    let out = folder.join(format!("{method}.json"));
    let args = ["fit", method, "--json", "--out", out.to_str().unwrap()];
    let found = serde_json::from_str(&stdout(folder, &[&args, &SMALL[..]].concat())).unwrap();
    (found, out)
}

#[test]
fn what_is_measured_is_read_back_with_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let (said, path) = fit(folder.path(), "teacache");
    let teacache = Fit::<TeaCacheFit>::read(path).unwrap();
    assert_eq!(said["found"]["pairs"], 14);
    assert_eq!(teacache.fit.pairs, 14);
    assert!(teacache.fit.rms_error < 0.5 * teacache.fit.rms_change, "{:?}", teacache.fit);
    let execution = teacache.execution.unwrap();
    assert_eq!((execution.model.as_str(), execution.timesteps.len()), ("fashion", 8));
    assert_eq!(teacache.calibration.unwrap().seeds, [0, 1]);

    let magnitudes = Fit::<Magnitudes>::read(fit(folder.path(), "magcache").1).unwrap().fit;
    assert_eq!((magnitudes.ratios.len(), magnitudes.ratios[0]), (8, 1.0));
    assert!(magnitudes.ratios.iter().all(|ratio| (0.1..10.0).contains(ratio)), "{magnitudes:?}");

    let errors = Fit::<ComponentErrors>::read(fit(folder.path(), "smoothcache").1).unwrap().fit;
    let attention = &errors.components[&Kind::MSA];
    assert_eq!(attention.iter().map(Vec::len).collect::<Vec<_>>(), [7, 6, 5]);
    // Standing in from farther away is worse, on the whole.
    let mean = |row: &Vec<f64>| row.iter().sum::<f64>() / row.len() as f64;
    assert!(mean(&attention[0]) < mean(&attention[2]), "{attention:?}");
    let reused = |alpha: f64| {
        errors.schedule(alpha).components().iter().flat_map(|(_, row)| row.clone()).filter(|r| *r).count()
    };
    assert!(reused(0.0) == 0 && reused(0.2) < reused(2.0), "{} {}", reused(0.2), reused(2.0));
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["fit", "magcache", "--out", "missing/ratios.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no folder missing"));
    assert_eq!(run(folder.path(), &["fit", "nocache", "--out", "x.json"]).status.code(), Some(2));
}
