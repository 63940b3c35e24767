//! A plan drawn with characters: columns are steps, rows are layers by kind.

use std::fmt::Write;

use invardiff_plan::{CachePlan, Kind};
use ndarray::Array2;

/// Options of the drawing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Whether to use ASCII instead of block characters.
    pub(super) ascii: bool,
    /// The most rows of a kind; more layers share rows.
    pub(super) most_rows: usize,
}

/// The most steps side by side; further ones go below.
const PANEL: usize = 60;

impl Style {
    /// Characters from nothing reused to everything reused.
    const fn shades(self) -> [char; 5] {
        if self.ascii { ['.', '-', '+', '*', '#'] } else { ['·', '░', '▒', '▓', '█'] }
    }

    fn shade(self, reused: usize, of: usize) -> char {
        let level = match (reused, of) {
            (0, _) => 0,
            (reused, of) if reused == of => 4,
            (reused, of) => 1 + (3 * reused / of).min(2),
        };
        self.shades()[level]
    }

    /// The legend of the characters.
    pub(super) fn legend(self) -> String {
        let [none, third, two_thirds, most, all] = self.shades();
        format!(
            "{none} computed   {third}{two_thirds}{most} some layers reused   {all} reused or skipped   blank: in a skipped step"
        )
    }
}

/// A row: its label and one character per step.
struct Row {
    label: String,
    cells: Vec<char>,
}

/// The gate and the matrix of every kind.
pub(super) fn draw(plan: &CachePlan, style: Style) -> String {
    let gate = plan.gate().iter().map(|skip| style.shade(usize::from(*skip), 1)).collect();
    let mut rows = vec![Row { label: "gate".into(), cells: gate }];
    for kind in kinds(plan) {
        rows.extend(rows_of(plan, kind, style));
    }
    let margin = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0) + 2;
    let mut text = String::new();
    for first in (0..plan.steps()).step_by(PANEL) {
        let steps = first..plan.steps().min(first + PANEL);
        if first > 0 {
            text.push('\n');
        }
        line(&mut text, margin, "step", &ruler(steps.clone()));
        for row in &rows {
            line(&mut text, margin, &row.label, &row.cells[steps.clone()].iter().collect::<String>());
        }
    }
    text
}

fn line(text: &mut String, margin: usize, label: &str, cells: &str) {
    let line = format!("{label:margin$}{cells}");
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{}", line.trim_end());
}

/// The number of every tenth step above it.
fn ruler(steps: std::ops::Range<usize>) -> String {
    let mut ruler = String::new();
    for step in steps.clone().filter(|step| step.is_multiple_of(10)) {
        ruler = format!("{ruler:0$}{step}", step - steps.start);
    }
    ruler
}

/// Kinds in order of first appearance.
pub(super) fn kinds(plan: &CachePlan) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for site in plan.sites() {
        if !kinds.contains(&site.kind) {
            kinds.push(site.kind);
        }
    }
    kinds
}

/// The rows of a kind, neighbouring layers together where there are many.
fn rows_of(plan: &CachePlan, kind: Kind, style: Style) -> Vec<Row> {
    let matrix: Array2<bool> = plan.of_kind(kind);
    let layers = matrix.ncols();
    let together = layers.div_ceil(style.most_rows.max(1)).max(1);
    (0..layers)
        .step_by(together)
        .map(|first| {
            let last = (first + together).min(layers) - 1;
            let cells = matrix.outer_iter().zip(plan.gate()).map(|(row, skip)| {
                let reused = (first..=last).filter(|layer| row[*layer]).count();
                if *skip { ' ' } else { style.shade(reused, last - first + 1) }
            });
            let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
            Row { label: format!("{kind} {range}"), cells: cells.collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use invardiff_plan::Site;

    use super::*;

    /// Three layers over four steps: step 1 skipped, step 3 reuses layers 0 and 1.
    fn plan() -> CachePlan {
        let sites = (0..3).map(Site::msa).collect();
        let mut reuse = Array2::from_elem((4, 3), false);
        reuse[[3, 0]] = true;
        reuse[[3, 1]] = true;
        CachePlan::new(sites, vec![false, true, false, false], reuse).unwrap()
    }

    #[test]
    fn every_layer_has_a_row_where_there_are_few() {
        let text = draw(&plan(), Style { ascii: true, most_rows: 3 });
        assert_eq!(text, "step   0\ngate   .#..\nmsa 0  . .#\nmsa 1  . .#\nmsa 2  . ..\n");
    }

    #[test]
    fn many_layers_share_rows_and_shades_say_how_many_are_reused() {
        let text = draw(&plan(), Style { ascii: false, most_rows: 1 });
        assert_eq!(text, "step     0\ngate     ·█··\nmsa 0-2  · ·▓\n");
        let style = Style { ascii: true, most_rows: 1 };
        let shades: String = (0..=6).map(|reused| style.shade(reused, 6)).collect();
        assert_eq!(shades, ".-++**#");
    }

    #[test]
    fn many_steps_go_below() {
        let sites = vec![Site::msa(0)];
        let plan = CachePlan::new(sites, vec![false; 75], Array2::from_elem((75, 1), false)).unwrap();
        let text = draw(&plan, Style { ascii: true, most_rows: 1 });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "step   0         10        20        30        40        50");
        assert_eq!(lines[4], "step   60        70");
        assert_eq!(lines[5], format!("gate   {}", ".".repeat(15)));
        assert!(lines.iter().all(|line| line.len() <= 7 + PANEL));
    }
}
