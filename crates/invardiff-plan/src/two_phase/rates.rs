//! Change rates: how much more a feature changes at the next step than it did at this one.

use ndarray::{Array1, Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::core::{Kind, PlanError, Threshold};
use crate::two_phase::distance::{DistanceTable, StepPair};
use crate::two_phase::masks::ReuseMasks;
use crate::two_phase::streams::check_streams;

/// The change rates of a run, or their mean over runs: `[steps]` for the trunk, `[steps, layers]` per stream.
///
/// # Index
/// Row `t` holds `D(F_t, F_{t+1}) / D(F_{t-1}, F_t)`: the change *after* step `t` divided by the change that led to it. It
/// stands one step earlier than the reuse that it decides, as in the authors' published code. The first and the last row
/// have no such quotient and hold 1.
///
/// A table with a NaN in it cannot be written as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct RateTable {
    trunk: Array1<f32>,
    streams: Vec<(Kind, Array2<f32>)>,
}

/// The fields as read from a file, not checked yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    trunk: Array1<f32>,
    streams: Vec<(Kind, Array2<f32>)>,
}

impl TryFrom<Fields> for RateTable {
    type Error = PlanError;

    fn try_from(fields: Fields) -> Result<Self, PlanError> {
        Self::new(fields.trunk, fields.streams)
    }
}

impl RateTable {
    /// A table from its parts: `trunk` is `[steps]`, each stream is `[steps, layers]`.
    ///
    /// # Errors
    /// [`PlanError::TooFewSteps`] for fewer than 3 steps, [`PlanError::Shape`] when a stream has another number of steps,
    /// [`PlanError::Sites`] when a stream is named twice or called like the trunk.
    pub fn new(trunk: Array1<f32>, streams: Vec<(Kind, Array2<f32>)>) -> Result<Self, PlanError> {
        if trunk.len() < 3 {
            return Err(PlanError::TooFewSteps { steps: trunk.len(), needed: 3 });
        }
        check_streams("the rate table", trunk.len(), &streams)?;
        Ok(Self { trunk, streams })
    }

    /// The rates of the first phase: row `k - 1` compares step `k` with the two steps before it.
    ///
    /// The paper's change metric (arXiv 2512.05134), with boundary rows as in the authors' published code.
    ///
    /// # Errors
    /// [`PlanError::MissingPair`] when the distance between two neighbouring steps was not recorded.
    pub fn phase1(distances: &DistanceTable) -> Result<Self, PlanError> {
        Self::phase2(distances, &ReuseMasks::empty(distances))
    }

    /// The rates of the second phase, under the provisional masks of the first (the paper's re-sampling correction).
    ///
    /// The features are those of the first phase; what changes is the pair of earlier steps that a new feature is compared
    /// with. The pair moves on at a computed step and at the first of consecutive reused steps, then stays until they end,
    /// so that each further reused step is compared with what a cache would hold. With empty masks this is the first phase.
    /// Details as in the authors' published code.
    ///
    /// # Errors
    /// [`PlanError::MissingPair`] when a distance was not recorded ([`missing_pairs`](crate::two_phase::missing_pairs) lists all),
    /// [`PlanError::MissingKind`] or [`PlanError::Shape`] when the masks are for other streams.
    pub fn phase2(distances: &DistanceTable, provisional: &ReuseMasks) -> Result<Self, PlanError> {
        let (steps, known) = (distances.steps(), distances.streams());
        let mut trunk = Array1::ones(steps);
        let mut streams: Vec<(Kind, Array2<f32>)> = Vec::new();
        for (stream, (kind, layer)) in known.iter().enumerate() {
            let mask = provisional.column(steps, *kind, *layer)?;
            let rates = column(distances, stream, mask)?;
            if stream == DistanceTable::TRUNK {
                trunk = rates;
                continue;
            }
            if !streams.iter().any(|(known, _)| known == kind) {
                streams.push((*kind, Array2::ones((steps, distances.layers(*kind)))));
            }
            let (_, table) = streams.iter_mut().find(|(known, _)| known == kind).expect("just added");
            table.column_mut(*layer as usize).assign(&rates);
        }
        Self::new(trunk, streams)
    }

    /// The pairs of steps that [`RateTable::phase2`] reads, per stream.
    ///
    /// # Errors
    /// [`PlanError::MissingKind`] or [`PlanError::Shape`] when the masks are for other streams.
    pub fn pairs(distances: &DistanceTable, provisional: &ReuseMasks) -> Result<Vec<StepPair>, PlanError> {
        let mut pairs = Vec::new();
        for (stream, (kind, layer)) in distances.streams().iter().enumerate() {
            // The first denominator; every later one was a numerator before.
            pairs.push(StepPair { stream, from: 0, to: 1 });
            let anchors = anchors(provisional.column(distances.steps(), *kind, *layer)?);
            pairs.extend(anchors.map(|[_, current, new]| StepPair { stream, from: current, to: new }));
        }
        Ok(pairs)
    }

    /// The arithmetic mean over runs, entry by entry, accumulated in float64. Rates are averaged before quantiles are taken,
    /// as in the authors' published code.
    ///
    /// # Errors
    /// [`PlanError::Range`] without runs, [`PlanError::Sites`] or [`PlanError::Shape`] when the runs have different streams.
    pub fn mean(runs: &[Self]) -> Result<Self, PlanError> {
        let Some(first) = runs.first() else {
            return Err(PlanError::Range {
                what: "the number of calibration runs".into(),
                value: "0".into(),
                expected: "at least 1".into(),
            });
        };
        for run in runs {
            first.check_same(run)?;
        }
        let trunk = Array1::from_shape_fn(first.steps(), |step| average(runs, |run| run.trunk[step]));
        let streams = first.streams.iter().enumerate().map(|(index, (kind, table))| {
            let mean = Array2::from_shape_fn(table.dim(), |at| average(runs, |run| run.streams[index].1[at]));
            (*kind, mean)
        });
        Self::new(trunk, streams.collect())
    }

    /// The masks of the rates that lie strictly below their threshold, before any guard.
    ///
    /// # Errors
    /// [`PlanError::MissingKind`] when the trunk or a stream has no threshold.
    pub fn below(&self, thresholds: &[Threshold]) -> Result<ReuseMasks, PlanError> {
        let threshold = |kind: Kind| {
            let found = thresholds.iter().find(|threshold| threshold.kind == kind);
            found
                .map(|threshold| threshold.value)
                .ok_or_else(|| PlanError::MissingKind { kind, what: "the thresholds".into() })
        };
        let limit = threshold(Kind::TRUNK)?;
        let gate = self.trunk.iter().map(|rate| *rate < limit).collect();
        let mask = |(kind, table): &(Kind, Array2<f32>)| {
            let limit = threshold(*kind)?;
            Ok((*kind, table.mapv(|rate| rate < limit)))
        };
        ReuseMasks::new(gate, self.streams.iter().map(mask).collect::<Result<_, PlanError>>()?)
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.trunk.len()
    }

    /// The rates of the trunk, `[steps]`.
    pub fn trunk(&self) -> ArrayView1<'_, f32> {
        self.trunk.view()
    }

    /// The streams in order, each `[steps, layers]`.
    pub fn streams(&self) -> &[(Kind, Array2<f32>)] {
        &self.streams
    }

    /// The rates of one stream, `[steps, layers]`.
    pub fn stream(&self, kind: Kind) -> Option<&Array2<f32>> {
        self.streams.iter().find(|(known, _)| *known == kind).map(|(_, table)| table)
    }

    fn check_same(&self, other: &Self) -> Result<(), PlanError> {
        let names = |table: &Self| table.streams.iter().map(|(kind, _)| *kind).collect::<Vec<_>>();
        if names(self) != names(other) {
            let detail = format!("{:?} in the first run, {:?} in another", names(self), names(other));
            return Err(PlanError::Sites { model: "the calibration runs".into(), detail });
        }
        let shapes = |table: &Self| {
            let streams = table.streams.iter().flat_map(|(_, table)| table.shape().to_vec());
            std::iter::once(table.steps()).chain(streams).collect::<Vec<_>>()
        };
        let (expected, found) = (shapes(self), shapes(other));
        if expected != found {
            let what = "the rate table of a run [steps, then steps and layers of each stream]".into();
            return Err(PlanError::Shape { what, expected, found });
        }
        Ok(())
    }
}

/// Rates of one stream at one layer, `[steps]`.
fn column(
    distances: &DistanceTable,
    stream: usize,
    mask: ArrayView1<'_, bool>,
) -> Result<Array1<f32>, PlanError> {
    let mut rates = Array1::ones(distances.steps());
    for [previous, current, new] in anchors(mask) {
        let after = distances.get(stream, current, new)?;
        let before = distances.get(stream, previous, current)?;
        rates[new - 1] = after / before;
    }
    Ok(rates)
}

/// For every step from 2 on, `[previous, current, new]`: the steps whose features its rate compares.
fn anchors(mask: ArrayView1<'_, bool>) -> impl Iterator<Item = [usize; 3]> {
    let (mut previous, mut current, mut frozen) = (0, 1, false);
    (2..mask.len()).map(move |new| {
        let asked = [previous, current, new];
        let reused = mask[new - 1];
        if !(reused && frozen) {
            (previous, current) = (current, new);
        }
        frozen = reused;
        asked
    })
}

fn average(runs: &[RateTable], value: impl Fn(&RateTable) -> f32) -> f32 {
    (runs.iter().map(|run| f64::from(value(run))).sum::<f64>() / runs.len() as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(mask: &[bool]) -> Vec<[usize; 3]> {
        anchors(ArrayView1::from(mask)).collect()
    }

    #[test]
    fn without_reuse_every_step_is_compared_with_the_two_before_it() {
        assert_eq!(pairs(&[false; 5]), [[0, 1, 2], [1, 2, 3], [2, 3, 4]]);
    }

    #[test]
    fn the_reference_stays_from_the_second_reused_step_to_the_next_computed_one() {
        let mut mask = [false; 10];
        mask[3..=5].fill(true);
        let frozen = [[2, 3, 4], [3, 4, 5], [3, 4, 6], [3, 4, 7], [4, 7, 8], [7, 8, 9]];
        assert_eq!(pairs(&mask)[2..], frozen);
        // A run of one reused step freezes nothing.
        mask[4..=5].fill(false);
        assert_eq!(pairs(&mask), pairs(&[false; 10]));
    }

    #[test]
    fn the_first_and_the_last_entry_of_a_book_change_nothing() {
        assert_eq!(pairs(&[true, false, false, false, true]), pairs(&[false; 5]));
    }

    #[test]
    fn rates_stand_one_step_early_and_the_ends_hold_one() {
        let mut distances = DistanceTable::new(4, 1, vec![(Kind::MSA, 0)]).unwrap();
        for (stream, scale) in [(0, 1.0), (1, 3.0)] {
            for (from, value) in [(0, 2.0), (1, 3.0), (2, 12.0)] {
                distances.record(stream, from, from + 1, value * scale).unwrap();
            }
        }
        let rates = RateTable::phase1(&distances).unwrap();
        assert_eq!(rates.trunk().to_vec(), [1.0, 1.5, 4.0, 1.0]);
        assert_eq!(rates.stream(Kind::MSA).unwrap().column(0).to_vec(), [1.0, 1.5, 4.0, 1.0]);
    }

    #[test]
    fn runs_are_averaged_and_must_be_alike() {
        let table = |value: f32, layers| {
            let stream = (Kind::MLP, Array2::from_elem((3, layers), value));
            RateTable::new(Array1::from_elem(3, value), vec![stream]).unwrap()
        };
        assert_eq!(RateTable::mean(&[table(1.0, 2), table(2.0, 2)]).unwrap(), table(1.5, 2));
        assert!(matches!(RateTable::mean(&[]), Err(PlanError::Range { .. })));
        let error = RateTable::mean(&[table(1.0, 2), table(1.0, 3)]).unwrap_err();
        assert!(matches!(error, PlanError::Shape { .. }), "{error}");
    }

    #[test]
    fn a_table_survives_json_and_a_misshapen_one_is_refused() {
        let table = RateTable::new(
            Array1::from(vec![1.0, 0.1, 0.7, 1.0]),
            vec![(Kind::MSA, Array2::from_elem((4, 2), 0.3))],
        )
        .unwrap();
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<RateTable>(&json).unwrap(), table);
        let short =
            json.replace(r#""dim":[4],"data":[1.0,0.1,0.7,1.0]"#, r#""dim":[3],"data":[1.0,0.1,0.7]"#);
        assert_ne!(short, json);
        let error = serde_json::from_str::<RateTable>(&short).unwrap_err();
        assert!(
            error.to_string().contains("'msa' of the rate table has shape [4, 2], expected [3, 2]"),
            "{error}"
        );
    }
}
