//! What must hold for every plan that is lowered: nothing is read that is not kept, nothing is kept that is not read.

use invardiff_plan::core::{Action, Slot, Source};
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
        layers in Just(layers),
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
        (topology, plan)
    }
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
            let reads = |action: &&Action| {
                action.recipe().is_some_and(|recipe| recipe.iter().any(|source| source.step == computed))
            };
            if let Some(last) = actions(schedule, slot).iter().rposition(reads) {
                found.push((slot, computed, last));
            }
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
                let recipe = action.recipe().unwrap_or_default();
                let takes = recipe.iter().any(|source| source.last);
                prop_assert_eq!(matches!(action, Action::Take(_)), takes);
                for source in recipe {
                    prop_assert!(source.step < step);
                    prop_assert_eq!(actions[source.step], &Action::Keep);
                    prop_assert_eq!(last_reads[source.step], 0, "read after its last read");
                    last_reads[source.step] += usize::from(source.last);
                }
            }
            for (action, last_reads) in actions.iter().zip(last_reads) {
                prop_assert_eq!(last_reads, usize::from(**action == Action::Keep));
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
