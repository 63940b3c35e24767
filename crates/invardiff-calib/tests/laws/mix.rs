//! The blend of fresh and kept values at its ends, on the toy model.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use invardiff_calib::Mix;
use invardiff_plan::Site;
use invardiff_plan::methods::routers::Routers;
use invardiff_runtime::{Full, Replay};
use ndarray::Array2;

use crate::toy::{Toy, runs, trajectory};

const STEPS: usize = 8;

fn sites() -> Vec<Site> {
    Toy::seeded(1).topology.sites.iter().map(|spec| spec.site).collect()
}

/// Logits of -6, -1, 1 and 6 in a seeded order.
fn routers(seed: u64) -> Routers {
    let mut state = seed;
    let logits = Array2::from_shape_simple_fn((STEPS / 2, sites().len()), || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        [-6.0, -1.0, 1.0, 6.0][(state >> 62) as usize]
    });
    Routers::new(sites(), logits).unwrap()
}

fn constant(beta: f32) -> Mix {
    Mix::new(&sites(), Tensor::full([STEPS / 2, sites().len()], beta, &Device::flex())).unwrap()
}

#[test]
fn weights_of_one_are_full_computation() {
    let (toy, run) = (Toy::seeded(1), &runs(1)[0]);
    let full = trajectory(&toy, STEPS, &mut Full, run);
    assert_eq!(trajectory(&toy, STEPS, &mut constant(1.0), run), full);
    assert_ne!(trajectory(&toy, STEPS, &mut constant(0.999), run), full);
}

#[test]
fn weights_of_zero_and_one_are_the_replay_of_the_plan() {
    let (toy, run) = (Toy::seeded(1), &runs(1)[0]);
    let full = trajectory(&toy, STEPS, &mut Full, run);
    for seed in 0..10 {
        for threshold in [0.1, 0.5, 0.9] {
            let routers = routers(seed);
            let schedule = routers.plan(threshold).unwrap().schedule(&toy.topology).unwrap();
            let mut replay = Replay::new(Arc::new(schedule));
            let replayed = trajectory(&toy, STEPS, &mut replay, run);
            let mut hard = Mix::hard(&routers, threshold, &Device::flex()).unwrap();
            assert_eq!(trajectory(&toy, STEPS, &mut hard, run), replayed, "{seed} {threshold}");
            assert_ne!(replayed, full);
            assert!(replay.store().is_empty());
        }
    }
}

/// With the whole trajectory kept at 0, every routed step predicts what the step before it did inside of the modules.
#[test]
fn a_soft_blend_lies_between_its_ends() {
    let (toy, run) = (Toy::seeded(1), &runs(1)[0]);
    let last = |mix: &mut Mix| -> Vec<f32> {
        let bits = trajectory(&toy, 2, mix, run).pop().unwrap();
        bits.into_iter().map(f32::from_bits).collect()
    };
    let [zero, half, one] = [0.0, 0.5, 1.0].map(|beta| last(&mut constant(beta)));
    let distance = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum() };
    assert!(distance(&half, &one) < 0.9 * distance(&zero, &one));
    assert!(distance(&half, &zero) < 0.9 * distance(&zero, &one));
}

#[test]
fn weights_that_fit_no_site_are_refused() {
    let error = Mix::new(&sites(), Tensor::zeros([2, 3], &Device::flex())).unwrap_err().to_string();
    assert!(error.contains("blend weights"), "{error}");
}
