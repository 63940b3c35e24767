//! The laws of the check while sampling.

use invardiff_plan::{CachePlan, GateSite, ReuseRule};
use invardiff_runtime::{Denoiser, Full, Guard, Guarded, OutputForm};

use crate::toy::{BATCH, Toy, noise, replay, trajectory};

const GATE: [bool; 10] = [false, false, true, true, false, true, true, true, false, false];

fn guard(tolerance: f64, extra: usize) -> Guard {
    Guard {
        gate: GATE.to_vec(),
        form: OutputForm::X0,
        times: (0..10).map(f64::from).collect(),
        expected: vec![Some(1e-6); 10],
        tolerance,
        extra,
    }
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
    let mut guard = guard(0.0, 9);
    guard.expected.fill(None);
    let mut guarded = Guarded::new(&guard);
    trajectory(10, &mut guarded, 2);
    assert_eq!(guarded.spent(), 0);
}
