//! What a study shows.

use invardiff_eval::Quality;
use serde::Serialize;

use crate::images::ImageGrid;
use crate::svg::Figure;

/// Methods in panels, with baselines in every chart. Plain data; [`Study::write`] writes the files.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Study {
    /// The page's title.
    pub title: String,
    /// A sentence below it.
    pub subtitle: String,
    /// What the study found, in a sentence or two; may be empty.
    pub verdict: String,
    /// Settings and circumstances, (name, value).
    pub facts: Vec<(String, String)>,
    /// What the reader must know to trust the numbers.
    pub notes: Vec<String>,
    /// Lines that every chart shows, at most [`Study::BASELINES`]: sampling without caching.
    pub baselines: Vec<Line>,
    /// The other methods, by panel.
    pub panels: Vec<Panel>,
    /// Images at equal compute.
    #[serde(skip)]
    pub strips: Vec<ImageGrid>,
    /// Further data that is copied into `study.json`.
    pub provenance: serde_json::Value,
}

/// Lines of one chart.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Panel {
    /// Its heading.
    pub title: String,
    /// A sentence below it; may be empty.
    pub note: String,
    /// Its lines, at most [`Study::LINES`].
    pub lines: Vec<Line>,
}

/// One method.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// What it does, in a sentence; may be empty.
    pub description: String,
    /// Its settings, in order.
    pub points: Vec<Point>,
}

/// One method at one setting.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// The setting, e.g. `n 3`.
    pub setting: String,
    /// FLOPs over those of the full run.
    pub compute_fraction: f64,
    /// Speed-up in wall time over the full run: one process, alternating runs, median.
    pub measured_speedup: f64,
    /// The same in CPU time, on the CPU.
    pub cpu_speedup: Option<f64>,
    /// Differences to the full run's images.
    pub full: Scores,
    /// Differences to the converged images.
    pub converged: Option<Scores>,
    /// The most bytes that the cache of one image held.
    pub peak_cache_bytes: u64,
    /// Fréchet distance to the data set, where a classifier was given.
    pub frechet: Option<f64>,
    /// The share of images that the classifier assigns to the intended class.
    pub accuracy: Option<f64>,
}

/// Image metrics against a reference from the same noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// PSNR and SSIM.
    #[serde(flatten)]
    pub quality: Quality,
    /// Mean and worst (largest) LPIPS, where weights were given.
    pub lpips: Option<[f64; 2]>,
}

/// Every drawing of a study.
pub(super) struct Drawings {
    /// All points: against the full run, and where it is known against the converged images.
    pub(super) overview: Vec<Figure>,
    /// Per panel: against the full run, and where it is known against the converged trajectory.
    pub(super) charts: Vec<Vec<Figure>>,
    pub(super) strips: Vec<String>,
}

impl Study {
    /// The most lines of a panel.
    pub const LINES: usize = 5;
    /// The most lines that every panel shows.
    pub const BASELINES: usize = 3;

    /// Every line with its panel's title; the baselines first, under a title of their own.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&str, &Line)> {
        let baselines = self.baselines.iter().map(|line| ("Without caching", line));
        let own =
            self.panels.iter().flat_map(|panel| panel.lines.iter().map(|line| (panel.title.as_str(), line)));
        baselines.chain(own)
    }

    /// Whether any point was compared with the converged trajectory.
    pub(super) fn knows_converged(&self) -> bool {
        self.points().any(|point| point.converged.is_some())
    }

    pub(super) fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines().flat_map(|(_, line)| &line.points)
    }
}

impl Drawings {
    pub(super) fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.overview.iter().chain(self.charts.iter().flatten())
    }
}
