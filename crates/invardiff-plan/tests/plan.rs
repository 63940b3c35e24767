//! The plan's own promises: its parts fit together, and it refuses a run that it was not made for.

use invardiff_plan::{
    CachePlan, GateSite, Kind, PlanError, Provenance, ReuseRule, RunSpec, Site, SiteSpec, TimeAxis, Topology,
};
use ndarray::{Array2, array};

fn topology() -> Topology {
    let site = |site| SiteSpec::single(site, 4, 8, 1.0);
    Topology {
        model: "test".into(),
        sites: vec![site(Site::msa(0)), site(Site::mlp(0)), site(Site::msa(1)), site(Site::mlp(1))],
        trunk: site(Site::TRUNK),
        head_flops: 0.0,
        output_elements: 32,
    }
}

/// One difference between two runs.
type Change = fn(&mut RunSpec);

/// Step 1 is skipped; `msa[1]` is reused at steps 1 and 2, `mlp[0]` at step 2.
fn plan() -> CachePlan {
    let mut reuse = Array2::from_elem((4, 4), false);
    for at in [[1, 2], [2, 2], [2, 1]] {
        reuse[at] = true;
    }
    let sites = topology().sites.iter().map(|spec| spec.site).collect();
    CachePlan::new(sites, vec![false, true, false, false], reuse).unwrap()
}

fn execution() -> RunSpec {
    RunSpec {
        model: "dit".into(),
        weights_sha256: Some("ab".into()),
        sampler: "ddim".into(),
        timesteps: vec![999.0, 666.0, 333.0, 0.0],
        height: 32,
        width: 32,
        guidance_scale: Some(4.0),
        dtype: "f32".into(),
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let new = |sites: &[Site], steps: usize, shape| {
        CachePlan::new(sites.to_vec(), vec![false; steps], Array2::from_elem(shape, false))
    };
    let sites = [Site::msa(0), Site::mlp(0)];
    assert!(new(&sites, 3, (3, 2)).is_ok());
    let error = new(&sites, 3, (2, 3)).unwrap_err();
    assert!(error.to_string().contains("has shape [2, 3], expected [3, 2]"), "{error}");
    assert!(matches!(new(&sites, 0, (0, 2)), Err(PlanError::TooFewSteps { .. })));
    let error = new(&[Site::mlp(1), Site::mlp(1)], 3, (3, 2)).unwrap_err();
    assert!(error.to_string().contains("mlp[1] stands twice"), "{error}");
}

#[test]
fn counts_and_ablations_of_a_plan() {
    let plan = plan();
    assert_eq!((plan.skipped_steps(), plan.reused_modules()), (1, 2));
    let modules = plan.modules_alone();
    assert_eq!((modules.skipped_steps(), modules.reused_modules()), (0, 2));
    assert!(!modules.reuse()[[1, 2]], "a row of a skipped step is computed once nothing skips it");
    let gate = plan.gate_alone();
    assert_eq!((gate.skipped_steps(), gate.reused_modules()), (1, 0));
    assert_eq!(CachePlan::gate_only(&topology(), plan.gate().to_vec()).skipped_steps(), 1);
    assert_eq!(CachePlan::empty(&topology(), 4).reused_modules(), 0);
}

#[test]
fn columns_of_a_kind_come_by_layer() {
    let sites = vec![Site::msa(1), Site::mlp(0), Site::msa(0)];
    let reuse = array![[true, false, false], [false, false, true]];
    let plan = CachePlan::new(sites, vec![false; 2], reuse).unwrap();
    assert_eq!(plan.of_kind(Kind::MSA), array![[false, true], [true, false]]);
    assert_eq!(plan.of_kind(Kind::FF).dim(), (2, 0));
}

#[test]
fn times_must_be_one_a_step_and_strictly_monotone() {
    let set = |times: &[f64]| plan().with_times(TimeAxis::Sampler, times.to_vec());
    for times in [[4.0, 3.0, 1.0, 0.5], [0.0, 1.0, 2.0, 8.0]] {
        assert_eq!(set(&times).unwrap().times(), times);
    }
    assert!(matches!(set(&[3.0, 2.0, 1.0]), Err(PlanError::Shape { .. })));
    assert!(matches!(set(&[]), Err(PlanError::Shape { .. })));
    for times in [[4.0, 3.0, 3.0, 1.0], [4.0, 3.0, 3.5, 1.0], [f64::INFINITY, 3.0, 2.0, 1.0], [f64::NAN; 4]] {
        assert!(matches!(set(&times), Err(PlanError::Range { .. })), "{times:?}");
    }
    assert!(plan().with_times(TimeAxis::Step, vec![]).is_ok());
}

#[test]
fn rules_hold_unless_set() {
    let plan = plan().with_module_rule(Kind::MLP, ReuseRule::Extrapolate(1));
    assert_eq!(plan.module_rule(Kind::MSA), ReuseRule::Hold);
    assert_eq!(plan.module_rule(Kind::MLP), ReuseRule::Extrapolate(1));
    assert_eq!((plan.gate_site(), plan.gate_rule()), (GateSite::Trunk, ReuseRule::Hold));
}

#[test]
fn a_run_that_the_plan_was_not_made_for_is_refused_with_every_difference() {
    let provenance = Provenance { execution: Some(execution()), ..Provenance::default() };
    let plan = plan().with_provenance(provenance);
    assert!(plan.check(&execution()).is_ok());
    // Another weight file counts only where both are known; times may differ by rounding.
    let mut near = RunSpec { weights_sha256: None, ..execution() };
    near.timesteps[1] += 1e-4;
    assert!(plan.check(&near).is_ok());

    let changes: [(&str, Change); 8] = [
        ("model", |run| run.model = "flux".into()),
        ("weights_sha256", |run| run.weights_sha256 = Some("cd".into())),
        ("sampler", |run| run.sampler = "dpm++".into()),
        ("timestep", |run| run.timesteps[2] = 300.0),
        ("num_inference_steps", |run| run.timesteps.truncate(3)),
        ("size", |run| run.width = 64),
        ("guidance_scale", |run| run.guidance_scale = None),
        ("dtype", |run| run.dtype = "bf16".into()),
    ];
    for (field, change) in changes {
        let mut run = execution();
        change(&mut run);
        let PlanError::OtherRun(found) = plan.check(&run).unwrap_err() else { panic!("{field}") };
        assert_eq!(found.iter().map(|mismatch| mismatch.field).collect::<Vec<_>>(), [field]);
    }
    let other = RunSpec { model: "flux".into(), dtype: "bf16".into(), ..execution() };
    let message = plan.check(&other).unwrap_err().to_string();
    assert!(message.contains("model is dit in the plan and flux here; dtype is f32"), "{message}");
}

#[test]
fn a_plan_that_says_nothing_still_knows_its_steps() {
    let mut run = execution();
    assert!(plan().check(&run).is_ok());
    run.timesteps.push(-1.0);
    let message = plan().check(&run).unwrap_err().to_string();
    assert!(message.contains("num_inference_steps is 4 in the plan and 5 here"), "{message}");
}
