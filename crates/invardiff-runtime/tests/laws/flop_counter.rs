//! Counted work against the cost model.

use invardiff_plan::Cost;
use invardiff_plan::methods::block_skip::SkipRule;
use invardiff_plan::methods::first_blocks::FirstBlocks;
use invardiff_runtime::{BlockSkip, Denoiser, FlopCounter, Full, Observed, Policy};

use crate::toy::{LAYERS, Toy, random_plan, replay, trajectory};

fn metered<P: Policy>(steps: usize, policy: P) -> (FlopCounter, P) {
    let mut meter = FlopCounter::new(&Toy::seeded(1).topology());
    let mut watched = Observed::new(policy, |step, site, event| meter.look(step, site, &event));
    trajectory(steps, &mut watched, 2);
    let Observed { inner, .. } = watched;
    (meter, inner)
}

#[test]
fn full_computation_is_all_of_it() {
    let (meter, _) = metered(5, Full);
    assert_eq!(meter.compute_fraction(5), 1.0);
    assert_eq!(meter.steps(), [Toy::seeded(1).topology().full_flops(); 5]);
}

#[test]
fn a_replayed_plan_computes_what_its_cost_says() {
    for seed in 0..60 {
        let plan = random_plan(seed);
        let cost = Cost::of(&plan, &Toy::seeded(1).topology()).unwrap();
        let found = metered(plan.steps(), replay(&plan)).0.compute_fraction(plan.steps());
        assert!((found - cost.compute_fraction()).abs() < 1e-12, "plan {seed}: {found}");
    }
}

/// A step that leaves blocks out computes its first and last blocks, the head, and what the trunk spends around modules.
#[test]
fn left_out_blocks_are_not_counted() {
    let topology = Toy::seeded(1).topology();
    let rule = SkipRule::FirstBlocks(FirstBlocks { last: 1, ..FirstBlocks::first_block(0.4) });
    let (meter, policy) = metered(9, BlockSkip::new(&rule, 9).unwrap());
    let block = 3.0; // a mix and a joint
    assert_eq!(topology.full_flops(), LAYERS as f64 * block + 2.0);
    let expected: Vec<f64> = policy
        .decisions()
        .iter()
        .map(|decision| if decision.skipped { 2.0 * block + 2.0 } else { topology.full_flops() })
        .collect();
    assert_eq!(meter.steps(), expected);
    assert!(policy.decisions().iter().any(|decision| decision.skipped));
}
