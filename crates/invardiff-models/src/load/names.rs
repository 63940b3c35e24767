//! The names of weights in files, per model.

pub(super) mod clip;
pub(super) mod dit;
pub(super) mod flux;
pub(super) mod t5;
pub(super) mod vae;
