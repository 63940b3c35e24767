//! Help, exit codes and standard output of every command.

use std::process::{Command, Stdio};

use crate::support::{data, run, stdout};

const COMMANDS: [&[&str]; 18] = [
    &["calibrate"],
    &["compare"],
    &["fit"],
    &["generate"],
    &["verify"],
    &["devices"],
    &["e2e"],
    &["bench-model"],
    &["plan", "show"],
    &["plan", "convert"],
    &["plan", "diff"],
    &["plan", "lint"],
    &["route", "train"],
    &["route", "eval"],
    &["route", "plan"],
    &["block-cache", "plan"],
    &["block-cache", "train"],
    &["block-cache", "eval"],
];

#[test]
fn every_command_has_examples_and_says_what_its_json_holds() {
    let folder = tempfile::tempdir().unwrap();
    let trains: &[&[&str]] = if cfg!(feature = "autodiff") { &[&["train-classifier"]] } else { &[] };
    for command in COMMANDS.iter().chain(trains).copied() {
        let help = stdout(folder.path(), &[command, &["--help"]].concat());
        let called = format!("invardiff {}", command.join(" "));
        assert!(help.contains(&format!("Examples:\n  {called}")), "{called} has no example:\n{help}");
        assert!(help.contains("--json"), "{called}");
        if command == ["e2e"] {
            assert!(help.contains("--json prints an array with one object per device: "), "{called}");
        } else if command != ["calibrate"] {
            assert!(help.contains("--json prints one object: "), "{called} does not say what --json prints");
        }
    }
}

#[test]
fn flags_that_do_not_exist_are_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    for args in
        [&["generate", "--speed", "9"][..], &["plan", "paint"], &["verify", "--num-inference-steps", "3"]]
    {
        let output = run(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let book = data(
        "invardiff-plan/tests/data/reference-plans/dit-xl-2-256/cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json",
    );
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("invardiff"))
        .args(["plan", "show", &book, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && message.is_empty(), "{message}");
}
