//! Checks of plans: entries without effect, and reuses that the method forbids.

mod checks;
mod finding;
mod fitted;

pub use finding::{Finding, Severity};

use crate::core::{CachePlan, Kind, Topology};
use crate::formats::AuthorBook;

/// All findings about a plan on a model, the most severe first.
pub fn lint(plan: &CachePlan, topology: &Topology) -> Vec<Finding> {
    let mut findings: Vec<Finding> = plan
        .columns(topology)
        .err()
        .map(|error| Finding::Sites { detail: error.to_string() })
        .into_iter()
        .chain(checks::of_gate(plan))
        .chain(kinds(plan).into_iter().flat_map(|kind| checks::of_kind(plan, kind)))
        .chain(checks::of_rules(plan))
        .chain(fitted::of_weights(plan))
        .chain(fitted::of_grid(plan))
        .collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
    findings
}

/// Findings about a cache book that its plan does not show: streams of one site that disagree.
pub fn lint_book(book: &AuthorBook) -> Vec<Finding> {
    checks::of_streams(book, Kind::ATTN, Kind::CONTEXT_ATTN)
}

/// The kinds of a plan, in order of first appearance.
fn kinds(plan: &CachePlan) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for site in plan.sites() {
        if !kinds.contains(&site.kind) {
            kinds.push(site.kind);
        }
    }
    kinds
}
