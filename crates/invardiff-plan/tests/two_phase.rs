//! What must hold for every calibration, whatever was measured and asked for.

use std::collections::BTreeMap;

use invardiff_plan::two_phase::{
    DistanceTable, Phases, RateTable, ReuseMasks, Settings, Variant, WarmUp, missing_pairs, two_phase,
};
use invardiff_plan::{Kind, PlanError, Site, SiteSpec, StreamSpec, Topology};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

const JOINT: Kind = Kind::new("joint");

/// `layers` blocks of a joint attention (two streams at one site) and a feed-forward.
fn topology(layers: u32) -> Topology {
    let stream = |name| StreamSpec { name, rows: 1, tokens: 2, dim: 3 };
    let joint = |layer| SiteSpec {
        site: Site::new(JOINT, layer),
        streams: vec![stream(Kind::ATTN), stream(Kind::CONTEXT_ATTN)],
        flops: 1.0,
    };
    let ff = |layer| SiteSpec::single(Site::new(Kind::FF, layer), 2, 3, 1.0);
    Topology {
        model: "test".into(),
        sites: (0..layers).flat_map(|layer| [joint(layer), ff(layer)]).collect(),
        trunk: SiteSpec::single(Site::TRUNK, 2, 3, 0.0),
        head_flops: 0.0,
        output_elements: 6,
    }
}

/// Every pair of a run, with `distances` over and over.
fn full_table(topology: &Topology, steps: usize, distances: &[f32]) -> DistanceTable {
    let mut table = DistanceTable::for_topology(topology, steps, steps).unwrap();
    let mut values = distances.iter().cycle();
    for stream in 0..table.streams().len() {
        for to in 1..steps {
            for from in 0..to {
                table.record(stream, from, to, *values.next().unwrap()).unwrap();
            }
        }
    }
    table
}

fn settings(variant: Variant, gate: f64, [attn, context, ff]: [f64; 3], warm_up: usize) -> Settings {
    Settings {
        variant,
        gate_quantile: gate,
        quantiles: BTreeMap::from([(Kind::ATTN, attn), (Kind::CONTEXT_ATTN, context), (Kind::FF, ff)]),
        warm_up: WarmUp::Steps(warm_up),
        phases: Phases::Two,
    }
}

prop_compose! {
    /// One to three runs over a model of one to three layers.
    fn calibration()(steps in 3..16_usize, layers in 1..4_u32)(
        runs in prop::collection::vec(prop::collection::vec(0.01_f32..10.0, 211), 1..4),
        steps in Just(steps), layers in Just(layers),
    ) -> (Topology, Vec<DistanceTable>) {
        let topology = topology(layers);
        let tables = runs.iter().map(|distances| full_table(&topology, steps, distances)).collect();
        (topology, tables)
    }
}

prop_compose! {
    fn any_settings()(
        variant in prop::sample::select(vec![Variant::Dit, Variant::Flux, Variant::Wan]),
        gate in 0.0_f64..=1.0, q in prop::array::uniform3(0.0_f64..=1.0), warm_up in 0..5_usize,
        phases in prop::sample::select(vec![Phases::One, Phases::Two]),
    ) -> Settings {
        Settings { phases, ..settings(variant, gate, q, warm_up) }
    }
}

/// What the guards promise of final books.
fn guarded(books: &ReuseMasks, warm_up: usize) {
    let (gate, steps) = (books.gate(), books.gate().len());
    for step in 0..steps {
        let rows: Vec<Vec<bool>> = books.streams().iter().map(|(_, book)| book.row(step).to_vec()).collect();
        let none = rows.iter().flatten().all(|reused| !reused);
        if gate[step] {
            assert!(rows.iter().flatten().all(|reused| *reused), "skipped step {step}");
        } else if step > 0 && gate[step - 1] {
            assert!(none, "step {step} after a skip");
        }
        if step < warm_up || step + 1 == steps {
            assert!(!gate[step] && none, "step {step} of {steps}, warm-up {warm_up}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn final_books_keep_their_guards_and_every_plan_can_run(
        (topology, tables) in calibration(), settings in any_settings(),
    ) {
        let found = two_phase(&tables, &settings).unwrap();
        let steps = tables[0].steps();
        prop_assert_eq!(found.warm_up, settings.warm_up.rows(steps).unwrap());
        guarded(&found.masks, found.warm_up);
        let plan = found.plan(&topology).unwrap();
        prop_assert!(plan.schedule(&topology).is_ok());
        prop_assert_eq!(plan.gate(), found.masks.gate());
        prop_assert_eq!(&plan.provenance.thresholds, &found.decisive().thresholds);
        prop_assert_eq!(found.second.is_some(), settings.phases == Phases::Two);
    }

    #[test]
    fn a_site_is_reused_where_all_of_its_streams_agree(
        (topology, tables) in calibration(), settings in any_settings(),
    ) {
        let found = two_phase(&tables, &settings).unwrap();
        let plan = found.plan(&topology).unwrap();
        let book = |kind| found.masks.stream(kind).unwrap();
        let joint = plan.of_kind(JOINT);
        for ((at, reused), other) in book(Kind::ATTN).indexed_iter().zip(book(Kind::CONTEXT_ATTN)) {
            prop_assert_eq!(joint[at], *reused && *other);
        }
        prop_assert_eq!(&plan.of_kind(Kind::FF), book(Kind::FF));
    }

    #[test]
    fn before_the_guards_a_higher_quantile_never_reuses_less(
        (_, tables) in calibration(), one in 0.0_f64..=1.0, other in 0.0_f64..=1.0,
    ) {
        let rates = RateTable::phase1(&tables[0]).unwrap();
        let below = |q: f64| {
            let settings = settings(Variant::Dit, q, [q; 3], 1);
            rates.below(&settings.thresholds(&rates).unwrap()).unwrap()
        };
        let (low, high) = (below(one.min(other)), below(one.max(other)));
        prop_assert!(low.gate().iter().zip(high.gate()).all(|(low, high)| low <= high));
        for ((_, low), (_, high)) in low.streams().iter().zip(high.streams()) {
            prop_assert!(low.iter().zip(high).all(|(low, high)| low <= high));
        }
    }

    #[test]
    fn quantile_zero_reuses_nothing_and_corrects_nothing((_, tables) in calibration()) {
        let found = two_phase(&tables, &settings(Variant::Dit, 0.0, [0.0; 3], 1)).unwrap();
        prop_assert_eq!(&found.masks, &ReuseMasks::empty(&tables[0]));
        prop_assert_eq!(&found.second.unwrap().rates, &found.first.rates);
    }

    #[test]
    fn the_missing_pairs_are_all_that_a_second_pass_must_record(
        (topology, whole) in calibration(), settings in any_settings(),
    ) {
        prop_assert_eq!(missing_pairs(&whole, &settings).unwrap(), vec![]);
        let empty = |run: &DistanceTable| DistanceTable::for_topology(&topology, run.steps(), 1).unwrap();
        let mut tables: Vec<_> = whole.iter().map(empty).collect();
        // Once for neighbouring steps, once for what the provisional books ask for.
        for _ in 0..2 {
            let missing = missing_pairs(&tables, &settings).unwrap();
            for (table, whole) in tables.iter_mut().zip(&whole) {
                for pair in &missing {
                    let value = whole.get(pair.stream, pair.from, pair.to).unwrap();
                    table.record(pair.stream, pair.from, pair.to, value).unwrap();
                }
            }
        }
        prop_assert_eq!(missing_pairs(&tables, &settings).unwrap(), vec![]);
        prop_assert_eq!(two_phase(&tables, &settings).unwrap(), two_phase(&whole, &settings).unwrap());
    }

    #[test]
    fn the_gate_of_flux_is_that_of_its_first_phase(
        (_, tables) in calibration(), gate in 0.0_f64..=1.0, q in prop::array::uniform3(0.0_f64..=1.0),
    ) {
        let found = two_phase(&tables, &settings(Variant::Flux, gate, q, 2)).unwrap();
        prop_assert_eq!(found.provisional.gate(), found.masks.gate());
        prop_assert_eq!(found.decisive().rates.trunk(), found.first.rates.trunk());
    }
}

#[test]
fn one_phase_decides_by_its_own_thresholds() {
    let topology = topology(2);
    let distances: Vec<f32> = (0..211).map(|i| 1.0 + (i * 37 % 101) as f32).collect();
    let tables = [full_table(&topology, 12, &distances)];
    let both = settings(Variant::Dit, 0.6, [0.5, 0.6, 0.7], 2);
    let one = Settings { phases: Phases::One, ..both.clone() };
    let (both, one) = (two_phase(&tables, &both).unwrap(), two_phase(&tables, &one).unwrap());
    assert_eq!(one.first, both.first);
    assert_eq!(one.decisive(), &one.first);
    assert_eq!(one.masks, one.provisional.clone().with_gate_written());
    assert_ne!(one.masks, both.masks, "the correction changes these books");
}

#[test]
fn a_rate_that_is_no_number_is_left_out_by_wan_and_refused_by_the_others() {
    let topology = topology(1);
    let mut table = full_table(&topology, 6, &[1.0, 2.0, 0.5]);
    let stream = table.index(Kind::FF, 0).unwrap();
    table.record(stream, 2, 3, f32::NAN).unwrap();
    let tables = [table];
    let wan = two_phase(&tables, &settings(Variant::Wan, 0.5, [0.5; 3], 1)).unwrap();
    assert!(wan.first.rates.stream(Kind::FF).unwrap().iter().any(|rate| rate.is_nan()));
    assert!(wan.first.thresholds.iter().all(|threshold| threshold.value.is_finite()));
    for variant in [Variant::Dit, Variant::Flux] {
        let error = two_phase(&tables, &settings(variant, 0.5, [0.5; 3], 1)).unwrap_err();
        assert!(error.to_string().contains("the change rates of ff) is NaN"), "{error}");
    }
}

#[test]
fn settings_and_runs_that_do_not_fit_are_refused() {
    let topology = topology(1);
    let table = full_table(&topology, 6, &[1.0, 2.0]);
    let fit = settings(Variant::Dit, 0.5, [0.5; 3], 1);
    let runs = [table.clone()];

    let mut lacking = fit.clone();
    lacking.quantiles.remove(&Kind::FF);
    let error = two_phase(&runs, &lacking).unwrap_err();
    assert!(matches!(&error, PlanError::MissingKind { kind, .. } if *kind == Kind::FF), "{error}");

    let mut surplus = fit.clone();
    surplus.quantiles.insert(Kind::MSA, 0.5);
    let error = two_phase(&runs, &surplus).unwrap_err();
    assert!(matches!(&error, PlanError::MissingKind { kind, .. } if *kind == Kind::MSA), "{error}");

    let high = Settings { gate_quantile: 1.5, ..fit.clone() };
    assert!(
        two_phase(&runs, &high)
            .unwrap_err()
            .to_string()
            .contains("a quantile (the change rates of trunk) is 1.5")
    );
    assert!(matches!(two_phase(&[], &fit), Err(PlanError::Range { .. })));
    let longer = full_table(&topology, 7, &[1.0]);
    assert!(matches!(two_phase(&[table.clone(), longer], &fit), Err(PlanError::Shape { .. })));
    let wider = full_table(&self::topology(2), 6, &[1.0]);
    assert!(matches!(missing_pairs(&[table, wider], &fit), Err(PlanError::Sites { .. })));
}

#[test]
fn books_for_another_model_make_no_plan() {
    let topology = topology(2);
    let of = |kind, layers| (kind, Array2::from_elem((4, layers), false));
    let books = |streams| ReuseMasks::new(vec![false; 4], streams).unwrap();
    let whole = vec![of(Kind::ATTN, 2), of(Kind::CONTEXT_ATTN, 2), of(Kind::FF, 2)];
    assert!(books(whole.clone()).plan(&topology).is_ok());
    let lacking = books(whole[..2].to_vec()).plan(&topology).unwrap_err();
    assert!(matches!(lacking, PlanError::MissingKind { kind, .. } if kind == Kind::FF));
    let surplus = books([whole.clone(), vec![of(Kind::MSA, 2)]].concat()).plan(&topology).unwrap_err();
    assert!(matches!(surplus, PlanError::UnknownKind { kind, .. } if kind == Kind::MSA));
    let deeper = books(vec![of(Kind::ATTN, 2), of(Kind::CONTEXT_ATTN, 2), of(Kind::FF, 3)]);
    assert!(matches!(deeper.plan(&topology), Err(PlanError::Shape { .. })));
    let uneven = ReuseMasks::new(vec![false; 3], whole.clone());
    assert!(matches!(uneven, Err(PlanError::Shape { .. })));
    assert!(ReuseMasks::new(vec![false; 4], [whole.clone(), whole].concat()).is_err());
    let short = RateTable::new(Array1::ones(2), vec![]);
    assert!(matches!(short, Err(PlanError::TooFewSteps { needed: 3, .. })));
}
