//! Drawings as SVG: in the page and as files.

use maud::{Markup, PreEscaped, html};

use super::axis::{Axis, step_ticks};
use super::number::coordinate as at;

/// Colours and type of every drawing, for light and dark; part of the page and of each file.
pub(super) const STYLE: &str = include_str!("figure.css");

/// One drawing.
pub(super) struct Figure {
    /// Name of its file in the report's folder.
    pub(super) file: String,
    pub(super) width: f64,
    pub(super) height: f64,
    /// What it shows, in words.
    pub(super) alt: String,
    pub(super) body: Markup,
    /// The same for a narrow screen, where the page shows it instead.
    pub(super) narrow: Option<Box<Self>>,
}

/// The width of drawings for a narrow screen, in CSS pixels.
const NARROW: f64 = 336.0;

impl Figure {
    /// What `draw` makes at the width `wide`, and at that of a narrow screen.
    pub(super) fn at_widths(wide: f64, draw: impl Fn(f64) -> Self) -> Self {
        Self { narrow: Some(Box::new(draw(NARROW))), ..draw(wide) }
    }

    /// The drawing as part of the page.
    pub(super) fn inline(&self) -> Markup {
        html! {
            (self.markup(if self.narrow.is_some() { "figure broad" } else { "figure" }, html! {}))
            @if let Some(narrow) = &self.narrow { (narrow.markup("figure narrow", html! {})) }
        }
    }

    /// The drawing as a file that stands alone.
    pub(super) fn document(&self) -> String {
        let style = html! { style { (PreEscaped(STYLE)) } rect.paper width="100%" height="100%" {} };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n",
            self.markup("figure", style).into_string()
        )
    }

    fn markup(&self, class: &str, head: Markup) -> Markup {
        let view = format!("0 0 {} {}", at(self.width), at(self.height));
        html! {
            svg class=(class) xmlns="http://www.w3.org/2000/svg" viewBox=(view) width=(at(self.width)) height=(at(self.height))
                role="img" aria-label=(self.alt) { (head) (self.body) }
        }
    }
}

/// Which end of a text is at its position.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A text of class `class` at (`x`, `y`), the baseline.
pub(super) fn text(class: &str, anchor: Anchor, x: f64, y: f64, content: &str) -> Markup {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    html! { text class=(class) text-anchor=(anchor) x=(at(x)) y=(at(y)) { (content) } }
}

/// A rectangle of class `class`.
pub(super) fn rect(class: &str, x: f64, y: f64, width: f64, height: f64) -> Markup {
    html! { rect class=(class) x=(at(x)) y=(at(y)) width=(at(width)) height=(at(height)) {} }
}

/// Names for what lies under the pointer: an invisible rectangle over a chart of steps, which the page's script reads.
pub(super) struct Probe<'a> {
    /// What the values are, e.g. `msa: change rate`.
    pub(super) name: &'a str,
    /// Names of the rows; empty where they are layers.
    pub(super) rows: Vec<&'a str>,
    /// Rows of one text per step.
    pub(super) cells: Vec<Vec<String>>,
}

impl Probe<'_> {
    /// The rectangle over `plot`.
    pub(super) fn over(&self, plot: &Plot) -> Markup {
        let cells: Vec<String> = self.cells.iter().map(|row| row.join(",")).collect();
        html! {
            rect.probe x=(at(plot.left)) y=(at(plot.top)) width=(at(plot.width)) height=(at(plot.height)) tabindex="0"
                data-name=(self.name) data-rows=(self.rows.join(";")) data-cells=(cells.join(";"))
                data-together=[(!self.rows.is_empty()).then_some("")] {}
        }
    }
}

/// A line of class `class`.
pub(super) fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> Markup {
    html! { line class=(class) x1=(at(from.0)) y1=(at(from.1)) x2=(at(to.0)) y2=(at(to.1)) {} }
}

/// The commands of a `path`.
#[derive(Clone, Debug, Default)]
pub(super) struct Path {
    /// The text of the attribute `d`.
    pub(super) d: String,
}

impl Path {
    /// One command, e.g. `M` with a position or `h` with a distance.
    pub(super) fn push(&mut self, command: char, numbers: &[f64]) {
        self.d.push(command);
        let numbers: Vec<String> = numbers.iter().map(|number| at(*number)).collect();
        self.d.push_str(&numbers.join(" "));
    }

    /// A closed box.
    pub(super) fn push_box(&mut self, x: f64, y: f64, width: f64, height: f64) {
        self.push('M', &[x, y]);
        self.push('h', &[width]);
        self.push('v', &[height]);
        self.push('h', &[-width]);
        self.push('z', &[]);
    }
}

/// An area of a drawing that values are placed in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plot {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Plot {
    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Horizontal place of a value.
    pub(super) fn x(&self, axis: &Axis, value: f64) -> f64 {
        self.left + axis.fraction(value) * self.width
    }

    /// Vertical place of a value.
    pub(super) fn y(&self, axis: &Axis, value: f64) -> f64 {
        self.bottom() - axis.fraction(value) * self.height
    }

    /// Horizontal grid lines with their values on the left and the axis' name above.
    pub(super) fn rows(&self, axis: &Axis, name: &str, label: impl Fn(f64) -> String) -> Markup {
        html! {
            @for tick in axis.ticks() {
                (line("grid", (self.left, self.y(axis, tick)), (self.right(), self.y(axis, tick))))
                (text("tick", Anchor::End, self.left - 8.0, self.y(axis, tick) + 4.0, &label(tick)))
            }
            (text("name", Anchor::Start, 4.0, self.top - 12.0, name))
        }
    }

    /// Vertical grid lines with their values and the axis' name below.
    pub(super) fn columns(&self, axis: &Axis, name: &str, label: impl Fn(f64) -> String) -> Markup {
        html! {
            @for tick in axis.ticks() {
                (line("grid", (self.x(axis, tick), self.top), (self.x(axis, tick), self.bottom())))
                (text("tick", Anchor::Middle, self.x(axis, tick), self.bottom() + 18.0, &label(tick)))
            }
            (text("name", Anchor::Middle, self.left + self.width / 2.0, self.bottom() + 36.0, name))
        }
    }

    /// Step numbers below the middles of `steps` equal columns.
    pub(super) fn steps(&self, steps: usize) -> Markup {
        let column = self.width / steps.max(1) as f64;
        html! {
            @for step in step_ticks(steps) {
                @let x = self.left + (step as f64 + 0.5) * column;
                (line("mark", (x, self.bottom()), (x, self.bottom() + 4.0)))
                (text("tick", Anchor::Middle, x, self.bottom() + 18.0, &step.to_string()))
            }
            (text("name", Anchor::Middle, self.left + self.width / 2.0, self.bottom() + 36.0, STEP_AXIS))
        }
    }

    /// Layer numbers left of the middles of `layers` equal rows, the first on top.
    pub(super) fn layers(&self, layers: usize) -> Markup {
        let row = self.height / layers.max(1) as f64;
        let room = ((self.height / 16.0) as usize).clamp(1, 12);
        let every = layers.div_ceil(room).max(1);
        html! {
            @for layer in (0..layers).step_by(every) {
                @let y = self.top + (layer as f64 + 0.5) * row;
                (text("tick", Anchor::End, self.left - 8.0, y + 4.0, &layer.to_string()))
            }
        }
    }
}

/// Name of the horizontal axis of charts over steps.
pub(super) const STEP_AXIS: &str = "step in sampling order (0 = noisiest)";
