//! Compares the decisions (reuse masks) of two devices.

use invardiff_plan::two_phase::ReuseMasks;

/// One decision of a calibration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Gate, or stream and layer; and the step.
    place: String,
    /// Whether the value is reused.
    reused: bool,
}

/// Differences of two reuse masks.
#[derive(Clone, Debug, Default)]
pub(super) struct Differences {
    /// Allowed differences: a slightly lower or higher threshold changes the decision.
    pub(super) at_thresholds: Vec<String>,
    /// All others.
    pub(super) elsewhere: Vec<String>,
}

/// The decisions in which `found` differs from `expected`. One that changes between `low` and `high` (the expected masks at
/// slightly lower and higher thresholds) may differ.
pub(super) fn differences(
    found: &ReuseMasks,
    expected: &ReuseMasks,
    low: &ReuseMasks,
    high: &ReuseMasks,
) -> Differences {
    let mut all = Differences::default();
    let bounds = entries(low).into_iter().zip(entries(high));
    for ((found, expected), (low, high)) in entries(found).into_iter().zip(entries(expected)).zip(bounds) {
        if found == expected {
            continue;
        }
        let list = if low == high { &mut all.elsewhere } else { &mut all.at_thresholds };
        let word = |reused| if reused { "reused" } else { "computed" };
        list.push(format!(
            "{}: {}, on the processor {}",
            found.place,
            word(found.reused),
            word(expected.reused)
        ));
    }
    all
}

/// All decisions of the masks, in a fixed order.
fn entries(books: &ReuseMasks) -> Vec<Entry> {
    let gate = books.gate().iter().enumerate();
    let gate = gate.map(|(step, reused)| Entry { place: format!("step {step}"), reused: *reused });
    let streams = books.streams().iter().flat_map(|(kind, book)| {
        let entry = move |((step, layer), reused): ((usize, usize), &bool)| Entry {
            place: format!("{kind} of layer {layer} at step {step}"),
            reused: *reused,
        };
        book.indexed_iter().map(entry)
    });
    gate.chain(streams).collect()
}

#[cfg(test)]
mod tests {
    use invardiff_plan::Kind;
    use ndarray::Array2;

    use super::*;

    fn books(gate: [bool; 3], reused: &[(usize, usize)]) -> ReuseMasks {
        let book = Array2::from_shape_fn((3, 2), |at| reused.contains(&at));
        ReuseMasks::new(gate.to_vec(), vec![(Kind::MSA, book)]).unwrap()
    }

    #[test]
    fn a_decision_may_differ_where_a_threshold_turns_it() {
        let expected = books([false, true, false], &[(2, 0)]);
        let (low, high) = (books([false, true, false], &[]), books([false, true, false], &[(2, 0), (2, 1)]));
        let same = differences(&expected, &expected, &low, &high);
        assert!(same.at_thresholds.is_empty() && same.elsewhere.is_empty());
        let other = books([false, false, false], &[(2, 0), (2, 1)]);
        let found = differences(&other, &expected, &low, &high);
        assert_eq!(found.at_thresholds, ["msa of layer 1 at step 2: reused, on the processor computed"]);
        assert_eq!(found.elsewhere, ["step 1: computed, on the processor reused"]);
    }
}
