//! What a study compares, and on which images.

use std::path::PathBuf;

use invardiff::{Pipeline, ReferenceClassifier};
use invardiff_eval::Lpips;

use super::method::Method;

/// Which methods a study compares, on which images and seeds.
///
/// ```
/// use invardiff_lab::study::StudyOptions;
///
/// let mut options = StudyOptions::default();
/// options.methods = vec!["fora=2,3".parse()?, "dpm-solver++/25+teacache=0.1".parse()?];
/// assert_eq!(options.images, 20);
/// assert!("fora".parse::<invardiff_lab::study::Method>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StudyOptions {
    /// The methods with their settings; all, at settings for about 50 steps, where there are none.
    pub methods: Vec<Method>,
    /// Methods besides those drawn by default.
    pub also: Vec<Method>,
    /// Whether to make the paper's own checks of its rule instead.
    pub checks: bool,
    /// Whether to compare fitted plans with the other plans and with solvers at even and at their best times instead.
    pub fitted: bool,
    /// Measurements that are read instead of made.
    pub files: MeasurementFiles,
    /// Trajectories that methods are calibrated on; [`default_runs`](invardiff::Calibrating::default_runs) where nothing is said.
    pub runs: Option<usize>,
    /// Held-out images to compare on.
    pub images: usize,
    /// Steps of the converged trajectory, the second reference; 0 draws none.
    pub converged_steps: usize,
    /// Seed of the first calibration run's noise; images use other seeds.
    pub seed: u64,
}

impl Default for StudyOptions {
    fn default() -> Self {
        Self {
            methods: Vec::new(),
            also: Vec::new(),
            checks: false,
            fitted: false,
            files: MeasurementFiles::default(),
            runs: None,
            images: 20,
            converged_steps: 999,
            seed: 0,
        }
    }
}

impl StudyOptions {
    /// How many trajectories methods are calibrated on.
    pub(super) fn runs<const D: usize, P: Pipeline<D>>(&self, full: &P) -> usize {
        self.runs.unwrap_or_else(|| full.default_runs())
    }
}

/// Files of measurements, as [`MethodFit`](crate::fit::MethodFit) writes them; what is not given is measured.
#[derive(Clone, Debug, Default)]
pub struct MeasurementFiles {
    /// That of `TeaCache`.
    pub teacache: Option<PathBuf>,
    /// That of `MagCache`.
    pub magcache: Option<PathBuf>,
    /// That of `SmoothCache`.
    pub smoothcache: Option<PathBuf>,
}

/// What images are scored by besides PSNR and SSIM.
#[derive(Debug, Default)]
pub struct Scoring {
    /// LPIPS, where its weights were given.
    pub lpips: Option<Lpips>,
    /// A classifier of the model's images, for class accuracy and Fréchet distance.
    pub classifier: Option<ReferenceClassifier>,
}
