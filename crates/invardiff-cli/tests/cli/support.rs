//! Runs the binary and makes the plans that it is given.

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::cargo::cargo_bin_cmd;
use invardiff_plan::{CachePlan, Provenance, RunSpec, Site};
use ndarray::Array2;
use serde_json::Value;

/// Runs `invardiff` in a folder.
pub(crate) fn run(folder: &Path, args: &[&str]) -> Output {
    run_with(folder, &[], args)
}

/// Runs `invardiff` in a folder, with more in its environment.
pub(crate) fn run_with(folder: &Path, variables: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = cargo_bin_cmd!("invardiff");
    // Without such a folder, libraries of the desktop write to standard error when graphics devices are listed.
    command.current_dir(folder).env("XDG_RUNTIME_DIR", folder);
    command.envs(variables.iter().copied()).args(args).output().unwrap()
}

/// What a command that must succeed prints.
pub(crate) fn stdout(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The object that a command with `--json` prints.
pub(crate) fn json(folder: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&stdout(folder, args)).unwrap()
}

/// The message of a command that must fail: one line, exit code 1, nothing on standard output.
pub(crate) fn error(folder: &Path, args: &[&str]) -> String {
    only_error(run(folder, args), args)
}

/// As [`error`], of a command that has run.
pub(crate) fn only_error(output: Output, args: &[&str]) -> String {
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
    assert!(output.stdout.is_empty(), "{args:?} printed {}", String::from_utf8_lossy(&output.stdout));
    let line = message.strip_suffix('\n').unwrap();
    assert!(line.starts_with("error: ") && !line.contains('\n'), "{args:?}: {message}");
    line.to_owned()
}

/// The names in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A file of another crate's tests.
pub(crate) fn data(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    assert!(path.exists(), "{} is missing", path.display());
    path.to_str().unwrap().to_owned()
}

/// Sites of the embedded models: eight blocks.
fn sites() -> Vec<Site> {
    (0..8).flat_map(|layer| [Site::msa(layer), Site::mlp(layer)]).collect()
}

/// A plan for the embedded Fashion-MNIST model and DDIM of four steps at guidance 2: step 2 skipped, and in step 1 the
/// feed-forward of block 1 reused.
pub(crate) fn fashion_plan() -> CachePlan {
    let mut reuse = Array2::from_elem((4, 16), false);
    reuse[[1, 3]] = true;
    let execution = RunSpec {
        model: "fashion".into(),
        weights_sha256: None,
        sampler: "ddim".into(),
        timesteps: vec![999.0, 666.0, 333.0, 0.0],
        height: 28,
        width: 28,
        guidance_scale: Some(2.0),
        dtype: "f32".into(),
    };
    CachePlan::new(sites(), vec![false, false, true, false], reuse)
        .unwrap()
        .with_provenance(Provenance { execution: Some(execution), ..Provenance::default() })
}

/// Writes [`fashion_plan`] into a folder.
pub(crate) fn write_fashion_plan(folder: &Path) {
    fashion_plan().write(folder.join("plan.json")).unwrap();
}
