//! Mistakes that can be known without running the model are told before it runs, at the default sizes (which take minutes).

use std::time::Duration;

use assert_cmd::Command;

/// Much more than a check takes, and much less than any of these commands would run.
const LIMIT: Duration = Duration::from_secs(40);

/// What the command says, which fails and writes nothing.
fn told(args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("invardiff").unwrap();
    let output = command.current_dir(folder.path()).args(args).timeout(LIMIT).assert().failure();
    let said = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(said.starts_with("error: "), "{args:?}: {said}");
    said
}

#[test]
fn mistakes_are_told_before_the_model_runs() {
    let cases: [(&[&str], &str); 12] = [
        (&["calibrate", "--target-speedup", "1000"], "--target-speedup is 1000, expected 1 to 50"),
        (&["calibrate", "--target-speedup", "0"], "--target-speedup is 0, expected 1 to 50"),
        (&["calibrate", "--compute-steps", "100"], "--compute-steps is 100, expected 1 to 50"),
        (&["calibrate", "--warm-up", "60"], "--warm-up is 60, expected at most the 50 steps"),
        (&["calibrate", "--guard", "5"], "--guard is 5, expected a share from 0 to 1"),
        (&["calibrate", "--step-quantile", "2"], "--step-quantile is 2, expected 0 to 1"),
        (&["compare", "--teacache", "nosuch.json"], "--teacache: nosuch.json"),
        (
            &["compare", "--method", "paper=3"],
            "paper, step quantile 3: the step quantile is 3, expected 0 to 1",
        ),
        (&["compare", "--method", "least-error=70"], "expected 1 to 50"),
        (&["compare", "--also", "plans-own=nosuch.json"], "nosuch.json"),
        (&["generate", "--vae", "nosuch", "--out", "x.png"], "--vae nosuch has no use: fashion is embedded"),
        (
            &["generate", "--guidance-scale", "-3", "--out", "x.png"],
            "--guidance-scale is -3, expected a number from 0 on",
        ),
    ];
    for (args, expected) in cases {
        let said = told(args);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}
