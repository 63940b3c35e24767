//! `invardiff verify`.

use crate::support::{data, error, json, run, stdout, write_fashion_plan};

#[test]
fn everything_holds_for_the_embedded_models() {
    let folder = tempfile::tempdir().unwrap();
    for model in ["fashion", "emoji"] {
        let args = ["verify", "--model", model, "--num-inference-steps", "4", "--json"];
        let found = json(folder.path(), &args);
        assert_eq!(
            (&found["model"], &found["passed"], &found["failed"]),
            (&model.into(), &10.into(), &0.into())
        );
        let checks = found["checks"].as_array().unwrap();
        let hash = |index: usize| checks[index]["found"].as_str().unwrap();
        // The uncached run is one and the same in all of these; a plan draws something else.
        assert_eq!([hash(1), hash(2), hash(4)], [hash(0); 3]);
        assert_eq!(hash(0).len(), 64);
        assert_ne!(hash(8), hash(0));
        // A random plan of skips and modules keeps more than the skipped steps alone.
        let bytes = |index: usize| hash(index).parse::<usize>().unwrap();
        assert!(bytes(5) > 0 && bytes(6) > bytes(5), "{} and {}", bytes(5), bytes(6));
    }
}

#[test]
fn a_plan_can_be_given_and_a_model_loaded() {
    let folder = tempfile::tempdir().unwrap();
    write_fashion_plan(folder.path());
    let lines = stdout(folder.path(), &["verify", "--plan", "plan.json", "--class-labels", "boot"]);
    let line = lines.lines().find(|line| line.contains("peak cache bytes, the plan")).unwrap();
    // Two rows of guidance, 49 tokens, 128 channels, 4 bytes; block 1's feed-forward and the trunk are never kept at once.
    assert!(line.starts_with("ok") && line.ends_with("50176 = 50176"), "{line}");
    assert!(lines.ends_with("fashion: 8 of 8 checks passed\n"), "{lines}");
    let weights = data("invardiff-models/tests/data/dit_tiny/weights.safetensors");
    let lines = stdout(folder.path(), &["verify", "--model", &weights, "--num-inference-steps", "4"]);
    assert!(lines.ends_with("dit-4x64-p2-8x8x4: 10 of 10 checks passed\n"), "{lines}");
}

#[test]
fn a_plan_for_another_run_is_refused_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    write_fashion_plan(folder.path());
    let args = ["verify", "--plan", "plan.json", "--guidance-scale", "3"];
    let message = error(folder.path(), &args);
    assert!(
        message.contains("--plan plan.json")
            && message.contains("guidance_scale is 2 in the plan and 3 here")
    );
    assert!(run(folder.path(), &[&args[..], &["--force"]].concat()).status.success());
}
