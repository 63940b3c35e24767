//! The report of a training of routers.

use invardiff::Pipeline;
use invardiff_calib::RouterState;
use invardiff_plan::{CachePlan, Cost};
use invardiff_report::{Highlight, PlanMap, Report, Scale, Table, TrainingChart, TrainingLine};
use invardiff_runtime::{Denoiser, Sampler};

use super::options::RouterOptions;
use crate::circumstances::circumstances;
use crate::error::Result;
use crate::resumed::between;

/// What was trained.
pub(super) struct Trained<'a> {
    /// Routers and losses.
    pub(super) state: &'a RouterState,
    /// Where the examples come from.
    pub(super) origin: &'a str,
    /// The plan of the routers.
    pub(super) plan: &'a CachePlan,
    /// How long this run trained.
    pub(super) seconds: f64,
}

/// Assembles the report.
///
/// # Errors
/// When the table lacks the rows of plan and blend.
pub(super) fn report<const D: usize, P: Pipeline<D>>(
    options: &RouterOptions,
    full: &P,
    trained: &Trained<'_>,
    table: Table,
) -> Result<Report> {
    let (state, plan) = (trained.state, trained.plan);
    let topology = full.denoiser().topology();
    let [_, own, blend, ..] = table.rows.as_slice() else { crate::error::bail!("the table lacks its rows") };
    let (own, blend) = (own.quality, blend.quality);
    let highlight =
        |label: &str, value: String, detail: String| Highlight { label: label.into(), value, detail };
    let (computed, routed) = (state.routers.computed(options.threshold), state.routers.logits().len());
    Ok(Report {
        title: format!("Learning-to-Cache on {}", full.name()),
        subtitle: format!(
            "{} steps of {}, {} iterations of {} examples, lambda {}",
            full.sampler().steps(),
            full.sampler().name(),
            state.history.len(),
            options.batch_size,
            options.lambda
        ),
        highlights: vec![
            highlight(
                "predicted speed-up",
                format!("{:.2}x", Cost::of(plan, &topology)?.speedup()),
                format!("{computed} of {routed} routed modules computed"),
            ),
            highlight(
                "PSNR to the full run",
                format!("{:.1} dB", own.psnr_mean),
                format!("worst image {:.1} dB", own.psnr_worst),
            ),
            highlight(
                "blended, not cut",
                format!("{:.1} dB", blend.psnr_mean),
                format!("worst image {:.1} dB", blend.psnr_worst),
            ),
        ],
        facts: circumstances(full.device())
            .into_iter()
            .chain([
                ("examples".into(), trained.origin.to_owned()),
                (
                    "training".into(),
                    format!(
                        "{:.1} s for what was left of {} iterations",
                        trained.seconds,
                        state.history.len()
                    ),
                ),
                ("learning rate".into(), options.learning_rate.to_string()),
                ("label dropout".into(), options.label_dropout.to_string()),
                ("threshold".into(), options.threshold.to_string()),
                ("held-out images".into(), options.images.to_string()),
            ])
            .collect(),
        notes: vec![
            "Random and uniform pairs have exactly as many reuses of each kind of module, in the same steps."
                .into(),
        ],
        training: charts(state),
        plan: Some(PlanMap {
            gate: plan.gate().to_vec(),
            kinds: topology.kinds().into_iter().map(|kind| (kind, plan.of_kind(kind))).collect(),
        }),
        provenance: serde_json::to_value(&plan.provenance)?,
        table,
        ..Report::default()
    })
}

fn charts(state: &RouterState) -> Vec<TrainingChart> {
    let width = between(state.history.len());
    let chart = |title: &str, value: &str, scale, name: &str, values: Vec<f64>| TrainingChart {
        title: title.into(),
        value: value.into(),
        scale,
        lines: vec![TrainingLine::smoothed(name, values, width)],
    };
    let of = |part: fn(&invardiff_calib::RouterLoss) -> f32| {
        state.history.iter().map(|loss| f64::from(part(loss))).collect()
    };
    let window = format!("mean of {width} iterations");
    vec![
        chart(
            "Distance to the full prediction",
            "mean square",
            Scale::Log,
            &window,
            of(|loss| loss.distance),
        ),
        chart("Weight of a router", "modules", Scale::Linear, &window, of(|loss| loss.weight)),
    ]
}
