//! Charts of compute against quality, one line per method.

use invardiff_eval::PSNR_OF_EQUAL;
use maud::{Markup, html};

use super::data::{Line, Panel, Point, Study};
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
    /// What the images are compared with.
    short: &'static str,
    title: &'static str,
    value: fn(&Point) -> Option<f64>,
}

const FULL: Measure = Measure {
    slug: "full",
    short: "to the full run",
    title: "PSNR to the full run, mean, dB",
    value: |point| Some(point.full.quality.psnr_mean),
};
const CONVERGED: Measure = Measure {
    slug: "converged",
    short: "to the converged images",
    title: "PSNR to the converged images, mean, dB",
    value: |point| point.converged.map(|scores| scores.quality.psnr_mean),
};

/// The charts of a panel: against the full run, and against the converged trajectory where it is known.
pub(super) fn charts(study: &Study, panel: &Panel, number: usize) -> Vec<Figure> {
    let measures = if study.knows_converged() { vec![FULL, CONVERGED] } else { vec![FULL] };
    measures.into_iter().filter_map(|measure| chart(study, panel, number, measure)).collect()
}

/// A point that is drawn: compute in percent, and the measure.
fn place(point: &Point, measure: Measure) -> Option<(f64, f64)> {
    let drawn = |psnr: &f64| psnr.is_finite() && *psnr < PSNR_OF_EQUAL;
    (measure.value)(point).filter(drawn).map(|psnr| (point.compute_fraction * 100.0, psnr))
}

/// All drawn points of a line, by compute.
fn places(line: &Line, measure: Measure) -> Vec<(f64, f64)> {
    let mut places: Vec<(f64, f64)> = line.points.iter().filter_map(|point| place(point, measure)).collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    places
}

/// The axes of all charts of one measure, so that they can be compared. `None` without a point.
fn axes(study: &Study, measure: Measure) -> Option<(Axis, Axis)> {
    let all: Vec<(f64, f64)> = study.lines().flat_map(|(_, line)| places(line, measure)).collect();
    let over = |of: fn(&(f64, f64)) -> f64, take: fn(f64, f64) -> f64| all.iter().map(of).reduce(take);
    let (low, high) = (over(|place| place.1, f64::min)?, over(|place| place.1, f64::max)?);
    Some((Axis::rounded(0.0, over(|place| place.0, f64::max)?.max(1.0)), Axis::rounded(low, high)))
}

fn chart(study: &Study, panel: &Panel, number: usize, measure: Measure) -> Option<Figure> {
    let baselines = study.baselines.iter().enumerate().map(|(i, line)| (format!("base{i}"), line));
    let own = panel.lines.iter().enumerate().map(|(i, line)| (format!("c{i}"), line));
    // What is not in this chart has no place in its legend.
    let lines: Vec<(String, &Line)> =
        baselines.chain(own).filter(|(_, line)| !places(line, measure).is_empty()).collect();
    let axes = axes(study, measure)?;
    let best = best(&lines, measure);
    Some(Figure::at_widths(WIDTH, |width| {
        let left = if width < WIDTH { 36.0 } else { LEFT };
        let room = width - left - 16.0;
        let legend = Legend::new(lines.iter().map(|(_, line)| line.name.as_str()), room);
        let plot = Plot { left, top: 62.0 + legend.height(), width: room, height: 340.0 };
        let sample = |line: usize, x: f64, y: f64| {
            let class = lines.get(line).map_or("", |(class, _)| class.as_str());
            let stroke = if best == Some(line) { "stroke best" } else { "stroke" };
            html! { path class=(format!("{stroke} line {class}")) d=(format!("M{} {}h20", at(x), at(y))) {} }
        };
        let body = html! {
            (text("title", Anchor::Start, 4.0, 18.0, &format!("{}: {}", panel.title, measure.short)))
            (legend.draw(left, 26.0, sample))
            (frame(&axes, &plot, measure))
            @for (number, (class, line)) in lines.iter().enumerate() {
                (draw(class, best == Some(number), line, measure, &axes, &plot))
            }
        };
        let file = format!("panel-{number}-{}.svg", measure.slug);
        Figure { file, width, height: plot.bottom() + 46.0, alt: alt(&lines, measure), body, narrow: None }
    }))
}

fn frame((x, y): &(Axis, Axis), plot: &Plot, measure: Measure) -> Markup {
    html! {
        (plot.rows(y, measure.title, compact))
        (plot.columns(x, "compute, % of the full run (lower is cheaper)", compact))
    }
}

/// Every point of the study in one chart for each measure: those that no other beats are joined and named.
pub(super) fn overview(study: &Study) -> Vec<Figure> {
    let measures = if study.knows_converged() { vec![FULL, CONVERGED] } else { vec![FULL] };
    measures.into_iter().filter_map(|measure| all_points(study, measure)).collect()
}

/// A point of the overview.
struct Named {
    name: String,
    compute: f64,
    psnr: f64,
}

fn all_points(study: &Study, measure: Measure) -> Option<Figure> {
    let mut points: Vec<Named> = Vec::new();
    for (_, line) in study.lines() {
        points.extend(line.points.iter().filter_map(|point| {
            let (compute, psnr) = place(point, measure)?;
            Some(Named { name: super::table::name(line, point), compute, psnr })
        }));
    }
    points.sort_by(|a, b| a.compute.total_cmp(&b.compute).then(b.psnr.total_cmp(&a.psnr)));
    let mut most = f64::NEG_INFINITY;
    let unbeaten = |point: &Named| {
        let better = point.psnr > most;
        most = most.max(point.psnr);
        better
    };
    let front: Vec<bool> = points.iter().map(unbeaten).collect();
    let axes = axes(study, measure)?;
    let named = |place: usize| front[place].then(|| points[place].name.as_str());
    let best: Vec<String> = (0..points.len()).filter_map(named).map(str::to_owned).collect();
    Some(Figure::at_widths(WIDTH, |width| {
        let left = if width < WIDTH { 36.0 } else { LEFT };
        let plot = Plot { left, top: 46.0, width: width - left - 16.0, height: 340.0 };
        let mut path = Path::default();
        for (point, _) in points.iter().zip(&front).filter(|(_, best)| **best) {
            let to = [plot.x(&axes.0, point.compute), plot.y(&axes.1, point.psnr)];
            path.push(if path.d.is_empty() { 'M' } else { 'L' }, &to);
        }
        let body = html! {
            (text("title", Anchor::Start, 4.0, 18.0, &format!("All methods: {}", measure.short)))
            (frame(&axes, &plot, measure))
            path class="stroke line best c0" d=(path.d) {}
            @for (point, best) in points.iter().zip(&front) {
                @let tip = format!("{}: {:.1} dB at {:.1} %", point.name, point.psnr, point.compute);
                (dot(if *best { "knot c0" } else { "knot other" }, &tip,
                    (plot.x(&axes.0, point.compute), plot.y(&axes.1, point.psnr))))
            }
        };
        let alt = format!(
            "Every method at every setting, compute against {}. Best at their compute: {}.",
            measure.title,
            best.join("; ")
        );
        Figure {
            file: format!("overview-{}.svg", measure.slug),
            width,
            height: plot.bottom() + 46.0,
            alt,
            body,
            narrow: None,
        }
    }))
}

/// The line that most often has the highest value at its compute or below; `None` where no line has a point.
fn best(lines: &[(String, &Line)], measure: Measure) -> Option<usize> {
    let all: Vec<(usize, f64, f64)> = lines
        .iter()
        .enumerate()
        .flat_map(|(number, (_, line))| places(line, measure).into_iter().map(move |(x, y)| (number, x, y)))
        .collect();
    let leads = |number: usize| {
        let beaten = |x: f64, y: f64| all.iter().any(|(_, other, value)| *other <= x && *value > y);
        all.iter().filter(|(of, x, y)| *of == number && !beaten(*x, *y)).count()
    };
    (0..lines.len()).max_by_key(|number| leads(*number)).filter(|number| leads(*number) > 0)
}

fn dot(class: &str, tip: &str, (x, y): (f64, f64)) -> Markup {
    html! {
        g tabindex="0" data-tip=(tip) { title { (tip) } circle class=(class) cx=(at(x)) cy=(at(y)) r="3.5" {} }
    }
}

fn draw(class: &str, best: bool, line: &Line, measure: Measure, axes: &(Axis, Axis), plot: &Plot) -> Markup {
    let places: Vec<(f64, f64)> = places(line, measure);
    let on = |(compute, psnr): (f64, f64)| (plot.x(&axes.0, compute), plot.y(&axes.1, psnr));
    let mut path = Path::default();
    for (x, y) in places.iter().map(|place| on(*place)) {
        path.push(if path.d.is_empty() { 'M' } else { 'L' }, &[x, y]);
    }
    html! {
        path class=(format!("stroke line {class}{}", if best { " best" } else { "" })) d=(path.d) {}
        @for (compute, psnr) in &places {
            (dot(&format!("knot {class}"), &format!("{}: {psnr:.1} dB at {compute:.1} %", line.name), on((*compute, *psnr))))
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
