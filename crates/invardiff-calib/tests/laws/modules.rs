//! Module reuse planned by measured error.

use std::sync::atomic::Ordering;

use invardiff_calib::ModuleSearch;
use invardiff_plan::{CachePlan, Cost};
use invardiff_runtime::Denoiser;

use crate::toy::{Toy, Units, runs, session, solver};

const STEPS: usize = 6;
const GATE: [bool; STEPS] = [false, false, true, false, false, false];

struct Found {
    plan: CachePlan,
    replays: usize,
}

fn search(compute_fraction: f64, rounds: usize) -> Found {
    let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(2));
    let plan = CachePlan::gate_only(&toy.topology(), GATE.into());
    let units = Units::default();
    let closed = session(&toy, &sampler, &runs).with_progress(&units).closed_loop();
    let sampled = units.count.swap(0, Ordering::Relaxed);
    assert_eq!(sampled, 2, "every run is sampled in full once");
    let search = ModuleSearch::to(compute_fraction).with_groups(8).with_rounds(rounds);
    let plan = closed.reuse_modules(&plan, &search).unwrap();
    Found { plan, replays: units.count.into_inner() }
}

fn error(plan: &CachePlan) -> f64 {
    let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(2));
    2.0 * session(&toy, &sampler, &runs).closed_loop().mean_error(plan).unwrap()
}

#[test]
fn a_plan_that_is_cheap_enough_is_left_alone() {
    let found = search(1.0, 3);
    assert_eq!((found.plan.reused_modules(), found.replays), (0, 0));
}

#[test]
fn with_nothing_to_stop_it_everything_inside_is_reused() {
    let found = search(0.0, 2);
    let sites = Toy::seeded(1).topology().sites.len();
    assert_eq!(found.plan.reused_modules(), 3 * sites, "steps 1, 3 and 4 lie inside");
    assert_eq!(found.plan.gate(), GATE);
}

/// With one round and room for one candidate, the one taken is the one that trying all of them finds.
#[test]
fn the_cheapest_error_for_its_flops_goes_first() {
    let topology = Toy::seeded(1).topology();
    let plain = CachePlan::gate_only(&topology, GATE.into());
    let base = error(&plain);
    let mut best = (f64::INFINITY, plain.clone());
    for step in [1, 3, 4] {
        for column in 0..topology.sites.len() {
            let mut plan = plain.clone();
            plan.reuse_module(step, column);
            let price = (error(&plan) - base).max(0.0) / topology.sites[column].flops;
            if price < best.0 {
                best = (price, plan);
            }
        }
    }
    let full = Cost::of(&plain, &topology).unwrap();
    let found = search(full.compute_fraction() - 1e-9, 1);
    assert_eq!(found.plan, best.1);
    assert_eq!(found.replays, 1 + 3 * topology.sites.len());
}
