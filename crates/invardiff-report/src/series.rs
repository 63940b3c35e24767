//! Values over steps: time and memory.

use crate::error::ReportError;
use maud::{Markup, html};
use serde::Serialize;

use super::axis::{Axis, Scale};
use super::legend::{Legend, line_sample};
use super::number::{byte_unit, compact};
use super::svg::{Anchor, Figure, Path, Plot, Probe, line, text};

/// The unit of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Bytes, shown in a binary unit such as MiB.
    Bytes,
}

impl Unit {
    /// The unit's name and size for values up to `most`.
    fn shown(self, most: f64) -> (&'static str, f64) {
        match self {
            Self::Milliseconds => ("ms", 1.0),
            Self::Bytes => byte_unit(most),
        }
    }
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// One value per step in sampling order, in the chart's unit; NaN leaves a gap.
    pub values: Vec<f64>,
}

/// A chart of lines over steps. A linear axis starts at 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepChart {
    /// Its title.
    pub title: String,
    /// The unit of the values.
    pub unit: Unit,
    /// The scale of the vertical axis.
    pub scale: Scale,
    /// The lines, at most six.
    pub series: Vec<Series>,
}

const WIDTH: f64 = 480.0;
const PLOT_HEIGHT: f64 = 190.0;
const LEFT: f64 = 52.0;
/// The number of colours, and so the most lines of a chart.
pub(super) const COLOURS: usize = 6;

impl StepChart {
    pub(super) fn check(&self) -> Result<(), ReportError> {
        let found: Vec<usize> = self.series.iter().map(|series| series.values.len()).collect();
        let equal = found.windows(2).all(|pair| pair[0] == pair[1]);
        if equal && found.first().is_some_and(|steps| *steps > 0) && found.len() <= COLOURS {
            return Ok(());
        }
        let expected = format!("1 to {COLOURS} series of one length, at least 1 step");
        Err(ReportError::Shape { what: format!("the chart '{}'", self.title), expected, found })
    }

    /// The drawing; the columns of steps that `gate` skips are shaded.
    pub(super) fn figure(&self, file: &str, gate: &[bool]) -> Figure {
        let most = self.values().fold(0.0, f64::max);
        let (unit, size) = self.unit.shown(most);
        let axis = match self.scale {
            Scale::Linear => Axis::rounded(0.0, if most > 0.0 { most / size } else { 1.0 }),
            Scale::Log => Axis::holding(self.scale, self.values().map(|value| value / size)),
        };
        Figure::at_widths(WIDTH, |width| self.drawing(file, gate, width, unit, size, &axis))
    }

    fn drawing(&self, file: &str, gate: &[bool], width: f64, unit: &str, size: f64, axis: &Axis) -> Figure {
        let steps = self.steps();
        let room = width - LEFT - 12.0;
        let legend = Legend::new(self.series.iter().map(|series| series.name.as_str()), room);
        let plot = Plot { left: LEFT, top: 56.0 + legend.height(), width: room, height: PLOT_HEIGHT };
        let shaded = gate.len() == steps && gate.iter().any(|skip| *skip);
        let name = if shaded { format!("{unit}; skipped steps shaded") } else { unit.to_owned() };
        let body = html! {
            (text("title", Anchor::Start, 4.0, 18.0, &self.title))
            (legend.draw(LEFT, 26.0, line_sample))
            @if shaded { (shade(gate, &plot)) }
            (plot.rows(axis, &name, compact))
            (plot.steps(steps))
            @for (number, series) in self.series.iter().enumerate() {
                path class=(format!("stroke line c{number}")) d=(stairs(&series.values, size, axis, &plot).d) {}
            }
            (line("base", (plot.left, plot.bottom()), (plot.right(), plot.bottom())))
            (self.probe(unit, size).over(&plot))
        };
        let alt = self.alt(unit, size);
        Figure { file: file.to_owned(), width, height: plot.bottom() + 46.0, alt, body, narrow: None }
    }

    fn steps(&self) -> usize {
        self.series.first().map_or(0, |series| series.values.len())
    }

    fn probe(&self, unit: &str, size: f64) -> Probe<'_> {
        let cell = |value: &f64| {
            if value.is_finite() {
                format!("{} {unit}", compact(value / size))
            } else {
                "not measured".into()
            }
        };
        Probe {
            name: &self.title,
            rows: self.series.iter().map(|series| series.name.as_str()).collect(),
            cells: self.series.iter().map(|series| series.values.iter().map(cell).collect()).collect(),
        }
    }

    fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.series.iter().flat_map(|series| series.values.iter().copied()).filter(|value| value.is_finite())
    }

    fn alt(&self, unit: &str, size: f64) -> String {
        let lines = self.series.iter().map(|series| {
            let finite = || series.values.iter().copied().filter(|value| value.is_finite());
            let mean = finite().sum::<f64>() / finite().count().max(1) as f64 / size;
            let most = finite().fold(0.0, f64::max) / size;
            format!("{}: mean {} {unit}, most {} {unit}", series.name, compact(mean), compact(most))
        });
        format!("{} over steps. {}.", self.title, lines.collect::<Vec<_>>().join("; "))
    }
}

/// A step line, level over each step's column, with gaps at NaN.
fn stairs(values: &[f64], size: f64, axis: &Axis, plot: &Plot) -> Path {
    let column = plot.width / values.len().max(1) as f64;
    let mut path = Path::default();
    let mut drawing = false;
    for (step, value) in values.iter().enumerate() {
        if value.is_finite() {
            let (x, y) = (plot.left + step as f64 * column, plot.y(axis, value / size));
            if drawing {
                path.push('V', &[y]);
            } else {
                path.push('M', &[x, y]);
            }
            path.push('h', &[column]);
        }
        drawing = value.is_finite();
    }
    path
}

fn shade(gate: &[bool], plot: &Plot) -> Markup {
    let column = plot.width / gate.len() as f64;
    let mut path = Path::default();
    let mut step = 0;
    for run in gate.chunk_by(|a, b| a == b) {
        if run[0] {
            let x = plot.left + step as f64 * column;
            let width = run.len() as f64 * column;
            path.push_box(x, plot.top, width, plot.height);
        }
        step += run.len();
    }
    html! { path.shade d=(path.d) {} }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: Vec<Vec<f64>>) -> StepChart {
        let series = values.into_iter().map(|values| Series { name: "full".into(), values }).collect();
        StepChart { title: "Time".into(), unit: Unit::Milliseconds, scale: Scale::Linear, series }
    }

    #[test]
    fn stairs_are_level_over_a_step_and_stop_at_gaps() {
        let axis = Axis { scale: Scale::Linear, low: 0.0, high: 10.0 };
        let plot = Plot { left: 0.0, top: 0.0, width: 40.0, height: 100.0 };
        assert_eq!(stairs(&[10.0, 0.0, f64::NAN, 5.0], 1.0, &axis, &plot).d, "M0 0h10V100h10M30 50h10");
    }

    #[test]
    fn lines_of_unequal_length_are_refused() {
        chart(vec![vec![1.0, 2.0], vec![2.0, 3.0]]).check().unwrap();
        for bad in [vec![], vec![vec![]], vec![vec![1.0], vec![1.0, 2.0]], vec![vec![1.0]; COLOURS + 1]] {
            assert!(matches!(chart(bad).check(), Err(ReportError::Shape { .. })));
        }
    }
}
