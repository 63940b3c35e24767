//! The reference plans in `tests/data`.

#![allow(dead_code, reason = "every test binary uses its own part")]

use std::path::PathBuf;

pub(crate) const DIT_FAST: &str = "dit-xl-2-256/cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json";
pub(crate) const DIT_SLOW: &str = "dit-xl-2-256/cache_books_stp50_n0.0_sth0.61_msa0.2_mlp0.2.json";
pub(crate) const FLUX_FAST: &str =
    "flux1-dev-1024/cache_books_stp28_n0.1_th0.7_attn0.68_ff0.68_ctxff0.68_sattn0.68_smlp0.68.json";
pub(crate) const FLUX_MEDIUM_1: &str =
    "flux1-dev-1024/cache_books_stp28_n0.1_th0.7_attn0.68_ff0_ctxff0_sattn0.68_smlp0.json";
pub(crate) const FLUX_MEDIUM_2: &str =
    "flux1-dev-1024/cache_books_stp28_n0.15_th0.7_attn0.68_ff0_ctxff0_sattn0.7_smlp0.json";
pub(crate) const FLUX_SLOW: &str =
    "flux1-dev-1024/cache_books_stp28_n0.22_th0.72_attn0.68_ff0.66_ctxff0_sattn0.68_smlp0.62.json";

/// All of them.
pub(crate) const ALL: [&str; 6] = [DIT_FAST, DIT_SLOW, FLUX_FAST, FLUX_MEDIUM_1, FLUX_MEDIUM_2, FLUX_SLOW];

/// Where a reference plan lies.
pub(crate) fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/reference-plans").join(file)
}

/// The text of a reference plan.
pub(crate) fn text(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap()
}
