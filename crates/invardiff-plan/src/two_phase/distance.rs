//! The distances between features of different steps that one calibration run measures.

use std::collections::BTreeMap;

use ndarray::Array2;

use crate::core::{Kind, PlanError, Topology};

/// Two steps of one stream, `from < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepPair {
    /// The stream's index in [`DistanceTable::streams`].
    pub stream: usize,
    /// The earlier step (sampling order).
    pub from: usize,
    /// The later step.
    pub to: usize,
}

/// The distances `D(F_from, F_to)` of one calibration run, for every stream of every layer and for the trunk.
///
/// A stream is one tensor at a module site, identified by a name and a layer. Streams have an index:
/// [`DistanceTable::TRUNK`] for the trunk, then those given to the constructor, from 1 on.
///
/// Both phases read this table. The second phase compares other pairs of steps of the same trajectory, so one run is enough
/// when it compares every step with a *window* of later steps. Pairs farther apart than the window are stored one by one; a
/// second pass over the trajectory need only record those that [`missing_pairs`](crate::two_phase::missing_pairs) lists.
#[derive(Clone, Debug, PartialEq)]
pub struct DistanceTable {
    steps: usize,
    window: usize,
    streams: Vec<(Kind, u32)>,
    /// Per stream `[to, gap - 1]`.
    near: Vec<Array2<Option<f32>>>,
    far: BTreeMap<StepPair, f32>,
}

impl DistanceTable {
    /// The index of the trunk.
    pub const TRUNK: usize = 0;

    /// An empty table for `steps` steps and all pairs up to `window` steps apart. `streams` lists the modules' tensors as
    /// (stream, layer) without the trunk; the layers of each stream start at 0.
    ///
    /// # Errors
    /// [`PlanError::TooFewSteps`] for fewer than 3 steps, [`PlanError::Range`] for a window of 0, [`PlanError::Sites`] when
    /// a stream is named twice, is called like the trunk, or lacks a layer.
    pub fn new(steps: usize, window: usize, streams: Vec<(Kind, u32)>) -> Result<Self, PlanError> {
        if steps < 3 {
            return Err(PlanError::TooFewSteps { steps, needed: 3 });
        }
        if window == 0 {
            return Err(PlanError::Range {
                what: "the window of a distance table".into(),
                value: window.to_string(),
                expected: "at least 1 step".into(),
            });
        }
        check_layers(&streams)?;
        let window = window.min(steps - 1);
        let streams: Vec<_> = std::iter::once((Kind::TRUNK, 0)).chain(streams).collect();
        let near = vec![Array2::from_elem((steps, window), None); streams.len()];
        Ok(Self { steps, window, streams, near, far: BTreeMap::new() })
    }

    /// An empty table for all streams of a model, in order of execution.
    ///
    /// # Errors
    /// As [`DistanceTable::new`].
    pub fn for_topology(topology: &Topology, steps: usize, window: usize) -> Result<Self, PlanError> {
        let of_site = |spec: &crate::core::SiteSpec| {
            let layer = spec.site.layer;
            spec.streams.iter().map(move |stream| (stream.name, layer)).collect::<Vec<_>>()
        };
        Self::new(steps, window, topology.sites.iter().flat_map(of_site).collect())
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The largest gap, in steps, for which every pair has a place.
    pub fn window(&self) -> usize {
        self.window
    }

    /// The streams as (stream, layer), the trunk first.
    pub fn streams(&self) -> &[(Kind, u32)] {
        &self.streams
    }

    /// The number of layers of a stream.
    pub fn layers(&self, stream: Kind) -> usize {
        self.streams.iter().filter(|(kind, _)| *kind == stream).count()
    }

    /// The index of a stream at a layer; `None` where the table does not have it.
    pub fn index(&self, stream: Kind, layer: u32) -> Option<usize> {
        self.streams.iter().position(|known| *known == (stream, layer))
    }

    /// Records the distance between two steps, inside or outside of the window. A pair that is recorded again takes the new
    /// value.
    ///
    /// A NaN is stored; each variant has its own rule for NaN.
    ///
    /// # Errors
    /// [`PlanError::Range`] for an unknown stream or step, steps that are not in order, or a negative distance.
    pub fn record(&mut self, stream: usize, from: usize, to: usize, value: f32) -> Result<(), PlanError> {
        self.check(StepPair { stream, from, to })?;
        if value < 0.0 {
            let what = format!("the distance of {} between steps {from} and {to}", self.name(stream));
            return Err(PlanError::Range {
                what,
                value: value.to_string(),
                expected: "a number from 0 on".into(),
            });
        }
        if to - from <= self.window {
            self.near[stream][[to, to - from - 1]] = Some(value);
        } else {
            self.far.insert(StepPair { stream, from, to }, value);
        }
        Ok(())
    }

    /// The distance between two steps.
    ///
    /// # Errors
    /// [`PlanError::MissingPair`] when it was not recorded, [`PlanError::Range`] for an unknown stream or step.
    pub fn get(&self, stream: usize, from: usize, to: usize) -> Result<f32, PlanError> {
        let pair = StepPair { stream, from, to };
        self.check(pair)?;
        self.recorded(pair).ok_or_else(|| PlanError::MissingPair {
            stream: self.name(stream),
            from,
            to,
            window: self.window,
        })
    }

    /// Those of `pairs` that were not recorded, sorted, without repetitions.
    pub fn missing(&self, pairs: impl IntoIterator<Item = StepPair>) -> Vec<StepPair> {
        let mut missing: Vec<_> = pairs
            .into_iter()
            .filter(|pair| self.check(*pair).is_err() || self.recorded(*pair).is_none())
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    fn recorded(&self, pair: StepPair) -> Option<f32> {
        let gap = pair.to - pair.from;
        if gap <= self.window {
            self.near[pair.stream][[pair.to, gap - 1]]
        } else {
            self.far.get(&pair).copied()
        }
    }

    fn check(&self, pair: StepPair) -> Result<(), PlanError> {
        let (steps, streams) = (self.steps, self.streams.len());
        if pair.stream >= streams {
            return Err(PlanError::Range {
                what: "the stream of a distance".into(),
                value: pair.stream.to_string(),
                expected: format!("an index below {streams}"),
            });
        }
        if pair.from >= pair.to || pair.to >= steps {
            return Err(PlanError::Range {
                what: format!("the pair of steps of a distance of {}", self.name(pair.stream)),
                value: format!("({}, {})", pair.from, pair.to),
                expected: format!("an earlier and a later of {steps} steps"),
            });
        }
        Ok(())
    }

    fn name(&self, stream: usize) -> String {
        let (stream, layer) = self.streams[stream];
        format!("{stream}[{layer}]")
    }
}

/// Every stream has its layers from 0 on, each once.
fn check_layers(streams: &[(Kind, u32)]) -> Result<(), PlanError> {
    let refuse = |detail| Err(PlanError::Sites { model: "the distance table".into(), detail });
    let mut sorted = streams.to_vec();
    sorted.sort_unstable();
    let mut expected: Option<(Kind, u32)> = None;
    for (stream, layer) in sorted {
        let next = expected.filter(|(kind, _)| *kind == stream).map_or(0, |(_, next)| next);
        if stream == Kind::TRUNK {
            return refuse("the trunk is always there, it is not listed among the streams".into());
        }
        if layer < next {
            return refuse(format!("{stream}[{layer}] stands twice among the streams"));
        }
        if layer > next {
            return refuse(format!("the streams have {stream}[{layer}], but not {stream}[{next}]"));
        }
        expected = Some((stream, layer + 1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(window: usize) -> DistanceTable {
        DistanceTable::new(6, window, vec![(Kind::MSA, 0), (Kind::MLP, 0), (Kind::MSA, 1)]).unwrap()
    }

    #[test]
    fn near_and_far_pairs_come_back() {
        let mut table = table(2);
        for (from, to) in [(0, 1), (1, 3), (0, 5)] {
            table.record(3, from, to, to as f32 + 0.5).unwrap();
            assert_eq!(table.get(3, from, to).unwrap(), to as f32 + 0.5);
        }
        assert_eq!(table.index(Kind::MSA, 1), Some(3));
        assert_eq!(table.streams()[DistanceTable::TRUNK], (Kind::TRUNK, 0));
        assert_eq!(table.index(Kind::FF, 0), None);
    }

    #[test]
    fn a_missing_pair_is_named_with_the_window_that_it_needs() {
        let message = table(2).get(2, 1, 5).unwrap_err().to_string();
        assert!(message.contains("mlp[0] between steps 1 and 5"), "{message}");
        assert!(message.contains("window of at least 4"), "{message}");
    }

    #[test]
    fn missing_pairs_are_sorted_and_named_once() {
        let mut table = table(1);
        table.record(1, 0, 1, 1.0).unwrap();
        let pair = |stream, from, to| StepPair { stream, from, to };
        let asked = [pair(1, 2, 5), pair(1, 0, 1), pair(0, 0, 1), pair(1, 2, 5)];
        assert_eq!(table.missing(asked), vec![pair(0, 0, 1), pair(1, 2, 5)]);
    }

    #[test]
    fn nonsense_is_refused() {
        let mut table = table(2);
        for (stream, from, to, value) in
            [(4, 0, 1, 1.0), (0, 1, 1, 1.0), (0, 2, 1, 1.0), (0, 0, 6, 1.0), (0, 0, 1, -1.0)]
        {
            let error = table.record(stream, from, to, value).unwrap_err();
            assert!(matches!(error, PlanError::Range { .. }), "{error}");
        }
        assert!(matches!(table.get(9, 0, 1), Err(PlanError::Range { .. })));
        let twice = DistanceTable::new(6, 1, vec![(Kind::MSA, 0), (Kind::MSA, 0)]).unwrap_err();
        assert!(twice.to_string().contains("msa[0] stands twice"), "{twice}");
        let hole = DistanceTable::new(6, 1, vec![(Kind::MSA, 0), (Kind::MSA, 2)]).unwrap_err();
        assert!(hole.to_string().contains("msa[2], but not msa[1]"), "{hole}");
        assert!(DistanceTable::new(6, 1, vec![(Kind::TRUNK, 0)]).is_err());
        assert!(matches!(DistanceTable::new(2, 1, vec![]), Err(PlanError::TooFewSteps { needed: 3, .. })));
        assert!(matches!(DistanceTable::new(3, 0, vec![]), Err(PlanError::Range { .. })));
    }
}
