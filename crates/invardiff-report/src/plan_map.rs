//! The drawing of a plan: the step gate on top, one panel per module kind.

use crate::error::ReportError;
use invardiff_plan::Kind;
use maud::{Markup, html};
use ndarray::Array2;

use super::legend::Legend;
use super::svg::{Anchor, Figure, Path, Plot, Probe, rect, text};

/// What a plan does at every step and site.
#[derive(Clone, Debug)]
pub struct PlanMap {
    /// One entry per step in sampling order, `true` = the step is skipped.
    pub gate: Vec<bool>,
    /// One matrix `[steps, layers]` per module kind, `true` = reuse. Entries of skipped steps are ignored.
    pub kinds: Vec<(Kind, Array2<bool>)>,
}

/// What happens in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Computed,
    Reused,
    Skipped,
}

impl Cell {
    const ALL: [Self; 3] = [Self::Computed, Self::Reused, Self::Skipped];

    fn class(self) -> &'static str {
        match self {
            Self::Computed => "computed",
            Self::Reused => "reused",
            Self::Skipped => "skipped",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Computed => "computed",
            Self::Reused => "module reused",
            Self::Skipped => "step skipped",
        }
    }
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 44.0;
const GATE: f64 = 20.0;

impl PlanMap {
    pub(super) fn check(&self) -> Result<(), ReportError> {
        for (kind, matrix) in &self.kinds {
            if matrix.is_empty() || matrix.nrows() != self.gate.len() {
                let expected = format!("[{} steps, at least 1 layer], as the gate has", self.gate.len());
                let (what, found) = (format!("the plan image of '{kind}'"), matrix.shape().to_vec());
                return Err(ReportError::Shape { what, expected, found });
            }
        }
        if self.gate.is_empty() {
            let (what, expected) = ("the gate of a plan image".to_owned(), "at least 1 step".to_owned());
            return Err(ReportError::Shape { what, expected, found: vec![0] });
        }
        Ok(())
    }

    /// `30 of 50 steps skipped; modules reused at the others: msa 85 of 560, ..`.
    pub fn summary(&self) -> String {
        let skipped = self.gate.iter().filter(|skip| **skip).count();
        let skips = format!("{skipped} of {} steps skipped", self.gate.len());
        let mut reuses = Vec::new();
        for (kind, matrix) in &self.kinds {
            let reused = self.cells(matrix).filter(|(_, _, cell)| *cell == Cell::Reused).count();
            let visited = (self.gate.len() - skipped) * matrix.ncols();
            reuses.push(format!("{kind} {reused} of {visited}"));
        }
        if reuses.is_empty() {
            return skips;
        }
        format!("{skips}; modules reused at the others: {}", reuses.join(", "))
    }

    pub(super) fn figure(&self) -> Figure {
        Figure::at_widths(WIDTH, |width| self.drawing(width))
    }

    fn drawing(&self, width: f64) -> Figure {
        let layers: usize = self.kinds.iter().map(|(_, matrix)| matrix.ncols()).sum();
        let row = (420.0 / layers.max(1) as f64).clamp(4.0, 16.0);
        let room = width - LEFT - 12.0;
        let gate = Plot { left: LEFT, top: 64.0, width: room, height: GATE };
        let mut top = gate.bottom();
        let panels: Vec<(&Kind, &Array2<bool>, Plot)> = self
            .kinds
            .iter()
            .map(|(kind, matrix)| {
                let (top_of, height) = (top + 30.0, row * matrix.ncols() as f64);
                let plot = Plot { left: LEFT, top: top_of, width: room, height };
                top = plot.bottom();
                (kind, matrix, plot)
            })
            .collect();
        let last = panels.last().map_or(gate, |(_, _, plot)| *plot);
        let steps = self.gate.len();
        let body = html! {
            (legend(room))
            (text("title", Anchor::Start, gate.left, gate.top - 7.0, "step gate"))
            (self.gate_row(&gate))
            (self.probe("step gate", None).over(&gate))
            @for (kind, matrix, plot) in &panels {
                (text("title", Anchor::Start, plot.left, plot.top - 7.0, kind.as_str()))
                (self.panel(matrix, plot))
                (self.probe(kind.as_str(), Some(matrix)).over(plot))
                (plot.layers(matrix.ncols()))
            }
            @if !panels.is_empty() { (text("name", Anchor::End, LEFT - 8.0, last.bottom() + 18.0, "layer")) }
            (last.steps(steps))
        };
        let alt = format!("Plan: {}.", self.summary());
        Figure { file: "plan.svg".into(), width, height: last.bottom() + 48.0, alt, body, narrow: None }
    }

    /// (step, layer, what happens) of one kind.
    fn cells<'a>(&'a self, matrix: &'a Array2<bool>) -> impl Iterator<Item = (usize, usize, Cell)> + 'a {
        matrix.indexed_iter().map(|((step, layer), reuse)| {
            let cell = match (self.gate[step], reuse) {
                (true, _) => Cell::Skipped,
                (false, true) => Cell::Reused,
                (false, false) => Cell::Computed,
            };
            (step, layer, cell)
        })
    }

    /// What happens in every cell of one kind, or of the gate.
    fn probe<'a>(&self, name: &'a str, matrix: Option<&Array2<bool>>) -> Probe<'a> {
        let gate: Array2<bool> = Array2::from_elem((self.gate.len(), 1), false);
        let matrix = matrix.unwrap_or(&gate);
        let mut cells = vec![vec![String::new(); matrix.nrows()]; matrix.ncols()];
        for (step, layer, cell) in self.cells(matrix) {
            cell.label().clone_into(&mut cells[layer][step]);
        }
        Probe { name, rows: Vec::new(), cells }
    }

    fn gate_row(&self, plot: &Plot) -> Markup {
        let cells = self.gate.iter().enumerate();
        let cells = cells.map(|(step, skip)| (step, 0, if *skip { Cell::Skipped } else { Cell::Computed }));
        draw(&cells.collect::<Vec<_>>(), self.gate.len(), 1, plot)
    }

    fn panel(&self, matrix: &Array2<bool>, plot: &Plot) -> Markup {
        draw(&self.cells(matrix).collect::<Vec<_>>(), self.gate.len(), matrix.ncols(), plot)
    }
}

/// One SVG path per kind of cell: neighbours in a row are joined, then columns are separated.
fn draw(cells: &[(usize, usize, Cell)], steps: usize, layers: usize, plot: &Plot) -> Markup {
    let (column, row) = (plot.width / steps as f64, plot.height / layers as f64);
    let gap = if row >= 6.0 { 1.0 } else { 0.0 };
    let mut sorted = cells.to_vec();
    sorted.sort_by_key(|(step, layer, _)| (*layer, *step));
    let runs = sorted.chunk_by(|a, b| a.1 == b.1 && a.2 == b.2);
    let mut paths = Cell::ALL.map(|cell| (cell, Path::default()));
    for run in runs {
        let (step, layer, cell) = run[0];
        let (x, y) = (plot.left + step as f64 * column, plot.top + layer as f64 * row);
        for (_, path) in paths.iter_mut().filter(|(of, _)| *of == cell) {
            path.push_box(x, y, run.len() as f64 * column, row - gap);
        }
    }
    let mut cuts = Path::default();
    for step in 1..steps {
        cuts.push('M', &[plot.left + step as f64 * column, plot.top]);
        cuts.push('v', &[plot.height]);
    }
    html! {
        @for (cell, path) in &paths {
            @if !path.d.is_empty() { path class=(cell.class()) d=(path.d) {} }
        }
        @if column >= 6.0 { path.cut d=(cuts.d) {} }
    }
}

fn legend(room: f64) -> Markup {
    let legend = Legend::new(Cell::ALL.into_iter().map(Cell::label), room);
    legend.draw(LEFT, 0.0, |number, x, y| rect(Cell::ALL[number].class(), x, y - 7.0, 14.0, 14.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_steps_hide_their_module_rows() {
        let gate = vec![false, true, false];
        let matrix = ndarray::arr2(&[[false, false], [true, true], [false, true]]);
        let image = PlanMap { gate, kinds: vec![(Kind::MSA, matrix)] };
        image.check().unwrap();
        assert_eq!(image.summary(), "1 of 3 steps skipped; modules reused at the others: msa 1 of 4");
        let svg = image.figure().document();
        for class in ["computed", "reused", "skipped"] {
            assert!(svg.contains(&format!("<path class=\"{class}\"")), "{class}");
        }
    }

    #[test]
    fn a_matrix_of_other_length_than_the_gate_is_refused() {
        let image =
            PlanMap { gate: vec![false; 4], kinds: vec![(Kind::MLP, Array2::from_elem((3, 2), false))] };
        let message = image.check().unwrap_err().to_string();
        assert!(message.contains("mlp") && message.contains("[3, 2]"), "{message}");
    }
}
