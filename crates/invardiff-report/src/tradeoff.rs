//! Compute against quality: the table's rows as points, other results as lines.

mod labels;

use crate::error::ReportError;
use invardiff_eval::PSNR_OF_EQUAL;
use maud::{Markup, html};
use serde::Serialize;

use super::axis::Axis;
use super::legend::{Legend, line_sample};
use super::number::{compact, coordinate as at};
use super::series::COLOURS;
use super::svg::{Anchor, Figure, Path, Plot, line, text};
use super::table::{Group, Row, Table};
use labels::Named;

/// A line in the chart of compute against quality, e.g. one planner at several thresholds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// Its points in order.
    pub points: Vec<CurvePoint>,
}

/// One point of a [`Curve`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// FLOPs over those of full computation.
    pub compute_fraction: f64,
    /// Mean PSNR to full computation in dB; points at [`PSNR_OF_EQUAL`] are not drawn.
    pub psnr: f64,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 52.0;
/// The colour of the first curve: the groups of rows have the ones before.
const FIRST_CURVE: usize = 4;

/// A row as a point.
struct Mark<'a> {
    row: &'a Row,
    x: f64,
    y: f64,
    worst: f64,
}

impl<'a> Mark<'a> {
    fn new(row: &'a Row, x: &Axis, y: &Axis, plot: &Plot) -> Self {
        let quality = &row.quality;
        Self {
            row,
            x: plot.x(x, row.compute_fraction * 100.0),
            y: plot.y(y, quality.psnr_mean),
            worst: plot.y(y, quality.psnr_worst.min(quality.psnr_mean)),
        }
    }
}

pub(super) fn check(curves: &[Curve]) -> Result<(), ReportError> {
    let most = COLOURS - FIRST_CURVE;
    if curves.len() <= most {
        return Ok(());
    }
    let (what, expected) = ("the curves of a report".to_owned(), format!("at most {most} curves"));
    Err(ReportError::Shape { what, expected, found: vec![curves.len()] })
}

/// Whether a PSNR is drawn in the chart.
fn drawn(psnr: f64) -> bool {
    psnr.is_finite() && psnr < PSNR_OF_EQUAL
}

/// The chart; `None` where no row differs from the reference.
pub(super) fn figure(table: &Table, curves: &[Curve]) -> Option<Figure> {
    let rows: Vec<&Row> = table.rows.iter().filter(|row| drawn(row.quality.psnr_mean)).collect();
    let (x, y) = axes(&rows, curves)?;
    Some(Figure::at_widths(WIDTH, |width| drawing(width, &rows, curves, &x, &y)))
}

fn drawing(width: f64, rows: &[&Row], curves: &[Curve], x: &Axis, y: &Axis) -> Figure {
    let narrow = width < WIDTH;
    let left = if narrow { 36.0 } else { LEFT };
    let used: Vec<Group> =
        Group::ALL.into_iter().filter(|group| rows.iter().any(|row| row.group == *group)).collect();
    let names = used.iter().map(|group| group.title()).chain(curves.iter().map(|curve| curve.name.as_str()));
    let room = width - left - 16.0;
    let legend = Legend::new(names, room);
    let sample = |number: usize, x, y| match used.get(number) {
        Some(group) => shape(*group, x + 10.0, y),
        None => line_sample(FIRST_CURVE + number - used.len(), x, y),
    };
    let plot = Plot { left, top: 62.0 + legend.height(), width: room, height: 330.0 };
    let marks: Vec<Mark<'_>> = rows.iter().map(|row| Mark::new(row, x, y, &plot)).collect();
    let body = html! {
        (text("title", Anchor::Start, 4.0, 18.0, "Compute against quality"))
        (legend.draw(left, 26.0, sample))
        (plot.rows(y, "PSNR to full computation, dB (higher is better)", compact))
        (plot.columns(x, "compute, % of full (lower is cheaper)", compact))
        @for (number, curve) in curves.iter().enumerate() {
            (draw_curve(FIRST_CURVE + number, curve, x, y, &plot))
        }
        @for mark in &marks { (line("whisker", (mark.x, mark.y), (mark.x, mark.worst))) }
        @for mark in &marks { (draw(mark)) }
        @if !narrow { (names_of(&marks, &plot)) }
    };
    let height = plot.bottom() + 46.0;
    Figure { file: "tradeoff.svg".into(), width, height, alt: alt(rows), body, narrow: None }
}

/// The axes that hold every point: compute in percent, PSNR in dB. `None` without a point.
fn axes(rows: &[&Row], curves: &[Curve]) -> Option<(Axis, Axis)> {
    let points = || curves.iter().flat_map(|curve| &curve.points).filter(|point| drawn(point.psnr));
    let qualities = rows.iter().flat_map(|row| [row.quality.psnr_mean, row.quality.psnr_worst]);
    let heights: Vec<f64> =
        qualities.chain(points().map(|point| point.psnr)).filter(|psnr| drawn(*psnr)).collect();
    let (least, most) =
        (heights.iter().copied().reduce(f64::min)?, heights.iter().copied().reduce(f64::max)?);
    let widths = rows.iter().map(|row| row.compute_fraction);
    let widest = widths.chain(points().map(|point| point.compute_fraction)).fold(0.0, f64::max);
    Some((Axis::rounded(0.0, widest * 100.0), Axis::rounded(least, most)))
}

fn draw_curve(number: usize, curve: &Curve, x: &Axis, y: &Axis, plot: &Plot) -> Markup {
    let points = curve.points.iter().filter(|point| drawn(point.psnr));
    let places: Vec<(f64, f64)> =
        points.map(|point| (plot.x(x, point.compute_fraction * 100.0), plot.y(y, point.psnr))).collect();
    let mut path = Path::default();
    for (x, y) in &places {
        path.push(if path.d.is_empty() { 'M' } else { 'L' }, &[*x, *y]);
    }
    html! {
        path class=(format!("stroke line c{number}")) d=(path.d) {}
        @for ((x, y), point) in places.iter().zip(curve.points.iter().filter(|point| drawn(point.psnr))) {
            @let tip = format!("{}: {:.1} % of compute, {:.2} dB", curve.name, point.compute_fraction * 100.0, point.psnr);
            g tabindex="0" data-tip=(tip) {
                title { (tip) }
                circle class=(format!("knot c{number}")) cx=(at(*x)) cy=(at(*y)) r="3.5" {}
            }
        }
    }
}

/// The name of every point, with a thin line to it where it stands apart.
fn names_of(marks: &[Mark<'_>], plot: &Plot) -> Markup {
    let points: Vec<Named<'_>> =
        marks.iter().map(|mark| Named { name: &mark.row.name, x: mark.x, y: mark.y }).collect();
    let labels = labels::places(&points, plot);
    html! {
        @for (point, label) in points.iter().zip(&labels) {
            @let (side, end) = match label.anchor {
                Anchor::End => (-1.0, label.x + 3.0),
                Anchor::Start | Anchor::Middle => (1.0, label.x - 3.0),
            };
            (line("leader", (point.x + side * 8.0, point.y), (end, label.y - 4.5)))
            (text("label halo", label.anchor, label.x, label.y, point.name))
        }
    }
}

/// Draws a point; both shape and colour depend on the group.
fn draw(mark: &Mark<'_>) -> Markup {
    let row = mark.row;
    let title = format!(
        "{}: {:.1} % of compute, PSNR mean {:.2} dB, worst {:.2} dB",
        row.name,
        row.compute_fraction * 100.0,
        row.quality.psnr_mean,
        row.quality.psnr_worst
    );
    html! { g tabindex="0" data-tip=(title) { title { (title) } (shape(row.group, mark.x, mark.y)) } }
}

fn shape(group: Group, x: f64, y: f64) -> Markup {
    let path = match group {
        Group::Reference => "m-5 -5h10v10h-10z",
        Group::Plan => "m-7 0a7 7 0 1 0 14 0a7 7 0 1 0 -14 0z",
        Group::Part => "m0 -7l7 7l-7 7l-7 -7z",
        Group::OtherPlan => "m0 -6.5l7 12h-14z",
        Group::FewerSteps => "m0 6.5l7 -12h-14z",
    };
    html! { path class=(class(group)) d=(format!("M{} {}{path}", at(x), at(y))) {} }
}

fn class(group: Group) -> &'static str {
    match group {
        Group::Reference => "point reference",
        Group::Plan => "point plan",
        Group::Part => "point part",
        Group::OtherPlan => "point other-plan",
        Group::FewerSteps => "point fewer-steps",
    }
}

fn alt(rows: &[&Row]) -> String {
    let points = rows.iter().map(|row| {
        format!(
            "{} at {:.0} % of compute has {:.1} dB",
            row.name,
            row.compute_fraction * 100.0,
            row.quality.psnr_mean
        )
    });
    format!("Chart of compute against PSNR to full computation. {}.", points.collect::<Vec<_>>().join("; "))
}
