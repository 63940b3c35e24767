//! Configurations that no shipped fixture has, made from one whose values then still hold.

use crate::copy::{Copy, shipped};

fn dit() -> Copy {
    Copy::of(&shipped("invardiff-models", "dit_tiny"))
}

fn one_kind_of_weights(copy: &Copy) {
    std::fs::remove_file(copy.path().join("weights.pt")).unwrap();
}

#[test]
fn without_learned_sigma() {
    let copy = dit();
    one_kind_of_weights(&copy);
    copy.manifest(|manifest| {
        manifest["kind"] = "dit (no learned sigma)".into();
        manifest["config"]["learn_sigma"] = false.into();
    });
    // The last layer's rows are (row, column, channel) of a patch: 4 of every 8 channels stay.
    copy.arrays("weights.safetensors", |arrays| {
        arrays.cut("final_layer.linear.weight", 0, 8, 4);
        arrays.cut("final_layer.linear.bias", 0, 8, 4);
    });
    copy.arrays("forward.safetensors", |arrays| {
        for key in ["out", "out_float64", "cfg.out"] {
            arrays.cut(key, 1, 8, 4);
        }
    });
    assert_eq!(copy.failures(), []);
}

#[test]
fn fewer_layers() {
    let copy = dit();
    one_kind_of_weights(&copy);
    copy.manifest(|manifest| manifest["config"]["depth"] = 2.into());
    copy.arrays("weights.safetensors", |arrays| {
        arrays.retain(|key| !key.starts_with("blocks.2.") && !key.starts_with("blocks.3."));
    });
    std::fs::remove_file(copy.path().join("ddim.safetensors")).unwrap();
    let known = |key: &str| !key.starts_with("out") && !key.starts_with("cfg.");
    copy.arrays("forward.safetensors", |arrays| arrays.retain(known));
    let failures = copy.failures();
    let names: Vec<&str> = failures.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["block2.hidden", "block2.mlp", "block2.msa", "block3.hidden", "block3.mlp", "block3.msa"]
    );
    assert!(failures.iter().all(|(_, note)| note == "the model has 2 blocks"), "{failures:?}");
    copy.arrays("forward.safetensors", |arrays| {
        arrays.retain(|key| !key.starts_with("block2") && !key.starts_with("block3"));
    });
    assert_eq!(copy.failures(), []);
}

#[test]
fn another_batch_and_no_list_of_guided_channels() {
    let copy = dit();
    copy.manifest(|manifest| {
        // As many as the original code guides, if it is not said.
        manifest.as_object_mut().unwrap().remove("cfg_channels");
    });
    copy.arrays("forward.safetensors", |arrays| {
        let whole = |key: &str| key.starts_with("temb.") || key.starts_with("cfg.");
        let keys: Vec<String> = arrays.0.keys().filter(|key| !whole(key)).cloned().collect();
        for key in &keys {
            arrays.cut(key, 0, 2, 1);
        }
    });
    copy.arrays("ddim.safetensors", |arrays| {
        arrays.cut("z", 0, 2, 1);
        arrays.cut("y", 0, 2, 1);
        for key in ["latents", "pred_x0"] {
            arrays.cut(key, 1, 2, 1);
        }
        // Of conditional and unconditional rows, two each, the first of each.
        arrays.cut("y_cfg", 0, 2, 1);
        arrays.cut("latents_cfg", 1, 2, 1);
    });
    assert_eq!(copy.failures(), []);
}

#[test]
fn fewer_runs_settings_and_steps_of_features() {
    let copy = Copy::of(&shipped("invardiff-plan", "analyser_dit"));
    copy.manifest(|manifest| {
        manifest["runs"].as_array_mut().unwrap().remove(0);
    });
    copy.arrays("analyser.safetensors", |arrays| {
        arrays.retain(|key| !key.starts_with("s0."));
        let renamed = std::mem::take(&mut arrays.0)
            .into_iter()
            .map(|(key, array)| (key.replacen("s1.", "s0.", 1).replacen("s2.", "s1.", 1), array));
        arrays.0 = renamed.collect();
    });
    assert_eq!(copy.failures(), []);

    let copy = Copy::of(&shipped("invardiff-plan", "quantile"));
    copy.manifest(|manifest| {
        let case = manifest["cases"][4].clone();
        manifest["cases"] = vec![case].into();
    });
    assert_eq!(copy.failures(), []);
}

#[test]
fn other_counts_of_steps() {
    let copy = Copy::of(&shipped("invardiff-runtime", "schedulers"));
    copy.manifest(|manifest| {
        manifest["ddim"]["counts"] = vec![250].into();
        for kind in ["dpm", "flow"] {
            manifest[kind].as_array_mut().unwrap().truncate(1);
        }
    });
    assert_eq!(copy.failures(), []);
    copy.manifest(|manifest| manifest["dpm"][0]["solver_order"] = 3.into());
    assert_eq!(copy.fails("dpm0"), "solver_order is 3, this version has 2");
}
