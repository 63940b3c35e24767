//! The recorder: looks at every fresh feature and notes how far it is from earlier ones.

use std::collections::{HashMap, HashSet, VecDeque};

use burn::tensor::{DType, Tensor};
use invardiff_plan::{DistanceTable, PlanError, Site, StepPair, Topology};
use invardiff_runtime::{Executor, Feature, Policy};

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
    Listed(Vec<StepPair>),
}

/// The tensors that a calibration books, numbered as in a [`DistanceTable`]: the trunk first, then the module streams in
/// order of execution.
#[derive(Clone, Debug)]
pub struct Streams {
    topology: Topology,
    count: usize,
    of_site: HashMap<Site, Vec<usize>>,
}

impl Streams {
    /// The streams of a model.
    pub fn new(topology: Topology) -> Self {
        let mut of_site = HashMap::from([(Site::TRUNK, vec![DistanceTable::TRUNK])]);
        let mut count = DistanceTable::TRUNK + 1;
        for spec in &topology.sites {
            of_site.insert(spec.site, (count..count + spec.streams.len()).collect());
            count += spec.streams.len();
        }
        Self { topology, count, of_site }
    }

    /// The model's sites.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }
}

/// A measured number that is still on the device.
struct Reading {
    stream: usize,
    from: usize,
    to: usize,
    /// `[1]`: L1 distance, or `[2]` with mean square and cosine distance.
    value: Tensor<1>,
}

/// How alike the features of consecutive steps are: what the paper's figure 2 shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// The stream, numbered as in a [`DistanceTable`].
    pub stream: usize,
    /// The later step.
    pub step: usize,
    /// Mean of the squared differences to the step before.
    pub mean_square: f32,
    /// `1 - cos` of the angle to the step before.
    pub cosine_distance: f32,
}

/// One recorded trajectory. Computes everything, so that what it sees is the uncached run; holds features for a window
/// only, and keeps what it measures on the device until [`Record::finish`].
pub struct Record<'a> {
    streams: &'a Streams,
    pairs: &'a Pairs,
    listed: HashSet<StepPair>,
    last_use: HashMap<(usize, usize), usize>,
    rings: Vec<VecDeque<(usize, Tensor<3>)>>,
    distances: Vec<Reading>,
    similarities: Vec<Reading>,
    similar: bool,
}

impl<'a> Record<'a> {
    /// A recorder for one trajectory. With `similar`, mean square and cosine distance of consecutive steps are noted too.
    pub fn new(streams: &'a Streams, pairs: &'a Pairs, similar: bool) -> Self {
        let listed: HashSet<_> = match pairs {
            Pairs::Listed(list) => list.iter().copied().collect(),
            Pairs::Window { .. } => HashSet::new(),
        };
        let mut last_use = HashMap::new();
        for pair in &listed {
            let last: &mut usize = last_use.entry((pair.stream, pair.from)).or_default();
            *last = (*last).max(pair.to);
        }
        let rings = vec![VecDeque::new(); streams.count];
        Self {
            streams,
            pairs,
            listed,
            last_use,
            rings,
            distances: Vec::new(),
            similarities: Vec::new(),
            similar,
        }
    }

    /// Reads everything measured from the device, once, and books the distances.
    ///
    /// # Errors
    /// As [`DistanceTable::record`]; it cannot happen for pairs of this run's steps.
    pub fn finish(self, table: &mut DistanceTable) -> Result<Vec<Similarity>, PlanError> {
        for (reading, [value]) in read::<1>(&self.distances) {
            table.record(reading.stream, reading.from, reading.to, value)?;
        }
        let similarities = read::<2>(&self.similarities).into_iter();
        Ok(similarities
            .map(|(reading, [mean_square, cosine_distance])| Similarity {
                stream: reading.stream,
                step: reading.to,
                mean_square,
                cosine_distance,
            })
            .collect())
    }

    fn wanted(&self, stream: usize, from: usize, to: usize) -> bool {
        match self.pairs {
            Pairs::Window { modules, trunk } => {
                to - from <= if stream == DistanceTable::TRUNK { *trunk } else { *modules }
            }
            Pairs::Listed(_) => self.listed.contains(&StepPair { stream, from, to }),
        }
    }

    /// Whether a later step will be compared with what `stream` is at `from`.
    fn awaited(&self, stream: usize, from: usize, now: usize) -> bool {
        match self.pairs {
            Pairs::Window { .. } => self.wanted(stream, from, now + 1),
            Pairs::Listed(_) => self.last_use.get(&(stream, from)).is_some_and(|last| *last > now),
        }
    }

    fn note(&mut self, stream: usize, step: usize, fresh: &Tensor<3>) {
        let fresh = fresh.clone().cast(DType::F32);
        let mut ring = std::mem::take(&mut self.rings[stream]);
        for (from, kept) in &ring {
            if self.wanted(stream, *from, step) {
                let value = l1(kept.clone(), fresh.clone());
                self.distances.push(Reading { stream, from: *from, to: step, value });
            }
            if self.similar && *from + 1 == step {
                let value = likeness(kept.clone(), fresh.clone());
                self.similarities.push(Reading { stream, from: *from, to: step, value });
            }
        }
        ring.push_back((step, fresh));
        ring.retain(|(from, _)| self.awaited(stream, *from, step));
        self.rings[stream] = ring;
    }
}

impl<'r> Policy for Record<'r> {
    type Step<'a>
        = RecordStep<'a, 'r>
    where
        Self: 'a;

    fn step(&mut self, step: usize) -> RecordStep<'_, 'r> {
        RecordStep { record: self, step }
    }
}

/// The executor of one recorded step.
pub struct RecordStep<'a, 'r> {
    record: &'a mut Record<'r>,
    step: usize,
}

impl Executor for RecordStep<'_, '_> {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        let streams = self.record.streams;
        for (stream, tensor) in streams.of_site.get(&site).into_iter().flatten().zip(&fresh) {
            self.record.note(*stream, self.step, tensor);
        }
        fresh
    }
}

/// `||(b - a) + 1e-8||_1` in f32, as `[1]`: summed over channels first, so that long sums keep their digits.
fn l1(a: Tensor<3>, b: Tensor<3>) -> Tensor<1> {
    ((b - a) + 1e-8).abs().sum_dim(2).sum()
}

/// Mean square of `b - a` and `1 - cos(a, b)`, as `[2]`.
fn likeness(a: Tensor<3>, b: Tensor<3>) -> Tensor<1> {
    let square = (b.clone() - a.clone()).square().mean_dim(2).mean();
    let dot = (a.clone() * b.clone()).sum_dim(2).sum();
    let norms = a.square().sum_dim(2).sum().sqrt() * b.square().sum_dim(2).sum().sqrt();
    Tensor::cat(vec![square, -(dot / norms) + 1.0], 0)
}

/// The values of all readings, `N` numbers each, in one transfer.
fn read<const N: usize>(readings: &[Reading]) -> Vec<(&Reading, [f32; N])> {
    if readings.is_empty() {
        return Vec::new();
    }
    let all = Tensor::cat(readings.iter().map(|reading| reading.value.clone()).collect(), 0);
    let values: Vec<f32> = all.into_data().try_to_vec().expect("readings are f32");
    readings
        .iter()
        .zip(values.chunks_exact(N))
        .map(|(reading, chunk)| (reading, chunk.try_into().expect("chunks have N values")))
        .collect()
}
