//! Features kept in half precision.

use std::sync::Arc;

use invardiff_plan::core::Storage;
use invardiff_runtime::{Denoiser, Replay};

use crate::toy::{BATCH, Toy, random_plan, replay, trajectory};

#[test]
fn half_precision_halves_the_bytes_and_errs_a_little() {
    let topology = Toy::seeded(1).topology();
    let mut reused = 0;
    for seed in 0..20 {
        let plan = random_plan(seed);
        let schedule = plan.schedule(&topology).unwrap();
        let mut whole = replay(&plan);
        let exact = trajectory(plan.steps(), &mut whole, 2);
        for (storage, bits) in [(Storage::F16, 11), (Storage::Bf16, 8)] {
            let schedule = schedule.clone().storing(storage);
            let predicted = schedule.peak_bytes(BATCH, 4);
            let mut policy = Replay::new(Arc::new(schedule));
            let found = trajectory(plan.steps(), &mut policy, 2);
            assert_eq!(policy.store().peak_bytes(), predicted);
            assert_eq!(2 * predicted, whole.store().peak_bytes());
            assert!(policy.store().is_empty());
            let last = |of: &[Vec<u32>]| {
                of.last().unwrap().iter().map(|bits| f32::from_bits(*bits)).collect::<Vec<_>>()
            };
            let (exact, found) = (last(&exact), last(&found));
            let largest = exact.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let error = exact.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
            // Rounding of one feature, carried through at most 10 steps of a smooth toy.
            assert!(
                error <= 10.0 * largest * 0.5_f32.powi(bits - 1),
                "plan {seed}, {storage:?}: {error} of {largest}"
            );
            reused += usize::from(error > 0.0);
        }
    }
    assert!(reused > 20, "half precision left no trace in {reused} of 40 runs");
}
