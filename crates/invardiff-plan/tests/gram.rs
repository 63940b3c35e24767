//! Gram atlases: their file, and the front of times against trying every choice.

use invardiff_plan::core::{Target, TimeGrid, TimePoint};
use invardiff_plan::fitted::{ConditionGram, GramAtlas, Pricing, solver_rows, time_front};
use invardiff_plan::{Provenance, Site, SiteSpec, Topology};

const POINTS: usize = 7;
const ELEMENTS: usize = 24;

fn topology() -> Topology {
    let spec = |site| SiteSpec::single(site, 4, 2, 1.0);
    Topology {
        model: "toy".into(),
        sites: vec![spec(Site::msa(0)), spec(Site::mlp(0))],
        trunk: spec(Site::TRUNK),
        head_flops: 1.0,
        output_elements: ELEMENTS,
    }
}

/// Smooth trajectories with a little noise: `conditions` of them.
fn atlas(conditions: usize) -> GramAtlas {
    let sigma = |point: usize| 1.0 - (point as f64 / POINTS as f64).powf(1.3);
    let point = |point| TimePoint {
        time: 10.0 * sigma(point) as f32,
        alpha: 1.0 - sigma(point),
        sigma: sigma(point),
    };
    let mut state = 5_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f32 / u32::MAX as f32 - 0.25
    };
    let condition = |index: usize| {
        let phase = index as f32;
        let mut output = |point: usize| -> Vec<f32> {
            let at = point as f32;
            (0..ELEMENTS).map(|i| (0.3 * at + phase + i as f32).sin() + 0.1 * noise()).collect()
        };
        let outputs: Vec<Vec<f32>> = (0..POINTS).map(&mut output).collect();
        let mut states = vec![(0..ELEMENTS).map(|i| (1.7 * i as f32 + phase).cos()).collect::<Vec<f32>>()];
        for at in 0..POINTS {
            let (here, next) = (sigma(at), if at + 1 == POINTS { 0.0 } else { sigma(at + 1) });
            let ratio = (next / here) as f32;
            let weight = ((1.0 - next) - (1.0 - here) * next / here) as f32;
            states.push(states[at].iter().zip(&outputs[at]).map(|(x, d)| ratio * x + weight * d).collect());
        }
        let slices = |of: &[Vec<f32>]| -> ConditionGram {
            let outputs: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
            let states: Vec<&[f32]> = of.iter().map(Vec::as_slice).collect();
            ConditionGram::of(&outputs, &states)
        };
        slices(&states)
    };
    GramAtlas {
        topology: topology(),
        provenance: Provenance::default(),
        target: Target::Converged,
        target_steps: 100,
        candidates: TimeGrid { instead_of: 50, points: (0..POINTS).map(point).collect() },
        elements: ELEMENTS,
        conditions: (0..conditions).map(condition).collect(),
    }
}

/// The price of a choice of times: the front of an atlas that has no other points and so no other choice.
fn price(atlas: &GramAtlas, pricing: &Pricing, chosen: &[usize]) -> f64 {
    let thinned = thinned(atlas, chosen);
    let front = time_front(&thinned, pricing).unwrap();
    assert_eq!(front.len(), chosen.len());
    assert_eq!(front[chosen.len() - 1].points, (0..chosen.len()).collect::<Vec<_>>());
    front[chosen.len() - 1].price
}

/// The atlas at some of its points.
fn thinned(atlas: &GramAtlas, chosen: &[usize]) -> GramAtlas {
    let ends: Vec<usize> = chosen.iter().copied().chain([POINTS]).collect();
    let condition = |index: usize| {
        let gram = &atlas.conditions[index];
        ConditionGram::from_products(
            chosen.len(),
            |i, j| gram.output(chosen[i], chosen[j]),
            |i, j| atlas.cross(index, chosen[i], ends[j]),
            |i, j| gram.state(ends[i], ends[j]),
        )
    };
    let points = chosen.iter().map(|point| atlas.candidates.points[*point]).collect();
    GramAtlas {
        candidates: TimeGrid { instead_of: 50, points },
        conditions: (0..atlas.conditions.len()).map(condition).collect(),
        ..atlas.clone()
    }
}

#[test]
fn the_front_is_what_trying_every_choice_finds() {
    let atlas = atlas(3);
    let mut settings = Vec::new();
    for power in [1.0, 2.0, 4.0] {
        for (each_condition, sample) in [(false, false), (true, false), (false, true)] {
            settings.push(Pricing { power, each_condition, sample, ..Pricing::default() });
        }
    }
    for pricing in settings {
        let front = time_front(&atlas, &pricing).unwrap();
        assert_eq!(front.len(), POINTS);
        for (count, choice) in (1..).zip(&front) {
            assert_eq!((choice.points.len(), choice.points[0]), (count, 0));
            let own = price(&atlas, &pricing, &choice.points);
            assert!((own - choice.price).abs() <= 1e-5 * own.max(1e-9), "{choice:?}: {own}");
            let choices = (0_u32..1 << (POINTS - 1)).filter(|bits| bits.count_ones() as usize + 1 == count);
            for bits in choices {
                let chosen: Vec<usize> = std::iter::once(0)
                    .chain((1..POINTS).filter(|point| bits >> (point - 1) & 1 == 1))
                    .collect();
                let other = price(&atlas, &pricing, &chosen);
                assert!(other >= choice.price * (1.0 - 1e-5), "{pricing:?}: {chosen:?} {other} {choice:?}");
            }
        }
        // More evaluations are never worse where errors only add up.
        assert!(front.last().unwrap().price < front[0].price);
    }
}

#[test]
fn an_atlas_survives_its_file_and_chooses_the_same() {
    let atlas = atlas(2);
    let bytes = atlas.to_bytes().unwrap();
    let back = GramAtlas::from_bytes(&bytes, "a.gram").unwrap();
    assert_eq!(back, atlas);
    let pricing = Pricing::default();
    assert_eq!(time_front(&back, &pricing).unwrap(), time_front(&atlas, &pricing).unwrap());
    assert!(bytes.len() >= GramAtlas::bytes(POINTS, 2));
    for cut in [0, 3, 8, 20, bytes.len() - 1] {
        let message = GramAtlas::from_bytes(&bytes[..cut], "a.gram").unwrap_err().to_string();
        assert!(message.starts_with("a.gram"), "{message}");
    }
    let message = |change: fn(&mut GramAtlas)| {
        let mut wrong = atlas.clone();
        change(&mut wrong);
        wrong.to_bytes().unwrap_err().to_string()
    };
    assert!(message(|atlas| atlas.conditions.clear()).contains("conditions"));
    assert!(message(|atlas| atlas.conditions[1] = ConditionGram::default()).contains("conditions[1]"));
    assert!(message(|atlas| atlas.candidates.points.swap(0, 1)).contains("less noise"));
    assert!(message(|atlas| atlas.candidates.points.truncate(3)).contains("conditions[0]"));
    assert!(
        time_front(&atlas, &Pricing { power: 0.0, ..pricing }).unwrap_err().to_string().contains("power")
    );
}

/// The toy's trajectories are first-order steps, so over every point the fit finds them again; over fewer it is nearer to the target
/// than the solver's weights, and a strong ridge gives these.
#[test]
fn weights_follow_from_the_inner_products_alone() {
    let atlas = atlas(3);
    let all: Vec<usize> = (0..POINTS).collect();
    let exact = atlas.open_fit(&all, 3, 1e-9).unwrap();
    for (row, left) in exact.rows.iter().zip(&exact.residuals) {
        assert!((row.kept[0] - 1.0).abs() < 1e-3 && *left < 1e-4, "{row:?} {left}");
    }
    let some = [0, 2, 3, 5];
    let (fitted, held) = (atlas.open_fit(&some, 3, 1e-9).unwrap(), atlas.open_fit(&some, 3, 1e12).unwrap());
    let points: Vec<TimePoint> = some.iter().map(|point| atlas.candidates.points[*point]).collect();
    for (row, solver) in held.rows.iter().zip(solver_rows(&points)) {
        assert!(solver.kept.iter().zip(&row.kept).all(|(a, b)| (a - b).abs() < 1e-6), "{row:?} {solver:?}");
    }
    let pairs = fitted.residuals.iter().zip(&held.residuals);
    assert!(pairs.into_iter().all(|(fitted, held)| fitted <= held), "{fitted:?} {held:?}");
    assert!(fitted.residuals.iter().sum::<f64>() < 0.9 * held.residuals.iter().sum::<f64>());

    let plan = atlas.plan(&some, 3, 1e-4, 30).unwrap();
    assert_eq!((plan.steps(), plan.full_steps()), (4, 30));
    assert_eq!(plan.fit().unwrap().fitted_on, 3);
    plan.schedule(&topology()).unwrap();
    for points in [&[][..], &[1, 2], &[0, 3, 3], &[0, POINTS]] {
        let message = atlas.open_fit(points, 3, 1e-4).unwrap_err().to_string();
        assert!(message.contains("the evaluated points"), "{message}");
    }
}
