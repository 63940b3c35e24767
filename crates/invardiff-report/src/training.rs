//! Losses over the iterations of a training.

use crate::error::ReportError;
use maud::html;
use serde::Serialize;

use super::axis::{Axis, Scale};
use super::legend::{Legend, line_sample};
use super::number::compact;
use super::series::COLOURS;
use super::svg::{Anchor, Figure, Path, Plot, line, text};

/// One line of a training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingLine {
    /// Its name in the legend.
    pub name: String,
    /// (iteration, value), iterations increasing; a value that is not finite leaves a gap.
    pub points: Vec<(f64, f64)>,
}

impl TrainingLine {
    /// Means over `width` consecutive values, each at its window's last iteration: losses of single batches scatter. Values
    /// are numbered from 1; the last window may be shorter.
    pub fn smoothed(name: &str, values: impl IntoIterator<Item = f64>, width: usize) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let mut points = Vec::new();
        for window in values.chunks(width.max(1)) {
            let last = points.last().map_or(0.0, |(at, _)| *at) + window.len() as f64;
            points.push((last, window.iter().sum::<f64>() / window.len() as f64));
        }
        Self { name: name.to_owned(), points }
    }
}

/// A chart of losses over iterations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingChart {
    /// Its title.
    pub title: String,
    /// What the values are, e.g. `mean square error`.
    pub value: String,
    /// The scale of the vertical axis.
    pub scale: Scale,
    /// The lines, at most six.
    pub lines: Vec<TrainingLine>,
}

const WIDTH: f64 = 480.0;
const PLOT_HEIGHT: f64 = 190.0;
const LEFT: f64 = 60.0;

impl TrainingChart {
    pub(super) fn check(&self) -> Result<(), ReportError> {
        let found: Vec<usize> = self.lines.iter().map(|line| line.points.len()).collect();
        let rising = |line: &TrainingLine| line.points.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let filled = found.iter().all(|points| *points > 0) && (1..=COLOURS).contains(&found.len());
        if filled && self.lines.iter().all(rising) {
            return Ok(());
        }
        let expected = format!("1 to {COLOURS} lines of at least one point, iterations rising");
        Err(ReportError::Shape { what: format!("the chart '{}'", self.title), expected, found })
    }

    pub(super) fn figure(&self, file: &str) -> Figure {
        Figure::at_widths(WIDTH, |width| self.drawing(file, width))
    }

    fn drawing(&self, file: &str, width: f64) -> Figure {
        let room = width - LEFT - 12.0;
        let legend = Legend::new(self.lines.iter().map(|line| line.name.as_str()), room);
        let plot = Plot { left: LEFT, top: 56.0 + legend.height(), width: room, height: PLOT_HEIGHT };
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let across = Axis::holding(Scale::Linear, points().map(|(iteration, _)| iteration));
        let up = Axis::holding(self.scale, points().map(|(_, value)| value));
        let body = html! {
            (text("title", Anchor::Start, 4.0, 18.0, &self.title))
            (legend.draw(LEFT, 26.0, line_sample))
            (plot.rows(&up, &self.value, compact))
            (plot.columns(&across, "iteration", compact))
            @for (number, line) in self.lines.iter().enumerate() {
                path class=(format!("stroke line c{number}")) d=(path(&line.points, &across, &up, &plot).d) {}
            }
            (line("base", (plot.left, plot.bottom()), (plot.right(), plot.bottom())))
        };
        let height = plot.bottom() + 46.0;
        Figure { file: file.to_owned(), width, height, alt: self.alt(), body, narrow: None }
    }

    fn alt(&self) -> String {
        let lines = self.lines.iter().map(|line| {
            let value =
                |point: Option<&(f64, f64)>| point.map_or_else(String::new, |(_, value)| compact(*value));
            format!("{}: from {} to {}", line.name, value(line.points.first()), value(line.points.last()))
        });
        format!("{}, {} over iterations. {}.", self.title, self.value, lines.collect::<Vec<_>>().join("; "))
    }
}

fn path(points: &[(f64, f64)], across: &Axis, up: &Axis, plot: &Plot) -> Path {
    let mut path = Path::default();
    let mut drawing = false;
    for (iteration, value) in points {
        if value.is_finite() {
            let place = [plot.x(across, *iteration), plot.y(up, *value)];
            path.push(if drawing { 'L' } else { 'M' }, &place);
        }
        drawing = value.is_finite();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(lines: Vec<Vec<(f64, f64)>>) -> TrainingChart {
        let lines = lines.into_iter().map(|points| TrainingLine { name: "loss".into(), points }).collect();
        TrainingChart { title: "Loss".into(), value: "square".into(), scale: Scale::Log, lines }
    }

    #[test]
    fn smoothing_takes_means_of_windows() {
        let line = TrainingLine::smoothed("loss", [1.0, 3.0, 5.0, 7.0, 10.0], 2);
        assert_eq!(line.points, [(2.0, 2.0), (4.0, 6.0), (5.0, 10.0)]);
        assert_eq!(TrainingLine::smoothed("loss", [1.0], 0).points, [(1.0, 1.0)]);
    }

    #[test]
    fn lines_stop_at_gaps_and_span_the_plot() {
        let plot = Plot { left: 0.0, top: 0.0, width: 40.0, height: 100.0 };
        let axis = |high| Axis { scale: Scale::Linear, low: 0.0, high };
        let points = [(0.0, 10.0), (1.0, 0.0), (2.0, f64::NAN), (4.0, 5.0)];
        assert_eq!(path(&points, &axis(4.0), &axis(10.0), &plot).d, "M0 0L10 100M40 50");
    }

    #[test]
    fn charts_without_a_line_or_with_iterations_that_fall_are_refused() {
        chart(vec![vec![(1.0, 1.0), (2.0, 0.5)], vec![(1.0, 1.0)]]).check().unwrap();
        for bad in [vec![], vec![vec![]], vec![vec![(2.0, 1.0), (1.0, 1.0)]]] {
            assert!(matches!(chart(bad).check(), Err(ReportError::Shape { .. })));
        }
    }
}
