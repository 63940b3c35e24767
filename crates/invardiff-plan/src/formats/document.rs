//! The JSON format. Per step it has one row of `.` (compute) and `#` (reuse), so that a plan can be read and edited.
//!
//! ```json
//! {
//!   "format": "invardiff-plan",
//!   "version": 1,
//!   "sites": [{ "kinds": ["msa", "mlp"], "first": 0, "layers": 4 }],
//!   "gate": "..#.",
//!   "reuse": { "mlp": ["....", ".##.", "####", "...."], "msa": ["....", "...#", "####", "...."] },
//!   "rules": { "gate_site": "trunk", "gate": "hold", "modules": {}, "axis": "step", "times": [] },
//!   "provenance": { "method": "", "tool": "", "execution": null, "thresholds": [], "warm_up": null,
//!                   "calibration": null, "notes": [] }
//! }
//! ```
//!
//! That is version 1. Plans with weights or times of their own are version 2, which adds `fitted`:
//!
//! ```json
//! "fitted": {
//!   "weights": [{ "site": { "kind": "output", "layer": 0 }, "rows": [{ "kept": [1.2, -0.2], "sample": 0.0 }] }],
//!   "grid": { "instead_of": 50, "points": [{ "time": 999.0, "alpha": 0.0064, "sigma": 0.99998 }] },
//!   "fit": { "target": "converged", "target_steps": 250, "fitted_on": 8, "chosen_on": 4, "ridge": 1e-4, "residuals": [0.01] }
//! }
//! ```

use std::collections::BTreeMap;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::core::{CachePlan, Kind, PlanError, Provenance};
use crate::formats::envelope::FILE_LIMIT;
use crate::formats::fitted::FittedPart;
use crate::formats::groups::{SiteGroup, group, ungroup};
use crate::formats::rules::{Rules, check_rules};
use crate::formats::{limits, text};

const FORMAT: &str = "invardiff-plan";
const VERSION: u64 = 1;
/// The version of plans with weights or times of their own.
const FITTED_VERSION: u64 = 2;

/// The keys of the file, all of them required but `fitted`; `reuse` has the rows of each kind, columns in the order of `sites`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u64,
    sites: Vec<SiteGroup>,
    gate: String,
    reuse: BTreeMap<Kind, Vec<String>>,
    rules: Rules,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fitted: Option<FittedPart>,
    provenance: Provenance,
}

impl CachePlan {
    /// The plan as JSON: version 1, or 2 where the plan has weights or times of its own.
    ///
    /// # Errors
    /// [`PlanError::Range`] for an infinite number or NaN in the provenance, which JSON cannot hold, for a rule of weights
    /// without any, and for more steps or sites than are read back; [`PlanError::Format`] for a plan larger than [`FILE_LIMIT`].
    pub fn to_json(&self) -> Result<String, PlanError> {
        refuse_infinite(&self.provenance)?;
        check_rules(self)?;
        let fitted = FittedPart::of(self);
        limits::steps(self.steps())?;
        limits::sites(self.steps(), self.sites().iter().copied())?;
        let document = Document {
            format: FORMAT.into(),
            version: if fitted.is_some() { FITTED_VERSION } else { VERSION },
            fitted,
            sites: group(self.sites())?,
            gate: draw(self.gate()),
            reuse: rows(self),
            rules: Rules::of(self),
            provenance: self.provenance.clone(),
        };
        let text = serde_json::to_string_pretty(&document).map_err(|error| wrong("the plan", &error))? + "\n";
        if text.len() > FILE_LIMIT {
            return Err(wrong("the plan", &format!("more than the {FILE_LIMIT} bytes that are read back")));
        }
        Ok(text)
    }

    /// Reads a plan from JSON of version 1 or 2; `what` names the file in errors.
    ///
    /// # Errors
    /// [`PlanError::Format`], [`PlanError::Shape`] and [`PlanError::Range`], each naming file and key: text that is not JSON or
    /// is cut short, an unknown version, a missing or unknown key, a row of the wrong length, a value out of range.
    pub fn from_json(json: &str, what: &str) -> Result<Self, PlanError> {
        let version = text::version(json, what, FORMAT, &[VERSION, FITTED_VERSION])?;
        let document = text::parse::<Document>(json, what)?;
        if document.fitted.is_some() != (version == FITTED_VERSION) {
            let detail = format!("key 'fitted' belongs to version {FITTED_VERSION} and to no other");
            return Err(wrong(what, &detail));
        }
        let plan = document.plan().and_then(|plan| check_rules(&plan).map(|()| plan));
        plan.map_err(|error| error.in_file(what))
    }
}

impl Document {
    fn plan(mut self) -> Result<CachePlan, PlanError> {
        let gate = read_row("gate", &self.gate)?;
        if gate.is_empty() {
            return Err(wrong("gate", &"it has no steps"));
        }
        let sites = ungroup(&self.sites)?;
        limits::steps(gate.len())?;
        limits::sites(gate.len(), sites.iter().copied())?;
        let mut columns: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for (column, site) in sites.iter().enumerate() {
            columns.entry(site.kind).or_default().push(column);
        }
        if let Some(kind) = self.reuse.keys().find(|kind| !columns.contains_key(kind)) {
            return Err(wrong("reuse", &format!("kind '{kind}' has no sites")));
        }
        let mut reuse = Array2::from_elem((gate.len(), sites.len()), false);
        for (kind, columns) in columns {
            let rows =
                self.reuse.remove(&kind).ok_or_else(|| wrong("reuse", &format!("missing key '{kind}'")))?;
            fit(format!("reuse.{kind}, rows"), gate.len(), rows.len())?;
            for (step, row) in rows.iter().enumerate() {
                let key = format!("reuse.{kind}[{step}]");
                let row = read_row(&key, row)?;
                fit(format!("{key}, layers"), columns.len(), row.len())?;
                for (column, entry) in columns.iter().zip(row) {
                    reuse[[step, *column]] = entry;
                }
            }
        }
        let plan = self.rules.plan(&self.sites, gate, reuse, self.provenance)?;
        match self.fitted {
            Some(part) => part.on(plan),
            None => Ok(plan),
        }
    }
}

/// The rows of each kind, columns in the order of the sites.
fn rows(plan: &CachePlan) -> BTreeMap<Kind, Vec<String>> {
    let mut rows: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    for site in plan.sites() {
        rows.entry(site.kind).or_insert_with(|| vec![String::new(); plan.steps()]);
    }
    for (step, row) in plan.reuse().outer_iter().enumerate() {
        for (site, entry) in plan.sites().iter().zip(row) {
            if let Some(rows) = rows.get_mut(&site.kind) {
                rows[step].push(symbol(*entry));
            }
        }
    }
    rows
}

const fn symbol(entry: bool) -> char {
    if entry { '#' } else { '.' }
}

fn draw(row: &[bool]) -> String {
    row.iter().map(|entry| symbol(*entry)).collect()
}

fn read_row(key: &str, text: &str) -> Result<Vec<bool>, PlanError> {
    let read = |(index, symbol): (usize, char)| match symbol {
        '.' => Ok(false),
        '#' => Ok(true),
        other => Err(wrong(key, &format!("{other:?} at {index}; a row has '.' (compute) and '#' (reuse)"))),
    };
    text.chars().enumerate().map(read).collect()
}

fn fit(what: String, expected: usize, found: usize) -> Result<(), PlanError> {
    if expected == found {
        return Ok(());
    }
    Err(PlanError::Shape { what, expected: vec![expected], found: vec![found] })
}

fn refuse_infinite(provenance: &Provenance) -> Result<(), PlanError> {
    let mut numbers: Vec<(&str, f64)> = Vec::new();
    if let Some(execution) = &provenance.execution {
        numbers.extend(execution.timesteps.iter().map(|time| ("timesteps", f64::from(*time))));
        numbers.extend(execution.guidance_scale.map(|scale| ("guidance_scale", f64::from(scale))));
    }
    if let Some(calibration) = &provenance.calibration {
        numbers
            .extend(calibration.guidance_scale.map(|scale| ("calibration.guidance_scale", f64::from(scale))));
    }
    for threshold in &provenance.thresholds {
        numbers.push(("thresholds.quantile", threshold.quantile));
        numbers.push(("thresholds.value", f64::from(threshold.value)));
    }
    match numbers.iter().find(|(_, number)| !number.is_finite()) {
        None => Ok(()),
        Some((key, number)) => Err(PlanError::Range {
            what: format!("provenance, {key}"),
            value: number.to_string(),
            expected: "a finite number, as JSON has no other; write the plan as .bin".into(),
        }),
    }
}

fn wrong(what: &str, detail: &dyn std::fmt::Display) -> PlanError {
    PlanError::Format { what: what.into(), detail: detail.to_string() }
}
