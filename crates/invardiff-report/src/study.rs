//! A comparison of methods, each at several settings: speed against quality, one line per method.

mod chart;
mod page;
mod table;

use std::path::{Path, PathBuf};

use invardiff_eval::{EvalError, Quality};
use serde::Serialize;

use super::svg::Figure;
use super::{ImageGrid, files};

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
struct Drawings {
    /// All points: against the full run, and where it is known against the converged images.
    overview: Vec<Figure>,
    /// Per panel: against the full run, and where it is known against the converged trajectory.
    charts: Vec<Vec<Figure>>,
    strips: Vec<String>,
}

impl Study {
    /// The most lines of a panel.
    pub const LINES: usize = 5;
    /// The most lines that every panel shows.
    pub const BASELINES: usize = 3;

    /// Writes the study into `folder`, which is made if it is not there: `study.html`, `study.json`, `points.csv`, `points.md`,
    /// `overview-<reference>.svg`, two charts per panel and one image per strip. Every file is written under a temporary name and renamed; the page is the last one.
    ///
    /// Returns the page's path.
    ///
    /// # Errors
    /// [`EvalError::Shape`] when parts do not fit together (nothing is written then), [`EvalError::Write`] naming the file
    /// that cannot be written, [`EvalError::Encode`] for an image.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, EvalError> {
        self.check()?;
        let drawings = self.draw();
        let page = page::page(self, &drawings)?.into_string();
        let numbers = serde_json::to_string_pretty(self)? + "\n";
        std::fs::create_dir_all(folder)
            .map_err(|source| EvalError::Write { path: folder.to_owned(), source })?;
        for figure in drawings.figures() {
            files::write(folder, &figure.file, figure.document().as_bytes())?;
        }
        for (grid, name) in self.strips.iter().zip(&drawings.strips) {
            let image = image::DynamicImage::ImageRgb8(grid.labelled()?);
            files::write(folder, name, &files::png(&image, &grid.title)?)?;
        }
        files::write(folder, "points.csv", table::csv(self).as_bytes())?;
        files::write(folder, "points.md", table::markdown(self).as_bytes())?;
        files::write(folder, "study.json", numbers.as_bytes())?;
        files::write(folder, "study.html", page.as_bytes())
    }

    /// All points as text, columns aligned, one part per panel.
    pub fn text(&self) -> String {
        table::text(self)
    }

    /// Every line with its panel's title; the baselines first, under a title of their own.
    fn lines(&self) -> impl Iterator<Item = (&str, &Line)> {
        let baselines = self.baselines.iter().map(|line| ("Without caching", line));
        let own =
            self.panels.iter().flat_map(|panel| panel.lines.iter().map(|line| (panel.title.as_str(), line)));
        baselines.chain(own)
    }

    fn check(&self) -> Result<(), EvalError> {
        let shape = |what: String, most: usize, found: usize| {
            let expected = format!("at most {most} lines");
            if found <= most { Ok(()) } else { Err(EvalError::Shape { what, expected, found: vec![found] }) }
        };
        shape("the baselines of a study".into(), Self::BASELINES, self.baselines.len())?;
        for panel in &self.panels {
            shape(format!("the panel '{}'", panel.title), Self::LINES, panel.lines.len())?;
        }
        self.strips.iter().try_for_each(ImageGrid::check)
    }

    fn draw(&self) -> Drawings {
        let charts =
            self.panels.iter().enumerate().map(|(number, panel)| chart::charts(self, panel, number + 1));
        let strips = (1..=self.strips.len()).map(|number| format!("strip-{number}.png")).collect();
        Drawings { overview: chart::overview(self), charts: charts.collect(), strips }
    }

    /// Whether any point was compared with the converged trajectory.
    fn knows_converged(&self) -> bool {
        self.points().any(|point| point.converged.is_some())
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines().flat_map(|(_, line)| &line.points)
    }
}

impl Drawings {
    fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.overview.iter().chain(self.charts.iter().flatten())
    }
}
