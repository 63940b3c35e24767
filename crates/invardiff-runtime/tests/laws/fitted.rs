//! Weights a step, and times of a plan's own: the solvers that such plans are, written out by hand.

use std::sync::Arc;

use burn::tensor::Tensor;
use invardiff_plan::core::{TimeGrid, TimePoint, WeightRow};
use invardiff_plan::{CachePlan, GateSite, ReuseRule, Schedule};
use invardiff_runtime::{
    Ddim, Denoiser, DpmSolverPlusPlus, Event, FirstOrder, FlowMatchEuler, Full, NoiseSchedule, Observed,
    OutputForm, Policy, Replay, Sampler, Shift, Site, Spacing, TwoPassCond, TwoPassGuidance, sample,
    sample_with,
};

use crate::toy::{BATCH, FORMS, Toy, bits, noise, replay, solver, text, trajectory, values, weighted_plan};

fn row(kept: &[f64], sample: f64) -> WeightRow {
    WeightRow { kept: kept.to_vec(), sample }
}

/// The noise levels of a sampler's own steps.
fn grid_of<S: Sampler<3>>(sampler: &S, instead_of: usize) -> TimeGrid {
    let point = |step| {
        let level = sampler.noise_level(step);
        TimePoint { time: sampler.time(step), alpha: level.alpha, sigma: level.sigma }
    };
    TimeGrid { instead_of, points: (0..sampler.steps()).map(point).collect() }
}

/// A plan on times of its own that blends the output in a form.
fn plan(
    topology: &invardiff_runtime::Topology,
    form: OutputForm,
    grid: TimeGrid,
    rows: Vec<WeightRow>,
) -> CachePlan {
    CachePlan::empty(topology, rows.len())
        .with_gate_rule(GateSite::Output(form), ReuseRule::Hold)
        .with_weights(Site::OUTPUT, rows)
        .unwrap()
        .with_grid(grid)
        .unwrap()
}

/// DPM-Solver++ 2M as weights of the last two clean samples: the midpoint form, first order at both ends.
fn second_order(solver: &DpmSolverPlusPlus) -> Vec<WeightRow> {
    let time = |step: usize| solver.noise_level(step).half_log_snr();
    let last = solver.steps() - 1;
    let inner = |step: usize| 0.5 * (time(step + 1) - time(step)) / (time(step) - time(step - 1));
    let row_of = |step: usize| match step {
        0 => row(&[1.0], 0.0),
        step if step == last => row(&[1.0], 0.0),
        step => row(&[1.0 + inner(step), -inner(step)], 0.0),
    };
    (0..=last).map(row_of).collect()
}

fn apart(one: &Tensor<3>, other: &Tensor<3>) -> f64 {
    values(&(one.clone() - other.clone())).into_iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// A known multistep solver is a plan of weights, whatever the model predicts.
#[test]
fn dpm_solver_is_a_plan_of_weights() {
    let toy = Toy::seeded(1);
    for form in FORMS {
        let solver = DpmSolverPlusPlus::new(&NoiseSchedule::dit(), Spacing::Linspace, 8, form).unwrap();
        let plan = plan(&toy.topology(), OutputForm::X0, grid_of(&solver, 50), second_order(&solver));
        // Whatever sampler the user has: its steps give way to the plan's.
        let own = Ddim::new(&NoiseSchedule::dit(), Spacing::Respaced, 50, form).unwrap();
        let found = sample(&toy, &own, &mut replay(&plan), noise(2), &text());
        let expected = sample(&toy, &solver, &mut Full, noise(2), &text());
        let size = values(&expected).into_iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let error = apart(&found, &expected);
        assert!(error < 1e-4 * size, "{form:?}: {error} of {size}"); // two roundings of f32 a step
        let plain = sample(&toy, &own, &mut Full, noise(2), &text());
        assert!(apart(&plain, &expected) > 100.0 * error, "{form:?}");
    }
}

#[test]
fn fresh_rows_are_first_order_steps() {
    let toy = Toy::seeded(1);
    let fresh = vec![row(&[1.0], 0.0); 7];
    let ddim = Ddim::new(&NoiseSchedule::dit(), Spacing::Respaced, 7, OutputForm::Velocity).unwrap();
    let flow = FlowMatchEuler::new(7, Shift::for_image(1024)).unwrap();
    let by_ddim = plan(&toy.topology(), OutputForm::X0, grid_of(&ddim, 50), fresh.clone());
    let by_flow = plan(&toy.topology(), OutputForm::Velocity, grid_of(&flow, 50), fresh);
    let found = sample(&toy, &ddim, &mut replay(&by_ddim), noise(2), &text());
    let expected = sample(&toy, &ddim, &mut Full, noise(2), &text());
    assert!(apart(&found, &expected) < 1e-4, "{}", apart(&found, &expected));
    let found = sample(&toy, &flow, &mut replay(&by_flow), noise(2), &text());
    let expected = sample(&toy, &flow, &mut Full, noise(2), &text());
    assert!(apart(&found, &expected) < 1e-5, "{}", apart(&found, &expected));
}

/// Any weights in any form, the sample's among them, against the sum by hand.
#[test]
fn a_blend_is_the_sum_by_hand() {
    let toy = Toy::seeded(1);
    let rows = vec![
        row(&[1.0], 0.0),
        row(&[1.5, -0.5], 0.0),
        row(&[0.5, 0.25], 0.1),
        row(&[], 0.0),
        row(&[1.25, 0.0, -0.25], 0.0),
        row(&[0.9], -0.05),
    ];
    for form in FORMS {
        for predicted in FORMS {
            let own = Ddim::new(&NoiseSchedule::dit(), Spacing::Respaced, 50, predicted).unwrap();
            let six = Ddim::new(&NoiseSchedule::dit(), Spacing::Respaced, 6, predicted).unwrap();
            let grid = grid_of(&six, 50);
            let steps = FirstOrder::new::<3, _>(&grid, &own);
            let (mut x, mut computed) = (noise(2), Vec::new());
            for (step, row) in rows.iter().enumerate() {
                let level = six.noise_level(step);
                let prediction = toy.plain(x.clone(), Sampler::<3>::time(&six, step), &text());
                computed.insert(0, level.convert(x.clone(), prediction, predicted, form));
                let listed = row.kept.iter().zip(&computed).map(|(weight, value)| value.clone() * *weight);
                let blend = listed.reduce(|sum, value| sum + value).unwrap_or_else(|| computed[0].clone());
                let blend = level.convert(x.clone(), blend + x.clone() * row.sample, form, predicted);
                x = steps.advance(&mut (), step, x, blend);
            }
            let plan = plan(&toy.topology(), form, grid, rows.clone());
            let found = sample(&toy, &own, &mut replay(&plan), noise(2), &text());
            let size = values(&x).into_iter().fold(1.0_f64, |most, value| most.max(value.abs()));
            let error = apart(&found, &x);
            assert!(error < 1e-4 * size, "{form:?} of {predicted:?}: {error} of {size}");
        }
    }
}

/// Guidance in two passes is inside of the output: the blend is of what comes of both.
#[test]
fn two_passes_blend_what_they_come_to() {
    let model = TwoPassGuidance { model: Toy::seeded(1), scale: 3.0 };
    let cond = TwoPassCond { conditional: text(), unconditional: text() * -0.5 + 0.25 };
    let solver = solver(8);
    let plan = plan(&model.topology(), OutputForm::X0, grid_of(&solver, 50), second_order(&solver));
    let mut policy = replay(&plan);
    let found = sample(&model, &solver, &mut policy, noise(2), &cond);
    let expected = sample(&model, &solver, &mut Full, noise(2), &cond);
    let size = values(&expected).into_iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    assert!(apart(&found, &expected) < 1e-4 * size, "{}", apart(&found, &expected));
    // Two outputs at once, of the sample's size: one that was kept, and the fresh one takes its place.
    assert_eq!(policy.store().peak_bytes(), values(&noise(2)).len() * 4);
    assert!(policy.store().is_empty());
}

#[test]
fn bytes_are_the_schedules_and_nothing_is_left() {
    let (mut blends, mut peaks) = (0, 0);
    for seed in 0..200 {
        let plan = weighted_plan(seed);
        let schedule: Arc<Schedule> = Arc::new(plan.schedule(&Toy::seeded(1).topology()).unwrap());
        let mut policy = Replay::new(schedule.clone());
        let mut held = Vec::new();
        let look = |policy: &Replay, _, _: &Tensor<3>| held.push(policy.store().bytes());
        sample_with(&Toy::seeded(1), &solver(plan.steps()), &mut policy, noise(2), &text(), look);
        let expected: Vec<usize> = schedule.live_elements().iter().map(|count| count * BATCH * 4).collect();
        assert_eq!(held, expected, "plan {seed}");
        assert_eq!(policy.store().peak_bytes(), schedule.peak_bytes(BATCH, 4), "plan {seed}");
        assert!(policy.store().is_empty(), "plan {seed}");
        let read = |(step, slot): &(usize, usize)| !schedule.action(*step, *slot).sources().is_empty();
        let slots = 0..schedule.slots().len();
        let all = (0..plan.steps()).flat_map(|step| slots.clone().map(move |slot| (step, slot)));
        blends += all.filter(read).count();
        peaks = peaks.max(policy.store().peak_bytes());
    }
    assert!(blends > 1000 && peaks > 0, "{blends} {peaks}");
}

/// Watched, a policy keeps its own times and blends.
#[test]
fn an_observer_passes_times_and_blends_on() {
    let toy = Toy::seeded(1);
    let solver = solver(8);
    let plan = plan(&toy.topology(), OutputForm::X0, grid_of(&solver, 50), second_order(&solver));
    let mut steps = 0;
    let look = |_, site, event: Event<'_>| {
        steps += usize::from(site == Site::OUTPUT && matches!(event, Event::Computed(_)));
    };
    let mut watched = Observed::new(replay(&plan), look);
    assert_eq!(watched.grid().map(|grid| grid.points.len()), Some(8));
    let found = trajectory(50, &mut watched, 2);
    assert_eq!(found, trajectory(50, &mut replay(&plan), 2));
    assert_eq!((steps, found.len()), (8, 8));
}

/// Holding a blend over skipped steps of DDIM is one longer step.
#[test]
fn holding_the_clean_sample_over_skipped_steps_is_a_longer_step() {
    let toy = Toy::seeded(1);
    let ddim = Ddim::new(&NoiseSchedule::dit(), Spacing::Respaced, 13, OutputForm::Epsilon).unwrap();
    let computed = [0, 3, 4, 8, 12];
    let gate = (0..13).map(|step| !computed.contains(&step)).collect();
    let held = CachePlan::gate_only(&toy.topology(), gate)
        .with_gate_rule(GateSite::Output(OutputForm::X0), ReuseRule::Hold);
    let mut grid = grid_of(&ddim, 13);
    grid.points = computed.map(|step| grid.points[step]).to_vec();
    let own = plan(&toy.topology(), OutputForm::X0, grid, vec![row(&[1.0], 0.0); 5]);
    let found = sample(&toy, &ddim, &mut replay(&own), noise(2), &text());
    let expected = sample(&toy, &ddim, &mut replay(&held), noise(2), &text());
    let size = values(&expected).into_iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    // Eight longer steps against twelve with the value read back at each: roundings of f32.
    assert!(apart(&found, &expected) < 1e-4 * size, "{} of {size}", apart(&found, &expected));
    assert_ne!(bits(&found), bits(&noise(2)));
}
