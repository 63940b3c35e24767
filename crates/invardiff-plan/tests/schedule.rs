//! What must hold for every plan that is lowered: nothing is read that is not kept, nothing is kept that is not read.

use invardiff_plan::core::{Action, Slot, Source, WeightRow};
use invardiff_plan::{
    CachePlan, GateSite, Kind, OutputForm, PlanError, ReuseRule, Schedule, Site, SiteSpec, StreamSpec,
    TimeAxis, Topology,
};
use ndarray::Array2;
use proptest::prelude::*;

const JOINT: Kind = Kind::new("joint");

/// Blocks of one two-tensor and one single-tensor site, all sizes different.
fn topology(layers: u32) -> Topology {
    let stream = |name, tokens| StreamSpec { name, rows: 2, tokens, dim: 4 };
    let joint = |layer| SiteSpec {
        site: Site::new(JOINT, layer),
        streams: vec![stream(Kind::ATTN, 5 + layer as usize), stream(Kind::CONTEXT_ATTN, 3)],
        flops: 1.0,
    };
    let ff = |layer| SiteSpec::single(Site::new(Kind::FF, layer), 11 + layer as usize, 7, 1.0);
    Topology {
        model: "test".into(),
        sites: (0..layers).flat_map(|layer| [joint(layer), ff(layer)]).collect(),
        trunk: SiteSpec::single(Site::TRUNK, 13, 9, 0.0),
        head_flops: 0.0,
        output_elements: 17,
    }
}

fn rule() -> impl Strategy<Value = ReuseRule> {
    let rules = [
        ReuseRule::Hold,
        ReuseRule::Extrapolate(1),
        ReuseRule::Extrapolate(2),
        ReuseRule::Taylor(1),
        ReuseRule::Taylor(3),
        ReuseRule::Weights,
    ];
    prop::sample::select(rules.to_vec())
}

prop_compose! {
    /// A plan whose first step is computed, with any rules, gate site and axis.
    fn any_plan()(steps in 1..14_usize, layers in 1..4_u32)(
        gate in prop::collection::vec(prop::bool::weighted(0.4), steps),
        reuse in prop::collection::vec(prop::bool::weighted(0.5), steps * layers as usize * 2),
        gaps in prop::collection::vec(0.1_f64..3.0, steps),
        rules in prop::array::uniform3(rule()), output in any::<bool>(), sampler in any::<bool>(),
        layers in Just(layers), seed in any::<u64>(),
    ) -> (Topology, CachePlan) {
        let topology = topology(layers);
        let (mut gate, steps) = (gate.clone(), gate.len());
        let mut reuse = Array2::from_shape_vec((steps, topology.sites.len()), reuse).unwrap();
        gate[0] = false;
        reuse.row_mut(0).fill(false);
        let sites = topology.sites.iter().map(|spec| spec.site).collect();
        let at = if output { GateSite::Output(OutputForm::X0) } else { GateSite::Trunk };
        let mut plan = CachePlan::new(sites, gate, reuse).unwrap().with_gate_rule(at, rules[0]);
        plan = plan.with_module_rule(JOINT, rules[1]).with_module_rule(Kind::FF, rules[2]);
        if sampler {
            let times = gaps.iter().scan(20.0, |time, gap| { *time -= gap; Some(*time) }).collect();
            plan = plan.with_times(TimeAxis::Sampler, times).unwrap();
        }
        (topology, weighted(plan, seed))
    }
}

/// The plan with rows of weights wherever its rules ask for them: at most three values and as many as are computed, some of
/// weight 0, some rows without any.
fn weighted(mut plan: CachePlan, seed: u64) -> CachePlan {
    let mut state = seed | 1;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let gate_site = plan.gate_site().site();
    let sites: Vec<Site> = std::iter::once(gate_site).chain(plan.sites().iter().copied()).collect();
    for site in sites {
        let column = plan.sites().iter().position(|own| *own == site);
        let rule = column.map_or(plan.gate_rule(), |_| plan.module_rule(site.kind));
        if rule != ReuseRule::Weights {
            continue;
        }
        let reused =
            |step: usize| plan.gate()[step] || column.is_some_and(|column| plan.reuse()[[step, column]]);
        let mut computed = 0;
        let mut rows = Vec::new();
        for step in 0..plan.steps() {
            computed += u64::from(!reused(step));
            let count = draw(computed.min(3) + 1);
            let mut kept: Vec<f64> = (0..count).map(|_| draw(5) as f64 - 2.0).collect();
            if kept.iter().all(|weight| *weight == 0.0) {
                kept.clear();
            }
            rows.push(WeightRow { kept, sample: 0.0 });
        }
        plan = plan.with_weights(site, rows).unwrap();
    }
    plan
}

fn actions(schedule: &Schedule, slot: usize) -> Vec<&Action> {
    (0..schedule.steps()).map(|step| schedule.action(step, slot)).collect()
}

fn rule_of(plan: &CachePlan, schedule: &Schedule, slot: usize) -> ReuseRule {
    if slot == 0 { plan.gate_rule() } else { plan.module_rule(schedule.slots()[slot].site.kind) }
}

fn time(plan: &CachePlan, step: usize) -> f64 {
    match plan.axis() {
        TimeAxis::Step => step as f64,
        TimeAxis::Sampler => plan.times()[step],
    }
}

/// Every (slot, step computed, step of the last read) that the store holds, from the recipes alone.
fn intervals(schedule: &Schedule) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    for slot in 0..schedule.slots().len() {
        for computed in 0..schedule.steps() {
            // The fresh value of a blend is not in the store.
            let reads = |action: &&Action| action.sources().iter().any(|source| source.step == computed);
            let last = actions(schedule, slot).iter().rposition(reads).filter(|last| *last > computed);
            found.extend(last.map(|last| (slot, computed, last)));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_visited_and_what_is_computed_is_what_the_plan_says((topology, plan) in any_plan()) {
        let schedule = plan.schedule(&topology).unwrap();
        prop_assert_eq!(schedule.steps(), plan.steps());
        let gate = if plan.gate_site() == GateSite::Trunk { Site::TRUNK } else { Site::OUTPUT };
        prop_assert_eq!(schedule.slot(gate), Some(0));
        for (step, skipped) in plan.gate().iter().enumerate() {
            prop_assert_eq!(schedule.action(step, 0).recipe().is_some(), *skipped);
            for (column, site) in plan.sites().iter().enumerate() {
                let action = schedule.action(step, schedule.slot(*site).unwrap());
                prop_assert_eq!(*action == Action::Idle, *skipped);
                prop_assert_eq!(action.recipe().is_some(), !skipped && plan.reuse()[[step, column]]);
            }
        }
    }

    #[test]
    fn every_read_has_its_keep_and_every_keep_its_last_read((topology, plan) in any_plan()) {
        let schedule = plan.schedule(&topology).unwrap();
        for slot in 0..schedule.slots().len() {
            let actions = actions(&schedule, slot);
            let mut last_reads = vec![0; actions.len()];
            for (step, action) in actions.iter().enumerate() {
                let takes = action.sources().iter().any(|source| source.last);
                if action.recipe().is_some() {
                    prop_assert_eq!(matches!(action, Action::Take(_)), takes);
                }
                for source in action.sources() {
                    if let (Action::Blend { .. }, true) = (action, source.step == step) {
                        prop_assert!(!source.last);
                        continue;
                    }
                    prop_assert!(source.step < step);
                    prop_assert!(actions[source.step].keeps());
                    prop_assert_eq!(last_reads[source.step], 0, "read after its last read");
                    last_reads[source.step] += usize::from(source.last);
                }
            }
            for (action, last_reads) in actions.iter().zip(last_reads) {
                prop_assert_eq!(last_reads, usize::from(action.keeps()));
            }
        }
    }

    /// Counted again from the intervals in which each feature is needed, at every moment of every step.
    #[test]
    fn peaks_are_those_of_a_recount_and_nothing_outlives_the_last_step((topology, plan) in any_plan()) {
        let schedule = plan.schedule(&topology).unwrap();
        let intervals = intervals(&schedule);
        let slots = schedule.slots().len();
        // Modules act in order, the gate's value is there after them.
        let moment = |step: usize, slot: usize| step * slots + if slot == 0 { slots - 1 } else { slot - 1 };
        let held = |now: usize| -> usize {
            let live = intervals.iter().filter(|(slot, from, last)| {
                (moment(*from, *slot)..moment(*last, *slot)).contains(&now)
            });
            live.map(|(slot, ..)| schedule.slots()[*slot].elements).sum()
        };
        for step in 0..schedule.steps() {
            let moments = step * slots..(step + 1) * slots;
            let before = if step == 0 { 0 } else { held(step * slots - 1) };
            let peak = moments.clone().map(held).max().unwrap().max(before);
            prop_assert_eq!(schedule.step_peak_elements()[step], peak, "step {}", step);
            prop_assert_eq!(schedule.live_elements()[step], held(moments.end - 1), "step {}", step);
        }
        prop_assert_eq!(schedule.live_elements().last(), Some(&0));
        let bytes = |now: usize| -> usize {
            let live = intervals.iter().filter(|(slot, from, last)| {
                (moment(*from, *slot)..moment(*last, *slot)).contains(&now)
            });
            // The network's output is kept as the sample is, in f32.
            let size = |slot: &Slot| slot.elements * if slot.site == Site::OUTPUT { 4 } else { 2 };
            live.map(|(slot, ..)| size(&schedule.slots()[*slot])).sum()
        };
        let most = (0..schedule.steps() * slots).map(bytes).max().unwrap();
        prop_assert_eq!(schedule.peak_bytes(3, 2), most * 3);
    }

    #[test]
    fn recipes_read_the_last_computed_values_and_are_exact_on_polynomials((topology, plan) in any_plan()) {
        let schedule = plan.schedule(&topology).unwrap();
        for slot in 0..schedule.slots().len() {
            let rule = rule_of(&plan, &schedule, slot);
            if rule == ReuseRule::Weights {
                continue;
            }
            let actions = actions(&schedule, slot);
            for (step, action) in actions.iter().enumerate() {
                let Some(recipe) = action.recipe() else { continue };
                let computed = |earlier: &usize| {
                    matches!(actions[*earlier], Action::Keep | Action::Compute)
                };
                let mut nearest: Vec<usize> = (0..step).rev().filter(computed).take(rule.reach()).collect();
                nearest.reverse();
                prop_assert_eq!(recipe.iter().map(|source| source.step).collect::<Vec<_>>(), nearest);
                if rule == ReuseRule::Hold {
                    prop_assert_eq!(recipe[0].weight, 1.0);
                }
                // TaylorSeer's series is exact on lines only.
                let powers = if let ReuseRule::Taylor(_) = rule { 2 } else { recipe.len() };
                exact(&plan, recipe, step, powers)?;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Listed weights are those of the last computed values, the newest first; a computed step blends where its row says so.
    #[test]
    fn listed_weights_are_read_as_they_are((topology, plan) in any_plan()) {
        let schedule = plan.schedule(&topology).unwrap();
        for (site, rows) in plan.weights() {
            let slot = schedule.slot(*site).unwrap();
            let mut computed: Vec<usize> = Vec::new();
            for (step, row) in rows.iter().enumerate() {
                let action = schedule.action(step, slot);
                let reused = action.recipe().is_some();
                if *action == Action::Idle {
                    continue;
                }
                if !reused {
                    computed.insert(0, step);
                }
                let held = WeightRow { kept: vec![1.0], sample: 0.0 };
                let row = if row.kept.is_empty() { &held } else { row };
                if !reused && row.is_fresh() {
                    prop_assert!(matches!(action, Action::Compute | Action::Keep));
                    continue;
                }
                prop_assert_eq!(matches!(action, Action::Blend { .. }), !reused);
                let listed: Vec<(usize, f64)> =
                    computed.iter().copied().zip(row.kept.iter().copied()).filter(|(_, weight)| *weight != 0.0).collect();
                let read: Vec<(usize, f64)> = action.sources().iter().map(|source| (source.step, source.weight)).collect();
                prop_assert_eq!(read, listed);
            }
        }
    }
}

/// The weighted sum gives the first `powers` powers of time back, as far as there are sources. Errors are rounding: of the size of the
/// summands.
fn exact(plan: &CachePlan, recipe: &[Source], step: usize, powers: usize) -> Result<(), TestCaseError> {
    for (power, _) in (0_i32..).zip(recipe).take(powers) {
        let value = |at: usize| (time(plan, at) - time(plan, step)).powi(power);
        let sum: f64 = recipe.iter().map(|source| source.weight * value(source.step)).sum();
        let size: f64 = recipe.iter().map(|source| (source.weight * value(source.step)).abs()).sum();
        prop_assert!((sum - value(step)).abs() <= 1e-11 * size.max(1.0), "power {power}: {sum}");
    }
    Ok(())
}

#[test]
fn a_reuse_before_any_computation_names_its_slot() {
    let topology = topology(2);
    let site = Site::new(Kind::FF, 1);
    let column = topology.index(site).unwrap();
    let plan = |skipped: &[usize], reused: &[usize]| {
        let gate = (0..5).map(|step| skipped.contains(&step)).collect();
        let mut reuse = Array2::from_elem((5, topology.sites.len()), false);
        for step in reused {
            reuse[[*step, column]] = true;
        }
        CachePlan::new(topology.sites.iter().map(|spec| spec.site).collect(), gate, reuse).unwrap()
    };
    let refused = |plan: CachePlan| match plan.schedule(&topology).unwrap_err() {
        PlanError::ReuseBeforeCompute { site, step } => (site, step),
        other => panic!("{other}"),
    };
    assert_eq!(refused(plan(&[], &[0, 3])), (site, 0));
    assert_eq!(refused(plan(&[0], &[])), (Site::TRUNK, 0));
    let output = plan(&[0], &[]).with_gate_rule(GateSite::Output(OutputForm::Velocity), ReuseRule::Hold);
    assert_eq!(refused(output), (Site::OUTPUT, 0));
    assert!(plan(&[1, 2], &[3]).schedule(&topology).is_ok());
}

#[test]
fn a_skipped_step_computes_nothing_that_a_module_could_reuse() {
    // Step 0 computes, 1 is skipped, 2 reuses what step 0 kept.
    let topology = topology(1);
    let mut reuse = Array2::from_elem((3, 2), false);
    reuse[[2, 0]] = true;
    let sites = topology.sites.iter().map(|spec| spec.site).collect();
    let schedule =
        CachePlan::new(sites, vec![false, true, false], reuse).unwrap().schedule(&topology).unwrap();
    let held = vec![Source { step: 0, weight: 1.0, last: true }];
    assert_eq!(*schedule.action(0, 1), Action::Keep);
    assert_eq!(*schedule.action(1, 1), Action::Idle);
    assert_eq!(*schedule.action(2, 1), Action::Take(held.clone()));
    assert_eq!(*schedule.action(1, 0), Action::Take(held));
    assert_eq!(*schedule.action(2, 0), Action::Compute);
    let (joint, trunk) = (topology.sites[0].elements(), topology.trunk.elements());
    assert_eq!(schedule.live_elements(), [joint + trunk, joint, 0]);
    assert_eq!(schedule.step_peak_elements(), [joint + trunk, joint + trunk, joint]);
}

#[test]
fn a_plan_for_other_sites_is_refused_with_the_first_difference() {
    let detail = |plan: &CachePlan, topology: &Topology| match plan.schedule(topology).unwrap_err() {
        PlanError::Sites { detail, .. } => detail,
        other => panic!("{other}"),
    };
    let (one, two) = (topology(1), topology(2));
    assert_eq!(detail(&CachePlan::empty(&one, 3), &two), "the plan lacks joint[1]");
    assert_eq!(detail(&CachePlan::empty(&two, 3), &one), "the plan has joint[1], the model has not");
}

#[test]
fn weights_that_cannot_be_followed_are_refused() {
    let topology = topology(1);
    let message = |rows: Vec<WeightRow>, gate: Vec<bool>| {
        let plan = CachePlan::gate_only(&topology, gate)
            .with_gate_rule(GateSite::Output(OutputForm::X0), ReuseRule::Hold);
        let plan = plan.with_weights(Site::OUTPUT, rows);
        plan.and_then(|plan| plan.schedule(&topology).map(drop)).unwrap_err().to_string()
    };
    let row = |kept: &[f64]| WeightRow { kept: kept.to_vec(), sample: 0.0 };
    let found = message(vec![row(&[1.0]), row(&[1.0, 0.5, 0.5])], vec![false, false]);
    assert!(found.contains("output[0][1]") && found.contains("at most 2"), "{found}");
    let found = message(vec![row(&[1.0]), row(&[0.0])], vec![false, true]);
    assert!(found.contains("at least one that is not 0"), "{found}");
    let found = message(vec![row(&[1.0])], vec![false, true]);
    assert!(found.contains("weights of output[0] [steps]"), "{found}");
    let found = message(vec![row(&[f64::NAN]), row(&[1.0])], vec![false, true]);
    assert!(found.contains("finite"), "{found}");
    let found = message(vec![row(&[1.0]), row(&[0.1; 9])], vec![false, true]);
    assert!(found.contains("at most"), "{found}");
    let ruled = CachePlan::gate_only(&topology, vec![false, true])
        .with_gate_rule(GateSite::Trunk, ReuseRule::Weights);
    let found = ruled.schedule(&topology).unwrap_err().to_string();
    assert!(found.contains("trunk[0]") && found.contains("lists none"), "{found}");
    let sampled = vec![row(&[1.0]), WeightRow { kept: vec![1.0], sample: 0.5 }];
    let found = ruled.clone().with_weights(Site::TRUNK, sampled).unwrap_err().to_string();
    assert!(found.contains("sample"), "{found}");
    let found = ruled.with_weights(Site::OUTPUT, vec![row(&[1.0]); 2]).unwrap_err().to_string();
    assert!(found.contains("neither gates nor has"), "{found}");
}
