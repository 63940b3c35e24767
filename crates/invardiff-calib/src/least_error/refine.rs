//! Moving computed steps of a gate by real replays.

/// A gate after moving.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refined {
    /// The gate, `true` = skipped; as many steps computed as before.
    pub(super) gate: Vec<bool>,
    /// Its error.
    pub(super) error: f64,
    /// Computed steps that were moved.
    pub(super) swaps: usize,
}

/// Moves single computed steps to a neighbouring place as long as that lessens the error, trying at most `tries` gates. The
/// first `warm_up` steps and the last stay computed, and no run of skips grows beyond `longest`.
///
/// # Errors
/// As `error`.
pub(super) fn refine<E>(
    gate: &[bool],
    (warm_up, longest): (usize, usize),
    tries: usize,
    mut error: impl FnMut(&[bool]) -> Result<f64, E>,
) -> Result<Refined, E> {
    let mut best = Refined { gate: gate.to_vec(), error: error(gate)?, swaps: 0 };
    let (mut left, mut unmoved, mut at) = (tries, 0, warm_up);
    let last = gate.len().saturating_sub(1);
    let places = 2 * last.saturating_sub(warm_up);
    // Round and round over (step, direction), until nothing in a whole round helps.
    while left > 0 && unmoved < places {
        let step = warm_up + (at - warm_up) / 2 % last.saturating_sub(warm_up).max(1);
        let other = if at % 2 == 0 { step + 1 } else { step - 1 };
        at += 1;
        unmoved += 1;
        let movable = (warm_up..last).contains(&other) && !best.gate[step] && best.gate[other];
        if !movable {
            continue;
        }
        let mut moved = best.gate.clone();
        moved.swap(step, other);
        if longest_run(&moved) > longest {
            continue;
        }
        left -= 1;
        let found = error(&moved)?;
        if found < best.error {
            best = Refined { gate: moved, error: found, swaps: best.swaps + 1 };
            unmoved = 0;
        }
    }
    Ok(best)
}

/// The longest run of skipped steps.
fn longest_run(gate: &[bool]) -> usize {
    gate.split(|skipped| !skipped).map(<[bool]>::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distance of the computed steps from where they should be.
    fn distance(gate: &[bool], wanted: &[bool]) -> f64 {
        let computed =
            |gate: &[bool]| -> Vec<usize> { (0..gate.len()).filter(|step| !gate[*step]).collect() };
        computed(gate).iter().zip(computed(wanted)).map(|(one, other)| one.abs_diff(other) as f64).sum()
    }

    #[test]
    fn steps_move_to_where_they_err_least() {
        let gate = [false, false, true, true, false, true, true, true, false, true, true, false];
        let wanted = [false, false, true, false, true, true, true, false, true, true, true, false];
        let mut calls = 0;
        let refined = refine(&gate, (2, 8), 100, |gate| {
            calls += 1;
            Ok::<_, ()>(distance(gate, &wanted))
        })
        .unwrap();
        assert_eq!((refined.gate.as_slice(), refined.error, refined.swaps), (wanted.as_slice(), 0.0, 2));
        assert!(calls < 30, "{calls}");
    }

    #[test]
    fn bounds_hold() {
        let gate = [false, false, true, false, true, true, false, true, false];
        let count = |gate: &[bool]| gate.iter().filter(|skipped| !**skipped).count();
        for (tries, longest) in [(0, 3), (5, 2), (50, 3)] {
            let mut calls = 0;
            // Later is better: without bounds everything would move to the end.
            let refined = refine(&gate, (2, longest), tries, |gate| {
                calls += 1;
                let places = gate.iter().enumerate();
                let computed = places.map(|(step, skipped)| if *skipped { 0.0 } else { step as f64 });
                Ok::<_, ()>(-computed.sum::<f64>())
            })
            .unwrap();
            assert!(calls <= tries + 1 && longest_run(&refined.gate) <= longest.max(2));
            assert_eq!(count(&refined.gate), count(&gate));
            assert!(!refined.gate[0] && !refined.gate[1] && !refined.gate[8]);
        }
    }
}
