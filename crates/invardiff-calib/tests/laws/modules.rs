//! Module reuse planned by measured error.

use std::cell::Cell;
use std::sync::Arc;

use invardiff_calib::{ClosedLoop, ModuleSearch, reuse_modules};
use invardiff_plan::{CachePlan, Cost};
use invardiff_runtime::Denoiser;

use crate::toy::{Toy, runs, solver};

const STEPS: usize = 6;
const GATE: [bool; STEPS] = [false, false, true, false, false, false];

struct Found {
    plan: CachePlan,
    replays: usize,
}

fn search(compute_fraction: f64, rounds: usize) -> Found {
    let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(2));
    let plan = CachePlan::gate_only(&toy.topology(), GATE.into());
    let closed = ClosedLoop::new(&toy, &sampler, &runs, false).unwrap();
    let search = ModuleSearch { groups: 8, rounds, compute_fraction };
    let replays = Cell::new(0);
    let count = || replays.set(replays.get() + 1);
    let plan = reuse_modules(&toy, &sampler, &runs, &closed, &plan, &search, &count).unwrap();
    Found { plan, replays: replays.get() }
}

fn error(plan: &CachePlan) -> f64 {
    let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(2));
    let closed = ClosedLoop::new(&toy, &sampler, &runs, false).unwrap();
    let schedule = Arc::new(plan.schedule(&toy.topology()).unwrap());
    closed.errors(&toy, &sampler, &runs, &schedule).iter().sum()
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
