//! The laws of the check while sampling.

use invardiff_plan::{CachePlan, GateSite, ReuseRule};
use invardiff_runtime::{Denoiser, Full, Guard, GuardStep, Guarded, OutputForm};

use crate::toy::{BATCH, Toy, noise, replay, trajectory};

const GATE: [bool; 10] = [false, false, true, true, false, true, true, true, false, false];

fn steps(expected: Option<f64>) -> Vec<GuardStep> {
    let step = |(index, skipped)| GuardStep { skipped, time: index as f64, expected };
    GATE.into_iter().enumerate().map(step).collect()
}

fn guard(tolerance: f64, extra: usize) -> Guard {
    let guard = Guard::new(steps(Some(1e-6)), OutputForm::X0).unwrap();
    guard.with_tolerance(tolerance).unwrap().with_extra(extra)
}

#[test]
fn a_guard_that_is_never_alarmed_replays_the_gate() {
    let plan = CachePlan::gate_only(&Toy::seeded(1).topology(), GATE.to_vec())
        .with_gate_rule(GateSite::Output(OutputForm::X0), ReuseRule::Extrapolate(1));
    let mut expected = replay(&plan);
    let guard = guard(f64::INFINITY, 10);
    let mut guarded = Guarded::new(&guard);
    assert_eq!(trajectory(10, &mut guarded, 2), trajectory(10, &mut expected, 2));
    assert_eq!((guarded.spent(), guarded.peak_bytes()), (0, expected.store().peak_bytes()));
    assert_eq!(guarded.peak_bytes(), 2 * 4 * noise(2).dims().iter().product::<usize>());
    assert_eq!(noise(2).dims()[0], BATCH);
}

#[test]
fn an_alarm_computes_the_middle_of_the_next_skips_while_there_are_steps_left() {
    let full = trajectory(10, &mut Full, 2);
    for extra in 0..=2 {
        let guard = guard(0.0, extra);
        let mut guarded = Guarded::new(&guard);
        let found = trajectory(10, &mut guarded, 2);
        // Steps 0 and 1 have no line through two others behind them: step 4 is the first that can be alarmed.
        // The step that was computed more is alarmed itself.
        assert_eq!(guarded.spent(), extra, "extra {extra}");
        assert_ne!(found[9], full[9]);
        let plain = trajectory(10, &mut Guarded::new(&self::guard(f64::INFINITY, 0)), 2);
        assert_eq!(found[..6], plain[..6]);
        assert_eq!(found[6] == plain[6], extra == 0, "step 6 is the middle of 5, 6, 7");
    }
}

#[test]
fn where_calibration_saw_nothing_there_is_no_alarm() {
    let guard = Guard::new(steps(None), OutputForm::X0).unwrap().with_tolerance(0.0).unwrap().with_extra(9);
    let mut guarded = Guarded::new(&guard);
    trajectory(10, &mut guarded, 2);
    assert_eq!(guarded.spent(), 0);
}

#[test]
fn a_guard_that_cannot_be_run_is_refused() {
    let message = |steps| Guard::new(steps, OutputForm::X0).unwrap_err().to_string();
    assert!(message(Vec::new()).contains("the first step of a guard is missing"));
    assert!(message(steps(None)[2..].to_vec()).contains("the first step of a guard is skipped"));
    for time in [0.0, f64::NAN, f64::INFINITY] {
        let mut steps = steps(None);
        steps[9].time = time;
        assert!(message(steps).contains("the times of a guard"), "{time}");
    }
    let mut falling = steps(None);
    for step in &mut falling {
        step.time = -step.time;
    }
    let guard = Guard::new(falling, OutputForm::X0).unwrap();
    assert!(
        guard.with_tolerance(f64::NAN).unwrap_err().to_string().contains("the tolerance of a guard is NaN")
    );
}
