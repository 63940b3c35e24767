//! The laws of the seam, on a toy model.

mod block_skip;
mod fitted;
mod flop_counter;
mod guarded;
mod guidance;
mod scale_shift;
mod storage;
mod toy;
mod two_pass;

use std::sync::Arc;

use burn::tensor::Tensor;
use invardiff_plan::{CachePlan, GateSite, ReuseRule, Schedule, TimeAxis};
use invardiff_runtime::{
    Denoiser, Event, FlowMatchEuler, Full, Observed, OutputForm, Policy, Replay, Sampler, Shift, Site,
    sample, sample_with,
};
use ndarray::Array2;

use toy::{BATCH, FORMS, Toy, bits, noise, random_plan, replay, solver, text, trajectory, values};

#[test]
fn full_is_the_plain_forward_bit_for_bit() {
    let toy = Toy::seeded(1);
    let sampler = solver(6);
    let (mut x, mut history, mut plain) = (noise(2), sampler.start(), Vec::new());
    for step in 0..sampler.steps() {
        let prediction = toy.plain(x.clone(), Sampler::<3>::time(&sampler, step), &text());
        x = sampler.advance(&mut history, step, x, prediction);
        plain.push(bits(&x));
    }
    assert_eq!(trajectory(6, &mut Full, 2), plain);
    assert_eq!(bits(&sample(&toy, &sampler, &mut Full, noise(2), &text())), plain[5]);
    assert_ne!(trajectory(6, &mut Full, 3), plain);
}

#[test]
fn an_empty_plan_replays_as_full() {
    let plan = CachePlan::empty(&Toy::seeded(1).topology(), 6);
    let mut policy = replay(&plan);
    assert_eq!(trajectory(6, &mut policy, 2), trajectory(6, &mut Full, 2));
    assert_eq!(policy.store().peak_bytes(), 0);
}

/// Not vacuous: a plan that reuses anything gives another sample, from the first reuse on.
#[test]
fn a_plan_changes_what_it_says_and_nothing_before() {
    let topology = Toy::seeded(1).topology();
    let full = trajectory(6, &mut Full, 2);
    for column in 0..=topology.sites.len() {
        let mut matrix = Array2::from_elem((6, topology.sites.len()), false);
        let mut gate = vec![false; 6];
        match column {
            0 => gate[3] = true,
            site => matrix[[3, site - 1]] = true,
        }
        let sites = topology.sites.iter().map(|spec| spec.site).collect();
        let found = trajectory(6, &mut replay(&CachePlan::new(sites, gate, matrix).unwrap()), 2);
        assert_eq!(found[..3], full[..3], "column {column}");
        assert!((3..6).all(|step| found[step] != full[step]), "column {column}");
    }
}

#[test]
fn an_observed_policy_does_what_it_would_do_alone() {
    for seed in 0..20 {
        let plan = random_plan(seed);
        let mut events = 0;
        let mut watched = Observed::new(replay(&plan), |_, _, _: Event<'_>| events += 1);
        let found = trajectory(plan.steps(), &mut watched, 2);
        assert_eq!(found, trajectory(plan.steps(), &mut replay(&plan), 2), "plan {seed}");
        assert!(events > plan.steps());
    }
    let mut watched = Observed::new(Full, |_, _, _: Event<'_>| ());
    assert_eq!(trajectory(6, &mut watched, 2), trajectory(6, &mut Full, 2));
}

#[test]
fn one_forward_visits_the_topology_in_order() {
    let toy = Toy::seeded(1);
    let (mut entered, mut computed) = (Vec::new(), Vec::new());
    let look = |_, site, event: Event<'_>| match event {
        Event::Enter => entered.push(site),
        Event::Computed(tensors) => {
            computed.push((site, tensors.iter().map(Tensor::dims).collect::<Vec<_>>()));
        }
        Event::Recalled(_) => panic!("{site} was recalled"),
    };
    toy.predict(&mut Observed::new(Full, look).step(0), noise(2), 500.0, &text());
    let topology = toy.topology();
    let named: Vec<Site> =
        std::iter::once(Site::TRUNK).chain(topology.sites.iter().map(|spec| spec.site)).collect();
    assert_eq!(entered, named);
    // The trunk settles last.
    let shapes = topology.sites.iter().chain(std::iter::once(&topology.trunk)).map(|spec| {
        let dims = spec.streams.iter().map(|stream| [BATCH * stream.rows, stream.tokens, stream.dim]);
        (spec.site, dims.collect::<Vec<_>>())
    });
    assert_eq!(computed, shapes.collect::<Vec<_>>());
}

/// What is visited in a step is what the schedule says: nothing inside a skipped step, and a recalled module is not run.
#[test]
fn a_step_visits_what_its_schedule_says() {
    for seed in 0..50 {
        let plan = random_plan(seed);
        let mut skipped = vec![false; plan.steps()];
        let mut reused = Array2::from_elem(plan.reuse().dim(), None);
        let gate = match plan.gate_site() {
            GateSite::Trunk => Site::TRUNK,
            GateSite::Output(_) => Site::OUTPUT,
        };
        let look = |step: usize, site, event: Event<'_>| {
            let recalled = matches!(event, Event::Recalled(_));
            match plan.sites().iter().position(|column| *column == site) {
                Some(column) => reused[[step, column]] = Some(recalled),
                None if site == gate => skipped[step] = recalled,
                None => assert!(!recalled, "{site} has no slot"),
            }
        };
        trajectory(plan.steps(), &mut Observed::new(replay(&plan), look), 2);
        // `Enter` comes before `Computed`; both say that the module was not recalled.
        assert_eq!(skipped, plan.gate(), "plan {seed}");
        for ((step, column), found) in reused.indexed_iter() {
            let expected = (!plan.gate()[step]).then_some(plan.reuse()[[step, column]]);
            assert_eq!(*found, expected, "plan {seed}, step {step}, {}", plan.sites()[column]);
        }
    }
}

/// Bytes in the store after every step, their peak, and an empty store at the end, as the schedule foretells.
#[test]
fn measured_bytes_are_the_schedules() {
    let (mut skips, mut reuses, mut extrapolations, mut peaks) = (0, 0, 0, 0);
    for seed in 0..300 {
        let plan = random_plan(seed);
        let schedule: Arc<Schedule> = Arc::new(plan.schedule(&Toy::seeded(1).topology()).unwrap());
        let mut policy = Replay::new(schedule.clone());
        let mut held = Vec::new();
        let look = |policy: &Replay, _, _: &Tensor<3>| held.push(policy.store().bytes());
        sample_with(&Toy::seeded(1), &solver(plan.steps()), &mut policy, noise(2), &text(), look);
        let expected: Vec<usize> = schedule.live_elements().iter().map(|count| count * BATCH * 4).collect();
        assert_eq!(held, expected, "plan {seed}");
        assert_eq!(policy.store().peak_bytes(), schedule.peak_bytes(BATCH, 4), "plan {seed}");
        assert!(policy.store().is_empty() && policy.store().bytes() == 0, "plan {seed}");
        skips += plan.skipped_steps();
        reuses += plan.reused_modules();
        let several = |slot| {
            (0..plan.steps())
                .filter(|step| schedule.action(*step, slot).recipe().is_some_and(|recipe| recipe.len() > 1))
                .count()
        };
        extrapolations += (0..schedule.slots().len()).map(several).sum::<usize>();
        peaks = peaks.max(schedule.peak_bytes(BATCH, 4));
    }
    println!("{skips} skips, {reuses} reuses, {extrapolations} extrapolations, highest peak {peaks} bytes");
    assert!(skips > 100 && reuses > 100 && extrapolations > 100 && peaks > 0);
}

/// Linear extrapolation of the trunk, against the same sum by hand: on the steps exactly, on log-SNR to rounding.
#[test]
fn extrapolation_is_the_linear_combination() {
    for axis in [TimeAxis::Step, TimeAxis::Sampler] {
        let times: Vec<f64> = (0..5).map(|step| Sampler::<3>::schedule_time(&solver(5), step)).collect();
        let plan = CachePlan::gate_only(&Toy::seeded(1).topology(), vec![false, false, true, true, false])
            .with_gate_rule(GateSite::Trunk, ReuseRule::Extrapolate(1))
            .with_times(axis, times.clone())
            .unwrap();
        let mut trunk = Vec::new();
        let look = |_, site, event: Event<'_>| match event {
            Event::Computed([value]) | Event::Recalled([value]) if site == Site::TRUNK => {
                trunk.push(value.clone());
            }
            Event::Enter | Event::Computed(_) | Event::Recalled(_) => (),
        };
        trajectory(5, &mut Observed::new(replay(&plan), look), 2);
        for step in [2, 3] {
            let ahead = match axis {
                TimeAxis::Step => (step - 1) as f64,
                TimeAxis::Sampler => (times[step] - times[1]) / (times[1] - times[0]),
            };
            let by_hand = trunk[1].clone() * (1.0 + ahead) - trunk[0].clone() * ahead;
            match axis {
                TimeAxis::Step => assert_eq!(bits(&trunk[step]), bits(&by_hand), "step {step}"),
                TimeAxis::Sampler => {
                    let worst = values(&(trunk[step].clone() - by_hand))
                        .into_iter()
                        .fold(0.0_f64, |m, d| m.max(d.abs()));
                    assert!(worst < 1e-5, "step {step}: {worst}"); // f32 sums of values below 10
                }
            }
        }
    }
}

/// Holding the network's output in a form: the value kept at step 1 stands in at step 2, read back at the sample there.
#[test]
fn a_held_output_keeps_its_form() {
    let (sampler, toy) = (solver(5), Toy::seeded(1));
    for form in FORMS {
        let plan = CachePlan::gate_only(&toy.topology(), vec![false, false, true, false, false])
            .with_gate_rule(GateSite::Output(form), ReuseRule::Hold);
        let (mut x, mut history, mut held) = (noise(2), sampler.start(), None);
        let mut by_hand = Vec::new();
        for step in 0..5 {
            let level = sampler.noise_level(step);
            let prediction = match held.take() {
                Some(held) if step == 2 => level.convert(x.clone(), held, form, OutputForm::Velocity),
                Some(_) | None => toy.plain(x.clone(), Sampler::<3>::time(&sampler, step), &text()),
            };
            held = Some(level.convert(x.clone(), prediction.clone(), OutputForm::Velocity, form));
            x = sampler.advance(&mut history, step, x, prediction);
            by_hand.push(bits(&x));
        }
        assert_eq!(trajectory(5, &mut replay(&plan), 2), by_hand, "{form:?}");
        assert_ne!(by_hand, trajectory(5, &mut Full, 2), "{form:?}");
    }
}

/// A gate on the output that never skips changes no bit, also at the first step of a flow, where sigma is 1.
#[test]
fn an_empty_plan_on_the_output_replays_as_full() {
    let (toy, flow) = (Toy::seeded(1), FlowMatchEuler::new(6, Shift::for_image(1024)).unwrap());
    let euler = |policy: &mut Replay| bits(&sample(&toy, &flow, policy, noise(2), &text()));
    let full = bits(&sample(&toy, &flow, &mut Full, noise(2), &text()));
    for form in FORMS {
        let plan =
            CachePlan::empty(&toy.topology(), 6).with_gate_rule(GateSite::Output(form), ReuseRule::Hold);
        assert_eq!(trajectory(6, &mut replay(&plan), 2), trajectory(6, &mut Full, 2), "{form:?}");
        assert_eq!(euler(&mut replay(&plan)), full, "{form:?}");
    }
}

/// Two trajectories at once, each with its own policy, are the two alone.
#[test]
fn two_plans_in_two_threads_do_not_meet() {
    let plans: [CachePlan; 2] = [random_plan(4), random_plan(5)];
    let run = |plan: &CachePlan, seed| trajectory(plan.steps(), &mut replay(plan), seed);
    let alone = [run(&plans[0], 2), run(&plans[1], 3)];
    assert_ne!(alone[0], alone[1]);
    for _ in 0..10 {
        let together: [_; 2] = std::thread::scope(|scope| {
            [0, 1]
                .map(|i| {
                    scope.spawn({
                        let plan = &plans[i];
                        move || run(plan, 2 + i as u64)
                    })
                })
                .map(|thread| thread.join().unwrap())
        });
        assert_eq!(together, alone);
    }
}
