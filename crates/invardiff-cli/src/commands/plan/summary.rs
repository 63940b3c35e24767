//! The numbers of a plan.

use std::collections::BTreeMap;

use anyhow::Result;
use invardiff_plan::core::{FitRecord, Threshold, WeightRow};
use invardiff_plan::formats::PlanFile;
use invardiff_plan::{CachePlan, Cost, GateSite, Kind, OutputForm, ReuseRule, RunSpec, Topology};
use serde::Serialize;

use super::model::{Model, Resolved};
use super::{PlanSource, two_decimals};

/// What `plan show --json` prints. Numbers that need the model's shapes are null where no model is known.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    /// The file's path as given.
    pub(super) file: String,
    /// Its format in words.
    pub(super) format: String,
    /// SHA-256 of the plan in the compact format, provenance included.
    pub(super) fingerprint: String,
    /// The model whose shapes the numbers below are computed from.
    pub(super) model: Option<String>,
    /// Whether that model was guessed.
    pub(super) model_assumed: bool,
    pub(super) steps: usize,
    /// Number of steps of the run that the plan replaces.
    pub(super) full_steps: usize,
    pub(super) skipped_steps: usize,
    /// Lengths of consecutive skipped steps.
    pub(super) skip_runs: Vec<usize>,
    /// `true` = skipped.
    pub(super) gate: Vec<bool>,
    /// Where the gate acts: `trunk`, or `output` with the cached form.
    pub(super) gate_site: &'static str,
    /// How the value of a skipped step is computed: `hold` or `extrapolate-N`.
    pub(super) gate_rule: String,
    /// Predicted speed-up of the gate alone, two decimals.
    pub(super) gate_speedup: Option<f64>,
    /// Predicted speed-up in all, two decimals.
    pub(super) speedup: Option<f64>,
    /// FLOPs of the plan over those of computing everything.
    pub(super) compute_fraction: Option<f64>,
    /// Modules reused in steps that are not skipped.
    pub(super) reused_modules: usize,
    pub(super) kinds: BTreeMap<String, KindSummary>,
    pub(super) thresholds: Vec<Threshold>,
    /// Quantiles in the file's name, by stream.
    pub(super) named_quantiles: BTreeMap<String, f64>,
    pub(super) warm_up: Option<usize>,
    /// Peak bytes of the cache for one image.
    pub(super) peak_cache_bytes: Option<usize>,
    /// Bytes per element assumed in `peak_cache_bytes`.
    pub(super) element_bytes: usize,
    /// Whether `peak_cache_bytes` counts two rows per image (batched guidance).
    pub(super) guided: bool,
    /// FLUX only: the same plan with projected features cached in single-stream blocks.
    pub(super) split_projection: Option<Predicted>,
    pub(super) method: String,
    pub(super) tool: String,
    /// Times of the plan's own, weights of its steps, and how they were found.
    pub(super) fitted: Option<Fitted>,
    /// The run that the plan was made for.
    pub(super) execution: Option<RunSpec>,
    pub(super) notes: Vec<String>,
}

/// One kind of module.
#[derive(Clone, Debug, Serialize)]
pub(super) struct KindSummary {
    pub(super) layers: usize,
    /// Steps times layers.
    pub(super) entries: usize,
    /// Reused entries, including those of skipped steps.
    pub(super) marked: usize,
    /// Reused entries of steps that are not skipped.
    pub(super) reused: usize,
    pub(super) rule: String,
}

/// The part of a fitted plan besides its gate.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fitted {
    /// The times that are passed to the model, if they are not the sampler's.
    pub(super) times: Vec<f32>,
    /// Weights at the gate, one row per step: of the fresh value, of the cached ones (newest first), and of the sample.
    pub(super) weights: Vec<WeightRow>,
    /// How they were found.
    pub(super) fit: Option<FitRecord>,
}

impl Fitted {
    fn of(plan: &CachePlan) -> Option<Self> {
        let times = plan.grid().map(|grid| grid.points.iter().map(|point| point.time).collect());
        let weights = plan.weights().get(&plan.gate_site().site()).cloned();
        if times.is_none() && weights.is_none() && plan.fit().is_none() {
            return None;
        }
        let (times, weights) = (times.unwrap_or_default(), weights.unwrap_or_default());
        Some(Self { times, weights, fit: plan.fit().cloned() })
    }
}

/// The results of the cost model.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Predicted {
    pub(super) gate_speedup: f64,
    pub(super) speedup: f64,
    pub(super) compute_fraction: f64,
    pub(super) peak_cache_bytes: usize,
}

impl Predicted {
    fn of(plan: &CachePlan, topology: &Topology, element_bytes: usize) -> Result<Self> {
        let cost = Cost::of(plan, topology)?;
        Ok(Self {
            gate_speedup: two_decimals(cost.gate_speedup()),
            speedup: two_decimals(cost.speedup()),
            compute_fraction: (cost.compute_fraction() * 1e4).round() / 1e4,
            peak_cache_bytes: plan.schedule(topology)?.peak_bytes(1, element_bytes),
        })
    }
}

impl Summary {
    /// # Errors
    /// When the plan does not fit the model, or reuses what was never computed.
    pub(super) fn new(source: &PlanSource, resolved: &Resolved) -> Result<Self> {
        let plan = &resolved.plan;
        let model = resolved.model.as_ref().ok();
        let element_bytes = element_bytes(source, plan);
        let predicted = model.map(|model| Predicted::of(plan, &model.topology, element_bytes)).transpose()?;
        let provenance = plan.provenance.clone();
        Ok(Self {
            file: source.path().display().to_string(),
            format: source.format(),
            fingerprint: plan.fingerprint()?,
            model: model.map(|model| model.name.clone()),
            model_assumed: model.is_some_and(|model| model.assumed.is_some()),
            steps: plan.steps(),
            full_steps: plan.full_steps(),
            skipped_steps: plan.skipped_steps(),
            skip_runs: runs(plan.gate()),
            gate: plan.gate().to_vec(),
            gate_site: gate_site(plan.gate_site()),
            gate_rule: rule(plan.gate_rule()),
            gate_speedup: predicted.map(|predicted| predicted.gate_speedup),
            speedup: predicted.map(|predicted| predicted.speedup),
            compute_fraction: predicted.map(|predicted| predicted.compute_fraction),
            reused_modules: plan.reused_modules(),
            kinds: super::draw::kinds(plan)
                .into_iter()
                .map(|kind| (kind.to_string(), KindSummary::of(plan, kind)))
                .collect(),
            thresholds: provenance.thresholds,
            named_quantiles: named_quantiles(source),
            warm_up: provenance.warm_up,
            peak_cache_bytes: predicted.map(|predicted| predicted.peak_cache_bytes),
            element_bytes,
            guided: model.is_some_and(|model| model.guided),
            split_projection: model
                .map(|model| split_projection(plan, model, element_bytes))
                .transpose()?
                .flatten(),
            method: provenance.method,
            tool: provenance.tool,
            fitted: Fitted::of(plan),
            execution: provenance.execution,
            notes: provenance.notes,
        })
    }
}

impl Summary {
    /// The quantile of a stream, from the plan or from the file's name.
    pub(super) fn quantile(&self, stream: &str) -> Option<f64> {
        let said = self.thresholds.iter().find(|threshold| threshold.kind.as_str() == stream);
        said.map(|threshold| threshold.quantile).or_else(|| self.named_quantiles.get(stream).copied())
    }
}

impl KindSummary {
    fn of(plan: &CachePlan, kind: Kind) -> Self {
        let matrix = plan.of_kind(kind);
        let count = |computed_only: bool| {
            let rows = matrix.outer_iter().zip(plan.gate()).filter(|(_, skip)| !(computed_only && **skip));
            rows.map(|(row, _)| row.iter().filter(|reused| **reused).count()).sum()
        };
        Self {
            layers: matrix.ncols(),
            entries: matrix.len(),
            marked: count(false),
            reused: count(true),
            rule: rule(plan.module_rule(kind)),
        }
    }
}

/// The model with projected single-stream features, where the plan's model is a FLUX that has them before the projection.
fn split_projection(plan: &CachePlan, model: &Model, element_bytes: usize) -> Result<Option<Predicted>> {
    match Topology::named(&format!("{}-projected", model.name)) {
        Ok(projected) => Predicted::of(plan, &projected, element_bytes).map(Some),
        Err(_) => Ok(None),
    }
}

/// Bytes per element in the plan's run; for a plan without a run, those of its authors: FLUX in bfloat16, DiT in f32.
fn element_bytes(source: &PlanSource, plan: &CachePlan) -> usize {
    let dtype = source.execution().map(|run| run.dtype.as_str());
    let flux = plan.sites().iter().any(|site| site.kind == Kind::SINGLE_ATTN);
    match dtype {
        Some("f64") => 8,
        Some("f16" | "bf16") => 2,
        None if flux => 2,
        Some(_) | None => 4,
    }
}

fn named_quantiles(source: &PlanSource) -> BTreeMap<String, f64> {
    match source.file() {
        PlanFile::Book(_, Some(name)) => {
            name.quantiles().into_iter().map(|(kind, quantile)| (kind.to_string(), quantile)).collect()
        }
        PlanFile::Book(_, None)
        | PlanFile::Json(_)
        | PlanFile::Binary(_)
        | PlanFile::SmoothCache(_)
        | PlanFile::StepMask(_) => BTreeMap::new(),
    }
}

const fn gate_site(site: GateSite) -> &'static str {
    match site {
        GateSite::Trunk => "trunk",
        GateSite::Output(OutputForm::X0) => "output x0",
        GateSite::Output(OutputForm::Epsilon) => "output epsilon",
        GateSite::Output(OutputForm::Velocity) => "output velocity",
    }
}

fn rule(rule: ReuseRule) -> String {
    match rule {
        ReuseRule::Hold => "hold".into(),
        ReuseRule::Extrapolate(order) => format!("extrapolate-{order}"),
        ReuseRule::Taylor(order) => format!("taylor-{order}"),
        ReuseRule::Weights => "weights".into(),
    }
}

/// Lengths of consecutive `true` values.
fn runs(gate: &[bool]) -> Vec<usize> {
    gate.split(|skip| !skip).map(<[bool]>::len).filter(|length| *length > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_lengths_of_skips() {
        assert_eq!(runs(&[false, true, true, false, false, true]), [2, 1]);
        assert_eq!(runs(&[false]), [0usize; 0]);
    }
}
