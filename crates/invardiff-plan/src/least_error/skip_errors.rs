//! The errors of all possible skips: measured once, and used for any number of plans.

use std::path::Path;

use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

use crate::core::{GateSite, PlanError, Provenance, ReuseRule, Site, TimeAxis, Topology};
use crate::files;
use crate::formats::limits::{self, at_most};
use crate::formats::{open, seal};

/// The start of an atlas file, and its version.
const MAGIC: [u8; 7] = *b"INVATLS";
const VERSION: u8 = 1;
/// The most steps, and the most steps times window (1000 steps with a window of 16): the planner's time grows with the square of
/// the product.
const PLANNED: (usize, usize) = (4096, 16_000);

/// The errors of all possible skips. For every step `k` and anchors `a < b < k`, it has the squared error of the clean sample
/// predicted at `k` when the network's value is made from those of steps `a` and `b`: the mean square over the elements of
/// an image, averaged over calibration runs. [`SkipErrors::importance`] weighs it by its effect on the final image.
///
/// Anchors are at most [`SkipErrors::window`] steps away: `k - b <= window` and `b - a <= window`.
///
/// The parts always fit together, also when read with serde.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct SkipErrors {
    topology: Topology,
    provenance: Provenance,
    gate_site: GateSite,
    axis: TimeAxis,
    times: Vec<f64>,
    window: usize,
    runs: usize,
    importance: Vec<f64>,
    hold: Array2<f64>,
    linear: Array3<f64>,
}

/// The parts of an atlas as a file has them, unchecked: the fields of [`SkipErrors`] in the same order, which is the file's.
#[derive(Deserialize)]
struct Parts {
    topology: Topology,
    provenance: Provenance,
    gate_site: GateSite,
    axis: TimeAxis,
    times: Vec<f64>,
    window: usize,
    runs: usize,
    importance: Vec<f64>,
    hold: Array2<f64>,
    linear: Array3<f64>,
}

impl TryFrom<Parts> for SkipErrors {
    type Error = PlanError;

    fn try_from(parts: Parts) -> Result<Self, PlanError> {
        let Parts { topology, provenance, gate_site, axis, times, window, runs, importance, hold, linear } =
            parts;
        let atlas =
            Self { topology, provenance, gate_site, axis, times, window, runs, importance, hold, linear };
        atlas.check()?;
        Ok(atlas)
    }
}

impl SkipErrors {
    /// An atlas without measurements, for `times.len()` steps.
    ///
    /// - `topology`: of the model that plans are made for
    /// - `gate_site`: where steps are skipped
    /// - `axis`: along which values are extrapolated
    /// - `times`: the sampler's own time of each step, `[steps]`
    /// - `window`: the largest distance to an anchor, in steps
    ///
    /// # Errors
    /// [`PlanError::Shape`] without steps or with a window of 0; [`PlanError::Range`] for more steps, or a larger product of
    /// steps and window, than can be planned from; [`PlanError::Sites`] for a topology that has a site twice.
    pub fn new(
        topology: Topology,
        gate_site: GateSite,
        axis: TimeAxis,
        times: Vec<f64>,
        window: usize,
    ) -> Result<Self, PlanError> {
        check_size(&topology, times.len(), window)?;
        let steps = times.len();
        let hold = Array2::from_elem((steps, window), f64::NAN);
        let linear = Array3::from_elem((steps, window, window), f64::NAN);
        let (provenance, importance) = (Provenance::default(), vec![1.0; steps]);
        Ok(Self { topology, provenance, gate_site, axis, times, window, runs: 0, importance, hold, linear })
    }

    /// The same with this [`SkipErrors::importance`], `[steps]`.
    ///
    /// # Errors
    /// [`PlanError::Shape`] when importance and steps differ in number; [`PlanError::Range`] for a value that is negative, NaN
    /// or infinite.
    pub fn with_importance(self, importance: Vec<f64>) -> Result<Self, PlanError> {
        check_importance(&importance, self.steps())?;
        Ok(Self { importance, ..self })
    }

    /// The same with this [`SkipErrors::provenance`].
    #[must_use]
    pub fn with_provenance(self, provenance: Provenance) -> Self {
        Self { provenance, ..self }
    }

    /// The topology of the model that plans are made for.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Where the measurements come from. Plans take it over.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// The site where steps are skipped.
    pub fn gate_site(&self) -> GateSite {
        self.gate_site
    }

    /// The axis along which values are extrapolated.
    pub fn axis(&self) -> TimeAxis {
        self.axis
    }

    /// The sampler's own time of each step, `[steps]`.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// The largest distance to an anchor, in steps; at least 1.
    pub fn window(&self) -> usize {
        self.window
    }

    /// The number of runs that were averaged.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// For each step, the squared error of the final image per unit of squared error of the clean sample predicted there,
    /// `[steps]`; 1 until set.
    pub fn importance(&self) -> &[f64] {
        &self.importance
    }

    /// Reads an atlas file.
    ///
    /// # Errors
    /// [`PlanError::Io`]; [`PlanError::Format`], [`PlanError::Shape`], [`PlanError::Range`] and [`PlanError::Sites`] naming the
    /// file: another format or version, a file cut short, too large, with parts that do not fit together or a site twice.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PlanError> {
        let path = path.as_ref();
        let what = path.display().to_string();
        Self::from_bytes(&limits::read(path)?, &what)
    }

    /// Writes the atlas. The file is never left half written: it is written under another name and then renamed.
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
    /// [`PlanError::Format`] when it would be too large to be read back.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PlanError> {
        seal(MAGIC, VERSION, self, "the atlas")
    }

    /// Reads the bytes of an atlas; `what` names the file in errors.
    ///
    /// # Errors
    /// As [`SkipErrors::read`].
    pub fn from_bytes(bytes: &[u8], what: &str) -> Result<Self, PlanError> {
        let parts: Parts = open(MAGIC, VERSION, bytes, what)?;
        Self::try_from(parts).map_err(|error| error.in_file(what))
    }

    /// Checks that the parts fit together.
    fn check(&self) -> Result<(), PlanError> {
        let (steps, window) = (self.steps(), self.window);
        check_size(&self.topology, steps, window)?;
        check_importance(&self.importance, steps)?;
        check_shape("hold [steps, window]", &[steps, window], self.hold.shape())?;
        check_shape("linear [steps, window, window]", &[steps, window, window], self.linear.shape())
    }

    /// The same with anchors at most `window` steps away, as if so few had been measured; at least 1.
    #[must_use]
    pub fn narrowed(&self, window: usize) -> Self {
        let window = window.clamp(1, self.window);
        let steps = self.steps();
        let hold = Array2::from_shape_fn((steps, window), |(step, near)| self.hold[[step, near]]);
        let linear = |(step, near, far)| self.linear[[step, near, far]];
        let linear = Array3::from_shape_fn((steps, window, window), linear);
        Self { window, hold, linear, ..self.clone() }
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.times.len()
    }

    /// All entries `(step, anchor b, earlier anchor a)`; for `None` the value of `b` is held.
    pub fn entries(&self) -> Vec<(usize, usize, Option<usize>)> {
        let mut entries = Vec::new();
        for step in 1..self.steps() {
            for b in step.saturating_sub(self.window)..step {
                entries.push((step, b, None));
                entries.extend((b.saturating_sub(self.window)..b).map(|a| (step, b, Some(a))));
            }
        }
        entries
    }

    /// The weights of the anchors `(a, b)` in the value extrapolated to `step`, on the atlas's axis.
    pub fn weights(&self, step: usize, b: usize, a: usize) -> (f64, f64) {
        let time = |step: usize| match self.axis {
            TimeAxis::Step => step as f64,
            TimeAxis::Sampler => self.times[step],
        };
        let later = (time(step) - time(a)) / (time(b) - time(a));
        (1.0 - later, later)
    }

    /// Adds one run's errors, one for each of [`SkipErrors::entries`], to the average.
    ///
    /// # Errors
    /// [`PlanError::Shape`] when errors and entries differ in number.
    pub fn add_run(&mut self, errors: &[f64]) -> Result<(), PlanError> {
        let entries = self.entries();
        if entries.len() != errors.len() {
            let (expected, found) = (vec![entries.len()], vec![errors.len()]);
            return Err(PlanError::Shape { what: "errors of one run".into(), expected, found });
        }
        let before = self.runs as f64;
        for ((step, b, a), error) in entries.into_iter().zip(errors) {
            let slot = match a {
                None => &mut self.hold[[step, step - b - 1]],
                Some(a) => &mut self.linear[[step, step - b - 1, b - a - 1]],
            };
            let sum = if self.runs == 0 { 0.0 } else { *slot * before };
            *slot = (sum + error) / (before + 1.0);
        }
        self.runs += 1;
        Ok(())
    }

    /// The squared error of the clean sample predicted at `step` when the value is made by `rule` from the last computed steps
    /// `b` and (where there is one) `a`: the mean square over the elements of an image. `None` where an anchor is farther away
    /// than the window, and for [`ReuseRule::Weights`].
    pub fn squared_error(&self, rule: ReuseRule, step: usize, b: usize, a: Option<usize>) -> Option<f64> {
        let near = step.checked_sub(b + 1).filter(|gap| *gap < self.window)?;
        let error = match (rule, a) {
            (ReuseRule::Weights, _) => return None, // no rule, but what a fit finds
            (ReuseRule::Hold, _) | (ReuseRule::Extrapolate(_) | ReuseRule::Taylor(_), None) => {
                self.hold[[step, near]]
            }
            (ReuseRule::Extrapolate(_) | ReuseRule::Taylor(_), Some(a)) => {
                let far = b.checked_sub(a + 1).filter(|gap| *gap < self.window)?;
                self.linear[[step, near, far]]
            }
        };
        error.is_finite().then_some(error)
    }

    /// [`SkipErrors::squared_error`] weighted by [`SkipErrors::importance`]: the squared error of the final image. `None` where
    /// an anchor is farther away than the window.
    pub fn error(&self, rule: ReuseRule, step: usize, b: usize, a: Option<usize>) -> Option<f64> {
        Some(self.squared_error(rule, step, b, a)? * self.importance[step])
    }
}

/// There are steps and a window, no more than can be planned from, and the topology has each site once.
fn check_size(topology: &Topology, steps: usize, window: usize) -> Result<(), PlanError> {
    if steps == 0 || window == 0 {
        return check_shape("the atlas [steps, window]", &[1, 1], &[steps, window]);
    }
    at_most("steps of an atlas", steps, PLANNED.0)?;
    at_most("steps x window of an atlas", steps.saturating_mul(window), PLANNED.1)?;
    let mut sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    limits::sites(steps, sites.iter().copied())?;
    sites.sort_unstable();
    match sites.array_windows().find(|[one, next]| one == next) {
        None => Ok(()),
        Some([site, _]) => {
            let detail = format!("{site} stands twice in the atlas");
            Err(PlanError::Sites { model: topology.model.clone(), detail })
        }
    }
}

/// There is one importance per step, and none is negative, NaN or infinite.
fn check_importance(importance: &[f64], steps: usize) -> Result<(), PlanError> {
    check_shape("importance [steps]", &[steps], &[importance.len()])?;
    match importance.iter().position(|value| !value.is_finite() || *value < 0.0) {
        None => Ok(()),
        Some(step) => {
            let (what, value) = (format!("importance[{step}]"), importance[step].to_string());
            Err(PlanError::Range { what, value, expected: "a finite number of at least 0".into() })
        }
    }
}

fn check_shape(what: &str, expected: &[usize], found: &[usize]) -> Result<(), PlanError> {
    if expected == found {
        return Ok(());
    }
    Err(PlanError::Shape { what: what.into(), expected: expected.to_vec(), found: found.to_vec() })
}
