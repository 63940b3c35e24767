//! What the programs took.

use super::program::Spent;

/// What all programs took, round by round, ours first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::bench) struct Measured {
    pub(in crate::bench) model: String,
    pub(in crate::bench) threads: usize,
    pub(in crate::bench) programs: Vec<Timed>,
    /// Programs that were not run, and why.
    pub(in crate::bench) missing: Vec<(String, String)>,
}

/// A program with what its forwards took.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::bench) struct Timed {
    pub(in crate::bench) name: String,
    pub(in crate::bench) version: String,
    pub(in crate::bench) rounds: Vec<Spent>,
}
