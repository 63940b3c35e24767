//! Fitted plans: what the fit says is what a replay does, goals are reached, and weights gain over the solver's own.

use std::sync::Arc;

use burn::tensor::Tensor;
use invardiff_calib::{
    Concurrency, FitOptions, Fitted, FittedOptions, Goal, Multistep, Polish, Run, TargetRecord, Weighting,
};
use invardiff_plan::core::Target;
use invardiff_plan::fitted::{solver_rows, time_front};
use invardiff_plan::{CachePlan, Cost, GateSite, OutputForm, ReuseRule, Site};
use invardiff_runtime::{Ddim, Denoiser, Full, Replay, Sampler, sample};

use crate::toy::{Toy, runs, session, solver, values};

const STEPS: usize = 24;

fn options() -> FittedOptions {
    let mut options = FittedOptions::default();
    (options.kept_out, options.moves, options.candidates) = (2, 24, 40);
    options.polish = None;
    options
}

/// Mean square errors of replays to the target's finished samples.
fn errors(toy: &Toy, target: &Ddim, plan: &CachePlan, runs: &[Run<3, Tensor<3>>]) -> Vec<f64> {
    let schedule = Arc::new(plan.schedule(&toy.topology()).unwrap());
    let own = solver(STEPS);
    let error = |run: &Run<3, Tensor<3>>| {
        let full = values(&sample(toy, target, &mut Full, run.noise.clone(), &run.cond));
        let mut replay = Replay::new(schedule.clone());
        let found = values(&sample(toy, &own, &mut replay, run.noise.clone(), &run.cond));
        assert!(replay.store().is_empty());
        let squares = full.iter().zip(&found).map(|(a, b)| f64::from(a - b).powi(2));
        squares.sum::<f64>() / full.len() as f64
    };
    runs.iter().map(error).collect()
}

fn decibels(errors: &[f64]) -> f64 {
    errors.iter().map(|error| 10.0 * (4.0 / error).log10()).sum::<f64>() / errors.len() as f64
}

/// The plan of a fit, by what is public alone.
fn plan_of(record: &TargetRecord<'_, 3, Toy, Ddim>, points: &[usize], options: &FitOptions) -> CachePlan {
    let fit = record.fit(points, options);
    CachePlan::empty(&record.session().model().topology(), points.len())
        .with_gate_rule(GateSite::Output(OutputForm::X0), ReuseRule::Hold)
        .with_weights(Site::OUTPUT, fit.rows)
        .unwrap()
        .with_grid(fit.grid)
        .unwrap()
}

#[test]
fn a_replay_does_what_the_fit_says() {
    let (toy, own, converged, runs) = (Toy::seeded(1), solver(STEPS), solver(80), runs(4));
    let record = session(&toy, &own, &runs).record_target(Target::Converged, &converged, &options()).unwrap();
    let front = time_front(record.atlas(), &record.options().pricings[0]).unwrap();
    for sample in [false, true] {
        let options = FitOptions { sample, ..FitOptions::default() };
        let fit = record.fit(&front[8].points, &options);
        let replayed = errors(&toy, &converged, &plan_of(&record, &front[8].points, &options), &runs);
        for (said, done) in fit.errors.iter().zip(replayed) {
            // Two ways to the same sum in f32: the error itself is small.
            assert!((said.sqrt() - done.sqrt()).abs() < 1e-5 + 0.01 * said.sqrt(), "{said} {done}");
        }
        assert_eq!(fit.residuals.len(), 9);
    }
}

/// Towards either target, a fitted plan is nearer than DPM-Solver++ 2M at the same times, also on runs that nothing was fitted
/// or chosen on.
#[test]
fn weights_gain_over_the_solvers_own() {
    let (toy, own, converged) = (Toy::seeded(1), solver(STEPS), solver(80));
    let (seen, unseen) = {
        let all = runs(10);
        (all[..6].to_vec(), all[6..].to_vec())
    };
    for (target, sampler) in [(Target::Own, &own), (Target::Converged, &converged)] {
        let found =
            session(&toy, &own, &seen).fitted(Goal::ComputedSteps(8), target, sampler, &options()).unwrap();
        let rows = solver_rows(&found.plan.grid().unwrap().points);
        let solver_plan = found.plan.clone().with_weights(Site::OUTPUT, rows).unwrap();
        let (fitted, plain) =
            (errors(&toy, sampler, &found.plan, &unseen), errors(&toy, sampler, &solver_plan, &unseen));
        let (fitted, plain) = (decibels(&fitted), decibels(&plain));
        println!("{target:?}: {fitted:.1} dB, the solver's own weights {plain:.1} dB");
        assert!(fitted > plain + 3.0, "{target:?}: {fitted} {plain}");
    }
}

#[test]
fn the_best_of_what_was_tried_is_the_plan() {
    let (toy, own, runs) = (Toy::seeded(1), solver(STEPS), runs(6));
    let find = || -> Fitted {
        session(&toy, &own, &runs).fitted(Goal::ComputedSteps(8), Target::Own, &own, &options()).unwrap()
    };
    let found = find();
    let score = |index: usize| f64::midpoint(found.tried[index].kept_out, found.tried[index].worst);
    assert!((0..found.tried.len()).all(|index| score(index) <= score(found.chosen)));
    let tried = &found.tried[found.chosen];
    let points = tried.points.iter().map(|point| found.atlas.candidates.points[*point]);
    assert_eq!(found.plan.grid().unwrap().points, points.collect::<Vec<_>>());
    let fit = found.plan.fit().unwrap();
    assert_eq!((fit.target, fit.target_steps, fit.fitted_on, fit.chosen_on), (Target::Own, STEPS, 4, 2));
    let Weighting::Fitted(weights) = tried.weights else { panic!("{:?}", tried.weights) };
    assert_eq!(fit.ridge, weights.ridge);
    let said = decibels(&errors(&toy, &own, &found.plan, &runs[4..]));
    assert!((said - tried.kept_out).abs() < 0.2, "{said} {}", tried.kept_out);
    // Nothing is random.
    assert_eq!(find().plan, found.plan);
}

#[test]
fn goals_are_reached_or_refused() {
    let (toy, own, runs) = (Toy::seeded(1), solver(STEPS), runs(3));
    let mut options = options();
    options.kept_out = 0;
    let record = session(&toy, &own, &runs).record_target(Target::Own, &own, &options).unwrap();
    let share = |goal| {
        let plan = record.plan(goal).unwrap().plan;
        assert_eq!((plan.full_steps(), plan.provenance.method.as_str()), (STEPS, "fitted"));
        Cost::of(&plan, &toy.topology()).unwrap().compute_fraction()
    };
    assert_eq!(share(Goal::ComputedSteps(6)), 0.25);
    assert_eq!(share(Goal::Speedup(3.0)), 1.0 / 3.0);
    assert_eq!(share(Goal::ComputeFraction(0.3)), 7.0 / 24.0);
    assert_eq!(share(Goal::Latency(1e9)), 1.0);
    let found = record.plan(Goal::Psnr(30.0)).unwrap();
    assert!(found.tried[found.chosen].kept_out >= 30.0);
    for goal in [
        Goal::ComputedSteps(0),
        Goal::ComputedSteps(99),
        Goal::Speedup(0.5),
        Goal::Speedup(99.0),
        Goal::Latency(0.0),
    ] {
        let message = record.plan(goal).unwrap_err().to_string();
        assert!(message.contains("expected"), "{message}");
    }
    options.pricings.clear();
    let message =
        session(&toy, &own, &runs).record_target(Target::Own, &own, &options).err().unwrap().to_string();
    assert!(message.contains("pricings is 0"), "{message}");
}

/// What is said before the run is what is kept.
#[test]
fn bytes_are_said_before() {
    let (toy, own, runs) = (Toy::seeded(1), solver(STEPS), runs(3));
    let session = session(&toy, &own, &runs);
    let elements = values(&runs[0].noise).len();
    let points = STEPS;
    let grams = points * (points + 1) / 2 + points * (points + 1) + (points + 1) * (points + 2) / 2;
    let samples = 3 * (points + 1) * elements * 4;
    for (concurrency, at_once) in [(Concurrency::Sequential, 1), (Concurrency::Parallel, 3)] {
        let at_once = at_once.min(rayon::current_num_threads());
        let expected = samples + at_once * points * elements * 4 + 3 * grams * 8;
        let session = session.with_concurrency(concurrency);
        assert_eq!(session.target_bytes(Sampler::<3>::steps(&own), &options()), expected);
    }
}

/// With few evaluations the polish comes nearer to the target than the fit step after step, also on runs that it did not see; the
/// plan says what the polish says.
#[test]
fn a_polish_gains_with_few_evaluations() {
    let (toy, own, converged) = (Toy::seeded(1), solver(STEPS), solver(80));
    let all = runs(10);
    let (seen, unseen) = (&all[..6], &all[6..]);
    let find = |polish| {
        let mut options = options();
        options.polish = polish;
        let record =
            session(&toy, &own, seen).record_target(Target::Converged, &converged, &options).unwrap();
        record.plan(Goal::ComputedSteps(5)).unwrap()
    };
    let (fitted, polished) = (find(None), find(Some(Polish::default())));
    let tried = &polished.tried[polished.chosen];
    assert!(matches!(tried.weights, Weighting::Polished { .. }), "{:?}", tried.weights);
    let said = decibels(&errors(&toy, &converged, &polished.plan, &seen[4..]));
    assert!((said - tried.kept_out).abs() < 0.2, "{said} {}", tried.kept_out);
    let judge = |found: &Fitted| decibels(&errors(&toy, &converged, &found.plan, unseen));
    println!("fitted {:.1} dB, polished {:.1} dB", judge(&fitted), judge(&polished));
    assert!(judge(&polished) > judge(&fitted));
}

/// A solver's row at the best times is a plan, and the fitted plan of as many evaluations is no worse on the runs it was chosen on.
#[test]
fn solvers_at_their_best_times_are_plans() {
    let (toy, own, converged, runs) = (Toy::seeded(1), solver(STEPS), solver(80), runs(6));
    let record = session(&toy, &own, &runs).record_target(Target::Converged, &converged, &options()).unwrap();
    let found = record.plan(Goal::ComputedSteps(8)).unwrap();
    let fitted = decibels(&errors(&toy, &converged, &found.plan, &runs[4..]));
    for solver in
        [Multistep::FirstOrder, Multistep::DpmSolverPlusPlus, Multistep::UniPc(2), Multistep::UniPc(3)]
    {
        let plan = record.solver(solver, 8, &found.times()).unwrap();
        assert_eq!((plan.steps(), plan.full_steps()), (8, STEPS));
        assert!(plan.provenance.method.starts_with(&solver.to_string()), "{}", plan.provenance.method);
        let plain = decibels(&errors(&toy, &converged, &plan, &runs[4..]));
        println!("{solver}: {plain:.1} dB, fitted {fitted:.1} dB");
        assert!(plain < fitted, "{solver}");
        let said = record.psnr(&plan).unwrap();
        assert!((said.iter().sum::<f64>() / said.len() as f64 - plain).abs() < 1e-6 && said.len() == 2);
    }
    assert!(record.solver(Multistep::UniPc(4), 8, &[]).is_err());
}
