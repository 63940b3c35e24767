//! Converting between cache books and plans.

use ndarray::{Array2, Axis};
use serde_json::{Map, Value, json};

use crate::core::{CachePlan, Calibration, GateSite, Kind, PlanError, Provenance, ReuseRule, Site, Topology};
use crate::formats::books::book::{AuthorBook, BookLayout, BookVersion};
use crate::formats::books::name::nonskip_rate;
use crate::formats::books::order::IP_ATTN;

impl AuthorBook {
    /// The plan for a model. A site with several streams is reused only where all of them are; the array of `ip_attn` is not
    /// used.
    ///
    /// # Errors
    /// [`PlanError::MissingKind`] for a stream that the book lacks, [`PlanError::UnknownKind`] for one that the model
    /// lacks, [`PlanError::Shape`] for other numbers of layers.
    pub fn plan(&self, topology: &Topology) -> Result<CachePlan, PlanError> {
        self.check_streams(topology)?;
        let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
        let mut reuse = Array2::from_elem((self.steps(), sites.len()), true);
        for (mut column, spec) in reuse.axis_iter_mut(Axis(1)).zip(&topology.sites) {
            for stream in &spec.streams {
                let marks = self.column(stream.name, spec.site, topology)?;
                column.zip_mut_with(&marks, |entry, mark| *entry &= *mark);
            }
        }
        Ok(CachePlan::new(sites, self.gate.clone(), reuse)?.with_provenance(self.provenance()))
    }

    /// The book of a plan. A site's entries are written for each of its streams, and FLUX's `ip_attn` repeats `attn`, as in
    /// the authors' files. A book of version 2 has the plan's provenance in its metadata.
    ///
    /// # Errors
    /// [`PlanError::Format`] for a plan that extrapolates or reuses the network's output, [`PlanError::Sites`] for layers that
    /// are not numbered from 0; otherwise as [`AuthorBook::new`].
    pub fn from_plan(plan: &CachePlan, layout: BookLayout, version: BookVersion) -> Result<Self, PlanError> {
        refuse_rules(plan, layout)?;
        let mut streams = Vec::new();
        for kind in kinds(plan) {
            refuse_gaps(plan, kind)?;
            let array = plan.of_kind(kind);
            match layout {
                BookLayout::Flux | BookLayout::Hybrid if kind == Kind::ATTN => {
                    streams.push((Kind::CONTEXT_ATTN, array.clone()));
                    if layout == BookLayout::Flux {
                        streams.push((IP_ATTN, array.clone()));
                    }
                }
                BookLayout::Dit | BookLayout::Flux | BookLayout::Wan | BookLayout::Hybrid => {}
            }
            streams.push((kind, array));
        }
        let metadata = match version {
            BookVersion::V1 => Map::new(),
            BookVersion::V2 => metadata(plan),
        };
        Self::new(layout, version, plan.gate().to_vec(), streams, metadata)
    }

    fn check_streams(&self, topology: &Topology) -> Result<(), PlanError> {
        let known = topology.streams();
        let used = |kind: Kind, array: &Array2<bool>| {
            kind == IP_ATTN || array.ncols() == 0 || known.iter().any(|(stream, _)| *stream == kind)
        };
        match self.streams.iter().find(|(kind, array)| !used(*kind, array)) {
            None => Ok(()),
            Some((kind, _)) => {
                let known = known.iter().map(|(stream, _)| stream.as_str()).collect::<Vec<_>>().join(", ");
                Err(PlanError::UnknownKind { kind: *kind, model: topology.model.clone(), known })
            }
        }
    }

    /// The column of one layer of a stream, `[steps]`.
    fn column(
        &self,
        stream: Kind,
        site: Site,
        topology: &Topology,
    ) -> Result<ndarray::ArrayView1<'_, bool>, PlanError> {
        let what = format!("the {} book", self.layout.name());
        let array =
            self.stream(stream).ok_or_else(|| PlanError::MissingKind { kind: stream, what: what.clone() })?;
        let (layer, layers) = (site.layer as usize, topology.layers(site.kind));
        if array.ncols() != layers || layer >= layers {
            let what = format!("{what}: {stream} [steps, layers]");
            let expected = vec![self.steps(), layers.max(layer + 1)];
            return Err(PlanError::Shape { what, expected, found: array.shape().to_vec() });
        }
        Ok(array.column(layer))
    }

    fn provenance(&self) -> Provenance {
        let version = match self.version {
            BookVersion::V1 => 1,
            BookVersion::V2 => 2,
        };
        let mut notes: Vec<String> =
            self.metadata.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        if let (Some(ip), Some(attn)) = (self.stream(IP_ATTN), self.stream(Kind::ATTN))
            && ip != attn
        {
            notes.push("the book's ip_attn array differs from attn and is not used".into());
        }
        Provenance {
            method: "invardiff".into(),
            tool: format!("the InvarDiff authors ({} book, version {version})", self.layout.name()),
            calibration: self.calibration(),
            notes,
            ..Provenance::default()
        }
    }

    /// The conditions listed in the metadata of version 2.
    fn calibration(&self) -> Option<Calibration> {
        let list = |key: &str| self.metadata.get(key).and_then(Value::as_array);
        let conditions = list("calibration_classes").or_else(|| list("calibration_prompts"))?;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(Calibration { conditions: conditions.iter().map(text).collect(), ..Calibration::default() })
    }
}

/// Kinds of a plan in order of first appearance.
fn kinds(plan: &CachePlan) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for site in plan.sites() {
        if !kinds.contains(&site.kind) {
            kinds.push(site.kind);
        }
    }
    kinds
}

fn refuse_rules(plan: &CachePlan, layout: BookLayout) -> Result<(), PlanError> {
    let held = plan.gate_rule() == ReuseRule::Hold
        && plan.module_rules().values().all(|rule| *rule == ReuseRule::Hold)
        && plan.gate_site() == GateSite::Trunk
        && plan.grid().is_none();
    if held {
        return Ok(());
    }
    let what = format!("a {} book", layout.name());
    let detail = "it can only say that values are held after the last block and in modules; this plan sums \
        several values, reuses the network's output or has times of its own, so write it as .json or .bin";
    Err(PlanError::Format { what, detail: detail.into() })
}

fn refuse_gaps(plan: &CachePlan, kind: Kind) -> Result<(), PlanError> {
    let mut layers: Vec<u32> =
        plan.sites().iter().filter(|site| site.kind == kind).map(|site| site.layer).collect();
    layers.sort_unstable();
    match layers.iter().zip(0..).find(|(layer, index)| **layer != *index) {
        None => Ok(()),
        Some((_, index)) => {
            let detail = format!("a book numbers layers from 0, and {kind}[{index}] is missing");
            Err(PlanError::Sites { model: "a book".into(), detail })
        }
    }
}

/// The metadata of a book of version 2, with the keys of the authors' DiT books.
fn metadata(plan: &CachePlan) -> Map<String, Value> {
    let Provenance { method, warm_up, thresholds, calibration, .. } = &plan.provenance;
    let gated = plan.skipped_steps() > 0;
    let (scope, policy) = if gated { ("step_layer", "stplayer") } else { ("layer_only", "layer") };
    let mut config = Map::new();
    config.insert("policy".into(), policy.into());
    config.insert("steps".into(), plan.steps().into());
    if let Some(warm_up) = warm_up {
        config.insert("nonskip".into(), nonskip_rate(*warm_up, plan.steps()).into());
    }
    let mut resolved = Map::new();
    for threshold in thresholds {
        let name = if threshold.kind == Kind::TRUNK { "step".to_owned() } else { threshold.kind.to_string() };
        resolved.insert(format!("{name}_thres"), threshold.quantile.into());
        config.insert(name, threshold.quantile.into());
    }
    let mut metadata = Map::new();
    metadata.insert("cache_scope".into(), scope.into());
    metadata.insert("config".into(), Value::Object(config));
    metadata.insert("resolved_thresholds".into(), Value::Object(resolved));
    if method.starts_with("invardiff") {
        metadata.insert("rate_method".into(), "relative_l1".into());
    }
    if let Some(Calibration { conditions, .. }) = calibration {
        let classes: Option<Vec<u64>> = conditions.iter().map(|condition| condition.parse().ok()).collect();
        metadata.insert("calibration_count".into(), conditions.len().into());
        match classes {
            Some(classes) => metadata.insert("calibration_classes".into(), json!(classes)),
            None => metadata.insert("calibration_prompts".into(), json!(conditions)),
        };
    }
    metadata
}
