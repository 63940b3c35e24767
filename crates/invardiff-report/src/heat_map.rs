//! Heat maps over steps and layers: how much features change.

use crate::error::ReportError;
use image::RgbaImage;
use invardiff_plan::Kind;
use maud::{Markup, html};
use ndarray::{Array2, Axis as Dim};
use serde::Serialize;

use super::axis::{Axis, Scale};
use super::number::{compact, coordinate as at};
use super::svg::{Anchor, Figure, Plot, Probe, line, rect, text};
use super::{colour, files};

/// A measure of the change between features of consecutive steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The paper's change rate: L1 distance to the next step's feature over the L1 distance from the last step's.
    ChangeRate,
    /// Mean squared difference between consecutive steps.
    MeanSquare,
    /// 1 - cosine similarity between consecutive steps.
    CosineDistance,
}

impl Measure {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 3] = [Self::ChangeRate, Self::MeanSquare, Self::CosineDistance];

    /// The name in a title.
    pub fn title(self) -> &'static str {
        match self {
            Self::ChangeRate => "change rate",
            Self::MeanSquare => "mean squared change",
            Self::CosineDistance => "cosine distance",
        }
    }

    /// The name in a file name.
    pub fn slug(self) -> &'static str {
        match self {
            Self::ChangeRate => "change-rate",
            Self::MeanSquare => "mean-square",
            Self::CosineDistance => "cosine-distance",
        }
    }

    /// A sentence that explains the number.
    pub(super) fn explanation(self) -> &'static str {
        match self {
            Self::ChangeRate => {
                "How far a feature moves to the next step over how far it moved from the step before (L1 distances). \
                 Where two phases were measured these are the second's. Below the threshold, marked on the colour bar, the paper's rule \
                 reuses, from the end of the warm-up on."
            }
            Self::MeanSquare => "Mean squared difference between the features of consecutive steps.",
            Self::CosineDistance => "One minus the cosine similarity of the features of consecutive steps.",
        }
    }
}

/// One measure of one module kind over steps and layers.
#[derive(Clone, Debug)]
pub struct HeatMap {
    /// The module kind; [`Kind::TRUNK`] for the step gate's own rate.
    pub kind: Kind,
    /// The measure of `values`.
    pub measure: Measure,
    /// The scale of the colours.
    pub scale: Scale,
    /// `[steps, layers]` in sampling order; NaN where nothing was measured.
    pub values: Array2<f32>,
    /// A value to mark on the colour bar.
    pub threshold: Option<f32>,
}

/// Size and margins of the drawing.
const WIDTH: f64 = 480.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 36.0;
const BAR: f64 = 10.0;
/// Pixels per cell in the embedded image, so that cells stay visible in viewers that smooth images.
const CELL: usize = 8;

impl HeatMap {
    /// `msa: change rate`.
    pub fn title(&self) -> String {
        format!("{}: {}", display_name(self.kind), self.measure.title())
    }

    pub(super) fn check(&self) -> Result<(), ReportError> {
        if !self.values.is_empty() {
            return Ok(());
        }
        let (what, found) = (format!("the heat map '{}'", self.title()), self.values.shape().to_vec());
        Err(ReportError::Shape { what, expected: "[steps, layers], both at least 1".into(), found })
    }

    /// The drawing, with the colours of `axis`: heat maps of one measure share it and can be compared.
    pub(super) fn figure(&self, file: &str, axis: &Axis) -> Result<Figure, ReportError> {
        let image = self.image(axis)?;
        let ramp = RgbaImage::from_fn(256, 1, |x, _| colour::cell(Some(f64::from(x) / 255.0)));
        let ramp = files::data_address(&image::DynamicImage::ImageRgba8(ramp), "a colour bar")?;
        Ok(Figure::at_widths(WIDTH, |width| self.drawing(file, axis, width, &image, &ramp)))
    }

    fn drawing(&self, file: &str, axis: &Axis, width: f64, image: &str, ramp: &str) -> Figure {
        let (steps, layers) = self.values.dim();
        let row = (200.0 / layers as f64).clamp(5.0, 18.0);
        let height = (row * layers as f64).max(24.0);
        let plot = Plot { left: LEFT, top: TOP, width: width - LEFT - 12.0, height };
        let bar = Plot {
            top: plot.bottom() + if self.threshold.is_some() { 66.0 } else { 54.0 },
            height: BAR,
            ..plot
        };
        let hatch_id = format!("hatch-{}-{width}", file.trim_end_matches(".svg"));
        let title = self.title();
        let body = html! {
            (text("title", Anchor::Start, 4.0, 18.0, &title))
            (hatch(&hatch_id))
            rect x=(at(plot.left)) y=(at(plot.top)) width=(at(plot.width)) height=(at(plot.height))
                fill=(format!("url(#{hatch_id})")) {}
            image.cells x=(at(plot.left)) y=(at(plot.top)) width=(at(plot.width)) height=(at(plot.height))
                preserveAspectRatio="none" href=(image) {}
            (rect("frame", plot.left, plot.top, plot.width, plot.height))
            (plot.steps(steps))
            @if layers > 1 {
                (plot.layers(layers))
                (text("name", Anchor::End, plot.left - 8.0, plot.bottom() + 18.0, "layer"))
            }
            (self.colour_bar(axis, &bar, ramp))
            (self.probe(&title).over(&plot))
        };
        let height = bar.bottom() + 24.0;
        Figure { file: file.to_owned(), width, height, alt: self.alt(), body, narrow: None }
    }

    /// Every value, one row per layer.
    fn probe<'a>(&self, title: &'a str) -> Probe<'a> {
        let cell = |value: &f32| match value {
            value if value.is_nan() => "not measured".to_owned(),
            value if value.is_infinite() => "not finite".to_owned(),
            value => compact(f64::from(*value)),
        };
        let cells = self.values.axis_iter(Dim(1)).map(|layer| layer.iter().map(cell).collect()).collect();
        Probe { name: title, rows: Vec::new(), cells }
    }

    /// The cells as a PNG in a `data:` URL, layer 0 on top, enlarged by whole factors.
    fn image(&self, axis: &Axis) -> Result<String, ReportError> {
        let (steps, layers) = self.values.dim();
        let image = RgbaImage::from_fn((steps * CELL) as u32, (layers * CELL) as u32, |x, y| {
            let value = f64::from(self.values[[x as usize / CELL, y as usize / CELL]]);
            colour::cell((!value.is_nan()).then(|| axis.fraction(value)))
        });
        files::data_address(&image::DynamicImage::ImageRgba8(image), &self.title())
    }

    fn colour_bar(&self, axis: &Axis, bar: &Plot, ramp: &str) -> Markup {
        let marked = self.threshold.map(f64::from).filter(|value| (axis.low..=axis.high).contains(value));
        html! {
            image x=(at(bar.left)) y=(at(bar.top)) width=(at(bar.width)) height=(at(bar.height))
                preserveAspectRatio="none" href=(ramp) {}
            (rect("frame", bar.left, bar.top, bar.width, bar.height))
            @for tick in axis.ticks() {
                @let x = bar.x(axis, tick);
                (line("mark", (x, bar.bottom()), (x, bar.bottom() + 4.0)))
                (text("tick", Anchor::Middle, x, bar.bottom() + 17.0, &compact(tick)))
            }
            @if let Some(value) = marked {
                @let x = bar.x(axis, value);
                @let (tip, base) = (bar.top - 1.0, bar.top - 9.0);
                path.pointer d=(format!("M{} {}l-5 -8h10z", at(x), at(tip))) {}
                (text("tick strong", if axis.fraction(value) < 0.7 { Anchor::Start } else { Anchor::End },
                    if axis.fraction(value) < 0.7 { x + 9.0 } else { x - 9.0 }, base + 8.0,
                    &format!("threshold {}", compact(value))))
            }
        }
    }

    /// The drawing in words, as its text alternative.
    fn alt(&self) -> String {
        let (steps, layers) = self.values.dim();
        let mut values: Vec<f32> = self.values.iter().copied().filter(|value| value.is_finite()).collect();
        values.sort_by(f32::total_cmp);
        let spread = match (values.first(), values.get(values.len() / 2), values.last()) {
            (Some(low), Some(middle), Some(high)) => {
                let [low, middle, high] = [low, middle, high].map(|value| compact(f64::from(*value)));
                format!("from {low} to {high}, median {middle}")
            }
            _ => "nothing measured".to_owned(),
        };
        let measured =
            self.values.axis_iter(Dim(0)).filter(|row| row.iter().any(|value| !value.is_nan())).count();
        format!(
            "Heat map of {} over {steps} steps ({measured} measured) and {layers} layers: {spread}.",
            self.title()
        )
    }
}

/// The name of a kind in the report.
pub(super) fn display_name(kind: Kind) -> String {
    match kind {
        Kind::TRUNK => "step gate (trunk)".to_owned(),
        Kind::OUTPUT => "step gate (output)".to_owned(),
        kind => kind.to_string(),
    }
}

/// The colour scale that all heat maps of one measure share.
pub(super) fn shared_axis(maps: &[HeatMap], measure: Measure) -> Axis {
    let of_measure = || maps.iter().filter(|map| map.measure == measure);
    let log = of_measure().any(|map| map.scale == Scale::Log);
    let scale = if log { Scale::Log } else { Scale::Linear };
    Axis::holding(scale, of_measure().flat_map(|map| map.values.iter().map(|value| f64::from(*value))))
}

/// The pattern of cells without a value.
fn hatch(id: &str) -> Markup {
    html! {
        defs {
            pattern id=(id) width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                rect.hollow width="6" height="6" {}
                line.hatch x1="0" y1="0" x2="0" y2="6" {}
            }
        }
    }
}
