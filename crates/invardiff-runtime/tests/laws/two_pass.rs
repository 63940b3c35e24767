//! Guidance in two passes: two policies of one plan.

use burn::tensor::Tensor;
use invardiff_plan::{CachePlan, GateSite};
use invardiff_runtime::{
    Denoiser, Event, Full, Observed, Policy, Replay, Sampler, TwoPassCond, TwoPassGuidance, sample,
    sample_with,
};

use crate::toy::{BATCH, Toy, bits, noise, random_plan, replay, solver, text};

const SCALE: f32 = 3.0;

pub(crate) fn model() -> TwoPassGuidance<Toy> {
    TwoPassGuidance { model: Toy::seeded(1), scale: SCALE }
}

/// A prompt, and another one to keep away from.
fn cond() -> TwoPassCond<Tensor<3>> {
    TwoPassCond { conditional: text(), unconditional: text() * -0.5 + 0.25 }
}

/// Bits of the sample after every step.
pub(crate) fn guided<P: Policy>(steps: usize, policy: &mut P) -> Vec<Vec<u32>> {
    let mut seen = Vec::new();
    let look = |_: &P, _, x: &Tensor<3>| seen.push(bits(x));
    sample_with(&model(), &solver(steps), policy, noise(2), &cond(), look);
    seen
}

/// The same written out: each condition under a policy of its own.
pub(crate) fn apart<P: Policy>(steps: usize, mut policies: [P; 2]) -> Vec<Vec<u32>> {
    let (toy, sampler, cond) = (Toy::seeded(1), solver(steps), cond());
    let (mut x, mut history, mut seen) = (noise(2), sampler.start(), Vec::new());
    for step in 0..steps {
        let time = Sampler::<3>::time(&sampler, step);
        let [with, without] = &mut policies;
        let c = toy.predict(&mut with.step(step), x.clone(), time, &cond.conditional);
        let u = toy.predict(&mut without.step(step), x.clone(), time, &cond.unconditional);
        x = sampler.advance(&mut history, step, x, u.clone() + (c - u) * SCALE);
        seen.push(bits(&x));
    }
    seen
}

#[test]
fn two_passes_are_two_policies_of_one_plan() {
    assert_eq!(guided(6, &mut Full), apart(6, [Full, Full]));
    let mut plans = 0;
    for seed in 0..60 {
        let plan = random_plan(seed);
        // A gate on the network's output is outside of both passes and keeps what came of them together.
        if plan.gate_site() != GateSite::Trunk {
            continue;
        }
        plans += 1;
        let steps = plan.steps();
        assert_eq!(
            guided(steps, &mut replay(&plan)),
            apart(steps, [replay(&plan), replay(&plan)]),
            "plan {seed}"
        );
        let mut watched = Observed::new(replay(&plan), |_, _, _: Event<'_>| ());
        assert_eq!(guided(steps, &mut watched), guided(steps, &mut replay(&plan)), "plan {seed}");
    }
    assert!(plans > 20, "{plans}");
}

#[test]
fn an_empty_plan_replays_as_full() {
    let plan = CachePlan::empty(&model().topology(), 6);
    assert_eq!(guided(6, &mut replay(&plan)), guided(6, &mut Full));
}

/// What is held after every step is the schedule's, the most at any moment at most the schedule's, and nothing at the end.
#[test]
fn the_store_holds_both_passes() {
    let mut below = 0;
    for seed in 0..100 {
        let plan = random_plan(seed);
        let schedule = std::sync::Arc::new(plan.schedule(&model().topology()).unwrap());
        let mut policy = Replay::new(schedule.clone());
        let mut held = Vec::new();
        let look = |policy: &Replay, _, _: &Tensor<3>| held.push(policy.store().bytes());
        sample_with(&model(), &solver(plan.steps()), &mut policy, noise(2), &cond(), look);
        let expected: Vec<usize> = schedule.live_elements().iter().map(|count| count * BATCH * 4).collect();
        assert_eq!(held, expected, "plan {seed}");
        let (found, bound) = (policy.store().peak_bytes(), schedule.peak_bytes(BATCH, 4));
        assert!(found <= bound, "plan {seed}: {found} {bound}");
        below += usize::from(found < bound);
        assert!(policy.store().is_empty(), "plan {seed}");
    }
    assert!(below < 100);
}

/// Two images at once, under different plans, are the two drawn alone.
#[test]
fn two_threads_with_two_plans_do_not_meet() {
    for seed in (0..20).step_by(2) {
        let plans = [seed, seed + 1].map(random_plan);
        let draw = |plan: &CachePlan| {
            bits(&sample(&model(), &solver(plan.steps()), &mut replay(plan), noise(2), &cond()))
        };
        let alone = plans.each_ref().map(draw);
        let together = std::thread::scope(|scope| {
            let threads = plans.each_ref().map(|plan| scope.spawn(|| draw(plan)));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(together, alone, "plans {seed}");
    }
}
