//! Schedule files of SmoothCache (Roblox, arXiv 2411.10510): `{"attn": [1, 0, 0], "mlp": [1, 1, 0]}`, 1 = compute.

use ndarray::Array2;
use serde_json::{Map, Value};

use crate::core::{CachePlan, Kind, PlanError, Provenance, Site, Topology};
use crate::formats::limits;

/// A SmoothCache schedule: per component one row `[steps]` that holds for all layers, `true` = reuse. (Files have 1 for
/// compute.)
///
/// Schedules of FORA and Learning-to-Cache are published in this format too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmoothCache {
    components: Vec<(Kind, Vec<bool>)>,
}

impl SmoothCache {
    /// Reads a schedule file; `what` names the file in errors.
    ///
    /// # Errors
    /// [`PlanError::Format`] for text that is not such an object and for an entry that is not 0 or 1, [`PlanError::Shape`] for
    /// components of unequal length. All name file and key.
    pub fn from_json(text: &str, what: &str) -> Result<Self, PlanError> {
        Self::from_object(&limits::foreign(text, what)?, what)
    }

    pub(crate) fn from_object(object: &Map<String, Value>, what: &str) -> Result<Self, PlanError> {
        let components: Vec<(Kind, Vec<bool>)> = object
            .iter()
            .map(|(key, value)| {
                let kind = Kind::parse(key).map_err(|error| wrong(what, error.to_string()))?;
                Ok((kind, row(what, key, value)?))
            })
            .collect::<Result<_, PlanError>>()?;
        let Some((_, first)) = components.first() else {
            return Err(wrong(what, "no key: neither a plan, a book nor a SmoothCache schedule".into()));
        };
        if first.is_empty() {
            return Err(PlanError::TooFewSteps { steps: 0, needed: 1 });
        }
        limits::steps(first.len()).map_err(|error| error.in_file(what))?;
        limits::kinds(components.iter().map(|(kind, _)| *kind)).map_err(|error| error.in_file(what))?;
        match components.iter().find(|(_, row)| row.len() != first.len()) {
            None => Ok(Self { components }),
            Some((kind, row)) => Err(PlanError::Shape {
                what: format!("{what}: {kind} [steps]"),
                expected: vec![first.len()],
                found: vec![row.len()],
            }),
        }
    }

    /// A schedule from its rows, `true` = reuse, all of one length.
    pub(crate) const fn from_rows(components: Vec<(Kind, Vec<bool>)>) -> Self {
        Self { components }
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
        Ok(Self { components })
    }

    /// The schedule as JSON.
    pub fn to_json(&self) -> String {
        let row = |row: &[bool]| row.iter().map(|reuse| Value::from(u8::from(!reuse))).collect::<Value>();
        let object: Map<String, Value> =
            self.components.iter().map(|(kind, entries)| (kind.to_string(), row(entries))).collect();
        format!("{}\n", Value::Object(object))
    }

    /// The plan for a model: every layer of a kind follows its component's row, kinds without one are computed. SmoothCache
    /// calls the attention of DiT `attn`; on a model that has `msa` and no `attn` it means `msa`.
    ///
    /// # Errors
    /// [`PlanError::UnknownKind`] for a component that the model lacks.
    pub fn plan(&self, topology: &Topology) -> Result<CachePlan, PlanError> {
        let kinds = topology.kinds();
        let renamed = kinds.contains(&Kind::MSA) && !kinds.contains(&Kind::ATTN);
        let target = |kind: Kind| if renamed && kind == Kind::ATTN { Kind::MSA } else { kind };
        let mut rows: Vec<(Kind, &[bool])> = Vec::new();
        for (kind, row) in &self.components {
            rows.push((topology.require(target(*kind))?, row));
        }
        let steps = self.steps();
        let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
        let row = |site: &Site| rows.iter().find(|(kind, _)| *kind == site.kind).map(|(_, row)| *row);
        let reuse = Array2::from_shape_fn((steps, sites.len()), |(step, column)| {
            row(&sites[column]).is_some_and(|row| row[step])
        });
        let provenance = Provenance { method: "smooth-cache".into(), ..Provenance::default() };
        Ok(CachePlan::new(sites, vec![false; steps], reuse)?.with_provenance(provenance))
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.components.first().map_or(0, |(_, row)| row.len())
    }

    /// The rows `[steps]` by component, `true` = reuse.
    pub fn components(&self) -> &[(Kind, Vec<bool>)] {
        &self.components
    }
}

fn row(what: &str, key: &str, value: &Value) -> Result<Vec<bool>, PlanError> {
    let entries = value.as_array().ok_or_else(|| wrong(what, format!("key '{key}' is not an array")))?;
    let read = |(step, entry): (usize, &Value)| match entry.as_u64() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        Some(_) | None => Err(wrong(what, format!("{key}[{step}] is not 0 (reuse) or 1 (compute)"))),
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
        let unknown = SmoothCache::from_json(r#"{"ff":[1,0]}"#, "s.json").unwrap().plan(&topology());
        assert!(unknown.unwrap_err().to_string().contains("'ff'"));
    }
}
