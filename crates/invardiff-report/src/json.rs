//! `report.json`: every number of the report.

use invardiff_plan::Kind;
use invardiff_plan::core::Threshold;
use ndarray::Array2;
use serde::Serialize;

use crate::axis::Scale;
use crate::heat_map::Measure;
use crate::report::{Drawings, Highlight, Report};
use crate::series::StepChart;
use crate::table::Table;
use crate::tradeoff::Curve;
use crate::training::TrainingChart;

/// Version of the file's layout.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    title: &'a str,
    subtitle: &'a str,
    verdict: &'a str,
    highlights: &'a [Highlight],
    facts: Vec<Fact<'a>>,
    notes: &'a [String],
    thresholds: &'a [Threshold],
    table: &'a Table,
    plan: Option<Plan<'a>>,
    heat_maps: Vec<Map<'a>>,
    latency: Option<&'a StepChart>,
    cache_bytes: Option<&'a StepChart>,
    training: &'a [TrainingChart],
    curves: &'a [Curve],
    grids: Vec<Grid<'a>>,
    provenance: &'a serde_json::Value,
}

#[derive(Serialize)]
struct Fact<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct Plan<'a> {
    file: &'a str,
    gate: &'a [bool],
    kinds: Vec<PlanKind>,
}

#[derive(Serialize)]
struct PlanKind {
    kind: Kind,
    /// `[step][layer]`
    reuse: Vec<Vec<bool>>,
}

#[derive(Serialize)]
struct Map<'a> {
    file: &'a str,
    kind: Kind,
    measure: Measure,
    scale: Scale,
    threshold: Option<f32>,
    /// `[step][layer]`, null where nothing was measured.
    values: Vec<Vec<f32>>,
}

#[derive(Serialize)]
struct Grid<'a> {
    file: &'a str,
    title: &'a str,
    caption: &'a str,
    columns: &'a [String],
    rows: Vec<&'a str>,
}

/// The file's text. Values that are not finite become null.
pub(super) fn document(report: &Report, drawings: &Drawings) -> Result<String, serde_json::Error> {
    let plan = report.plan.as_ref().zip(drawings.plan.as_ref()).map(|(plan, figure)| Plan {
        file: &figure.file,
        gate: &plan.gate,
        kinds: plan
            .kinds
            .iter()
            .map(|(kind, reuse)| PlanKind { kind: *kind, reuse: nested(reuse) })
            .collect(),
    });
    let heat_maps = report.heat_maps.iter().zip(&drawings.heat_maps).map(|(map, figure)| Map {
        file: &figure.file,
        kind: map.kind,
        measure: map.measure,
        scale: map.scale,
        threshold: map.threshold,
        values: nested(&map.values),
    });
    let grids = report.grids.iter().zip(&drawings.grids).map(|(grid, file)| Grid {
        file,
        title: &grid.title,
        caption: &grid.caption,
        columns: &grid.columns,
        rows: grid.rows.iter().map(|row| row.label.as_str()).collect(),
    });
    let document = Document {
        format: "invardiff-report",
        version: VERSION,
        title: &report.title,
        subtitle: &report.subtitle,
        verdict: &report.verdict,
        highlights: &report.highlights,
        facts: report.facts.iter().map(|(name, value)| Fact { name, value }).collect(),
        notes: &report.notes,
        thresholds: &report.thresholds,
        table: &report.table,
        plan,
        heat_maps: heat_maps.collect(),
        latency: report.latency.as_ref(),
        cache_bytes: report.cache_bytes.as_ref(),
        training: &report.training,
        curves: &report.curves,
        grids: grids.collect(),
        provenance: &report.provenance,
    };
    serde_json::to_string_pretty(&document).map(|text| text + "\n")
}

fn nested<T: Copy>(matrix: &Array2<T>) -> Vec<Vec<T>> {
    matrix.outer_iter().map(|row| row.to_vec()).collect()
}
