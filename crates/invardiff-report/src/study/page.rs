//! `study.html`: one page that needs nothing else.

use crate::error::ReportError;
use maud::{Markup, html};

use super::data::{Drawings, Line, Study};
use super::table::{columns, name};
use crate::page::{Section, figure, head, images, notes, shell};

/// Pixels of all images in the page; more are shrunk.
const PIXELS: f64 = 500_000.0;

pub(super) fn page(study: &Study, drawings: &Drawings) -> Result<Markup, ReportError> {
    let mut sections = vec![overview(study, drawings), without(study)];
    for (number, (panel, charts)) in study.panels.iter().zip(&drawings.charts).enumerate() {
        let body = html! {
            @if !panel.note.is_empty() { p { (panel.note) } }
            div.panels { @for chart in charts { (figure(chart, "panel", "")) } }
            (table(study, &panel.lines, &panel.title))
        };
        sections.push(Section {
            anchor: format!("panel-{}", number + 1),
            heading: panel.title.clone(),
            body,
        });
    }
    if !study.strips.is_empty() {
        let body = images(&study.strips, &drawings.strips, PIXELS)?;
        sections.push(Section { anchor: "images".into(), heading: "Images at equal compute".into(), body });
    }
    sections.push(settings(study));
    sections.push(files(drawings));
    sections.extend(notes(&study.notes));
    Ok(shell(&study.title, &head(&study.title, &study.subtitle, &study.verdict, &[], &sections), &sections))
}

/// Every method in one chart, and which families are shown.
fn overview(study: &Study, drawings: &Drawings) -> Section {
    let body = html! {
        div.panels { @for chart in &drawings.overview { (figure(chart, "panel", "")) } }
        p { "A dot is one method at one setting; the line joins those that no other beats at their compute or below." }
        fieldset.families {
            legend { "Families shown below" }
            @for (number, panel) in (1..).zip(&study.panels) {
                label { input type="checkbox" checked data-section=(format!("panel-{number}")) {} " " (panel.title) }
            }
        }
    };
    Section::new("overview", "All methods", body)
}

fn without(study: &Study) -> Section {
    let body = html! {
        p {
            "Every row starts from the same noise and conditions. PSNR and SSIM are between its images and those of the full \
             run; the converged images are where all solvers lead with very many steps. Compute and the predicted speed-up \
             come from the sites that were computed, the measured speed-up from alternating runs in one process (median)."
        }
        (table(study, &study.baselines, "Without caching"))
    };
    Section { anchor: "without".into(), heading: "Without caching".into(), body }
}

fn table(study: &Study, lines: &[Line], label: &str) -> Markup {
    let columns = columns(study);
    html! {
        div.scroll tabindex="0" role="group" aria-label=(label) {
            table.results {
                thead { tr {
                    th scope="col" data-column="0" { "Sampling" }
                    @for (number, column) in (1..).zip(&columns) {
                        th scope="col" data-column=(number) { (column.heading) }
                    }
                } }
                @for line in lines {
                    tbody {
                        @if !line.description.is_empty() {
                            tr.group { th colspan=(columns.len() + 1) scope="rowgroup" { (line.name) ": " (line.description) } }
                        }
                        @for point in &line.points {
                            tr {
                                th scope="row" { (name(line, point)) }
                                @for column in &columns { td data-label=(column.heading) { (column.cell(point)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn settings(study: &Study) -> Section {
    let body = html! {
        dl.facts { @for (name, value) in &study.facts { div { dt { (name) } dd { (value) } } } }
    };
    Section { anchor: "settings".into(), heading: "Settings".into(), body }
}

fn files(drawings: &Drawings) -> Section {
    let charts = drawings.figures().map(|figure| figure.file.as_str());
    let tables = ["study.json", "points.csv", "points.md"].into_iter();
    let names: Vec<&str> = tables.chain(charts).chain(drawings.strips.iter().map(String::as_str)).collect();
    let body = html! {
        p { "The numbers and figures of this page, beside it in the same folder. The page needs none of them." }
        ul.files { @for name in names { li { a href=(name) { (name) } } } }
        p.maker { "Written by invardiff-report " (env!("CARGO_PKG_VERSION")) "." }
    };
    Section { anchor: "files".into(), heading: "Files".into(), body }
}
