//! Fuzzing: readers of files and answers that come from elsewhere, each a target. The same targets are run by coverage
//! (cargo-fuzz, in `fuzz/`) and by the runner of this crate, which needs stable Rust alone.

mod hub;
mod models;
mod mutate;
mod plans;
mod run;
mod scratch;
mod target;

pub use hub::listing;
pub use models::{configs, tiny_weights, tokenizers, weights};
pub use mutate::Mutator;
pub use plans::{atlas, books_and_masks, measurements, plan_binary, plan_file};
pub use run::{Budget, Figures, MEMORY_LIMIT, TIME_LIMIT, run, seeds};
pub use target::Target;

/// All targets.
pub const TARGETS: [Target; 9] = [
    Target { name: "plan_file", read: plan_file },
    Target { name: "plan_binary", read: plan_binary },
    Target { name: "books_and_masks", read: books_and_masks },
    Target { name: "measurements", read: measurements },
    Target { name: "atlas", read: atlas },
    Target { name: "weights", read: weights },
    Target { name: "configs", read: configs },
    Target { name: "tokenizers", read: tokenizers },
    Target { name: "listing", read: listing },
];

impl Target {
    /// The target of a name.
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }
}
