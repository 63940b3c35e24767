//! The checks, one function per subject.

use ndarray::Array2;

use crate::core::{CachePlan, Kind, Site};
use crate::formats::AuthorBook;
use crate::lint::finding::{Finding, permille};

/// Findings about the step gate, and about the plan as a whole.
pub(super) fn of_gate(plan: &CachePlan) -> Vec<Finding> {
    let gate = plan.gate();
    let mut findings = Vec::new();
    if plan.skipped_steps() == 0 && plan.reused_modules() == 0 {
        if plan.grid().is_some() {
            return findings; // it saves steps, and there is no gate to speak of
        }
        findings.push(Finding::ComputesEverything);
    }
    let early = gate.iter().take_while(|skip| **skip).count();
    if early > 0 {
        let site = plan.gate_site().site();
        findings.push(Finding::ReuseBeforeCompute { site, step: 0, entries: early });
    }
    if gate.last() == Some(&true) {
        findings.push(Finding::ReuseInLastStep { kind: Kind::TRUNK, entries: 1 });
    }
    if let Some((first, length)) = longest_run(gate) {
        findings.push(Finding::LongestSkip { first, length });
    }
    findings.push(guards(plan));
    findings
}

/// Start and length of the first of the longest runs of `true`.
fn longest_run(gate: &[bool]) -> Option<(usize, usize)> {
    let mut longest = None;
    let mut length = 0;
    for (step, skip) in gate.iter().enumerate() {
        length = if *skip { length + 1 } else { 0 };
        if length > longest.map_or(0, |(_, longest)| longest) {
            longest = Some((step + 1 - length, length));
        }
    }
    longest
}

fn follows_skip(gate: &[bool], step: usize) -> bool {
    step > 0 && !gate[step] && gate[step - 1]
}

fn guards(plan: &CachePlan) -> Finding {
    let (gate, steps) = (plan.gate(), plan.steps());
    let warm_up = plan.provenance.warm_up.unwrap_or(1);
    let end = |step: usize| !gate[step] && (step < warm_up || step + 1 == steps);
    Finding::Guards {
        steps,
        skipped: plan.skipped_steps(),
        ends: (0..steps).filter(|step| end(*step)).count(),
        after_skip: (0..steps).filter(|step| follows_skip(gate, *step) && !end(*step)).count(),
    }
}

/// Findings about one kind.
pub(super) fn of_kind(plan: &CachePlan, kind: Kind) -> Vec<Finding> {
    let (gate, array) = (plan.gate(), plan.of_kind(kind));
    let marked_steps = array.outer_iter().filter(|row| row.iter().any(|entry| *entry)).count();
    if marked_steps == 0 {
        let idle = plan.grid().is_none() || plan.reused_modules() > 0;
        return if idle { vec![Finding::NeverFires { kind }] } else { Vec::new() };
    }
    let mut effective = array.clone();
    for (mut row, skip) in effective.outer_iter_mut().zip(gate) {
        if *skip {
            row.fill(false);
        }
    }
    if count(&effective) == 0 {
        return vec![Finding::StepOnly { kind, marked_steps, steps: plan.steps() }];
    }
    let mut findings = guarded(kind, gate, &effective);
    let (marked, used, entries) = (count(&array), count(&effective), array.len());
    if marked > used {
        findings.push(Finding::Wasted { kind, marked, effective: used, entries });
    }
    if let Some(threshold) = plan.provenance.thresholds.iter().find(|threshold| threshold.kind == kind) {
        let (asked, got) = ((threshold.quantile * 1000.0).round() as usize, permille(used, entries));
        if got < asked {
            let (asked_permille, effective_permille) = (asked, got);
            findings.push(Finding::QuantileUnspent { kind, asked_permille, effective_permille });
        }
    }
    findings.extend(of_layers(plan, kind, &effective));
    findings
}

fn count(array: &Array2<bool>) -> usize {
    array.iter().filter(|entry| **entry).count()
}

/// Findings about reuse where the authors' guards forbid it.
fn guarded(kind: Kind, gate: &[bool], effective: &Array2<bool>) -> Vec<Finding> {
    let row = |step: usize| effective.row(step).iter().filter(|entry| **entry).count();
    let after: Vec<usize> =
        (0..gate.len()).filter(|step| follows_skip(gate, *step) && row(*step) > 0).collect();
    let mut findings = Vec::new();
    if let Some(step) = after.first().copied() {
        let entries = after.iter().map(|step| row(*step)).sum();
        findings.push(Finding::ReuseAfterSkip { kind, step, entries });
    }
    let last = row(gate.len() - 1);
    if last > 0 {
        findings.push(Finding::ReuseInLastStep { kind, entries: last });
    }
    findings
}

/// Findings about layers: never reused, reused before they are computed, and the oldest reuse.
fn of_layers(plan: &CachePlan, kind: Kind, effective: &Array2<bool>) -> Vec<Finding> {
    let mut layers: Vec<u32> =
        plan.sites().iter().filter(|site| site.kind == kind).map(|site| site.layer).collect();
    layers.sort_unstable();
    let mut findings = Vec::new();
    let mut dead = Vec::new();
    let mut oldest: Option<(usize, usize, Site)> = None;
    for (column, layer) in effective.columns().into_iter().zip(layers) {
        let site = Site::new(kind, layer);
        let mut computed = None;
        let mut early = Vec::new();
        for (step, entry) in column.iter().enumerate() {
            match (*entry, computed) {
                (true, None) => early.push(step),
                (true, Some(source)) if step - source > oldest.map_or(0, |(age, ..)| age) => {
                    oldest = Some((step - source, step, site));
                }
                (true, Some(_)) => {}
                (false, _) if plan.gate()[step] => {}
                (false, _) => computed = Some(step),
            }
        }
        if let Some(step) = early.first().copied() {
            findings.push(Finding::ReuseBeforeCompute { site, step, entries: early.len() });
        }
        if !column.iter().any(|entry| *entry) {
            dead.push(layer);
        }
    }
    if !dead.is_empty() {
        findings.push(Finding::DeadLayers { kind, layers: dead });
    }
    findings.extend(oldest.map(|(age, step, site)| Finding::LongestReuse { site, step, age }));
    findings
}

/// Findings about rules of kinds that the plan does not have.
pub(super) fn of_rules(plan: &CachePlan) -> Vec<Finding> {
    let idle = |kind: &&Kind| !plan.sites().iter().any(|site| site.kind == **kind);
    plan.module_rules().keys().filter(idle).map(|kind| Finding::IdleRule { kind: *kind }).collect()
}

/// Findings about streams of one site that disagree in steps that are not skipped.
pub(super) fn of_streams(book: &AuthorBook, one: Kind, other: Kind) -> Vec<Finding> {
    let (Some(first), Some(second)) = (book.stream(one), book.stream(other)) else {
        return Vec::new();
    };
    let alone = |marked: &Array2<bool>, unmarked: &Array2<bool>| -> usize {
        let rows =
            marked.outer_iter().zip(unmarked.outer_iter()).zip(book.gate()).filter(|(_, skip)| !**skip);
        rows.map(|((a, b), _)| a.iter().zip(b).filter(|(a, b)| **a && !**b).count()).sum()
    };
    let finding = |marked, unmarked, entries| {
        (entries > 0).then_some(Finding::StreamsDisagree { marked, unmarked, entries })
    };
    let both = [finding(one, other, alone(first, second)), finding(other, one, alone(second, first))];
    both.into_iter().flatten().collect()
}
