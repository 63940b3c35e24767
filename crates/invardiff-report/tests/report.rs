//! A report as it lies on disk.

#[allow(dead_code, reason = "its main is the example's")]
#[path = "../examples/sample_report.rs"]
mod sample_report;

use std::collections::BTreeSet;
use std::path::Path;

use invardiff_plan::Kind;
use invardiff_report::{HeatMap, Highlight, Measure, Report, ReportError, Scale};
use ndarray::Array2;

use sample_report::sample;

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The page's and the drawings' text, with the file's name.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let text = |name: &String| matches!(name.rsplit('.').next(), Some("html" | "svg"));
    let read = |name: String| (name.clone(), std::fs::read_to_string(folder.join(name)).unwrap());
    names(folder).into_iter().filter(text).map(read).collect()
}

/// Values of `src`, `href` and `url(..)` in a page or drawing.
fn addresses(text: &str) -> Vec<&str> {
    let marks = ["src=\"", "href=\"", "url("];
    let ends = |c: char| c == '"' || c == ')';
    let after = |mark: &'static str| {
        text.match_indices(mark).map(move |(at, _)| text[at + mark.len()..].split(ends).next().unwrap())
    };
    marks.into_iter().flat_map(after).collect()
}

#[test]
fn a_report_writes_its_page_its_numbers_and_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("deep/report");
    let page = sample().unwrap().write(&folder).unwrap();
    assert_eq!(page, folder.join("report.html"));
    let expected = [
        "report.html",
        "report.json",
        "table.md",
        "table.csv",
        "tradeoff.svg",
        "plan.svg",
        "latency.svg",
        "cache-bytes.svg",
        "training-1.svg",
        "grid-1.png",
        "heatmap-trunk-change-rate.svg",
        "heatmap-msa-change-rate.svg",
        "heatmap-mlp-change-rate.svg",
        "heatmap-msa-mean-square.svg",
        "heatmap-mlp-mean-square.svg",
        "heatmap-msa-cosine-distance.svg",
        "heatmap-mlp-cosine-distance.svg",
    ];
    assert_eq!(names(&folder), expected.map(str::to_owned).into());
    let html = std::fs::read_to_string(&page).unwrap();
    for file in expected.iter().filter(|file| **file != "report.html") {
        assert!(html.contains(&format!("href=\"{file}\"")), "{file} is not linked");
    }
    let grid = image::open(folder.join("grid-1.png")).unwrap();
    assert!(grid.width() > 10 * 28 && grid.height() > 3 * 28, "{}x{}", grid.width(), grid.height());
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let report = sample().unwrap();
    let page = std::fs::read_to_string(report.write(folder.path()).unwrap()).unwrap();
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    let texts = texts(folder.path());
    assert_eq!(texts.len(), 13);
    for (name, text) in texts {
        for address in addresses(&text) {
            let inside = address.starts_with("data:image/png;base64,")
                || address.starts_with('#')
                || folder.path().join(address).is_file();
            assert!(inside, "{name} points to {address}");
        }
        // One script, which the policy allows by its hash; drawings have none.
        let scripts = text.matches("<script").count();
        assert_eq!(scripts, usize::from(name == "report.html"), "{name}");
        assert!(!text.contains("@import"), "{name}");
        let outside = text.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        assert!(!outside.contains("http://") && !outside.contains("https://"), "{name}");
        assert!(text.contains("prefers-color-scheme: dark"), "{name}");
    }
    let images = page.matches("<img").count();
    assert_eq!(images, 30);
    assert_eq!(page.matches(" alt=\"").count(), images);
    assert_eq!(page.matches("<svg").count(), page.matches("role=\"img\"").count());
}

#[test]
fn report_json_holds_every_number() {
    let folder = tempfile::tempdir().unwrap();
    let report = sample().unwrap();
    report.write(folder.path()).unwrap();
    let bytes = std::fs::read(folder.path().join("report.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(json["format"], "invardiff-report");
    assert_eq!(json["table"].as_array().unwrap().len(), report.table.rows.len());
    assert_eq!(json["table"][1]["group"], "plan");
    assert_eq!(json["table"][1]["psnr_mean"], 27.9);
    assert_eq!(json["plan"]["gate"].as_array().unwrap().len(), 50);
    assert_eq!(json["plan"]["kinds"][0]["kind"], "msa");
    assert_eq!(json["plan"]["kinds"][0]["reuse"][2][0], true);
    let map = &json["heat_maps"][1];
    assert_eq!(map["measure"], "change-rate");
    assert!(map["values"][0][0].is_null());
    let value = map["values"][7][3].as_f64().unwrap();
    assert_eq!(value as f32, report.heat_maps[1].values[[7, 3]]);
    assert_eq!(json["latency"]["series"][1]["values"].as_array().unwrap().len(), 50);
    assert_eq!(json["cache_bytes"]["unit"], "bytes");
    assert_eq!(json["training"][0]["lines"][0]["points"][29][0], 300.0);
    assert_eq!(json["provenance"]["tool"], "sample_report");
    assert!(folder.path().join(json["grids"][0]["file"].as_str().unwrap()).is_file());
}

#[test]
fn text_from_outside_is_escaped_everywhere() {
    let attack = "<script>alert(\"1\")</script>&'";
    let mut report = sample().unwrap();
    report.title = attack.into();
    report.subtitle = attack.into();
    report.facts.push((attack.into(), attack.into()));
    report.notes.push(attack.into());
    report.verdict = attack.into();
    report.highlights.push(Highlight { label: attack.into(), value: attack.into(), detail: attack.into() });
    report.table.rows[1].name = attack.into();
    report.table.rows[1].description = attack.into();
    report.grids[0].title = attack.into();
    report.grids[0].columns[0] = attack.into();
    report.grids[0].rows[0].label = attack.into();
    report.curves[0].name = attack.into();
    for chart in report.latency.iter_mut().chain(&mut report.cache_bytes) {
        chart.title = attack.into();
        chart.series[0].name = attack.into();
    }
    report.training[0].title = attack.into();
    report.training[0].value = attack.into();
    report.training[0].lines[0].name = attack.into();
    let kind = Kind::new("<b>\"&/../x");
    report.heat_maps[1].kind = kind;
    report.plan.as_mut().unwrap().kinds[0].0 = kind;
    report.thresholds[0].kind = kind;
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path()).unwrap();
    let mut seen = 0;
    for (name, text) in texts(folder.path()) {
        let raw = ["<script>alert", "<b>", "alert(\"1\")"];
        assert!(raw.iter().all(|raw| !text.contains(raw)), "{name}");
        seen += text.matches("&lt;script&gt;").count();
    }
    assert!(seen > 20, "{seen}");
    assert!(names(folder.path()).contains("heatmap-_b_______x-change-rate.svg"));
}

#[test]
fn an_empty_report_is_still_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let report = Report { title: "nothing".into(), ..Report::default() };
    let page = std::fs::read_to_string(report.write(folder.path()).unwrap()).unwrap();
    assert!(page.contains("<h1>nothing</h1>"));
    assert_eq!(names(folder.path()), ["report.html", "report.json"].map(str::to_owned).into());
}

#[test]
fn heat_maps_of_one_name_get_files_of_their_own_and_all_of_nan_can_be_drawn() {
    let map = |value: f32, scale| HeatMap {
        kind: Kind::MSA,
        measure: Measure::ChangeRate,
        scale,
        values: Array2::from_elem((3, 2), value),
        threshold: Some(0.5),
    };
    let folder = tempfile::tempdir().unwrap();
    let heat_maps = vec![map(f32::NAN, Scale::Log), map(0.0, Scale::Linear), map(f32::INFINITY, Scale::Log)];
    Report { heat_maps, ..Report::default() }.write(folder.path()).unwrap();
    let found = names(folder.path());
    for name in
        ["heatmap-msa-change-rate.svg", "heatmap-msa-change-rate-2.svg", "heatmap-msa-change-rate-3.svg"]
    {
        assert!(found.contains(name), "{found:?}");
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{name}");
    }
}

#[test]
fn parts_that_do_not_fit_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = sample().unwrap();
    report.latency.as_mut().unwrap().series[0].values.pop();
    let error = report.write(folder.path()).unwrap_err();
    assert!(
        matches!(&error, ReportError::Shape { .. }) && error.to_string().contains("Time per step"),
        "{error}"
    );
    let mut report = sample().unwrap();
    report.plan.as_mut().unwrap().gate.pop();
    assert!(matches!(report.write(folder.path()), Err(ReportError::Shape { .. })));
    let mut report = sample().unwrap();
    report.heat_maps[0].values = Array2::zeros((0, 4));
    assert!(matches!(report.write(folder.path()), Err(ReportError::Shape { .. })));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_folder_that_is_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report");
    std::fs::write(&path, "here first").unwrap();
    let error = sample().unwrap().write(&path).unwrap_err();
    assert!(matches!(&error, ReportError::Write { path: named, .. } if *named == path), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "here first");
}

#[test]
fn large_images_are_shrunk_in_the_page_only() {
    let mut report = sample().unwrap();
    let large = image::RgbImage::from_fn(512, 512, |x, y| {
        let noise = x.wrapping_mul(2_654_435_761).wrapping_add(y.wrapping_mul(40_503)).wrapping_mul(x ^ y);
        image::Rgb([(noise >> 8) as u8, (noise >> 16) as u8, (noise >> 24) as u8])
    });
    for row in &mut report.grids[0].rows {
        row.images = vec![large.clone(); 10];
    }
    let folder = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(report.write(folder.path()).unwrap()).unwrap();
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(page.contains("Shown at reduced size"));
    assert!(image::open(folder.path().join("grid-1.png")).unwrap().width() > 5120);
}
