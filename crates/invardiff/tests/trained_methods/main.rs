//! Learning-to-Cache and Block Caching on the models of this workspace.

mod checkpoint;
mod files;
mod laws;
mod tiny;
#[cfg(feature = "autodiff")]
mod training;
