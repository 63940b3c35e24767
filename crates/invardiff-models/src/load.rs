//! Loading published weights. Every key is checked before anything is read: a model is loaded whole or not at all.

mod checkpoint;
mod config;
mod digest;
mod dit;
mod element;
mod error;
mod family;
mod file;
mod finite;
mod flux;
mod foreign;
mod infer;
mod layout;
mod lora;
mod names;
mod open;
mod options;
mod outline;
mod places;
mod quantised;
mod scales;
mod sections;
mod shards;
mod source;
mod tensors;
mod text;
mod vae;
mod weights;

pub use error::{FoundTensor, KeyProblems, LoadError, Misshapen};
pub use layout::KeyLayout;
pub use open::Loaded;
pub use options::{LoadOptions, Lora};
pub use outline::{Architecture, Outline};
pub use tensors::read_tensors;
