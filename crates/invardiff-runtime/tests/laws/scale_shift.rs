//! Adjusted reuse: nothing where it is the identity, the affine map where it is not, and never a byte more in the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use invardiff_plan::{CachePlan, Schedule};
use invardiff_runtime::{Affine, Denoiser, Event, Observed, Replay, RuntimeError, ScaleShift, Site};
use ndarray::Array2;

use crate::toy::{BATCH, DIM, JOINT, MIX, Toy, bits, random_plan, replay, trajectory};

fn schedule(plan: &CachePlan) -> Arc<Schedule> {
    Arc::new(plan.schedule(&Toy::seeded(1).topology()).unwrap())
}

fn affine(scale: f32, shift: f32) -> Affine {
    let vector = |value| Tensor::full([1, 1, DIM], value, &Device::flex());
    Affine { scale: vector(scale), shift: vector(shift) }
}

/// The same for every reuse.
fn everywhere(schedule: &Schedule, scale: f32, shift: f32) -> ScaleShift {
    let topology = Toy::seeded(1).topology();
    let at = ScaleShift::places(schedule, &topology)
        .into_iter()
        .map(|(step, site, streams)| ((step, site), streams.iter().map(|_| affine(scale, shift)).collect()));
    ScaleShift::new(at.collect(), schedule, &topology).unwrap()
}

#[test]
fn the_identity_changes_no_bit_and_no_byte() {
    let topology = Toy::seeded(1).topology();
    let mut adjusted = 0;
    for seed in 0..100 {
        let plan = random_plan(seed);
        let schedule = schedule(&plan);
        let identity = ScaleShift::identity(&schedule, &topology, &Device::flex()).unwrap();
        assert_eq!(identity.len(), plan.reused_modules(), "plan {seed}");
        adjusted += identity.len();
        let mut policy = Replay::with_adjustment(schedule.clone(), Arc::new(identity));
        let found = trajectory(plan.steps(), &mut policy, 2);
        assert_eq!(found, trajectory(plan.steps(), &mut replay(&plan), 2), "plan {seed}");
        assert_eq!(policy.store().peak_bytes(), schedule.peak_bytes(BATCH, 4), "plan {seed}");
        assert!(policy.store().is_empty());
    }
    assert!(adjusted > 300);
}

/// What the model goes on with at step 2, reused from step 1, is the kept value through the vectors; what is kept is not.
#[test]
fn a_reused_value_goes_through_its_vectors() {
    let topology = Toy::seeded(1).topology();
    let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    let mut reuse = Array2::from_elem((4, sites.len()), false);
    for step in [2, 3] {
        for column in [0, 1] {
            reuse[[step, column]] = true; // mix[0], joint[0]
        }
    }
    let schedule = schedule(&CachePlan::new(sites, vec![false; 4], reuse).unwrap());
    let (mix, joint) = (Site::new(MIX, 0), Site::new(JOINT, 0));
    let at = BTreeMap::from([
        ((2, mix), vec![affine(2.0, 0.5)]),
        ((3, joint), vec![affine(1.0, -1.0), affine(-0.5, 0.0)]),
    ]);
    let adjustment = ScaleShift::new(at, &schedule, &topology).unwrap();
    assert_eq!(adjustment.bytes(), 3 * 2 * DIM * 4);
    let mut seen: BTreeMap<(usize, Site), Vec<Tensor<3>>> = BTreeMap::new();
    let look = |step, site, event: Event<'_>| match event {
        Event::Computed(tensors) | Event::Recalled(tensors) => {
            seen.insert((step, site), tensors.to_vec());
        }
        Event::Enter => (),
    };
    let policy = Replay::with_adjustment(schedule, Arc::new(adjustment));
    trajectory(4, &mut Observed::new(policy, look), 2);
    let kept = |site, stream: usize| seen[&(1, site)][stream].clone();
    let expected = [
        (2, mix, 0, kept(mix, 0) * 2.0 + 0.5),
        (2, joint, 0, kept(joint, 0)), // not adjusted
        (3, mix, 0, kept(mix, 0)),
        (3, joint, 0, kept(joint, 0) - 1.0),
        (3, joint, 1, kept(joint, 1) * -0.5),
    ];
    for (step, site, stream, value) in expected {
        assert_eq!(bits(&seen[&(step, site)][stream]), bits(&value), "{site} at step {step}");
    }
}

/// An adjusted trajectory leaves the plain one at the first adjusted reuse.
#[test]
fn an_adjustment_acts_from_its_first_step_on() {
    let mut acted = 0;
    for seed in 0..40 {
        let plan = random_plan(seed);
        let schedule = schedule(&plan);
        let adjustment = Arc::new(everywhere(&schedule, 1.1, 0.01));
        let Some((first, ..)) = adjustment.iter().next() else { continue };
        let plain = trajectory(plan.steps(), &mut replay(&plan), 2);
        let again = trajectory(plan.steps(), &mut Replay::with_adjustment(schedule, adjustment), 2);
        assert_eq!(again[..first], plain[..first], "plan {seed}");
        assert_ne!(again[first], plain[first], "plan {seed}");
        acted += 1;
    }
    assert!(acted > 20);
}

#[test]
fn vectors_that_do_not_fit_are_named() {
    let topology = Toy::seeded(1).topology();
    let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    let reuse = Array2::from_shape_fn((3, sites.len()), |(step, column)| step == 1 && column < 2);
    let schedule = schedule(&CachePlan::new(sites, vec![false; 3], reuse).unwrap());
    let message = |step, site, streams| {
        let error =
            ScaleShift::new(BTreeMap::from([((step, site), streams)]), &schedule, &topology).unwrap_err();
        assert!(matches!(error, RuntimeError::Adjustment { .. }));
        error.to_string()
    };
    let (mix, joint) = (Site::new(MIX, 0), Site::new(JOINT, 0));
    let one = || vec![affine(1.0, 0.0)];
    assert!(message(2, mix, one()).contains("mix[0] at step 2: the schedule does not reuse it there"));
    assert!(message(9, mix, one()).contains("does not reuse it there"));
    assert!(message(1, Site::TRUNK, one()).contains("does not reuse it there"));
    assert!(message(1, joint, one()).contains("1 vector pairs for its 2 tensors"));
    let wide = Affine::identity(DIM + 1, &Device::flex());
    assert!(message(1, mix, vec![wide]).contains("[1, 1, 5] for a tensor of 4 channels"));
}
