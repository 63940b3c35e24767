//! The recorder: looks at every fresh feature and notes how far it is from earlier ones.

use std::collections::{BTreeSet, VecDeque};

use burn::tensor::{DType, Tensor};
use invardiff_plan::Site;
use invardiff_plan::two_phase::{DistanceTable, EPSILON, StepPair};
use invardiff_runtime::{Executor, Feature, Pass, Policy};

use crate::error::CalibError;
use crate::readings::Readings;
use crate::similarity::{Similarity, likeness};
use crate::streams::Streams;

/// Which pairs of steps are compared.
#[derive(Clone, Debug)]
pub enum Pairs {
    /// Every step with the `modules` (or, for the hidden state, `trunk`) steps before it.
    Window {
        /// The window of module streams, in steps.
        modules: usize,
        /// The window of the trunk's hidden state, in steps.
        trunk: usize,
    },
    /// Exactly these.
    Listed(BTreeSet<StepPair>),
}

impl Pairs {
    fn has(&self, pair: StepPair) -> bool {
        let StepPair { stream, from, to } = pair;
        match self {
            Self::Window { trunk, .. } if stream == DistanceTable::TRUNK => from < to && to - from <= *trunk,
            Self::Window { modules, .. } => from < to && to - from <= *modules,
            Self::Listed(list) => list.contains(&pair),
        }
    }

    /// Whether the value of `stream` at step `from` will be compared with a step after `now`.
    fn await_later(&self, stream: usize, from: usize, now: usize) -> bool {
        let next = StepPair { stream, from, to: now + 1 };
        match self {
            Self::Window { .. } => self.has(next),
            Self::Listed(list) => list.range(next..=StepPair { to: usize::MAX, ..next }).next().is_some(),
        }
    }
}

/// One recorded trajectory. Computes everything, so that what it sees is the uncached run; holds each feature as long as a
/// later step will be compared with it, and what it measures on the device until [`Record::finish`]. Sites that the
/// topology does not list are computed and not looked at, and so is the unconditional pass of guidance in two passes, as in
/// the authors' scripts.
pub struct Record<'a> {
    streams: &'a Streams,
    pairs: &'a Pairs,
    similar: bool,
    probing: bool,
    /// The features held, by stream, with their steps.
    rings: Vec<VecDeque<(usize, Tensor<3>)>>,
    /// How often each stream was seen.
    visits: Vec<usize>,
    /// A site that has another number of tensors than the topology says, and that number.
    odd: Option<(Site, usize)>,
    distances: Readings<StepPair, 1>,
    similarities: Readings<StepPair, 2>,
}

impl<'a> Record<'a> {
    /// A recorder for one trajectory. With `similar`, the [`Similarity`] of consecutive steps is noted too.
    pub fn new(streams: &'a Streams, pairs: &'a Pairs, similar: bool) -> Self {
        Self {
            streams,
            pairs,
            similar,
            probing: false,
            rings: vec![VecDeque::new(); streams.count()],
            visits: vec![0; streams.count()],
            odd: None,
            distances: Readings::new(),
            similarities: Readings::new(),
        }
    }

    /// The same recorder; with `probing`, it measures a site's value where the model shows it on the way
    /// ([`Executor::probe`]) instead of where it is cached. That is the authors' statistic on FLUX: a single block's module before its projection.
    #[must_use]
    pub fn probing(self, probing: bool) -> Self {
        Self { probing, ..self }
    }

    /// Reads everything measured from the device, once, and books the distances.
    ///
    /// # Errors
    /// [`CalibError::Sites`] when the model did not pass every site of its topology once per step, with as many tensors as it
    /// lists; [`CalibError::Plan`] when the table is for other streams or fewer steps.
    pub fn finish(self, table: &mut DistanceTable) -> Result<Vec<Similarity>, CalibError> {
        self.check(table.steps())?;
        for (StepPair { stream, from, to }, [distance]) in self.distances.read() {
            table.record(stream, from, to, distance)?;
        }
        let similarities = self.similarities.read().into_iter();
        Ok(similarities
            .map(|(StepPair { stream, to, .. }, [mean_square, cosine_distance])| Similarity {
                stream,
                step: to,
                mean_square,
                cosine_distance,
            })
            .collect())
    }

    fn check(&self, steps: usize) -> Result<(), CalibError> {
        let refuse = |detail| Err(CalibError::Sites { model: self.streams.topology().model.clone(), detail });
        if let Some((site, found)) = self.odd {
            let listed = self.streams.at(site).map_or(0, <[usize]>::len);
            return refuse(format!("{site} has {listed} tensors in the topology and {found} in the forward"));
        }
        for (stream, visits) in self.visits.iter().enumerate() {
            if *visits != steps
                && let Some(site) = self.streams.site(stream)
            {
                return refuse(format!("{site} was passed {visits} times in {steps} steps"));
            }
        }
        Ok(())
    }

    fn note(&mut self, stream: usize, step: usize, fresh: &Tensor<3>) {
        let fresh = fresh.clone().cast(DType::F32);
        self.visits[stream] += 1;
        for (from, kept) in &self.rings[stream] {
            let pair = StepPair { stream, from: *from, to: step };
            if self.pairs.has(pair) {
                self.distances.push(pair, l1(kept.clone(), fresh.clone()));
            }
            if self.similar && from + 1 == step {
                self.similarities.push(pair, likeness(kept.clone(), fresh.clone()));
            }
        }
        self.rings[stream].push_back((step, fresh));
        let (pairs, similar) = (self.pairs, self.similar);
        self.rings[stream]
            .retain(|(from, _)| pairs.await_later(stream, *from, step) || (similar && *from == step));
    }
}

impl<'r> Policy for Record<'r> {
    type Step<'a>
        = RecordStep<'a, 'r>
    where
        Self: 'a;

    fn step(&mut self, step: usize) -> RecordStep<'_, 'r> {
        RecordStep { record: self, step, pass: Pass::default(), witnessed: None }
    }
}

/// The executor of one recorded step.
pub struct RecordStep<'a, 'r> {
    record: &'a mut Record<'r>,
    step: usize,
    pass: Pass,
    /// The site that was measured on the way, until it settles.
    witnessed: Option<Site>,
}

impl RecordStep<'_, '_> {
    fn measure(&mut self, site: Site, values: &[Tensor<3>]) {
        let Some(streams) = self.record.streams.at(site).filter(|_| self.pass == Pass::Conditional) else {
            return;
        };
        if streams.len() != values.len() {
            self.record.odd = Some((site, values.len()));
        }
        for (stream, tensor) in streams.iter().zip(values) {
            self.record.note(*stream, self.step, tensor);
        }
    }
}

impl Executor for RecordStep<'_, '_> {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        if self.witnessed.take() != Some(site) {
            self.measure(site, &fresh);
        }
        fresh
    }

    fn probe(&mut self, site: Site, value: &[Tensor<3>]) {
        if self.record.probing {
            self.measure(site, value);
            self.witnessed = Some(site);
        }
    }

    fn enter(&mut self, pass: Pass) {
        self.pass = pass;
    }
}

/// `||(b - a) + 1e-8||_1` as [`invardiff_plan::two_phase::distance`] has it, in f32 on the device: over channels first, so that long
/// sums keep their digits.
///
/// # Shapes
/// - `a`, `b`: `[batch, tokens, dim]`
/// - result: `[1]`
fn l1(a: Tensor<3>, b: Tensor<3>) -> Tensor<1> {
    ((b - a) + EPSILON).abs().sum_dim(2).sum()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use invardiff_plan::two_phase::{Precision, distance};
    use invardiff_plan::{SiteSpec, Topology};

    use super::*;

    const STEPS: usize = 7;

    /// Steps of the features held after every step: for the trunk, then for the one module.
    fn held(pairs: &Pairs, similar: bool) -> Vec<[Vec<usize>; 2]> {
        let site = Site::msa(0);
        let streams = Streams::new(Topology {
            model: "one".into(),
            sites: vec![SiteSpec::single(site, 1, 2, 1.0)],
            trunk: SiteSpec::single(Site::TRUNK, 1, 2, 0.0),
            head_flops: 0.0,
            output_elements: 2,
        });
        let mut record = Record::new(&streams, pairs, similar);
        let value = |step: usize| [Tensor::<3>::full([1, 1, 2], step as f32, &Device::flex())];
        let held = (0..STEPS).map(|step| {
            record.step(step).at(Site::TRUNK, |exec| exec.at(site, |_| value(step)));
            [0, 1].map(|stream: usize| record.rings[stream].iter().map(|(from, _)| *from).collect())
        });
        held.collect()
    }

    #[test]
    fn a_window_holds_what_the_next_step_is_compared_with() {
        let held = held(&Pairs::Window { modules: 1, trunk: 3 }, false);
        assert_eq!(held[0], [vec![0], vec![0]]);
        assert_eq!(held[4], [vec![2, 3, 4], vec![4]]);
    }

    #[test]
    fn a_listed_pair_is_held_from_its_first_step_to_its_last() {
        let list = BTreeSet::from([(1, 1, 4), (1, 1, 3), (0, 2, 6)].map(|(stream, from, to)| StepPair {
            stream,
            from,
            to,
        }));
        let of_module = |held: Vec<[Vec<usize>; 2]>| held.into_iter().map(|[_, module]| module);
        let alone = held(&Pairs::Listed(list.clone()), false);
        assert_eq!(alone[5][0], [2]);
        assert!(alone[6].iter().all(Vec::is_empty));
        let module: Vec<_> = of_module(alone).collect();
        assert_eq!(module, [vec![], vec![1], vec![1], vec![1], vec![], vec![], vec![]]);
        // Similarity needs the last step whatever the list.
        let similar: Vec<_> = of_module(held(&Pairs::Listed(list), true)).collect();
        assert_eq!(similar, [vec![0], vec![1], vec![1, 2], vec![1, 3], vec![4], vec![5], vec![6]]);
    }

    /// A change of nothing is 1e-8 per element, so its rate is 1 and not 0/0; the epsilon stands inside the absolute value.
    #[test]
    fn a_distance_has_the_epsilon_of_the_reference() {
        for (from, to) in [(0.5, 0.5), (0.0, 1e-8), (1e-8, 0.0), (0.25, -1.5)] {
            let tensor = |value: f32| Tensor::<3>::full([1, 2, 3], value, &Device::flex());
            let found: Vec<f32> = l1(tensor(from), tensor(to)).into_data().iter().collect();
            let expected = distance(&[from; 6], &[to; 6], Precision::F32).unwrap();
            assert_eq!(found, [expected], "{from} {to}");
        }
    }
}
