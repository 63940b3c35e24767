//! What a report shows, and its figures.

use std::collections::HashSet;

use invardiff_plan::core::Threshold;
use serde::Serialize;

use crate::error::ReportError;
use crate::files;
use crate::heat_map::{self, HeatMap};
use crate::images::ImageGrid;
use crate::plan_map::PlanMap;
use crate::series::StepChart;
use crate::svg::Figure;
use crate::table::Table;
use crate::tradeoff::{self, Curve};
use crate::training::TrainingChart;

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
pub(crate) struct Drawings {
    pub(crate) tradeoff: Option<Figure>,
    pub(crate) plan: Option<Figure>,
    /// One per heat map.
    pub(crate) heat_maps: Vec<Figure>,
    pub(crate) latency: Option<Figure>,
    pub(crate) cache_bytes: Option<Figure>,
    /// One per chart.
    pub(crate) training: Vec<Figure>,
    /// File names, one per grid.
    pub(crate) grids: Vec<String>,
}

impl Report {
    pub(crate) fn check(&self) -> Result<(), ReportError> {
        self.plan.iter().try_for_each(PlanMap::check)?;
        self.grids.iter().try_for_each(ImageGrid::check)?;
        self.heat_maps.iter().try_for_each(HeatMap::check)?;
        self.latency.iter().chain(&self.cache_bytes).try_for_each(StepChart::check)?;
        self.training.iter().try_for_each(TrainingChart::check)?;
        tradeoff::check(&self.curves)
    }

    pub(crate) fn draw(&self) -> Result<Drawings, ReportError> {
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
    pub(crate) fn figures(&self) -> impl Iterator<Item = &Figure> {
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
