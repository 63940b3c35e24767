//! Files: routers, published routers, adjustments.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use invardiff::fault::with_causes;
use invardiff::{adjustment_path, read_adjustment, read_routers, write_adjustment, write_routers};
use invardiff_plan::{Provenance, Site, Topology};
use invardiff_runtime::{Affine, Denoiser, Replay, ScaleShift};

use crate::checkpoint;
use crate::tiny::{dit, flux, routers};

#[test]
fn routers_come_back_and_belong_to_their_sites() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routers.safetensors");
    let topology = flux().model.topology();
    let notes = vec!["lambda 1e-6".to_owned()];
    let provenance = Provenance { method: "learning-to-cache".into(), notes, ..Provenance::default() };
    let routers = routers(&topology, 3).with_provenance(provenance);
    write_routers(&routers, &path).unwrap();
    assert_eq!(read_routers(&path, &topology).unwrap(), routers);
    let other = with_causes(&read_routers(&path, &dit().model.topology()).unwrap_err());
    assert!(other.contains("routers.safetensors"), "{other}");
}

/// The sizes and counts of the published routers for DiT-XL/2 (20 and 50 steps of DDIM), on made-up values.
#[test]
fn a_published_checkpoint_is_read_with_its_counts() {
    let folder = tempfile::tempdir().unwrap();
    let topology = Topology::named("dit-xl-2-256").unwrap();
    for (steps, above_half, above_nine) in [(20, 292, 251), (50, 674, 607)] {
        let path = folder.path().join(format!("ddim{steps}.pt"));
        let probs = checkpoint::synthetic(steps, above_nine, above_half);
        checkpoint::write(&path, &probs);
        let routers = read_routers(&path, &topology).unwrap();
        assert_eq!((routers.steps(), routers.logits().dim()), (steps, (steps / 2, 56)));
        assert_eq!((routers.computed(0.5), routers.computed(0.9)), (above_half, above_nine));
        let plan = routers.plan(0.5).unwrap();
        assert_eq!(plan.reused_modules(), steps / 2 * 56 - above_half);
        // Index I counts down: the last step is index 0, and step 1 is index steps - 2.
        for (step, index) in [(1, steps - 2), (steps - 1, 0)] {
            let row: Vec<bool> = probs[&index].iter().map(|logit| *logit <= 0.0).collect();
            assert_eq!(plan.reuse().row(step).to_vec(), row);
        }
        plan.schedule(&topology).unwrap();
    }
}

#[test]
fn files_that_hold_no_routers_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let topology = Topology::named("dit-xl-2-256").unwrap();
    let path = |name: &str| folder.path().join(name);
    let refused = |name: &str, part: &str| {
        let message = with_causes(&read_routers(&path(name), &topology).unwrap_err());
        assert!(message.contains(name) && message.contains(part), "{message}");
    };
    refused("missing.safetensors", "");
    refused("missing.pt", "");
    std::fs::write(path("text.pt"), "no zip").unwrap();
    refused("text.pt", "no whole PyTorch file");
    checkpoint::write(&path("empty.pt"), &BTreeMap::new());
    refused("empty.pt", "");
    let mut few = checkpoint::synthetic(20, 10, 20);
    few.remove(&4);
    checkpoint::write(&path("few.pt"), &few);
    refused("few.pt", "'routers.4.prob' is missing");
    checkpoint::write(&path("narrow.pt"), &(0..20).map(|index| (index, vec![0.0; 55])).collect());
    refused("narrow.pt", "55");
}

/// Vectors that differ in every number.
fn numbered(step: usize, site: Site, dims: &[usize]) -> Vec<Affine> {
    let vector = |offset: f32, dim: usize| {
        let first = offset + step as f32 + site.layer as f32 * 0.125;
        let values: Vec<f32> = (0..dim).map(|index| first + index as f32 * 0.01).collect();
        Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([1, 1, dim])
    };
    let affine = |(stream, dim): (usize, &usize)| Affine {
        scale: vector(stream as f32, *dim),
        shift: vector(-0.5, *dim),
    };
    dims.iter().enumerate().map(affine).collect()
}

#[test]
fn an_adjustment_comes_back_for_its_plan_alone() {
    let (folder, case) = (tempfile::tempdir().unwrap(), flux());
    let topology = case.model.topology();
    let plan = routers(&topology, 2).plan(0.5).unwrap();
    let schedule = plan.schedule(&topology).unwrap();
    let at = ScaleShift::places(&schedule, &topology)
        .into_iter()
        .skip(1) // one reuse is left as it is
        .map(|(step, site, streams)| {
            let dims: Vec<usize> = streams.iter().map(|stream| stream.dim).collect();
            ((step, site), numbered(step, site, &dims))
        });
    let adjustment = ScaleShift::new(at.collect(), &schedule, &topology).unwrap();
    let path = adjustment_path(&folder.path().join("plan.json"), &plan).unwrap();
    assert!(path.starts_with(folder.path()));
    write_adjustment(&adjustment, &plan, vec!["3 iterations".into()], &path).unwrap();
    let back = read_adjustment(&path, &plan, &topology, &Device::flex()).unwrap();
    assert_eq!((back.len(), back.bytes()), (adjustment.len(), adjustment.bytes()));
    let schedule = Arc::new(schedule);
    let run =
        |adjustment| case.trajectory(&mut Replay::with_adjustment(schedule.clone(), Arc::new(adjustment)));
    let expected = run(adjustment);
    assert_eq!(run(back), expected);
    assert_ne!(case.trajectory(&mut Replay::new(schedule.clone())), expected);
    let other = routers(&topology, 3).plan(0.5).unwrap();
    let message = with_causes(&read_adjustment(&path, &other, &topology, &Device::flex()).unwrap_err());
    assert!(message.contains("trained for the plan"), "{message}");
}
