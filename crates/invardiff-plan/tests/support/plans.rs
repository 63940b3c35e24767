//! Strategies for random plans and books.

#![allow(dead_code, reason = "every test binary uses its own part")]

use invardiff_plan::core::{Calibration, FitRecord, Target, Threshold, TimeGrid, TimePoint, WeightRow};
use invardiff_plan::formats::{AuthorBook, BookLayout, BookVersion};
use invardiff_plan::{CachePlan, GateSite, Kind, OutputForm, Provenance, ReuseRule, RunSpec, Site, TimeAxis};
use ndarray::Array2;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::MSA),
        Just(Kind::MLP),
        Just(Kind::ATTN),
        Just(Kind::SINGLE_MLP),
        "[!-~]{1,31}".prop_map(|name| Kind::parse(&name).unwrap()),
    ]
}

/// Sites in any order, each once; sometimes regular blocks, sometimes none.
fn sites() -> impl Strategy<Value = Vec<Site>> {
    let blocks = (vec(kind(), 0..4), 0..5_u32, 0..6_u32).prop_map(|(mut kinds, first, layers)| {
        kinds.sort_unstable();
        kinds.dedup();
        (first..first + layers)
            .flat_map(|layer| kinds.iter().map(move |kind| Site::new(*kind, layer)))
            .collect()
    });
    let layer = prop_oneof![0..4_u32, any::<u32>()];
    let scattered = btree_set((kind(), layer), 0..8)
        .prop_map(|set| set.into_iter().map(|(kind, layer)| Site::new(kind, layer)).collect::<Vec<_>>())
        .prop_shuffle();
    prop_oneof![blocks, scattered]
}

fn rule() -> impl Strategy<Value = ReuseRule> {
    prop_oneof![
        Just(ReuseRule::Hold),
        (1..=2_u8).prop_map(ReuseRule::Extrapolate),
        (1..=ReuseRule::MAX_ORDER).prop_map(ReuseRule::Taylor)
    ]
}

fn gate_site() -> impl Strategy<Value = GateSite> {
    prop_oneof![
        Just(GateSite::Trunk),
        Just(GateSite::Output(OutputForm::X0)),
        Just(GateSite::Output(OutputForm::Epsilon)),
        Just(GateSite::Output(OutputForm::Velocity)),
    ]
}

/// Finite numbers of all magnitudes.
fn number() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("finite", |number| number.is_finite())
}

/// Numbers from 0 to 1, without proptest's own sampler of floats, whose debug assertion fails now and then at the ends.
fn fraction() -> impl Strategy<Value = f64> {
    (0..=10_007_u32).prop_map(|part| f64::from(part) / 10_007.0)
}

fn execution() -> impl Strategy<Value = RunSpec> {
    (any::<String>(), option::of(any::<String>()), vec(number(), 0..6), any::<u32>(), option::of(number()))
        .prop_map(|(model, weights_sha256, timesteps, size, guidance_scale)| RunSpec {
            model,
            weights_sha256,
            sampler: "ddim".into(),
            timesteps,
            height: size as usize,
            width: 256,
            guidance_scale,
            dtype: "f32".into(),
        })
}

fn provenance() -> impl Strategy<Value = Provenance> {
    let threshold = (kind(), fraction(), number()).prop_map(|(kind, quantile, value)| Threshold {
        kind,
        quantile,
        value,
    });
    let calibration = (vec(any::<String>(), 0..3), vec(any::<u64>(), 0..3), option::of(number()))
        .prop_map(|(conditions, seeds, guidance_scale)| Calibration { conditions, seeds, guidance_scale });
    (
        any::<String>(),
        option::of(execution()),
        vec(threshold, 0..4),
        option::of(0..9_usize),
        option::of(calibration),
        vec(any::<String>(), 0..3),
    )
        .prop_map(|(method, execution, thresholds, warm_up, calibration, notes)| Provenance {
            method,
            tool: "test".into(),
            execution,
            thresholds,
            warm_up,
            calibration,
            notes,
        })
}

/// Strictly rising or falling times, one a step.
fn times(steps: usize) -> impl Strategy<Value = (TimeAxis, Vec<f64>)> {
    let some =
        (vec((1..9_973_u32).prop_map(|gap| f64::from(gap) / 997.0), steps), any::<bool>(), any::<bool>())
            .prop_map(|(gaps, falling, step)| {
                let mut at = if falling { 1.0 } else { -1.0 };
                let mut next = |gap: f64| {
                    at += if falling { -gap } else { gap };
                    at
                };
                let axis = if step { TimeAxis::Step } else { TimeAxis::Sampler };
                (axis, gaps.into_iter().map(&mut next).collect())
            });
    prop_oneof![Just((TimeAxis::Step, Vec::new())), some]
}

/// Any plan, with or without weights and times of its own.
pub(crate) fn plan() -> impl Strategy<Value = CachePlan> {
    prop_oneof![plain_plan(), fitted_plan()]
}

/// A plan with weights at its gate, on times of its own, with a record of the fit; any of these may be missing.
pub(crate) fn fitted_plan() -> impl Strategy<Value = CachePlan> {
    let number = || any::<f64>().prop_filter("finite", |number| number.is_finite());
    let fit = (option::of(any::<u16>()), number(), any::<bool>());
    (
        plain_plan(),
        vec(option::of(vec(number(), 0..=WeightRow::MAX)), 12),
        vec(number(), 12),
        fit,
        any::<bool>(),
    )
        .prop_map(move |(plan, rows, numbers, (instead_of, ridge, converged), weights)| {
            let steps = plan.steps();
            let site = plan.gate_site().site();
            let sampled = site == Site::OUTPUT;
            let row = |(kept, sample): (Option<Vec<f64>>, &f64)| WeightRow {
                kept: kept.unwrap_or_default(),
                sample: if sampled { *sample } else { 0.0 },
            };
            let rows: Vec<WeightRow> = rows.into_iter().zip(&numbers).take(steps).map(row).collect();
            let plan = if weights { plan.with_weights(site, rows).unwrap() } else { plan };
            let sigma = |step: usize| 1.0 - step as f64 / 13.0;
            let point = |step: usize| TimePoint {
                time: (numbers[step] % 1e30) as f32,
                alpha: 1.0 - sigma(step),
                sigma: sigma(step),
            };
            let plan = match instead_of {
                None => plan,
                Some(instead_of) => plan
                    .with_grid(TimeGrid {
                        instead_of: usize::from(instead_of) + 1,
                        points: (0..steps).map(point).collect(),
                    })
                    .unwrap(),
            };
            if !converged {
                return plan;
            }
            let fit = FitRecord {
                target: Target::Converged,
                target_steps: 250,
                fitted_on: 8,
                chosen_on: 4,
                ridge,
                residuals: numbers[..steps].to_vec(),
            };
            plan.with_fit(fit).unwrap()
        })
}

/// A plan with everything that a file of version 1 can hold.
pub(crate) fn plain_plan() -> impl Strategy<Value = CachePlan> {
    (1..12_usize, sites())
        .prop_flat_map(|(steps, sites)| {
            let entries = vec(any::<bool>(), steps * sites.len());
            let rules = (gate_site(), rule(), vec((kind(), rule()), 0..3), times(steps));
            (Just(sites), vec(any::<bool>(), steps), entries, rules, provenance())
        })
        .prop_map(|(sites, gate, entries, (site, gate_rule, modules, (axis, times)), provenance)| {
            let reuse = Array2::from_shape_vec((gate.len(), sites.len()), entries).unwrap();
            let plan = CachePlan::new(sites, gate, reuse).unwrap().with_gate_rule(site, gate_rule);
            let plan = modules.into_iter().fold(plan, |plan, (kind, rule)| plan.with_module_rule(kind, rule));
            plan.with_times(axis, times).unwrap().with_provenance(provenance)
        })
}

fn array(steps: usize, layers: usize) -> impl Strategy<Value = Array2<bool>> {
    vec(any::<bool>(), steps * layers)
        .prop_map(move |entries| Array2::from_shape_vec((steps, layers), entries).unwrap())
}

/// Kinds of a layout with how many layers each has.
fn layers(layout: BookLayout) -> Vec<(&'static str, usize)> {
    match layout {
        BookLayout::Dit => vec![("msa", 3), ("mlp", 3)],
        BookLayout::Flux => vec![
            ("attn", 2),
            ("context_attn", 2),
            ("ip_attn", 2),
            ("ff", 2),
            ("context_ff", 2),
            ("single_attn", 4),
            ("single_mlp", 4),
        ],
        BookLayout::Wan => vec![("self_attn", 3), ("cross_attn", 3), ("ffn", 3), ("single.attn", 0)],
        BookLayout::Hybrid => {
            vec![("attn", 2), ("context_attn", 2), ("double.img_mlp", 2), ("single_attn", 1), ("own", 0)]
        }
    }
}

fn metadata(layout: BookLayout, version: BookVersion) -> Map<String, Value> {
    let Value::Object(mut metadata) = json!({
        "cache_scope": "step_layer", "config": {"policy": "stplayer", "nonskip": 0.04, "step": 0.55},
        "rate_method": "relative_l1", "calibration_classes": [207], "release": {"seed": null},
    }) else {
        unreachable!("the literal is an object")
    };
    match (version, layout) {
        (BookVersion::V1, _) => return Map::new(),
        (BookVersion::V2, BookLayout::Hybrid) => {
            metadata.insert("step_policy_artifacts".into(), json!({"mag_ratios": [1.0, 1.17]}));
        }
        (BookVersion::V2, BookLayout::Dit | BookLayout::Flux | BookLayout::Wan) => {}
    }
    metadata
}

/// A book of any layout and version.
pub(crate) fn book() -> impl Strategy<Value = AuthorBook> {
    let layout = prop_oneof![
        Just((BookLayout::Dit, BookVersion::V1)),
        Just((BookLayout::Flux, BookVersion::V1)),
        Just((BookLayout::Wan, BookVersion::V1)),
        Just((BookLayout::Dit, BookVersion::V2)),
        Just((BookLayout::Flux, BookVersion::V2)),
        Just((BookLayout::Wan, BookVersion::V2)),
        Just((BookLayout::Hybrid, BookVersion::V2)),
    ];
    (layout, 1..9_usize).prop_flat_map(|((layout, version), steps)| {
        let arrays: Vec<_> = layers(layout)
            .into_iter()
            .map(|(name, layers)| {
                array(steps, layers).prop_map(move |array| (Kind::parse(name).unwrap(), array))
            })
            .collect();
        (vec(any::<bool>(), steps), arrays).prop_map(move |(gate, streams)| {
            AuthorBook::new(layout, version, gate, streams, metadata(layout, version)).unwrap()
        })
    })
}
