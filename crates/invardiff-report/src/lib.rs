//! A report that opens from disk: one page, its figures as files, and all its numbers.
//!
//! [`Report`] is plain data; whoever ran the experiment fills it and calls [`Report::write`]. The page needs no network and none of
//! the files beside it, and follows the reader's light or dark setting. Its one script is part of it: it sorts tables, shows
//! values under the pointer and lays two images over each other; without it everything is still there to read.

mod axis;
mod colour;
mod files;
mod heat_map;
mod json;
mod legend;
mod number;

mod images;
mod page;
mod plan_map;
mod series;
mod study;
mod svg;
mod table;
mod tradeoff;
mod training;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use invardiff_plan::core::Threshold;
use serde::Serialize;

pub use axis::Scale;
pub use heat_map::{HeatMap, Measure};
pub use images::{Amplify, ImageGrid, ImageRow};
pub use plan_map::PlanMap;
pub use series::{Series, StepChart, Unit};
pub use study::{Line, Panel, Point, Scores, Study};
pub use table::{Group, Row, Table};
pub use tradeoff::{Curve, CurvePoint};
pub use training::{TrainingChart, TrainingLine};

use invardiff_eval::EvalError;
use svg::Figure;

/// One number to read first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Highlight {
    /// What it is, e.g. `measured speed-up`.
    pub label: String,
    /// The number with its unit, e.g. `2.41x`.
    pub value: String,
    /// What to compare it with, e.g. `predicted 2.50x`; may be empty.
    pub detail: String,
}

/// Everything a report shows. Empty parts are left out of the page.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The page's title.
    pub title: String,
    /// A sentence below it: which model, which sampler.
    pub subtitle: String,
    /// What was found, in a sentence; may be empty.
    pub verdict: String,
    /// Numbers to read first, about four.
    pub highlights: Vec<Highlight>,
    /// Settings and circumstances, (name, value).
    pub facts: Vec<(String, String)>,
    /// What the reader must know to trust the numbers, e.g. that a plan was forced onto another run.
    pub notes: Vec<String>,
    /// The thresholds of the calibration.
    pub thresholds: Vec<Threshold>,
    /// The table that compares the plan with other ways to sample.
    pub table: Table,
    /// The plan.
    pub plan: Option<PlanMap>,
    /// Images side by side.
    pub grids: Vec<ImageGrid>,
    /// Measured change over steps and layers.
    pub heat_maps: Vec<HeatMap>,
    /// Wall time of every step.
    pub latency: Option<StepChart>,
    /// Bytes in the feature store over steps.
    pub cache_bytes: Option<StepChart>,
    /// Loss curves of trainings.
    pub training: Vec<TrainingChart>,
    /// Further lines in the chart of compute against quality.
    pub curves: Vec<Curve>,
    /// Further data that is copied into `report.json`, such as the plan's provenance and the machine.
    pub provenance: serde_json::Value,
}

/// Every figure of a report, drawn and with its file name.
struct Drawings {
    tradeoff: Option<Figure>,
    plan: Option<Figure>,
    /// One per heat map.
    heat_maps: Vec<Figure>,
    latency: Option<Figure>,
    cache_bytes: Option<Figure>,
    /// One per chart.
    training: Vec<Figure>,
    /// File names, one per grid.
    grids: Vec<String>,
}

impl Report {
    /// Writes the report into `folder`, which is made if it is not there: `report.html`, `report.json`, `table.md`,
    /// `table.csv`, `tradeoff.svg`, `plan.svg`, `heatmap-<kind>-<measure>.svg`, `latency.svg`, `cache-bytes.svg`, `training-<n>.svg`,
    /// `grid-<n>.png`, as far as there is something to show. Every file is written under a temporary name and renamed; the page is the last one.
    ///
    /// Returns the page's path.
    ///
    /// # Errors
    /// [`EvalError::Shape`] when parts do not fit together (nothing is written then), [`EvalError::Write`] naming the file
    /// that cannot be written, [`EvalError::Encode`] for an image.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, EvalError> {
        self.check()?;
        let drawings = self.draw()?;
        let page = page::page(self, &drawings)?.into_string();
        let numbers = json::document(self, &drawings)?;
        std::fs::create_dir_all(folder)
            .map_err(|source| EvalError::Write { path: folder.to_owned(), source })?;
        for figure in drawings.figures() {
            files::write(folder, &figure.file, figure.document().as_bytes())?;
        }
        for (grid, name) in self.grids.iter().zip(&drawings.grids) {
            let image = image::DynamicImage::ImageRgb8(grid.labelled()?);
            files::write(folder, name, &files::png(&image, &grid.title)?)?;
        }
        if !self.table.rows.is_empty() {
            files::write(folder, "table.md", self.table.markdown().as_bytes())?;
            files::write(folder, "table.csv", self.table.csv().as_bytes())?;
        }
        files::write(folder, "report.json", numbers.as_bytes())?;
        files::write(folder, "report.html", page.as_bytes())
    }

    fn check(&self) -> Result<(), EvalError> {
        self.plan.iter().try_for_each(PlanMap::check)?;
        self.grids.iter().try_for_each(ImageGrid::check)?;
        self.heat_maps.iter().try_for_each(HeatMap::check)?;
        self.latency.iter().chain(&self.cache_bytes).try_for_each(StepChart::check)?;
        self.training.iter().try_for_each(TrainingChart::check)?;
        tradeoff::check(&self.curves)
    }

    fn draw(&self) -> Result<Drawings, EvalError> {
        let gate: &[bool] = self.plan.as_ref().map_or(&[], |plan| &plan.gate);
        let mut names = HashSet::new();
        let heat_maps = self.heat_maps.iter().map(|map| {
            let stem = format!("heatmap-{}-{}", files::slug(map.kind.as_str()), map.measure.slug());
            map.figure(&unused(&mut names, &stem), &heat_map::shared_axis(&self.heat_maps, map.measure))
        });
        Ok(Drawings {
            heat_maps: heat_maps.collect::<Result<_, _>>()?,
            tradeoff: tradeoff::figure(&self.table, &self.curves),
            plan: self.plan.as_ref().map(PlanMap::figure),
            latency: self.latency.as_ref().map(|chart| chart.figure("latency.svg", gate)),
            cache_bytes: self.cache_bytes.as_ref().map(|chart| chart.figure("cache-bytes.svg", gate)),
            training: (1..=self.training.len())
                .zip(&self.training)
                .map(|(number, chart)| chart.figure(&format!("training-{number}.svg")))
                .collect(),
            grids: (1..=self.grids.len()).map(|number| format!("grid-{number}.png")).collect(),
        })
    }
}

impl Drawings {
    fn figures(&self) -> impl Iterator<Item = &Figure> {
        let charts = [&self.tradeoff, &self.plan, &self.latency, &self.cache_bytes];
        charts.into_iter().flatten().chain(&self.training).chain(&self.heat_maps)
    }
}

/// `stem.svg`, or `stem-2.svg` and on where that is taken.
fn unused(names: &mut HashSet<String>, stem: &str) -> String {
    let numbered = (2..).map(|number| format!("{stem}-{number}.svg"));
    let name = std::iter::once(format!("{stem}.svg")).chain(numbered).find(|name| !names.contains(name));
    let name = name.unwrap_or_default();
    names.insert(name.clone());
    name
}
