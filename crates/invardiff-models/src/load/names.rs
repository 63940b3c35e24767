//! The names of weights in files, per model.

pub(super) mod dit;
pub(super) mod flux;
pub(super) mod vae;
