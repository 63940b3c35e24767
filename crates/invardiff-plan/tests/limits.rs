//! Files that ask for too much are refused before memory or time is spent on them.

use std::time::{Duration, Instant};

use invardiff_plan::formats::{PlanFile, STEP_LIMIT, StepMask};
use invardiff_plan::least_error::{PlannerOptions, SkipErrors, front};
use invardiff_plan::{GateSite, PlanError, Site, SiteSpec, TimeAxis, Topology};

fn message(text: &str) -> String {
    let began = Instant::now();
    let message = PlanFile::parse(text.as_bytes(), "p.json").unwrap_err().to_string();
    assert!(began.elapsed() < Duration::from_secs(5), "{message} took {:?}", began.elapsed());
    message
}

#[test]
fn a_mask_has_at_most_ten_thousand_steps() {
    assert!(StepMask::parse(&vec!["1"; STEP_LIMIT].join(","), "m").is_ok());
    let message = message(&vec!["1"; 200_000].join(","));
    assert_eq!(message, "p.json: the number of steps is 200000, expected at most 10000");
}

/// A plan as JSON, with these sites, gate and rows.
fn plan(kinds: &[String], layers: usize, gate: &str) -> String {
    let row = vec![format!("\"{}\"", ".".repeat(layers)); gate.len()].join(",");
    let rows: Vec<String> = kinds.iter().map(|kind| format!("\"{kind}\":[{row}]")).collect();
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("\"{kind}\"")).collect();
    format!(
        r#"{{"format":"invardiff-plan","version":1,"sites":[{{"kinds":[{}],"first":0,"layers":{layers}}}],"gate":"{gate}","reuse":{{{}}},
        "rules":{{"gate_site":"trunk","gate":"hold","modules":{{}},"axis":"step","times":[]}},
        "provenance":{{"method":"m","tool":"t","execution":null,"thresholds":[],"warm_up":null,"calibration":null,"notes":[]}}}}"#,
        kinds.join(","),
        rows.join(",")
    )
}

#[test]
fn a_plan_has_at_most_256_kinds() {
    let kinds = |count: usize| (0..count).map(|index| format!("k{index}")).collect::<Vec<_>>();
    PlanFile::parse(plan(&kinds(256), 1, "..").as_bytes(), "p.json").unwrap();
    assert!(message(&plan(&kinds(65_536), 1, "..")).contains("the number of kinds is 65536"));
    assert!(
        message(&plan(&kinds(1), 1, &".".repeat(STEP_LIMIT + 1))).contains("the number of steps is 10001")
    );
}

#[test]
fn a_plan_of_many_layers_is_looked_through_once() {
    let text = plan(&["msa".to_owned()], 65_536, "..");
    let plan = PlanFile::parse(text.as_bytes(), "p.json").unwrap().plan(None).unwrap();
    let began = Instant::now();
    assert!(invardiff_plan::core::diff(&plan, &plan).is_empty());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn values_of_any_kind_are_bounded() {
    assert!(message(&format!("{{\"a\":[{}]}}", vec!["{}"; 300_000].join(","))).contains("lists and objects"));
    assert!(message(&format!("{{\"a\":\"{}\"}}", "x".repeat(5 << 20))).contains("larger than 4194304 bytes"));
}

fn atlas(steps: usize, window: usize, sites: Vec<Site>) -> Result<SkipErrors, PlanError> {
    let spec = |site| SiteSpec::single(site, 1, 1, 1.0);
    let topology = Topology {
        model: "toy".into(),
        sites: sites.into_iter().map(spec).collect(),
        trunk: spec(Site::TRUNK),
        head_flops: 1.0,
        output_elements: 1,
    };
    let times = (0..steps).map(|step| step as f64).collect();
    SkipErrors::new(topology, GateSite::Trunk, TimeAxis::Step, times, window)
}

#[test]
fn an_atlas_names_each_site_once_and_is_not_endless() {
    let message = |atlas: Result<SkipErrors, PlanError>| atlas.unwrap_err().to_string();
    assert!(message(atlas(10, 4, vec![Site::msa(0), Site::msa(0)])).contains("msa[0] stands twice"));
    assert!(message(atlas(5000, 1, vec![Site::msa(0)])).contains("the number of steps of an atlas is 5000"));
    assert!(message(atlas(1000, 20, vec![Site::msa(0)])).contains("steps x window of an atlas is 20000"));
}

#[test]
fn the_planner_is_quick_on_a_thousand_steps() {
    let mut atlas = atlas(1000, 8, vec![Site::msa(0)]).unwrap();
    let errors = vec![0.25; atlas.entries().len()];
    atlas.add_run(&errors).unwrap();
    let began = Instant::now();
    let points = front(&atlas, &PlannerOptions::default()).unwrap();
    assert_eq!(points.last().map(|point| point.computed), Some(1000));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
