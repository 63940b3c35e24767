//! The differences of two plans.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;

use crate::core::plan::CachePlan;
use crate::core::site::{Kind, Site};

/// The differences of two plans, called left and right.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanDiff {
    /// Both numbers of steps, where they differ; entries are then not compared.
    pub steps: Option<(usize, usize)>,
    /// Steps that only the left plan skips.
    pub skipped_left: Vec<usize>,
    /// Steps that only the right plan skips.
    pub skipped_right: Vec<usize>,
    /// Kinds whose entries differ in steps that both plans compute.
    pub kinds: Vec<KindDiff>,
    /// The number of entries that differ in steps that at least one plan skips, where entries have no effect.
    pub silent: usize,
    /// Sites that only the left plan has.
    pub sites_left: Vec<Site>,
    /// Sites that only the right plan has.
    pub sites_right: Vec<Site>,
    /// Differences of gate site, rules, axis and times, in words.
    pub rules: Vec<String>,
}

/// The differences of two plans in one kind of module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindDiff {
    /// The kind of module.
    pub kind: Kind,
    /// The number of entries that only the left plan reuses.
    pub left: usize,
    /// The number of entries that only the right plan reuses.
    pub right: usize,
    /// The steps in which entries differ.
    pub steps: Vec<usize>,
}

/// Compares two plans by step and site. Their provenance is not compared.
pub fn diff(left: &CachePlan, right: &CachePlan) -> PlanDiff {
    let mut found = PlanDiff { rules: rules(left, right), ..PlanDiff::default() };
    let only = |one: &CachePlan, other: &CachePlan| -> Vec<Site> {
        let there: BTreeSet<Site> = other.sites().iter().copied().collect();
        one.sites().iter().copied().filter(|site| !there.contains(site)).collect()
    };
    found.sites_left = only(left, right);
    found.sites_right = only(right, left);
    if left.steps() != right.steps() {
        found.steps = Some((left.steps(), right.steps()));
        return found;
    }
    let skipped = |one: &CachePlan, other: &CachePlan| -> Vec<usize> {
        (0..one.steps()).filter(|step| one.gate()[*step] && !other.gate()[*step]).collect()
    };
    found.skipped_left = skipped(left, right);
    found.skipped_right = skipped(right, left);
    entries(left, right, &mut found);
    found
}

/// Compares the entries of the sites that both plans have.
fn entries(left: &CachePlan, right: &CachePlan, found: &mut PlanDiff) {
    let columns: HashMap<Site, usize> =
        right.sites().iter().enumerate().map(|(column, site)| (*site, column)).collect();
    for (column, site) in left.sites().iter().enumerate() {
        let Some(other) = columns.get(site).copied() else { continue };
        for step in 0..left.steps() {
            let entry = (left.reuse()[[step, column]], right.reuse()[[step, other]]);
            if entry.0 == entry.1 {
                continue;
            }
            if left.gate()[step] || right.gate()[step] {
                found.silent += 1;
                continue;
            }
            let index = found.kinds.iter().position(|diff| diff.kind == site.kind).unwrap_or_else(|| {
                found.kinds.push(KindDiff { kind: site.kind, left: 0, right: 0, steps: Vec::new() });
                found.kinds.len() - 1
            });
            let kind = &mut found.kinds[index];
            kind.left += usize::from(entry.0);
            kind.right += usize::from(entry.1);
            kind.steps.push(step);
        }
    }
    for kind in &mut found.kinds {
        kind.steps.sort_unstable();
        kind.steps.dedup();
    }
}

fn rules(left: &CachePlan, right: &CachePlan) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |what: String, one: &dyn fmt::Debug, other: &dyn fmt::Debug| {
        found.push(format!("{what}: {one:?} and {other:?}"));
    };
    if left.gate_site() != right.gate_site() {
        note("the gate acts on".into(), &left.gate_site(), &right.gate_site());
    }
    if left.gate_rule() != right.gate_rule() {
        note("the gate's rule".into(), &left.gate_rule(), &right.gate_rule());
    }
    let kinds: BTreeSet<Kind> = left.sites().iter().chain(right.sites()).map(|site| site.kind).collect();
    for kind in kinds {
        let (one, other) = (left.module_rule(kind), right.module_rule(kind));
        if one != other {
            note(format!("the rule of {kind}"), &one, &other);
        }
    }
    if left.axis() != right.axis() {
        note("the axis".into(), &left.axis(), &right.axis());
    }
    if left.times() != right.times() {
        found.push("the times of the steps".into());
    }
    found.extend(fitted(left, right));
    found
}

/// How weights and times of the plans' own differ; not how they were found.
fn fitted(left: &CachePlan, right: &CachePlan) -> Vec<String> {
    let mut found = Vec::new();
    match (left.grid(), right.grid()) {
        (None, None) => {}
        (Some(one), Some(other)) if one == other => {}
        (Some(one), Some(other)) if one.instead_of != other.instead_of => {
            found.push(format!(
                "the run that they stand for: {} and {} steps",
                one.instead_of, other.instead_of
            ));
        }
        (Some(_), Some(_)) => found.push("their own times".into()),
        (Some(_), None) => found.push("only the left plan has times of its own".into()),
        (None, Some(_)) => found.push("only the right plan has times of its own".into()),
    }
    let sites: BTreeSet<Site> = left.weights().keys().chain(right.weights().keys()).copied().collect();
    for site in sites {
        match (left.weights().get(&site), right.weights().get(&site)) {
            (Some(one), Some(other)) if one.len() == other.len() => {
                let steps: Vec<usize> = (0..one.len()).filter(|step| one[*step] != other[*step]).collect();
                if !steps.is_empty() {
                    found.push(format!("the weights of {site} in step {}", list(&steps)));
                }
            }
            (Some(_), Some(_)) => found.push(format!("the weights of {site}")),
            (Some(_), None) => found.push(format!("only the left plan has weights of {site}")),
            (None, _) => found.push(format!("only the right plan has weights of {site}")),
        }
    }
    found
}

impl PlanDiff {
    /// Whether both plans do the same. Entries without effect may differ.
    pub fn is_empty(&self) -> bool {
        let effective = Self { silent: 0, ..self.clone() };
        effective == Self::default()
    }
}

fn list(items: &[impl fmt::Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for PlanDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            writeln!(f, "the plans do the same")?;
        }
        if let Some((left, right)) = self.steps {
            writeln!(f, "steps: {left} and {right}")?;
        }
        for (side, steps) in [("left", &self.skipped_left), ("right", &self.skipped_right)] {
            if !steps.is_empty() {
                writeln!(f, "skipped only {side}: step {}", list(steps))?;
            }
        }
        for KindDiff { kind, left, right, steps } in &self.kinds {
            writeln!(
                f,
                "{kind}: {left} entries reused only left, {right} only right, in step {}",
                list(steps)
            )?;
        }
        for (side, sites) in [("left", &self.sites_left), ("right", &self.sites_right)] {
            if !sites.is_empty() {
                writeln!(f, "sites only {side}: {}", list(sites))?;
            }
        }
        for rule in &self.rules {
            writeln!(f, "{rule}")?;
        }
        if self.silent > 0 {
            writeln!(f, "{} entries differ in skipped steps, without effect", self.silent)?;
        }
        Ok(())
    }
}
