//! Schedule files of SmoothCache (Roblox, arXiv 2411.10510): `{"attn": [1, 0, 0], "mlp": [1, 1, 0]}`, 1 = compute.

use ndarray::Array2;
use serde_json::{Map, Value};

use crate::core::{CachePlan, Kind, PlanError, Provenance, Site, Topology};
use crate::formats::limits;

/// A SmoothCache schedule: per component one row `[steps]` that holds for all layers, or one for each layer, `true` = reuse. (Files
/// have 1 for compute.)
///
/// Schedules of FORA and Learning-to-Cache are published in this format too, the latter with a row for each layer (`attn-0`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmoothCache {
    components: Vec<(Kind, Vec<bool>)>,
    layers: Vec<(Site, Vec<bool>)>,
}

/// What may stand between a component and the number of a layer.
const BEFORE_LAYER: [char; 3] = ['-', '.', '_'];

impl SmoothCache {
    /// Reads a schedule file; `what` names the file in errors.
    ///
    /// # Errors
    /// [`PlanError::Format`] for text that is not such an object, for an entry that is not 0 or 1, and for a component with a row
    /// for all layers and others for single ones; [`PlanError::Shape`] for rows of unequal length. All name file and key.
    pub fn from_json(text: &str, what: &str) -> Result<Self, PlanError> {
        Self::from_object(&limits::foreign(text, what)?, what)
    }

    pub(crate) fn from_object(object: &Map<String, Value>, what: &str) -> Result<Self, PlanError> {
        let (mut components, mut layers) = (Vec::new(), Vec::new());
        let mut first: Option<usize> = None;
        for (key, value) in object {
            let row = row(what, key, value)?;
            let expected = *first.get_or_insert(row.len());
            if row.len() != expected {
                let (what, found) = (format!("{what}: {key} [steps]"), vec![row.len()]);
                return Err(PlanError::Shape { what, expected: vec![expected], found });
            }
            let kind = |name: &str| Kind::parse(name).map_err(|error| wrong(what, error.to_string()));
            match layer(key) {
                Some((name, layer)) => layers.push((Site::new(kind(name)?, layer), row)),
                None => components.push((kind(key)?, row)),
            }
        }
        match first {
            None => {
                return Err(wrong(what, "no key: neither a plan, a book nor a SmoothCache schedule".into()));
            }
            Some(0) => return Err(PlanError::TooFewSteps { steps: 0, needed: 1 }),
            Some(steps) => limits::steps(steps).map_err(|error| error.in_file(what))?,
        }
        limits::kinds(
            components.iter().map(|(kind, _)| *kind).chain(layers.iter().map(|(site, _)| site.kind)),
        )
        .map_err(|error| error.in_file(what))?;
        let both = layers.iter().find(|(site, _)| components.iter().any(|(kind, _)| *kind == site.kind));
        if let Some((site, _)) = both {
            let detail = format!("'{}' has a row for all layers and one for layer {}", site.kind, site.layer);
            return Err(wrong(what, detail));
        }
        Ok(Self { components, layers })
    }

    /// A schedule from its rows, `true` = reuse, all of one length.
    pub(crate) const fn from_rows(components: Vec<(Kind, Vec<bool>)>) -> Self {
        Self { components, layers: Vec::new() }
    }

    /// The schedule of a plan that has no step gate and treats all layers of a kind alike.
    ///
    /// # Errors
    /// [`PlanError::Format`] for any other plan, naming the step that a schedule cannot express.
    pub fn from_plan(plan: &CachePlan) -> Result<Self, PlanError> {
        let what = "a SmoothCache schedule";
        if let Some(step) = plan.gate().iter().position(|skip| *skip) {
            let detail =
                format!("it has no step gate, and the plan skips step {step}; convert its modules alone");
            return Err(wrong(what, detail));
        }
        if plan.grid().is_some() || !plan.weights().is_empty() {
            let detail =
                "it knows neither weights nor times of a plan's own; write the plan as .json or .bin";
            return Err(wrong(what, detail.into()));
        }
        let mut components: Vec<(Kind, Vec<bool>)> = Vec::new();
        for kind in plan.sites().iter().map(|site| site.kind) {
            if components.iter().any(|(known, _)| *known == kind) {
                continue;
            }
            let mut row = Vec::with_capacity(plan.steps());
            for (step, layers) in plan.of_kind(kind).outer_iter().enumerate() {
                let reused = layers.iter().filter(|entry| **entry).count();
                if reused != 0 && reused != layers.len() {
                    let detail = format!(
                        "all layers of a kind are alike in it; step {step} reuses {reused} of {} of {kind}",
                        layers.len()
                    );
                    return Err(wrong(what, detail));
                }
                row.push(reused != 0);
            }
            components.push((kind, row));
        }
        Ok(Self::from_rows(components))
    }

    /// The schedule as JSON.
    pub fn to_json(&self) -> String {
        let row = |row: &[bool]| row.iter().map(|reuse| Value::from(u8::from(!reuse))).collect::<Value>();
        let components = self.components.iter().map(|(kind, entries)| (kind.to_string(), row(entries)));
        let layer =
            |(site, entries): &(Site, Vec<bool>)| (format!("{}-{}", site.kind, site.layer), row(entries));
        let object: Map<String, Value> = components.chain(self.layers.iter().map(layer)).collect();
        format!("{}\n", Value::Object(object))
    }

    /// The plan for a model: every layer of a kind follows its component's row, or its own; layers without one are computed. Names
    /// of SmoothCache and diffusers mean the model's kinds: `attn`, `attn1` and `self_attn` its self-attention, `ff` and `mlp` its
    /// feed-forward.
    ///
    /// # Errors
    /// [`PlanError::UnknownKind`] for a component that the model lacks, [`PlanError::Format`] for a layer that it lacks.
    pub fn plan(&self, topology: &Topology) -> Result<CachePlan, PlanError> {
        let kinds = topology.kinds();
        let target = |kind: Kind| topology.require(meant(kind, &kinds));
        let mut rows: Vec<(Kind, Option<u32>, &[bool])> = Vec::new();
        for (kind, row) in &self.components {
            rows.push((target(*kind)?, None, row));
        }
        for (site, row) in &self.layers {
            let kind = target(site.kind)?;
            if topology.index(Site::new(kind, site.layer)).is_none() {
                let detail = format!("it has a row for {site}, a layer that {} lacks", topology.model);
                return Err(wrong("a SmoothCache schedule", detail));
            }
            rows.push((kind, Some(site.layer), row));
        }
        let steps = self.steps();
        let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
        let row = |site: &Site| {
            let mine = |(kind, layer, _): &&(Kind, Option<u32>, &[bool])| {
                *kind == site.kind && layer.is_none_or(|layer| layer == site.layer)
            };
            rows.iter().find(mine).map(|(.., row)| *row)
        };
        let reuse = Array2::from_shape_fn((steps, sites.len()), |(step, column)| {
            row(&sites[column]).is_some_and(|row| row[step])
        });
        let provenance = Provenance { method: "smooth-cache".into(), ..Provenance::default() };
        Ok(CachePlan::new(sites, vec![false; steps], reuse)?.with_provenance(provenance))
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        let rows = self.components.iter().map(|(_, row)| row).chain(self.layers.iter().map(|(_, row)| row));
        rows.map(Vec::len).next().unwrap_or(0)
    }

    /// The rows `[steps]` by component, `true` = reuse.
    pub fn components(&self) -> &[(Kind, Vec<bool>)] {
        &self.components
    }

    /// The rows `[steps]` of single layers, `true` = reuse.
    pub fn layers(&self) -> &[(Site, Vec<bool>)] {
        &self.layers
    }
}

/// The name of a component and the number of a layer in a key such as `attn-0`.
fn layer(key: &str) -> Option<(&str, u32)> {
    let (name, number) = key.rsplit_once(BEFORE_LAYER)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    Some((name, number.parse().ok().filter(|_| digits && !name.is_empty())?))
}

/// The model's kind that a component's name means: its own, or the one that other programs call so.
fn meant(kind: Kind, kinds: &[Kind]) -> Kind {
    let candidates: &[Kind] = match kind.as_str() {
        "attn" | "attn1" | "self_attn" | "msa" => &[Kind::MSA, Kind::ATTN],
        "ff" | "mlp" | "ffn" => &[Kind::MLP, Kind::FF],
        "ff_context" => &[Kind::CONTEXT_FF],
        _ => &[],
    };
    if kinds.contains(&kind) {
        return kind;
    }
    candidates.iter().copied().find(|candidate| kinds.contains(candidate)).unwrap_or(kind)
}

fn row(what: &str, key: &str, value: &Value) -> Result<Vec<bool>, PlanError> {
    let entries = value.as_array().ok_or_else(|| wrong(what, format!("key '{key}' is not an array")))?;
    let computed = |entry: &Value| match entry {
        Value::Bool(computed) => Some(*computed),
        number if number.as_f64() == Some(0.0) => Some(false),
        number if number.as_f64() == Some(1.0) => Some(true),
        _ => None,
    };
    let read = |(step, entry): (usize, &Value)| match computed(entry) {
        Some(computed) => Ok(!computed),
        None => Err(wrong(what, format!("{key}[{step}] is not 0 (reuse) or 1 (compute)"))),
    };
    entries.iter().enumerate().map(read).collect()
}

fn wrong(what: &str, detail: String) -> PlanError {
    PlanError::Format { what: what.into(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        Topology::named("dit-s-2-256").unwrap()
    }

    #[test]
    fn one_means_compute_and_attn_is_msa_on_a_dit() {
        let schedule = SmoothCache::from_json(r#"{"attn":[1,0,0],"mlp":[1,1,0]}"#, "s.json").unwrap();
        let plan = schedule.plan(&topology()).unwrap();
        assert_eq!(plan.of_kind(Kind::MSA).column(11).to_vec(), [false, true, true]);
        assert_eq!(plan.of_kind(Kind::MLP).column(0).to_vec(), [false, false, true]);
        let back = SmoothCache::from_plan(&plan).unwrap();
        assert_eq!(back.to_json(), "{\"mlp\":[1,1,0],\"msa\":[1,0,0]}\n");
        assert_eq!(back.plan(&topology()).unwrap(), plan);
    }

    #[test]
    fn what_a_schedule_cannot_say_is_refused() {
        let plan = CachePlan::gate_only(&topology(), vec![false, true]);
        let message = SmoothCache::from_plan(&plan).unwrap_err().to_string();
        assert!(message.contains("skips step 1"), "{message}");
        let sites = vec![Site::msa(0), Site::msa(1)];
        let reuse = Array2::from_shape_vec((2, 2), vec![false, false, true, false]).unwrap();
        let plan = CachePlan::new(sites, vec![false; 2], reuse).unwrap();
        let message = SmoothCache::from_plan(&plan).unwrap_err().to_string();
        assert!(message.contains("step 1 reuses 1 of 2 of msa"), "{message}");
    }

    #[test]
    fn a_bad_schedule_is_named() {
        let message = |text: &str| SmoothCache::from_json(text, "s.json").unwrap_err().to_string();
        assert!(message(r#"{"attn":[1,2]}"#).contains("s.json: attn[1] is not 0"));
        assert!(message(r#"{"attn":[1,0],"mlp":[1]}"#).contains("mlp"));
        assert!(message("{}").contains("no key"));
        assert!(message("[1]").contains("not a JSON object"));
        assert!(
            message(r#"{"attn-0":[1,0],"attn":[1,0]}"#).contains("a row for all layers and one for layer 0")
        );
        let planned = |text: &str| {
            let schedule = SmoothCache::from_json(text, "s.json").unwrap();
            schedule.plan(&topology()).unwrap_err().to_string()
        };
        assert!(planned(r#"{"attn2":[1,0]}"#).contains("'attn2'"));
        assert!(planned(r#"{"attn-12":[1,0]}"#).contains("a row for attn[12], a layer that"));
    }

    /// The forms of the published files: a row for each layer, and diffusers' names.
    #[test]
    fn rows_of_layers_and_names_of_diffusers_are_read() {
        let plan = |text: &str| SmoothCache::from_json(text, "s.json").unwrap().plan(&topology()).unwrap();
        let plain = plan(r#"{"attn":[1,0,1,0],"mlp":[1,1,0,0]}"#);
        assert_eq!(plan(r#"{"attn1":[1,0,1,0],"ff":[1,1,0,0]}"#), plain);
        assert_eq!(plan(r#"{"attn":[true,false,true,false],"mlp":[1.0,1.0,0.0,0.0]}"#), plain);
        for separator in ['-', '.', '_'] {
            let rows = (0..12).map(|layer| {
                format!(r#""attn{separator}{layer}":[1,0,1,0],"mlp{separator}{layer}":[1,1,0,0]"#)
            });
            assert_eq!(plan(&format!("{{{}}}", rows.collect::<Vec<_>>().join(","))), plain);
        }
        let one = plan(r#"{"attn1-3":[1,0,1,0]}"#);
        assert_eq!(one.reused_modules(), 2);
        assert!(one.of_kind(Kind::MSA)[(1, 3)] && one.of_kind(Kind::MSA)[(3, 3)]);
    }

    #[test]
    fn rows_of_layers_are_written_again() {
        let text = "{\"attn-0\":[1,0],\"mlp\":[1,1]}\n";
        assert_eq!(SmoothCache::from_json(text, "s.json").unwrap().to_json(), text);
    }
}
