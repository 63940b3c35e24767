//! The points of a study as tables.

use invardiff_eval::PSNR_OF_EQUAL;

use super::data::{Line, Point, Scores, Study};
use crate::number::bytes;

/// A column of the table: one number of a point, and its heading.
pub(super) struct Column {
    pub(super) heading: &'static str,
    cell: fn(&Point) -> String,
}

/// The columns in which any point has a value.
pub(super) fn columns(study: &Study) -> Vec<Column> {
    let any = |known: fn(&Point) -> bool| study.points().any(known);
    let mut columns = vec![
        Column { heading: "compute", cell: |point| format!("{:.1} %", point.compute_fraction * 100.0) },
        Column { heading: "predicted", cell: |point| format!("{:.2}x", 1.0 / point.compute_fraction) },
        Column { heading: "measured", cell: |point| format!("{:.2}x", point.measured_speedup) },
    ];
    if any(|point| point.cpu_speedup.is_some()) {
        columns.push(Column {
            heading: "CPU time",
            cell: |point| point.cpu_speedup.map_or_else(dash, |value| format!("{value:.2}x")),
        });
    }
    columns.extend([
        Column { heading: "PSNR mean", cell: |point| decibels(point.full.quality.psnr_mean) },
        Column { heading: "PSNR worst", cell: |point| decibels(point.full.quality.psnr_worst) },
        Column { heading: "SSIM mean", cell: |point| number(point.full.quality.ssim_mean, 4) },
        Column { heading: "SSIM worst", cell: |point| number(point.full.quality.ssim_worst, 4) },
    ]);
    if any(|point| point.full.lpips.is_some()) {
        columns.push(Column { heading: "LPIPS mean", cell: |point| lpips(Some(point.full), 0) });
        columns.push(Column { heading: "LPIPS worst", cell: |point| lpips(Some(point.full), 1) });
    }
    if study.knows_converged() {
        columns.push(Column {
            heading: "converged mean",
            cell: |point| point.converged.map_or_else(dash, |scores| decibels(scores.quality.psnr_mean)),
        });
        columns.push(Column {
            heading: "converged worst",
            cell: |point| point.converged.map_or_else(dash, |scores| decibels(scores.quality.psnr_worst)),
        });
    }
    if any(|point| point.frechet.is_some()) {
        columns.push(Column {
            heading: "Fréchet",
            cell: |point| point.frechet.map_or_else(dash, |value| number(value, 2)),
        });
    }
    if any(|point| point.accuracy.is_some()) {
        columns.push(Column {
            heading: "class",
            cell: |point| point.accuracy.map_or_else(dash, |share| format!("{:.1} %", share * 100.0)),
        });
    }
    columns.push(Column { heading: "peak cache", cell: |point| bytes(point.peak_cache_bytes) });
    columns
}

impl Column {
    pub(super) fn cell(&self, point: &Point) -> String {
        (self.cell)(point)
    }
}

fn lpips(scores: Option<Scores>, which: usize) -> String {
    scores.and_then(|scores| scores.lpips).map_or_else(dash, |pair| number(pair[which], 4))
}

fn dash() -> String {
    "-".to_owned()
}

fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { dash() }
}

fn decibels(value: f64) -> String {
    if value >= PSNR_OF_EQUAL { "equal".to_owned() } else { number(value, 2) }
}

/// A method with its setting.
pub(super) fn name(line: &Line, point: &Point) -> String {
    if point.setting.is_empty() { line.name.clone() } else { format!("{}, {}", line.name, point.setting) }
}

/// Rows of cells under headings, one part per panel: (title, rows); the first row has the headings.
fn parts(study: &Study) -> Vec<(String, Vec<Vec<String>>)> {
    let columns = columns(study);
    let mut parts: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    for (title, line) in study.lines() {
        if parts.last().is_none_or(|(last, _)| last != title) {
            let headings = std::iter::once("sampling").chain(columns.iter().map(|column| column.heading));
            parts.push((title.to_owned(), vec![headings.map(str::to_owned).collect()]));
        }
        if let Some((_, rows)) = parts.last_mut() {
            rows.extend(line.points.iter().map(|point| {
                std::iter::once(name(line, point))
                    .chain(columns.iter().map(|column| column.cell(point)))
                    .collect::<Vec<_>>()
            }));
        }
    }
    parts
}

/// All points in Markdown, one table per panel.
pub(super) fn markdown(study: &Study) -> String {
    let table = |(title, rows): (String, Vec<Vec<String>>)| {
        let row = |cells: &Vec<String>| format!("| {} |\n", cells.join(" | ").replace('\n', " "));
        let (head, rest) = rows.split_first().map_or((String::new(), &rows[..]), |(head, rest)| {
            (format!("{}|---|{}\n", row(head), "---:|".repeat(head.len().saturating_sub(1))), rest)
        });
        format!("### {title}\n\n{head}{}", rest.iter().map(row).collect::<String>())
    };
    parts(study).into_iter().map(table).collect::<Vec<_>>().join("\n")
}

/// All points for a terminal, columns aligned over all panels.
pub(super) fn text(study: &Study) -> String {
    let parts = parts(study);
    let rows = || parts.iter().flat_map(|(_, rows)| rows);
    let width = |column: usize| {
        rows().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("  {cell:>width$}"),
        });
        cells.collect::<String>() + "\n"
    };
    let part = |(title, rows): &(String, Vec<Vec<String>>)| {
        format!("{title}\n{}", rows.iter().map(line).collect::<String>())
    };
    parts.iter().map(part).collect::<Vec<_>>().join("\n")
}

/// All points as comma separated values, with all digits and a header line.
pub(super) fn csv(study: &Study) -> String {
    let mut text = "panel,method,setting,compute_fraction,measured_speedup,cpu_speedup,psnr_mean,psnr_worst,ssim_mean,ssim_worst,\
                    lpips_mean,lpips_worst,converged_psnr_mean,converged_psnr_worst,converged_ssim_mean,\
                    converged_ssim_worst,converged_lpips_mean,converged_lpips_worst,frechet,accuracy,peak_cache_bytes\n"
        .to_owned();
    let optional = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let scores = |scores: Option<Scores>| {
        let quality = |value: fn(&Scores) -> f64| optional(scores.as_ref().map(value));
        let lpips = |which: usize| optional(scores.and_then(|scores| scores.lpips).map(|pair| pair[which]));
        [
            quality(|scores| scores.quality.psnr_mean),
            quality(|scores| scores.quality.psnr_worst),
            quality(|scores| scores.quality.ssim_mean),
            quality(|scores| scores.quality.ssim_worst),
            lpips(0),
            lpips(1),
        ]
    };
    for (title, line) in study.lines() {
        for point in &line.points {
            let fields = [quoted(title), quoted(&line.name), quoted(&point.setting)]
                .into_iter()
                .chain([point.compute_fraction.to_string(), point.measured_speedup.to_string()])
                .chain([optional(point.cpu_speedup)])
                .chain(scores(Some(point.full)))
                .chain(scores(point.converged))
                .chain([
                    optional(point.frechet),
                    optional(point.accuracy),
                    point.peak_cache_bytes.to_string(),
                ]);
            text.push_str(&fields.collect::<Vec<_>>().join(","));
            text.push('\n');
        }
    }
    text
}

fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}
