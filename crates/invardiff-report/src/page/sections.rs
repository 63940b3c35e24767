//! The parts of the page, from top to bottom.

use crate::error::ReportError;
use maud::{Markup, html};

use super::section::Section;
use crate::heat_map::{HeatMap, Measure, display_name};
use crate::images::ImageGrid;
use crate::report::{Drawings, Report};
use crate::svg::Figure;
use crate::table::{Group, Row, Table};

/// Pixels of the images that lie over each other, and of all others; more are shrunk, so that the page stays below 3 MB.
const PIXELS: (f64, f64) = (300_000.0, 200_000.0);

/// A figure with a sentence below it, and its file's name.
pub(crate) fn figure(figure: &Figure, class: &str, caption: &str) -> Markup {
    html! {
        figure class=(class) {
            (figure.inline())
            @if !caption.is_empty() { figcaption { (caption) } }
        }
    }
}

pub(super) fn results(report: &Report, drawings: &Drawings) -> Option<Section> {
    if report.table.rows.is_empty() {
        return None;
    }
    let body = html! {
        p {
            "Every row starts from the same noise and conditions; PSNR and SSIM are between its images and those of full \
             computation. Compute and the predicted speed-up come from the cost model, the measured speed-up from \
             alternating runs in one process (median)."
        }
        div.scroll tabindex="0" role="group" aria-label="Comparison" { (table(&report.table)) }
        @if let Some(tradeoff) = &drawings.tradeoff {
            (figure(tradeoff, "wide", "Points are means over images, the thin lines reach down to the worst image. \
                What equals full computation is not drawn."))
        }
    };
    Some(Section::new("results", "Results", body))
}

fn table(table: &Table) -> Markup {
    let (cpu, converged) = (table.knows_cpu(), table.knows_converged());
    let columns = table.headings().len();
    // Numbers of the cells in a row that the second line of headings stands over.
    let second = if cpu { 2..5 } else { 2..4 };
    let qualities = if converged { second.end..second.end + 6 } else { second.end..second.end + 4 };
    html! {
        table.results {
            thead {
                tr {
                    th rowspan="2" scope="col" data-column="0" { "Sampling" }
                    th rowspan="2" scope="col" data-column="1" { "Compute" }
                    th colspan=(if cpu { 3 } else { 2 }) scope="colgroup" { "Speed-up" }
                    th colspan="2" scope="colgroup" { "PSNR, dB" }
                    th colspan="2" scope="colgroup" { "SSIM" }
                    @if converged { th colspan="2" scope="colgroup" { "PSNR to converged, dB" } }
                    th rowspan="2" scope="col" data-column=(columns - 1) { "Peak cache" }
                }
                tr {
                    @for (column, name) in second.zip(["predicted", "measured", "CPU time"]) {
                        th scope="col" data-column=(column) { (name) }
                    }
                    @for (column, name) in qualities.zip(["mean", "worst"].into_iter().cycle()) {
                        th scope="col" data-column=(column) { (name) }
                    }
                }
            }
            @for (group, rows) in table.groups() {
                tbody class=(if group == Group::Plan { "ours" } else { "" }) {
                    tr.group { th colspan=(columns) scope="rowgroup" { (group.title()) } }
                    @for row in rows { (table_row(row, table)) }
                }
            }
        }
    }
}

fn table_row(row: &Row, table: &Table) -> Markup {
    let mut cells = table.headings().into_iter().skip(1).zip(row.cells(table));
    let compute = cells.next().map_or_else(String::new, |(_, cell)| cell);
    let part = format!("--part: {:.1}%", (row.compute_fraction * 100.0).clamp(0.0, 100.0));
    html! {
        tr {
            th scope="row" {
                (row.name)
                @if !row.description.is_empty() { span.description { (row.description) } }
            }
            td data-label="compute" data-value=(row.compute_fraction * 100.0) {
                span.bar style=(part) aria-hidden="true" {} (compute)
            }
            @for (heading, cell) in cells { td data-label=(heading) { (cell) } }
        }
    }
}

pub(super) fn training(drawings: &Drawings) -> Option<Section> {
    if drawings.training.is_empty() {
        return None;
    }
    let body = html! { div.panels { @for chart in &drawings.training { (figure(chart, "panel", "")) } } };
    Some(Section::new("training", "Training", body))
}

pub(super) fn plan(report: &Report, drawings: &Drawings) -> Option<Section> {
    let image = report.plan.as_ref().zip(drawings.plan.as_ref());
    if image.is_none() && report.thresholds.is_empty() {
        return None;
    }
    let body = html! {
        @if let Some((plan, drawing)) = image { (figure(drawing, "wide", &format!("{}.", plan.summary()))) }
        @if !report.thresholds.is_empty() {
            div.scroll tabindex="0" role="group" aria-label="Thresholds" {
                table.thresholds {
                    caption { "Thresholds: what is below is reused" }
                    thead { tr { @for name in ["Kind", "Quantile", "Change rate"] { th scope="col" { (name) } } } }
                    tbody {
                        @for threshold in &report.thresholds {
                            tr {
                                th scope="row" { (display_name(threshold.kind)) }
                                td { (threshold.quantile) }
                                td { (format!("{:.4}", threshold.value)) }
                            }
                        }
                    }
                }
            }
        }
    };
    Some(Section::new("plan", "The plan", body))
}

/// The images of full computation and of the plan, one over the other.
pub(super) fn compared(report: &Report, drawings: &Drawings) -> Result<Option<Section>, ReportError> {
    image_section("compared", "The same noise, in full and under the plan", report, drawings, true)
}

/// The other grids of images.
pub(super) fn all_images(report: &Report, drawings: &Drawings) -> Result<Option<Section>, ReportError> {
    image_section("images", "Images", report, drawings, false)
}

fn image_section(
    anchor: &str,
    heading: &str,
    report: &Report,
    drawings: &Drawings,
    compared: bool,
) -> Result<Option<Section>, ReportError> {
    let grids = report.grids.iter().zip(&drawings.grids).filter(|(grid, _)| grid.compared == compared);
    let (grids, files): (Vec<_>, Vec<_>) = grids.map(|(grid, file)| (grid.clone(), file.clone())).unzip();
    if grids.is_empty() {
        return Ok(None);
    }
    let body = images(&grids, &files, if compared { PIXELS.0 } else { PIXELS.1 })?;
    Ok(Some(Section::new(anchor, heading, body)))
}

/// What the reader must know to trust the numbers.
pub(crate) fn notes(notes: &[String]) -> Option<Section> {
    let body = html! { ul.notes { @for note in notes { li { (note) } } } };
    (!notes.is_empty()).then(|| Section::new("notes", "Notes", body))
}

/// Grids of images, shrunk together to at most `most` pixels; each names its file.
pub(crate) fn images(grids: &[ImageGrid], files: &[String], most: f64) -> Result<Markup, ReportError> {
    let pixels: f64 = grids.iter().map(ImageGrid::pixels).sum();
    let shrink = (pixels / most).sqrt().max(1.0);
    let mut tables = Vec::new();
    for (grid, file) in grids.iter().zip(files) {
        tables.push(image_table(grid, &grid.addresses(shrink)?, shrink, file));
    }
    Ok(html! { @for table in tables { (table) } })
}

fn image_table(grid: &ImageGrid, addresses: &[Vec<String>], shrink: f64, file: &str) -> Markup {
    let side = grid.rows[0].images[0].width();
    let columns = grid.rows[0].images.len() as u32;
    let shown =
        if side < 96 { side * 84_u32.div_ceil(side) } else { side.min((840 / columns).clamp(96, 240)) };
    let column =
        |number: usize| grid.columns.get(number).map_or_else(|| format!("image {number}"), Clone::clone);
    html! {
        figure.images {
            figcaption {
                strong { (grid.title) } " " (grid.caption)
                @if shrink > 1.0 { " Shown at reduced size; " (file) " has every pixel." }
            }
            div.scroll tabindex="0" role="group" aria-label=(grid.title) {
                table style=(format!("--side: {shown}px")) data-slider[grid.compared] {
                    @if !grid.columns.is_empty() {
                        thead { tr { td {} @for name in &grid.columns { th scope="col" { (name) } } } }
                    }
                    tbody {
                        @for (row, addresses) in grid.rows.iter().zip(addresses) {
                            tr {
                                th scope="row" { (row.label) }
                                @for (number, address) in addresses.iter().enumerate() {
                                    td {
                                        img class=(if side < 96 { "small" } else { "" })
                                            alt=(format!("{}, {}", row.label, column(number))) src=(address);
                                        @if let Some(caption) = row.captions.get(number) {
                                            span.caption { (caption) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn change(report: &Report, drawings: &Drawings) -> Option<Section> {
    if report.heat_maps.is_empty() {
        return None;
    }
    let of = |measure| {
        let pairs = report.heat_maps.iter().zip(&drawings.heat_maps);
        let mut pairs: Vec<(&HeatMap, &Figure)> = pairs.filter(|(map, _)| map.measure == measure).collect();
        // Heat maps of one layer are low and come last, so that the rows of panels stay even.
        pairs.sort_by_key(|(map, _)| map.values.ncols() == 1);
        pairs.into_iter().map(|(_, figure)| figure)
    };
    let body = html! {
        p { "Every cell is one module at one step, the mean over the calibration runs; hatched cells were not measured. The panels of one \
             measure share their colours." }
        @for measure in Measure::ALL {
            @if of(measure).next().is_some() {
                h3 { (capital(measure.title())) }
                p { (measure.explanation()) }
                div.panels { @for drawing in of(measure) { (figure(drawing, "panel", "")) } }
            }
        }
    };
    Some(Section::new("change", "How features change", body))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(super) fn cost(drawings: &Drawings) -> Option<Section> {
    let charts: Vec<&Figure> = [&drawings.latency, &drawings.cache_bytes].into_iter().flatten().collect();
    if charts.is_empty() {
        return None;
    }
    let body = html! { div.panels { @for chart in charts { (figure(chart, "panel", "")) } } };
    Some(Section::new("cost", "Time and memory", body))
}

pub(super) fn settings(report: &Report) -> Option<Section> {
    if report.facts.is_empty() {
        return None;
    }
    let body = html! {
        dl.facts { @for (name, value) in &report.facts { div { dt { (name) } dd { (value) } } } }
    };
    Some(Section::new("settings", "Settings", body))
}

pub(super) fn files(report: &Report, drawings: &Drawings) -> Section {
    let figures = drawings.figures().map(|figure| figure.file.clone());
    let tables = if report.table.rows.is_empty() { vec![] } else { vec!["table.md", "table.csv"] };
    let names = std::iter::once("report.json").chain(tables).map(str::to_owned);
    let names: Vec<String> = names.chain(figures).chain(drawings.grids.iter().cloned()).collect();
    let body = html! {
        p { "The numbers and figures of this page, beside it in the same folder. The page needs none of them." }
        ul.files { @for name in names { li { a href=(name) { (name) } } } }
        p.maker { "Written by invardiff-report " (env!("CARGO_PKG_VERSION")) "." }
    };
    Section::new("files", "Files", body)
}
