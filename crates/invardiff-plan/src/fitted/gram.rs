//! What fitting needs of trajectories: inner products, and nothing else.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::core::{PlanError, Provenance, Target, TimeGrid, TimePoint, Topology};
use crate::files;
use crate::formats::limits::{self, at_most};
use crate::formats::{open, seal};

/// The start of a Gram file, and its version.
const MAGIC: [u8; 7] = *b"INVGRAM";
const VERSION: u8 = 1;

/// Inner products along target trajectories at some candidate times, one set a condition. From these alone follow the price
/// of every segment between evaluations, the best times, and weights.
///
/// With `D_i` the clean sample that the network predicts at point `i` (after guidance) and `X_j` the sample there, `X_T` being
/// the finished one: `<D_i, D_j>`, `<D_i, X_j>` and `<X_i, X_j>`, summed over the elements of an image, in f64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GramAtlas {
    /// The model's sites, which a plan is made for.
    pub topology: Topology,
    /// Where the measurements come from; plans take it over.
    pub provenance: Provenance,
    /// Which trajectories were measured.
    pub target: Target,
    /// How many steps they have.
    pub target_steps: usize,
    /// The candidate times, and the number of steps of the run that plans stand for.
    pub candidates: TimeGrid,
    /// Elements of one image.
    pub elements: usize,
    /// One set of inner products a condition.
    pub conditions: Vec<ConditionGram>,
}

/// Inner products along one trajectory over `T` points. Symmetric ones are packed: entry `(i, j)`, `i >= j`, is at
/// `i (i + 1) / 2 + j`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConditionGram {
    /// `<D_i, D_j>`, packed.
    outputs: Vec<f64>,
    /// `<D_i, X_j>`, `[T, T + 1]` by rows.
    cross: Vec<f64>,
    /// `<X_i, X_j>`, packed, of `T + 1`.
    states: Vec<f64>,
}

impl ConditionGram {
    /// The inner products of `outputs` (one a point) and `states` (one a point and the finished sample), each of as many
    /// elements.
    ///
    /// # Panics
    /// When there is not one state more than outputs.
    pub fn of(outputs: &[&[f32]], states: &[&[f32]]) -> Self {
        assert_eq!(states.len(), outputs.len() + 1, "a state a point, and the finished sample");
        Self::from_products(
            outputs.len(),
            |i, j| dot(outputs[i], outputs[j]),
            |i, j| dot(outputs[i], states[j]),
            |i, j| dot(states[i], states[j]),
        )
    }

    /// Inner products that are known: `<D_i, D_j>`, `<D_i, X_j>` and `<X_i, X_j>` over `points` points.
    pub fn from_products(
        points: usize,
        output: impl Fn(usize, usize) -> f64,
        cross: impl Fn(usize, usize) -> f64,
        state: impl Fn(usize, usize) -> f64,
    ) -> Self {
        let triangle = |n: usize, of: &dyn Fn(usize, usize) -> f64| {
            (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| of(i, j)).collect()
        };
        Self {
            outputs: triangle(points, &output),
            cross: (0..points * (points + 1)).map(|at| cross(at / (points + 1), at % (points + 1))).collect(),
            states: triangle(points + 1, &state),
        }
    }

    /// `<D_i, D_j>`.
    pub fn output(&self, i: usize, j: usize) -> f64 {
        self.outputs[packed(i, j)]
    }

    /// `<D_i, X_j>` of `points` points.
    fn cross(&self, points: usize, i: usize, j: usize) -> f64 {
        self.cross[i * (points + 1) + j]
    }

    /// `<X_i, X_j>`.
    pub fn state(&self, i: usize, j: usize) -> f64 {
        self.states[packed(i, j)]
    }

    fn fits(&self, points: usize) -> bool {
        let triangle = |n: usize| n * (n + 1) / 2;
        self.outputs.len() == triangle(points)
            && self.cross.len() == points * (points + 1)
            && self.states.len() == triangle(points + 1)
            && self.outputs.iter().chain(&self.cross).chain(&self.states).all(|number| number.is_finite())
    }
}

fn packed(i: usize, j: usize) -> usize {
    let (high, low) = (i.max(j), i.min(j));
    high * (high + 1) / 2 + low
}

/// The inner product in f64: what fits leave is a small difference of large numbers.
fn dot(one: &[f32], other: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (ones, rest) = one.as_chunks::<8>();
    let (others, other_rest) = other.as_chunks::<8>();
    for (a, b) in ones.iter().zip(others) {
        for lane in 0..8 {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let tail: f64 = rest.iter().zip(other_rest).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    sums.iter().sum::<f64>() + tail
}

impl GramAtlas {
    /// The most candidate points: the prices of all segments between them take 67 MB.
    pub const MAX_POINTS: usize = 256;

    /// Number of candidate points.
    pub fn points(&self) -> usize {
        self.candidates.points.len()
    }

    /// The noise level at `point`; the finished sample (alpha 1, sigma 0) after the last one.
    pub fn level(&self, point: usize) -> (f64, f64) {
        self.candidates
            .points
            .get(point)
            .map_or((1.0, 0.0), |TimePoint { alpha, sigma, .. }| (*alpha, *sigma))
    }

    /// `<D_i, X_j>` of a condition.
    pub fn cross(&self, condition: usize, i: usize, j: usize) -> f64 {
        self.conditions[condition].cross(self.points(), i, j)
    }

    /// Bytes of `conditions` sets of inner products over `points` points.
    pub const fn bytes(points: usize, conditions: usize) -> usize {
        (points * (points + 1) / 2 + points * (points + 1) + (points + 1) * (points + 2) / 2)
            * conditions
            * size_of::<f64>()
    }

    /// Whether a file is a Gram file, by its first bytes.
    ///
    /// # Errors
    /// [`PlanError::Io`] when it cannot be read.
    pub fn is_one(path: impl AsRef<Path>) -> Result<bool, PlanError> {
        let path = path.as_ref();
        let mut start = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start));
        read.map_err(|source| PlanError::Io { path: path.into(), source })?;
        Ok(start == MAGIC)
    }

    /// Reads a Gram file.
    ///
    /// # Errors
    /// [`PlanError::Io`]; [`PlanError::Format`], [`PlanError::Shape`] and [`PlanError::Range`] naming the file: another format
    /// or version, a file cut short, too large or with parts that do not fit together.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PlanError> {
        let path = path.as_ref();
        let what = path.display().to_string();
        Self::from_bytes(&limits::read(path)?, &what)
    }

    /// Writes the file beside its place and renames.
    ///
    /// # Errors
    /// [`PlanError::Io`] when it cannot be written, [`PlanError::Format`] when it would be too large to be read back.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), PlanError> {
        let path = path.as_ref();
        let bytes = self.to_bytes()?;
        files::write(path, &bytes).map_err(|source| PlanError::Io { path: path.into(), source })
    }

    /// The atlas as bytes, version 1 of its format.
    ///
    /// # Errors
    /// [`PlanError::Format`] when it would be too large to be read back; as [`GramAtlas::read`] when its parts do not fit together.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PlanError> {
        self.check()?;
        seal(MAGIC, VERSION, self, "the Gram atlas")
    }

    /// Reads what [`GramAtlas::to_bytes`] wrote; `what` names the file in messages.
    ///
    /// # Errors
    /// As [`GramAtlas::read`].
    pub fn from_bytes(bytes: &[u8], what: &str) -> Result<Self, PlanError> {
        let atlas: Self = open(MAGIC, VERSION, bytes, what)?;
        atlas.check().map_err(|error| error.in_file(what))?;
        Ok(atlas)
    }

    /// The parts fit together.
    pub(crate) fn check(&self) -> Result<(), PlanError> {
        let points = self.points();
        at_most("candidate points", points, Self::MAX_POINTS)?;
        limits::sites(1, self.topology.sites.iter().map(|spec| spec.site))?;
        self.candidates.check(points)?;
        if points == 0 || self.elements == 0 || self.conditions.is_empty() {
            return Err(PlanError::Shape {
                what: "the Gram atlas [points, elements, conditions]".into(),
                expected: vec![1, 1, 1],
                found: vec![points, self.elements, self.conditions.len()],
            });
        }
        match self.conditions.iter().position(|condition| !condition.fits(points)) {
            None => Ok(()),
            Some(condition) => Err(PlanError::Range {
                what: format!("conditions[{condition}]"),
                value: "of another size or not finite".into(),
                expected: format!("finite inner products over {points} points"),
            }),
        }
    }
}
