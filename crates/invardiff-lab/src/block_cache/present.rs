//! The report of a training of scale-shift vectors.

use std::path::Path;

use invardiff::Pipeline;
use invardiff_calib::ScaleShiftState;
use invardiff_plan::CachePlan;
use invardiff_report::{Highlight, PlanMap, Report, Scale, Table, TrainingChart, TrainingLine};
use invardiff_runtime::Denoiser;

use super::options::ScaleShiftOptions;
use crate::circumstances::circumstances;
use crate::error::{Result, bail};
use crate::resumed::between;

/// What was trained.
pub(super) struct Trained<'a> {
    /// The plan whose reuses are adjusted.
    pub(super) plan: &'a CachePlan,
    /// Its file.
    pub(super) path: &'a Path,
    /// Vectors and losses.
    pub(super) state: &'a ScaleShiftState,
    /// How long this run trained.
    pub(super) seconds: f64,
}

/// Assembles the report.
///
/// # Errors
/// When the table lacks the rows of the plan with and without its vectors.
pub(super) fn report<const D: usize, P: Pipeline<D>>(
    options: &ScaleShiftOptions,
    full: &P,
    trained: &Trained<'_>,
    table: Table,
) -> Result<Report> {
    let Trained { plan, path, state, seconds } = trained;
    let topology = full.denoiser().topology();
    let [_, adjusted, plain, ..] = table.rows.as_slice() else { bail!("the table lacks its rows") };
    let gain = adjusted.quality.psnr_mean - plain.quality.psnr_mean;
    let worst = adjusted.quality.psnr_worst - plain.quality.psnr_worst;
    let (iterations, width) = (state.history.len(), between(state.history.len()));
    let losses = state.history.iter().map(|loss| f64::from(loss.distance));
    Ok(Report {
        title: format!("Block Caching on {}", full.name()),
        subtitle: format!(
            "scales and shifts of {}, {iterations} iterations of {} trajectories",
            path.display(),
            options.batch_size
        ),
        highlights: vec![Highlight {
            label: "gain over the plan alone".into(),
            value: format!("{gain:+.2} dB"),
            detail: format!("worst image {worst:+.2} dB"),
        }],
        facts: circumstances(full.device())
            .into_iter()
            .chain([
                ("plan".into(), plan.fingerprint()?),
                ("training".into(), format!("{seconds:.1} s for what was left of {iterations} iterations")),
                ("learning rate".into(), options.learning_rate.to_string()),
            ])
            .collect(),
        training: vec![TrainingChart {
            title: "Distance to the uncached prediction".into(),
            value: "mean square".into(),
            scale: Scale::Log,
            lines: vec![TrainingLine::smoothed(&format!("mean of {width} iterations"), losses, width)],
        }],
        plan: Some(PlanMap {
            gate: plan.gate().to_vec(),
            kinds: topology.kinds().into_iter().map(|kind| (kind, plan.of_kind(kind))).collect(),
        }),
        provenance: serde_json::to_value(&plan.provenance)?,
        table,
        ..Report::default()
    })
}
