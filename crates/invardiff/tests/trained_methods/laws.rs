//! The laws of the blend and of adjusted reuse, on both model families, bit for bit.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use invardiff_calib::{Mix, Session};
use invardiff_plan::methods::routers::Routers;
use invardiff_plan::{Cost, Site};
use invardiff_runtime::{Denoiser, Full, Replay, Sampler, ScaleShift};

use crate::tiny::{Case, STEPS, dit, flux, routers};

#[test]
fn a_blend_at_its_ends_is_full_computation_or_a_replay() {
    blends(&dit());
    blends(&flux());
}

fn blends<const D: usize, M: Denoiser<D>, S: Sampler<D>>(case: &Case<D, M, S>) {
    let topology = case.model.topology();
    let full = case.trajectory(&mut Full);
    let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    let ones = Tensor::ones([STEPS / 2, sites.len()], &Device::flex());
    assert_eq!(case.trajectory(&mut Mix::new(&sites, ones).unwrap()), full, "{}", topology.model);
    for seed in 0..6 {
        let routers = routers(&topology, seed);
        let schedule = Arc::new(routers.plan(0.5).unwrap().schedule(&topology).unwrap());
        let mut replay = Replay::new(schedule.clone());
        let replayed = case.trajectory(&mut replay);
        let mut hard = Mix::hard(&routers, 0.5, &Device::flex()).unwrap();
        assert_eq!(case.trajectory(&mut hard), replayed, "{} {seed}", topology.model);
        assert_ne!(replayed, full);
        assert_eq!(replay.store().peak_bytes(), schedule.peak_bytes(2, 4));
        assert!(replay.store().is_empty());
        let soft = case.trajectory(&mut Mix::soft(&routers, &Device::flex()).unwrap());
        assert!(soft != full && soft != replayed);
    }
}

#[test]
fn an_identity_adjustment_changes_no_bit() {
    adjusts(&dit());
    adjusts(&flux());
}

fn adjusts<const D: usize, M: Denoiser<D>, S: Sampler<D>>(case: &Case<D, M, S>) {
    let topology = case.model.topology();
    for seed in 0..6 {
        let plan = routers(&topology, seed).plan(0.5).unwrap();
        let schedule = Arc::new(plan.schedule(&topology).unwrap());
        let identity = ScaleShift::identity(&schedule, &topology, &Device::flex()).unwrap();
        assert_eq!(identity.len(), plan.reused_modules());
        let mut adjusted = Replay::with_adjustment(schedule.clone(), Arc::new(identity));
        assert_eq!(case.trajectory(&mut adjusted), case.trajectory(&mut Replay::new(schedule)));
    }
}

#[test]
fn changes_add_up_to_a_plan_of_the_asked_compute() {
    plans(&dit());
    plans(&flux());
}

fn plans<const D: usize, M, S>(case: &Case<D, M, S>)
where
    M: Denoiser<D> + Sync,
    M::Cond: Sync + Clone,
    S: Sampler<D> + Sync,
{
    let topology = case.model.topology();
    let run = invardiff_calib::Run { noise: case.noise.clone(), cond: case.cond.clone() };
    let table = Session::new(&case.model, &case.sampler, &[run]).unwrap().block_changes().unwrap();
    assert!(table.changes().row(1).iter().all(|change| *change > 0.0));
    let (delta, plan) = table.plan_at(0.6, &[], &topology).unwrap();
    let found = Cost::of(&plan, &topology).unwrap().compute_fraction();
    assert!(delta > 0.0 && found <= 0.6 && found > 0.3, "{delta} {found}");
    let mut replay = Replay::new(Arc::new(plan.schedule(&topology).unwrap()));
    assert_ne!(case.trajectory(&mut replay), case.trajectory(&mut Full));
}

/// What is 28 blocks and 56 logits in a published checkpoint is as many modules in the topology of DiT-XL/2.
#[test]
fn published_routers_are_the_sites_of_a_dit() {
    let topology = invardiff_plan::Topology::named("dit-xl-2-256").unwrap();
    let probs = (0..20).map(|index| (index, vec![0.0; 56])).collect();
    let routers = Routers::from_published(&topology, 20, &probs).unwrap();
    assert_eq!(routers.logits().dim(), (10, 56));
}
