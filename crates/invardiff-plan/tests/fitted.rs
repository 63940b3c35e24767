//! Fitted plans: their files, their cost, lint and diff, and what else refuses them.

use invardiff_plan::core::{FitRecord, Target, TimeGrid, TimePoint, WeightRow, diff};
use invardiff_plan::formats::{AuthorBook, BookLayout, BookVersion, SmoothCache};
use invardiff_plan::lint::{Finding, lint};
use invardiff_plan::{CachePlan, Cost, GateSite, OutputForm, ReuseRule, RunSpec, Site, Topology};
use ndarray::Array2;
use serde_json::{Value, json};

/// A plan of two steps instead of four, by hand.
fn fitted() -> CachePlan {
    let row = |kept: &[f64], sample| WeightRow { kept: kept.to_vec(), sample };
    let point = |time, alpha, sigma| TimePoint { time, alpha, sigma };
    let fit = FitRecord {
        target: Target::Converged,
        target_steps: 250,
        fitted_on: 8,
        chosen_on: 4,
        ridge: 0.0001,
        residuals: vec![0.5, 0.25],
    };
    CachePlan::new(vec![Site::msa(0)], vec![false; 2], Array2::from_elem((2, 1), false))
        .unwrap()
        .with_gate_rule(GateSite::Output(OutputForm::X0), ReuseRule::Hold)
        .with_weights(Site::OUTPUT, vec![row(&[1.0], 0.0), row(&[1.5, -0.5], 0.125)])
        .unwrap()
        .with_grid(TimeGrid { instead_of: 4, points: vec![point(999.0, 0.0, 1.0), point(400.0, 0.75, 0.25)] })
        .unwrap()
        .with_fit(fit)
        .unwrap()
}

#[test]
fn the_format_of_fitted_plans_is_this() {
    let value: Value = serde_json::from_str(&fitted().to_json().unwrap()).unwrap();
    assert_eq!((&value["version"], &value["rules"]["gate"]), (&json!(2), &json!("weights")));
    let expected = json!({
        "weights": [{"site": {"kind": "output", "layer": 0}, "rows": [
            {"kept": [1.0], "sample": 0.0}, {"kept": [1.5, -0.5], "sample": 0.125},
        ]}],
        "grid": {"instead_of": 4, "points": [
            {"time": 999.0, "alpha": 0.0, "sigma": 1.0}, {"time": 400.0, "alpha": 0.75, "sigma": 0.25},
        ]},
        "fit": {"target": "converged", "target_steps": 250, "fitted_on": 8, "chosen_on": 4, "ridge": 0.0001,
                "residuals": [0.5, 0.25]},
    });
    assert_eq!(value["fitted"], expected);
    assert_eq!(fitted().full_steps(), 4);
}

#[test]
fn bad_weights_and_times_are_named_by_file_and_key() {
    type Case = (&'static str, Value, &'static str);
    let cases: [Case; 9] = [
        ("/version", json!(1), "key 'fitted' belongs to version 2"),
        ("/fitted/grid/points/1/alpha", json!(7.0), "grid.points[1]"),
        ("/fitted/grid/points/1/sigma", json!(0.0), "grid.points[1]"),
        ("/fitted/grid/points/1/alpha", json!(0.0), "less noise"),
        ("/fitted/grid/instead_of", json!(0), "grid.instead_of is 0"),
        ("/fitted/grid/points", json!([]), "grid.points [steps] has shape [0], expected [2]"),
        ("/fitted/weights/0/rows", json!([]), "weights of output[0] [steps] has shape [0], expected [2]"),
        ("/fitted/weights/0/site/kind", json!("mlp"), "weights of mlp[0][1].sample is 0.125"),
        ("/fitted/fit/residuals", json!([]), "fit.residuals [steps] has shape [0], expected [2]"),
    ];
    for (path, changed, expected) in cases {
        let mut value: Value = serde_json::from_str(&fitted().to_json().unwrap()).unwrap();
        *value.pointer_mut(path).unwrap() = changed;
        let message = CachePlan::from_json(&value.to_string(), "p.json").unwrap_err().to_string();
        assert!(message.starts_with("p.json: ") && message.contains(expected), "{path}: {message}");
    }
}

#[test]
fn other_formats_refuse_fitted_plans() {
    let message = AuthorBook::from_plan(&fitted(), BookLayout::Dit, BookVersion::V1).unwrap_err().to_string();
    assert!(message.contains("times of its own"), "{message}");
    let message = SmoothCache::from_plan(&fitted()).unwrap_err().to_string();
    assert!(message.contains("weights"), "{message}");
    let topology = Topology::named("dit-s-2-256").unwrap();
    let message = fitted().transfer(&topology, &[0.0, 1.0, 2.0]).unwrap_err().to_string();
    assert!(message.contains("fit again"), "{message}");
}

fn topology() -> Topology {
    let mut topology = Topology::named("dit-s-2-256").unwrap();
    topology.sites.truncate(1);
    topology
}

/// Shares of compute are told against the run that the plan stands for.
#[test]
fn cost_is_told_against_the_full_run() {
    let cost = Cost::of(&fitted(), &topology()).unwrap();
    assert!((cost.compute_fraction() - 0.5).abs() < 1e-12);
    assert!((cost.speedup() - 2.0).abs() < 1e-12);
}

#[test]
fn a_fitted_plan_is_refused_for_another_number_of_steps() {
    let run = |steps: usize| RunSpec {
        model: "toy".into(),
        weights_sha256: None,
        sampler: "ddim".into(),
        timesteps: vec![0.0; steps],
        height: 1,
        width: 1,
        guidance_scale: None,
        dtype: "f32".into(),
    };
    fitted().check(&run(4)).unwrap();
    let message = fitted().check(&run(2)).unwrap_err().to_string();
    assert!(message.contains("num_inference_steps is 4 in the plan and 2 here"), "{message}");
}

#[test]
fn lint_knows_weights_and_times() {
    let found = lint(&fitted(), &topology());
    assert_eq!(found, [Finding::OwnTimes { steps: 2, instead_of: 4 }]);
    let rows =
        vec![WeightRow { kept: vec![1.0], sample: 0.0 }, WeightRow { kept: vec![8.0, -7.0], sample: 0.0 }];
    let large = fitted().with_weights(Site::OUTPUT, rows).unwrap();
    let expected = Finding::Magnifies { site: Site::OUTPUT, step: 1, permille: 15000 };
    assert!(lint(&large, &topology()).contains(&expected));
    assert!(expected.to_string().contains("15.000"), "{expected}");
    let none = CachePlan::empty(&topology(), 3).with_gate_rule(GateSite::Trunk, ReuseRule::Weights);
    let found = lint(&none, &topology());
    assert_eq!(found[0], Finding::NoWeights { site: Site::TRUNK });
}

#[test]
fn diff_knows_weights_and_times() {
    let other = |edit: fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&fitted().to_json().unwrap()).unwrap();
        edit(&mut value);
        diff(&fitted(), &CachePlan::from_json(&value.to_string(), "p.json").unwrap()).rules
    };
    assert!(diff(&fitted(), &fitted()).is_empty());
    assert_eq!(other(|plan| plan["fitted"]["fit"]["ridge"] = json!(0.5)), [""; 0]);
    let weights = other(|plan| plan["fitted"]["weights"][0]["rows"][1]["sample"] = json!(0.5));
    assert_eq!(weights, ["the weights of output[0] in step 1"]);
    let times = other(|plan| plan["fitted"]["grid"]["points"][1]["time"] = json!(401.0));
    assert_eq!(times, ["their own times"]);
    let run = other(|plan| plan["fitted"]["grid"]["instead_of"] = json!(9));
    assert_eq!(run, ["the run that they stand for: 4 and 9 steps"]);
    let none = other(|plan| plan["fitted"]["grid"] = Value::Null);
    assert_eq!(none, ["only the left plan has times of its own"]);
}
