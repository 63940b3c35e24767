//! The example runs, and keeps its promise to be short.

#[path = "../examples/own_model.rs"]
mod own_model;

#[test]
fn a_model_of_ones_own_is_calibrated_and_cached() {
    own_model::main().unwrap();
}

#[test]
fn the_example_has_fewer_than_60_lines() {
    let lines = include_str!("../examples/own_model.rs").lines().count();
    assert!(lines < 60, "{lines}");
}
