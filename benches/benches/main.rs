//! The benches of the workspace, as one program: `cargo xtask bench [FILTER]`. What is measured and how: docs/performance.md.
//!
//! Few and short samples, so that all of it takes minutes. Where one thing is set against another, both run in turns and the
//! ratio is printed below criterion's own lines.

mod block;
mod calibration;
mod forward;
mod growth;
mod metrics;
mod paired;
mod plan;
mod replay;
mod seam;
mod subjects;

use std::time::Duration;

use criterion::Criterion;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    plan::benches(&mut criterion);
    seam::benches(&mut criterion);
    block::benches(&mut criterion);
    forward::benches(&mut criterion);
    replay::benches(&mut criterion);
    calibration::benches(&mut criterion);
    metrics::benches(&mut criterion);
    growth::benches(&mut criterion);
    criterion.final_summary();
}
