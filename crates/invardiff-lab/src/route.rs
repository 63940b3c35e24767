//! Learning-to-Cache: routers trained against the uncached model, and compared with untrained plans of the same compute
//! (arXiv 2406.01733).

mod evaluate;
#[cfg(feature = "autodiff")]
mod options;
#[cfg(feature = "autodiff")]
mod present;
#[cfg(feature = "autodiff")]
mod state;
#[cfg(feature = "autodiff")]
mod training;

pub use evaluate::{Controls, evaluate};
#[cfg(feature = "autodiff")]
pub use options::RouterOptions;
#[cfg(feature = "autodiff")]
pub use training::{TrainedRouters, train, train_on};
