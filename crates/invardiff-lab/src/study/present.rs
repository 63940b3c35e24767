//! Makes the study from the drawn images.

use invardiff::{ClassifierScores, Pipeline, ReferenceClassifier};
use invardiff_eval::{Quality, peak_rss};
use invardiff_report::{ImageGrid, Line, Panel, Point, Scores, Study};
use invardiff_runtime::Sampler;
use ndarray::{Array4, Axis, Slice};
use serde_json::json;

use super::entrants::Entrants;
use super::knee::knee;
use super::method::Method;
use super::options::{Scoring, StudyOptions};
use crate::circumstances::circumstances;
use crate::compare::Evaluation;
use crate::error::{Context, InSetting, Result};
use crate::held_out::HELD_OUT;

/// Number of images in a strip.
const COLUMNS: usize = 10;
/// Shares of the full run's compute at which images are shown.
const STRIPS: [f64; 2] = [0.5, 0.3];

/// Further inputs of the study.
pub(super) struct Extras {
    /// The subjects of the images, in words.
    pub(super) names: Vec<String>,
    /// The intended class of each image.
    pub(super) classes: Vec<Option<usize>>,
    /// What the images are scored by besides PSNR and SSIM.
    pub(super) scoring: Scoring,
}

/// Makes the study; `converged` is the second reference's name and images.
pub(super) fn study<const D: usize, P: Pipeline<D>>(
    options: &StudyOptions,
    full: &P,
    entrants: &Entrants<P>,
    evaluated: &[Evaluation],
    converged: Option<(String, Array4<f32>)>,
    extras: &Extras,
) -> Result<Study> {
    let reference = evaluated.first().context("the full run is always drawn")?;
    let scorer =
        Scorer { full: &reference.images, converged: converged.as_ref().map(|(_, images)| images), extras };
    let mut left = evaluated.iter().skip(1);
    let mut line = |method: &Method| -> Result<(Line, Vec<Array4<f32>>)> {
        let (mut points, mut images) = (Vec::new(), Vec::new());
        for value in &method.values {
            let evaluated = left.next().context("one result a setting")?;
            points.push(scorer.point(method.setting(*value), evaluated)?);
            images.push(evaluated.images.clone());
        }
        Ok((Line { name: method.name(), description: method.family.description(), points }, images))
    };
    let mut drawn: Vec<(Line, Vec<Array4<f32>>)> = Vec::new();
    for method in entrants.methods() {
        drawn.push(line(method)?);
    }
    let strips = strips(full, reference, converged.as_ref(), &drawn, &extras.names)?;
    let mut facts =
        facts(options, full, reference, &scorer, converged.as_ref().map(|(name, _)| name.as_str()))?;
    facts.extend(entrants.facts.iter().cloned());
    facts.extend(knees(entrants, &drawn));
    let mut lines = drawn.into_iter().map(|(line, _)| line);
    let mut own = scorer.point(String::new(), reference)?;
    own.setting = format!("{} steps", full.sampler().steps());
    let whole = Line {
        name: format!("{} (the full run)", full.sampler().name()),
        description: "everything computed".into(),
        points: vec![own],
    };
    let baselines: Vec<Line> =
        std::iter::once(whole).chain(lines.by_ref().take(entrants.baselines.len())).collect();
    let panels: Vec<Panel> = entrants
        .groups
        .iter()
        .map(|group| Panel {
            title: group.title.into(),
            note: group.note.into(),
            lines: lines.by_ref().take(group.methods.len()).collect(),
        })
        .collect();
    Ok(Study {
        verdict: verdict(&baselines, &panels),
        title: format!("Methods on {}", full.name()),
        subtitle: format!(
            "{} steps of {} as the full run, {}, {} held-out images",
            full.sampler().steps(),
            full.sampler().name(),
            full.guidance_scale().map_or("no guidance".into(), |scale| format!("guidance {scale}")),
            options.images
        ),
        facts,
        notes: notes(extras),
        baselines,
        panels,
        strips,
        provenance: json!({ "execution": full.execution(), "methods": names(entrants) }),
    })
}

/// Compute that a study's first sentence is about, relative to the full run: from a third to the published fast setting's.
const ABOUT: std::ops::RangeInclusive<f64> = 0.3..=0.42;

/// What is nearest to either reference at about 40 % of the compute, and what plain sampling reaches there.
fn verdict(baselines: &[Line], panels: &[Panel]) -> String {
    let own = || panels.iter().flat_map(|panel| &panel.lines);
    let nearest = |lines: &mut dyn Iterator<Item = &Line>, psnr: fn(&Point) -> Option<f64>| {
        let points = lines.flat_map(|line| line.points.iter().map(move |point| (line, point)));
        let within = points.filter(|(_, point)| ABOUT.contains(&point.compute_fraction));
        let known = within
            .filter_map(|(line, point)| Some((line.name.clone(), point.compute_fraction, psnr(point)?)));
        known.max_by(|(_, _, one), (_, _, other)| one.total_cmp(other))
    };
    let sentence = |reference: &str, psnr: fn(&Point) -> Option<f64>| {
        let (name, compute, best) = nearest(&mut own(), psnr)?;
        let plain = nearest(&mut baselines.iter(), psnr);
        let plain = plain
            .map_or_else(String::new, |(name, _, psnr)| format!("; without caching, {name}: {psnr:.1} dB"));
        Some(format!(
            "Nearest to {reference} at {:.0} % of the compute is {name}: {best:.1} dB in the mean{plain}.",
            compute * 100.0
        ))
    };
    let full = sentence("the full run", |point| Some(point.full.quality.psnr_mean));
    let converged =
        sentence("the converged images", |point| point.converged.map(|scores| scores.quality.psnr_mean));
    [full, converged].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Compares images with both references.
struct Scorer<'a> {
    full: &'a Array4<f32>,
    converged: Option<&'a Array4<f32>>,
    extras: &'a Extras,
}

impl Scorer<'_> {
    fn point(&self, setting: String, evaluated: &Evaluation) -> Result<Point> {
        let converged = match (evaluated.converged, self.converged) {
            (Some(quality), Some(images)) => Some(self.scores(quality, images, &evaluated.images)?),
            (Some(_) | None, _) => None,
        };
        let score = self.score(&evaluated.images)?;
        Ok(Point {
            setting,
            compute_fraction: evaluated.compute_fraction,
            measured_speedup: evaluated.speedup,
            cpu_speedup: evaluated.cpu_speedup,
            full: self.scores(evaluated.quality, self.full, &evaluated.images)?,
            converged,
            peak_cache_bytes: evaluated.peak_bytes_per_image as u64,
            frechet: score.map(|score| score.frechet),
            accuracy: score.and_then(|score| score.accuracy),
        })
    }

    /// The class share of images, and their Fréchet distance if there are at least two.
    fn score(&self, images: &Array4<f32>) -> Result<Option<ClassifierScores>> {
        let Extras { scoring, classes, .. } = self.extras;
        let classifier = scoring.classifier.as_ref().filter(|_| classes.len() >= 2);
        classifier.map(|known| known.score(images, classes).in_setting("classifier")).transpose()
    }

    fn scores(&self, quality: Quality, reference: &Array4<f32>, images: &Array4<f32>) -> Result<Scores> {
        let Some(lpips) = &self.extras.scoring.lpips else { return Ok(Scores { quality, lpips: None }) };
        let clamped = |x: &Array4<f32>| x.mapv(|value| value.clamp(-1.0, 1.0));
        let distances =
            lpips.distances(clamped(reference).view(), clamped(images).view()).in_setting("lpips")?;
        let mean = distances.iter().sum::<f64>() / distances.len() as f64;
        let worst = distances.into_iter().fold(0.0, f64::max);
        Ok(Scores { quality, lpips: Some([mean, worst]) })
    }
}

/// The same images from every method, at the setting whose compute is nearest to a share of the full run's.
fn strips<const D: usize, P: Pipeline<D>>(
    full: &P,
    reference: &Evaluation,
    converged: Option<&(String, Array4<f32>)>,
    drawn: &[(Line, Vec<Array4<f32>>)],
    names: &[String],
) -> Result<Vec<ImageGrid>> {
    /// The largest difference from that share that still counts as equal compute.
    const NEAR: f64 = 0.08;
    if !full.shows_images() {
        return Ok(Vec::new());
    }
    let shown = names.len().min(COLUMNS);
    let first = |images: &Array4<f32>| images.slice_axis(Axis(0), Slice::from(..shown)).to_owned();
    let mut strips = Vec::new();
    for share in STRIPS {
        let title = format!("About {:.0} % of the full run's compute", share * 100.0);
        let mut grid =
            ImageGrid::new(title, names[..shown].to_vec()).row("full", first(&reference.images).view())?;
        if let Some((_, images)) = converged {
            grid = grid.row("converged", first(images).view())?;
        }
        let rows = grid.rows.len();
        for (line, images) in drawn {
            let near = line.points.iter().zip(images).map(|(point, images)| {
                let off = (point.compute_fraction - share).abs();
                (off, point, images)
            });
            let nearest = near.min_by(|a, b| a.0.total_cmp(&b.0)).filter(|(off, ..)| *off <= NEAR);
            if let Some((_, point, images)) = nearest {
                let label = format!("{} {:.0} %", line.name, point.compute_fraction * 100.0);
                grid = grid.row(label, first(images).view())?;
            }
        }
        if grid.rows.len() > rows {
            strips.push(grid);
        }
    }
    Ok(strips)
}

fn facts<const D: usize, P: Pipeline<D>>(
    options: &StudyOptions,
    full: &P,
    reference: &Evaluation,
    scorer: &Scorer<'_>,
    converged: Option<&str>,
) -> Result<Vec<(String, String)>> {
    let images = options.seed.wrapping_add(HELD_OUT);
    let mut facts = circumstances(full.device());
    facts.extend([
        ("model".into(), full.name().to_owned()),
        ("weights SHA-256".into(), full.weights_sha256().to_owned()),
        (
            "seeds".into(),
            format!("calibration from {} ({} runs), images from {images}", options.seed, options.runs(full)),
        ),
        ("full run of one image".into(), format!("{:.3} s (median)", reference.timings.median())),
        ("converged trajectory".into(), converged.unwrap_or("not drawn").to_owned()),
    ]);
    if let Some(classifier) = &scorer.extras.scoring.classifier {
        facts.extend(seen(classifier, scorer)?);
    }
    if let Some(bytes) = peak_rss() {
        facts.push(("peak resident memory".into(), format!("{} MiB", bytes >> 20)));
    }
    Ok(facts)
}

/// The knee of every sweep of the step threshold.
fn knees<P>(entrants: &Entrants<P>, drawn: &[(Line, Vec<Array4<f32>>)]) -> Vec<(String, String)> {
    /// The fewest settings that count as a sweep.
    const SWEEP: usize = 5;
    let mut knees: Vec<(String, String)> = Vec::new();
    for (method, (line, _)) in entrants.methods().zip(drawn) {
        let place = |point: &Point| (point.compute_fraction, point.full.quality.psnr_mean);
        let places: Vec<(f64, f64)> = line.points.iter().map(place).collect();
        let swept = method.family.knob() == "step quantile" && places.len() >= SWEEP;
        let Some(found) = knee(&places).filter(|_| swept).map(|found| &line.points[found]) else { continue };
        let (compute, psnr) = place(found);
        let knee = (
            format!("knee of {}", line.name),
            format!("{}: {:.1} % of the compute, {psnr:.2} dB", found.setting, compute * 100.0),
        );
        if !knees.contains(&knee) {
            knees.push(knee);
        }
    }
    knees
}

/// Describes the classifier, with its results on images that are in no row.
fn seen(classifier: &ReferenceClassifier, scorer: &Scorer<'_>) -> Result<Vec<(String, String)>> {
    let known = &classifier.facts;
    let share = known.accuracy * 100.0;
    let mut facts = vec![(
        "classifier".into(),
        format!("of {}, right on {share:.2} % of {} test images", known.data, known.test_images),
    )];
    if let Some(real) = classifier.real(scorer.extras.classes.len()) {
        let name = format!("Fréchet distance of {} real images", real.images);
        facts.push((name, format!("{:.2}", real.frechet)));
    }
    if let Some(score) = scorer.converged.map(|images| scorer.score(images)).transpose()?.flatten() {
        let accuracy =
            score.accuracy.map_or_else(String::new, |share| format!(", {:.1} % of the class", share * 100.0));
        facts.push(("converged images".into(), format!("Fréchet distance {:.2}{accuracy}", score.frechet)));
    }
    Ok(facts)
}

fn notes(extras: &Extras) -> Vec<String> {
    let mut notes = vec![
        "Every image is drawn alone, so that policies that decide while they run decide for each image. All rows share \
         noise and conditions, on seeds that no calibration saw."
            .into(),
        "Two references, because skipping can move an image towards the exact one: the full run is the result without caching, the converged trajectory is what its solver approximates."
            .into(),
        "The FLOPs of policies that decide while sampling are those of the sites that they computed; the trunk's own FLOPs outside of its modules count in full at every step."
            .into(),
    ];
    if extras.scoring.classifier.is_some() {
        notes.push(format!(
            "Class and Fréchet distance are a small classifier's, over {} images. The distance is far too large with few images, \
             the more so below some hundreds: compare it with that of as many real images, under Settings, and with other rows \
             of this page, and with nothing else. One image is {:.1} % of the class.",
            extras.classes.len(),
            100.0 / extras.classes.len() as f64
        ));
    }
    notes
}

fn names<P>(entrants: &Entrants<P>) -> Vec<String> {
    entrants
        .methods()
        .map(|method| {
            let values: Vec<String> = method.values.iter().map(ToString::to_string).collect();
            format!("{}={}", method.name(), values.join(","))
        })
        .collect()
}
