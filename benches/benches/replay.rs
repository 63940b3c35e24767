//! A trajectory under a plan against the full one, and how much of the saved work is saved time.

use std::sync::Arc;

use criterion::Criterion;
use invardiff_plan::{CachePlan, Cost, Site};
use invardiff_runtime::{Denoiser, Full, Replay, Topology, sample};
use ndarray::Array2;

use crate::paired::paired;
use crate::subjects::Subject;

const STEPS: usize = 10;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replay");
    for subject in [Subject::embedded(), Subject::small()] {
        let (model, sampler) = (subject.guided(), subject.sampler(STEPS));
        let (noise, class) = (subject.noise(), subject.guided_class());
        let topology = model.topology();
        let plan = plan(&topology);
        let schedule = Arc::new(plan.schedule(&topology).expect("the model's own sites"));
        let replayed = || {
            let mut policy = Replay::new(schedule.clone());
            sample(&model, &sampler, &mut policy, noise.clone(), &class)
        };
        let full = || sample(&model, &sampler, &mut Full, noise.clone(), &class);
        if let Some(ratio) = paired(&mut group, subject.name, "the full trajectory", replayed, full) {
            let predicted = Cost::of(&plan, &topology).expect("FLOPs are known").speedup();
            let speedup = ratio.inverse();
            println!(
                "{:24}speed-up {speedup}, predicted {predicted:.3}, measured over predicted {}",
                "",
                speedup.over(predicted)
            );
            let mut policy = Replay::new(schedule.clone());
            sample(&model, &sampler, &mut policy, noise.clone(), &class);
            let (held, scheduled) = (policy.store().peak_bytes(), schedule.peak_bytes(1, size_of::<f32>()));
            println!(
                "{:24}peak cache {held} bytes, scheduled {scheduled}, measured over scheduled {:.3}",
                "",
                held as f64 / scheduled as f64
            );
        }
    }
    group.finish();
}

/// Six of ten steps skipped, and half of the modules reused at one of the computed ones: about the mix of the published
/// fast plan for DiT-XL/2.
fn plan(topology: &Topology) -> CachePlan {
    let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    let gate = (0..STEPS).map(|step| matches!(step, 2..=5 | 7 | 8)).collect();
    let reuse = Array2::from_shape_fn((STEPS, sites.len()), |(step, site)| step == 1 && site % 2 == 1);
    CachePlan::new(sites, gate, reuse).expect("one row a step, one column a site")
}
