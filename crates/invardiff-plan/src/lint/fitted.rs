//! Checks of weights and of times of a plan's own.

use crate::core::{CachePlan, ReuseRule, Site, WeightRow};
use crate::lint::finding::Finding;

/// The sum of magnitudes above which weights magnify: three times that of the line through two evenly spaced values, one
/// step ahead.
const MAGNIFIES: f64 = 9.0;

/// Rules without weights, and weights that are very large.
pub(super) fn of_weights(plan: &CachePlan) -> Vec<Finding> {
    let gate = (plan.gate_site().site(), plan.gate_rule());
    let modules = plan.sites().iter().map(|site| (*site, plan.module_rule(site.kind)));
    let asked = std::iter::once(gate).chain(modules).filter(|(_, rule)| *rule == ReuseRule::Weights);
    let missing = asked.filter(|(site, _)| !plan.weights().contains_key(site));
    let mut findings: Vec<Finding> = missing.map(|(site, _)| Finding::NoWeights { site }).collect();
    findings.extend(plan.weights().iter().filter_map(|(site, rows)| magnifies(*site, rows)));
    findings
}

fn magnifies(site: Site, rows: &[WeightRow]) -> Option<Finding> {
    let size = |row: &WeightRow| row.kept.iter().map(|weight| weight.abs()).sum::<f64>();
    let (step, most) = rows.iter().map(size).enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let permille = (most * 1000.0).round() as usize;
    (most > MAGNIFIES).then_some(Finding::Magnifies { site, step, permille })
}

/// What the plan's own times stand for.
pub(super) fn of_grid(plan: &CachePlan) -> Vec<Finding> {
    let Some(grid) = plan.grid() else { return Vec::new() };
    let mut findings = vec![Finding::OwnTimes { steps: plan.steps(), instead_of: grid.instead_of }];
    let made_for = plan.provenance.execution.as_ref().map(|execution| execution.timesteps.len());
    if let Some(made_for) = made_for.filter(|made_for| *made_for != grid.instead_of) {
        findings.push(Finding::InsteadOf { instead_of: grid.instead_of, made_for });
    }
    findings
}
