//! One module a command: its arguments and what it does.

pub mod bench_model;
pub mod block_cache;
pub mod compare;
pub mod e2e;
pub mod fit;
pub mod labels;
pub mod parity;
pub mod request;
pub mod route;
pub mod source;
#[cfg(feature = "autodiff")]
pub mod train_classifier;
#[cfg(feature = "autodiff")]
mod training;
pub mod verify;

/// What commands that train say in a program that cannot.
#[cfg(not(feature = "autodiff"))]
fn without_gradients() -> anyhow::Error {
    anyhow::anyhow!(
        "training needs gradients, and this program was built without them; build it with \
         cargo build --release --package invardiff-cli --features autodiff"
    )
}
