//! Legends: the names of what a chart shows, with a sample of each.

use maud::{Markup, html};

use super::number::coordinate as at;
use super::svg::{Anchor, text};

const ROW: f64 = 20.0;
/// Width of a sample and the space after it.
const SAMPLE: f64 = 26.0;

/// A legend, in as many rows as its names need.
pub(super) struct Legend<'a> {
    places: Vec<(&'a str, f64, f64)>,
    rows: usize,
}

impl<'a> Legend<'a> {
    pub(super) fn new(names: impl Iterator<Item = &'a str>, width: f64) -> Self {
        let (mut x, mut rows, mut places) = (0.0, 1, Vec::new());
        for name in names {
            let needed = SAMPLE + text_width(name) + 16.0;
            if x > 0.0 && x + needed > width {
                (x, rows) = (0.0, rows + 1);
            }
            places.push((name, x, (rows - 1) as f64 * ROW));
            x += needed;
        }
        Self { places, rows }
    }

    pub(super) fn height(&self) -> f64 {
        self.rows as f64 * ROW
    }

    /// The names, each with `sample(number, x, y)` before it; (`x`, `y`) is the left end of the sample's middle line.
    pub(super) fn draw(&self, left: f64, top: f64, sample: impl Fn(usize, f64, f64) -> Markup) -> Markup {
        html! {
            @for (number, (name, x, y)) in self.places.iter().enumerate() {
                @let (x, y) = (left + x, top + y + 14.0);
                (sample(number, x, y - 4.5))
                (text("label", Anchor::Start, x + SAMPLE, y, name))
            }
        }
    }
}

/// A sample of line `number`.
pub(super) fn line_sample(number: usize, x: f64, y: f64) -> Markup {
    html! { path class=(format!("stroke line c{number}")) d=(format!("M{} {}h20", at(x), at(y))) {} }
}

/// About how wide a label is drawn: fonts differ, so this is on the wide side.
pub(super) fn text_width(label: &str) -> f64 {
    7.2 * label.chars().count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_do_not_fit_go_to_the_next_row() {
        let names = ["one", "two", "three"];
        assert_eq!(Legend::new(names.into_iter(), 1000.0).height(), ROW);
        let narrow = Legend::new(names.into_iter(), 100.0);
        assert_eq!(narrow.height(), 3.0 * ROW);
        assert!(narrow.places.iter().all(|(_, x, _)| *x == 0.0));
    }
}
