//! Charts of compute against quality, one line per method.

use invardiff_eval::PSNR_OF_EQUAL;
use maud::{Markup, html};

use super::{Line, Panel, Point, Study};
use crate::axis::Axis;
use crate::legend::Legend;
use crate::number::{compact, coordinate as at};
use crate::svg::{Anchor, Figure, Path, Plot, text};

const WIDTH: f64 = 640.0;
const LEFT: f64 = 52.0;

/// The quantity on the vertical axis.
#[derive(Clone, Copy)]
struct Measure {
    /// Part of the file's name.
    slug: &'static str,
    title: &'static str,
    value: fn(&Point) -> Option<f64>,
}

const FULL: Measure = Measure {
    slug: "full",
    title: "PSNR to the full run, mean, dB",
    value: |point| Some(point.full.quality.psnr_mean),
};
const CONVERGED: Measure = Measure {
    slug: "converged",
    title: "PSNR to the converged trajectory, mean, dB",
    value: |point| point.converged.map(|scores| scores.quality.psnr_mean),
};

/// The charts of a panel: against the full run, and against the converged trajectory where it is known.
pub(super) fn charts(study: &Study, panel: &Panel, number: usize) -> Vec<Figure> {
    let measures = if study.knows_converged() { vec![FULL, CONVERGED] } else { vec![FULL] };
    measures.into_iter().filter_map(|measure| chart(study, panel, number, measure)).collect()
}

/// A drawn point of a line: compute in percent, and the measure.
fn places(line: &Line, measure: Measure) -> Vec<(f64, f64)> {
    let drawn = |psnr: &f64| psnr.is_finite() && *psnr < PSNR_OF_EQUAL;
    let place = |point: &Point| {
        (measure.value)(point).filter(drawn).map(|psnr| (point.compute_fraction * 100.0, psnr))
    };
    let mut places: Vec<(f64, f64)> = line.points.iter().filter_map(place).collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    places
}

fn chart(study: &Study, panel: &Panel, number: usize, measure: Measure) -> Option<Figure> {
    let baselines = study.baselines.iter().enumerate().map(|(i, line)| (format!("base{i}"), line));
    let own = panel.lines.iter().enumerate().map(|(i, line)| (format!("c{i}"), line));
    let lines: Vec<(String, &Line)> = baselines.chain(own).collect();
    // One scale for all panels, so that they can be compared.
    let all: Vec<(f64, f64)> = study.lines().flat_map(|(_, line)| places(line, measure)).collect();
    let over = |of: fn(&(f64, f64)) -> f64, take: fn(f64, f64) -> f64| all.iter().map(of).reduce(take);
    let (low, high) = (over(|place| place.1, f64::min)?, over(|place| place.1, f64::max)?);
    let x = Axis::rounded(0.0, over(|place| place.0, f64::max)?.max(1.0));
    let y = Axis::rounded(low, high);
    let width = WIDTH - LEFT - 16.0;
    let legend = Legend::new(lines.iter().map(|(_, line)| line.name.as_str()), width);
    let plot = Plot { left: LEFT, top: 62.0 + legend.height(), width, height: 340.0 };
    let sample = |line: usize, x: f64, y: f64| {
        let class = lines.get(line).map_or("", |(class, _)| class.as_str());
        html! { path class=(format!("stroke line {class}")) d=(format!("M{} {}h20", at(x), at(y))) {} }
    };
    let body = html! {
        (text("title", Anchor::Start, 4.0, 18.0, &panel.title))
        (legend.draw(LEFT, 26.0, sample))
        (plot.rows(&y, measure.title, compact))
        (plot.columns(&x, "compute, % of the full run (lower is cheaper)", compact))
        @for (class, line) in &lines { (draw(class, line, measure, &x, &y, &plot)) }
    };
    let file = format!("panel-{number}-{}.svg", measure.slug);
    let alt = alt(&lines, measure);
    Some(Figure { file, width: WIDTH, height: plot.bottom() + 46.0, alt, body })
}

fn draw(class: &str, line: &Line, measure: Measure, x: &Axis, y: &Axis, plot: &Plot) -> Markup {
    let places: Vec<(f64, f64)> = places(line, measure)
        .into_iter()
        .map(|(compute, psnr)| (plot.x(x, compute), plot.y(y, psnr)))
        .collect();
    let mut path = Path::default();
    for (x, y) in &places {
        path.push(if path.d.is_empty() { 'M' } else { 'L' }, &[*x, *y]);
    }
    html! {
        g {
            title { (line.name) }
            path class=(format!("stroke line {class}")) d=(path.d) {}
            @for (x, y) in places { circle class=(format!("knot {class}")) cx=(at(x)) cy=(at(y)) r="3.5" {} }
        }
    }
}

fn alt(lines: &[(String, &Line)], measure: Measure) -> String {
    let of = |(_, line): &(String, &Line)| {
        let points = places(line, measure);
        let points: Vec<String> =
            points.iter().map(|(compute, psnr)| format!("{psnr:.1} dB at {compute:.0} %")).collect();
        format!("{}: {}", line.name, points.join(", "))
    };
    let lines: Vec<String> = lines.iter().map(of).collect();
    format!("Chart of compute against {}. {}.", measure.title, lines.join("; "))
}
