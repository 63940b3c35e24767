//! Lint and diff: each finding on a plan made for it, and the reference plans as a whole.

#[path = "support/reference.rs"]
mod reference;

use invardiff_plan::core::{Threshold, diff};
use invardiff_plan::formats::AuthorBook;
use invardiff_plan::lint::{Finding, Severity, lint, lint_book};
use invardiff_plan::{CachePlan, GateSite, Kind, OutputForm, Provenance, ReuseRule, Site, Topology};
use ndarray::Array2;

/// A plan of `msa` and `mlp` blocks from rows of `.` and `#`, `msa` layers left of `mlp` layers.
fn plan(gate: &str, rows: &[&str]) -> CachePlan {
    let half = rows[0].len() as u32 / 2;
    let sites = (0..half).map(Site::msa).chain((0..half).map(Site::mlp)).collect();
    let reuse = Array2::from_shape_fn((rows.len(), rows[0].len()), |(t, l)| rows[t].as_bytes()[l] == b'#');
    CachePlan::new(sites, gate.bytes().map(|symbol| symbol == b'#').collect(), reuse).unwrap()
}

fn topology(plan: &CachePlan) -> Topology {
    let mut topology = Topology::named("dit-s-2-256").unwrap();
    topology.sites.retain(|spec| plan.sites().contains(&spec.site));
    topology
}

fn findings(plan: &CachePlan) -> Vec<Finding> {
    lint(plan, &topology(plan))
}

fn guards(findings: &[Finding]) -> &Finding {
    findings.iter().find(|finding| matches!(finding, Finding::Guards { .. })).unwrap()
}

#[test]
fn a_plan_that_computes_everything_says_so() {
    let found = findings(&plan("....", &["..", "..", "..", ".."]));
    let expected = [
        Finding::ComputesEverything,
        Finding::NeverFires { kind: Kind::MSA },
        Finding::NeverFires { kind: Kind::MLP },
        Finding::Guards { steps: 4, skipped: 0, ends: 2, after_skip: 0 },
    ];
    assert_eq!(found, expected);
    assert_eq!(found[0].severity(), Severity::Warning);
}

#[test]
fn step_only_in_disguise_and_waste_are_told_apart() {
    let found = findings(&plan("...##.", &["....", "....", "#...", "####", "####", "...."]));
    assert!(found.contains(&Finding::StepOnly { kind: Kind::MLP, marked_steps: 2, steps: 6 }), "{found:?}");
    assert!(
        found.contains(&Finding::Wasted { kind: Kind::MSA, marked: 5, effective: 1, entries: 12 }),
        "{found:?}"
    );
    assert!(found.contains(&Finding::DeadLayers { kind: Kind::MSA, layers: vec![1] }), "{found:?}");
    assert!(found.contains(&Finding::LongestSkip { first: 3, length: 2 }), "{found:?}");
    assert!(found.contains(&Finding::LongestReuse { site: Site::msa(0), step: 2, age: 1 }), "{found:?}");
    assert_eq!(guards(&found), &Finding::Guards { steps: 6, skipped: 2, ends: 2, after_skip: 0 });
    let text = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(text.contains("mlp is step-only in disguise: marked in 2 of 6 steps"), "{text}");
    assert!(
        text.contains("msa: 5 of 12 entries are marked (41.7 %), 4 of them in skipped steps; 1 (8.3 %)"),
        "{text}"
    );
}

#[test]
fn what_the_authors_rule_never_does_is_a_warning() {
    let found = findings(&plan(".#..", &["..", "##", "#.", ".#"]));
    assert!(found.contains(&Finding::ReuseAfterSkip { kind: Kind::MSA, step: 2, entries: 1 }), "{found:?}");
    assert!(found.contains(&Finding::ReuseInLastStep { kind: Kind::MLP, entries: 1 }), "{found:?}");
    // The feature that msa reuses at step 2 was computed at step 0, before the skip.
    assert!(found.contains(&Finding::LongestReuse { site: Site::msa(0), step: 2, age: 2 }), "{found:?}");
    let found = findings(&plan("...#", &["..", "..", "..", ".."]));
    assert!(found.contains(&Finding::ReuseInLastStep { kind: Kind::TRUNK, entries: 1 }), "{found:?}");
}

#[test]
fn what_cannot_run_is_an_error_and_comes_first() {
    let bad = plan("##...", &["..", "..", "#.", "#.", ".."]);
    let found = findings(&bad);
    assert_eq!(found[0], Finding::ReuseBeforeCompute { site: Site::TRUNK, step: 0, entries: 2 });
    assert_eq!(found[1], Finding::ReuseBeforeCompute { site: Site::msa(0), step: 2, entries: 2 });
    assert_eq!(found[1].severity(), Severity::Error);
    assert!(found[2..].iter().all(|finding| finding.severity() < Severity::Error), "{found:?}");
    assert!(bad.schedule(&topology(&bad)).is_err());
    let output = bad.with_gate_rule(GateSite::Output(OutputForm::X0), ReuseRule::Hold);
    assert!(findings(&output).contains(&Finding::ReuseBeforeCompute {
        site: Site::OUTPUT,
        step: 0,
        entries: 2
    }));
    let found = lint(&plan("....", &["..", "..", "#.", ".."]), &Topology::named("dit-s-2-256").unwrap());
    assert!(found[0].to_string().contains("the plan lacks msa[1]"), "{}", found[0]);
}

#[test]
fn thresholds_and_rules_are_held_against_the_entries() {
    let threshold = Threshold { kind: Kind::MSA, quantile: 0.5, value: 1.0 };
    let provenance = Provenance { thresholds: vec![threshold], warm_up: Some(2), ..Provenance::default() };
    let plan = plan(".....#..", &["..", "..", "..", "#.", "..", "#.", "..", ".."])
        .with_provenance(provenance)
        .with_module_rule(Kind::FF, ReuseRule::Extrapolate(1));
    let found = findings(&plan);
    let unspent = Finding::QuantileUnspent { kind: Kind::MSA, asked_permille: 500, effective_permille: 125 };
    assert!(found.contains(&unspent), "{found:?}");
    assert_eq!(
        unspent.to_string(),
        "msa: the threshold asked for 50.0 %, but 12.5 % of its entries reuse a module; warm-up, skipped steps and the \
         steps after them took the rest"
    );
    assert!(found.contains(&Finding::IdleRule { kind: Kind::FF }), "{found:?}");
    // Steps 0, 1 and 7 are ends, 5 is skipped, 6 follows it: 2, 3 and 4 are left.
    assert_eq!(guards(&found), &Finding::Guards { steps: 8, skipped: 1, ends: 3, after_skip: 1 });
    assert!(guards(&found).to_string().ends_with("modules can be reused in 3"), "{}", guards(&found));
}

#[test]
fn the_reference_plans_break_no_guard() {
    for file in reference::ALL {
        let plan = CachePlan::read(reference::path(file)).unwrap();
        let model = Topology::named_with_sites(plan.sites()).swap_remove(0);
        for finding in lint(&plan, &model) {
            let guard = matches!(
                finding,
                Finding::ReuseAfterSkip { .. }
                    | Finding::ReuseInLastStep { .. }
                    | Finding::ReuseBeforeCompute { .. }
                    | Finding::Sites { .. }
            );
            assert!(!guard, "{file}: {finding}");
        }
    }
}

#[test]
fn the_fast_dit_plan_wastes_what_is_known() {
    let plan = CachePlan::read(reference::path(reference::DIT_FAST)).unwrap();
    let found = lint(&plan, &Topology::named("dit-xl-2-256").unwrap());
    let wasted = |kind, marked, effective| Finding::Wasted { kind, marked, effective, entries: 1400 };
    assert!(found.contains(&wasted(Kind::MSA, 925, 85)), "{found:?}");
    assert!(found.contains(&wasted(Kind::MLP, 929, 89)), "{found:?}");
    assert!(found.contains(&Finding::LongestSkip { first: 2, length: 14 }), "{found:?}");
}

#[test]
fn the_medium_flux_plan_has_kinds_that_are_step_only() {
    let text = reference::text(reference::FLUX_MEDIUM_1);
    let book = AuthorBook::from_json(&text, "book").unwrap();
    let plan = book.plan(&book.topology()).unwrap();
    let found = lint(&plan, &book.topology());
    for kind in [Kind::FF, Kind::CONTEXT_FF, Kind::SINGLE_MLP] {
        assert!(
            found.contains(&Finding::StepOnly { kind, marked_steps: 17, steps: 28 }),
            "{kind}: {found:?}"
        );
    }
    assert_eq!(lint_book(&book), Vec::new());
}

#[test]
fn streams_that_disagree_are_found() {
    let text = r#"{"cache_version":2,"step_policy_artifacts":{"step_cache_book":[false,false,true]},
        "layer_cache_book":{"double.attn":[[false,false],[true,true],[true,true]],
        "double.context_attn":[[false,false],[true,false],[false,false]]}}"#;
    let book = AuthorBook::from_json(text, "book").unwrap();
    let (marked, unmarked) = (Kind::ATTN, Kind::CONTEXT_ATTN);
    assert_eq!(lint_book(&book), [Finding::StreamsDisagree { marked, unmarked, entries: 1 }]);
}

#[test]
fn a_plan_does_not_differ_from_itself() {
    let one = plan(".#..", &["..", "..", "#.", ".."]);
    assert!(diff(&one, &one).is_empty());
    assert_eq!(diff(&one, &one).to_string(), "the plans do the same\n");
    // Entries of skipped steps say nothing, nor does the provenance.
    let other = plan(".#..", &["..", "##", "#.", ".."])
        .with_provenance(Provenance { method: "other".into(), ..Provenance::default() });
    let difference = diff(&one, &other);
    assert!(difference.is_empty() && difference.silent == 2, "{difference:?}");
}

#[test]
fn differences_are_listed_by_gate_kind_and_step() {
    let one = plan(".#...", &["..", "..", "..", "#.", ".."]);
    let other = plan("..#..", &["..", "..", "..", ".#", ".#"])
        .with_gate_rule(GateSite::Trunk, ReuseRule::Extrapolate(1));
    let difference = diff(&one, &other);
    assert_eq!((&difference.skipped_left[..], &difference.skipped_right[..]), (&[1][..], &[2][..]));
    let text = difference.to_string();
    assert!(text.contains("skipped only left: step 1\nskipped only right: step 2\n"), "{text}");
    assert!(text.contains("msa: 1 entries reused only left, 0 only right, in step 3\n"), "{text}");
    assert!(text.contains("mlp: 0 entries reused only left, 2 only right, in step 3, 4\n"), "{text}");
    assert!(text.contains("the gate's rule: Hold and Extrapolate(1)\n"), "{text}");
    let shorter = diff(&one, &plan("..", &["....", "...."]));
    assert_eq!(shorter.steps, Some((5, 2)));
    assert_eq!(shorter.sites_right, [Site::msa(1), Site::mlp(1)]);
    assert!(!shorter.is_empty());
}

#[test]
fn the_reference_plans_differ_as_their_names_say() {
    let read = |file: &str| CachePlan::read(reference::path(file)).unwrap();
    // Fast and medium-1 have the same quantiles for attention and steps; medium-1 drops the feed-forwards.
    let difference = diff(&read(reference::FLUX_FAST), &read(reference::FLUX_MEDIUM_1));
    assert!(difference.skipped_left.is_empty() && difference.skipped_right.is_empty());
    let kinds: Vec<(&str, usize, usize)> =
        difference.kinds.iter().map(|kind| (kind.kind.as_str(), kind.left, kind.right)).collect();
    assert_eq!(kinds, [("ff", 76, 0), ("context_ff", 60, 0), ("single_mlp", 151, 0)]);
}
