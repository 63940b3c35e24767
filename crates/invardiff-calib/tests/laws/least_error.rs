//! From a goal to a plan.

use std::sync::atomic::Ordering;

use invardiff_calib::{CacheBudget, CalibError, Goal, LeastErrorOptions, SkipStrategy};
use invardiff_plan::Cost;
use invardiff_plan::least_error::{PlannerOptions, front};
use invardiff_runtime::Denoiser;

use crate::toy::{Toy, Units, runs, session, solver};

const STEPS: usize = 16;

fn options() -> LeastErrorOptions {
    let mut options = LeastErrorOptions::default();
    (options.window, options.check_front) = (4, true);
    options
}

#[test]
fn every_goal_is_reached_at_the_least_error_that_the_front_knows() {
    let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(3));
    let prices = session(&toy, &sampler, &runs).price_skips(&options()).unwrap();
    let computed = |goal| {
        let found = prices.plan(goal).unwrap();
        let cost = Cost::of(&found.plan, &toy.topology()).unwrap();
        assert_eq!(found.plan.provenance.method, "least-error");
        (STEPS - found.plan.skipped_steps(), cost.compute_fraction(), found)
    };
    assert_eq!(computed(Goal::ComputedSteps(9)).0, 9);
    let (_, share, found) = computed(Goal::Speedup(1.5));
    assert!(share <= 1.0 / 1.5 + 1e-9, "{share}");
    assert_eq!(found.tried.len(), SkipStrategy::ALL.len());
    assert!(found.checked.len() >= 3 && found.checked.iter().all(|point| point.psnr.is_finite()));
    let (_, share, _) = computed(Goal::ComputeFraction(0.7));
    assert!(share <= 0.7 + 1e-9, "{share}");
    let (steps, _, found) = computed(Goal::Psnr(40.0));
    assert!(prices.closed_loop().mean_psnr(&found.plan).unwrap() >= 40.0 || steps == STEPS, "{steps}");
    assert_eq!(computed(Goal::Latency(1e9)).0, STEPS);
}

/// Without refinement the plan is the front's own.
#[test]
fn a_single_strategy_gives_the_plan_of_its_front() {
    let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(2));
    let mut options = options();
    options.strategies = vec![SkipStrategy::DEFAULT];
    let prices = session(&toy, &sampler, &runs).price_skips(&options).unwrap();
    let found = prices.plan(Goal::ComputedSteps(10)).unwrap();
    let atlas = prices.atlas(SkipStrategy::DEFAULT.gate_site).unwrap();
    let points = front(atlas, &PlannerOptions::default()).unwrap();
    let point = points.iter().find(|point| point.computed == 10).unwrap();
    let psnr =
        prices.closed_loop().mean_psnr(&point.plan(atlas, SkipStrategy::DEFAULT.rule).unwrap()).unwrap();
    assert_eq!(found.replayed.found, psnr);
    assert!(found.tried.is_empty());
    match found.replayed.refined {
        None => assert_eq!(found.plan.gate(), point.gate),
        Some(refined) => assert!(refined.psnr <= psnr || found.plan.gate() != point.gate),
    }
    // A narrower window plans as if it had been measured alone.
    options.window = 2;
    let narrow = session(&toy, &sampler, &runs).price_skips(&options).unwrap();
    let goal = Goal::ComputedSteps(10);
    assert_eq!(prices.narrowed(2).plan(goal).unwrap().plan, narrow.plan(goal).unwrap().plan);
}

#[test]
fn what_lies_beside_the_plan_is_made_where_it_is_asked_for() {
    let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(2));
    let (units, mut options) = (Units::default(), options());
    options.strategies = vec![SkipStrategy::DEFAULT];
    (options.plan_modules, options.guard, options.check_front) = (true, Some(0.25), false);
    let session = session(&toy, &sampler, &runs).with_progress(&units);
    let found = session.least_error(Goal::ComputedSteps(9), &options).unwrap();
    let modules = found.modules.unwrap();
    assert!(modules.computed > 9 && modules.plan.reused_modules() > 0);
    assert_eq!(found.guard.unwrap().extra(), 4);
    assert!(found.checked.is_empty() && units.count.load(Ordering::Relaxed) > 10);
}

#[test]
fn what_cannot_be_reached_is_told_with_what_can() {
    let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(2));
    let session = session(&toy, &sampler, &runs);
    let prices = session.price_skips(&options()).unwrap();
    for (goal, expected) in [
        (Goal::ComputedSteps(2), "the number of computed steps is 2, expected 6 to 16"),
        (Goal::Speedup(40.0), "the speed-up is 40, expected 1 to "),
        (Goal::Speedup(f64::NAN), "the speed-up is NaN, expected 1 to "),
        (Goal::Latency(0.0), "the latency is 0 ms, expected at least "),
    ] {
        let error = prices.plan(goal).unwrap_err();
        assert!(
            matches!(error, CalibError::Goal { .. }) && error.to_string().starts_with(expected),
            "{error}"
        );
    }
    let refused = |change: &dyn Fn(&mut LeastErrorOptions)| {
        let mut options = options();
        change(&mut options);
        session.least_error(Goal::ComputedSteps(9), &options).unwrap_err().to_string()
    };
    assert!(refused(&|options| options.strategies.clear()).contains("the list of skip strategies is empty"));
    assert!(refused(&|options| options.guard = Some(2.0)).contains("is 2, expected 0 to 1"));
    let budget = refused(&|options| options.cache_budget = Some(CacheBudget::new(8, 4)));
    assert!(budget.contains("the cache budget is 8 bytes, expected at least"), "{budget}");
}
