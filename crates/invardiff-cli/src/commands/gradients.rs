//! What commands that train say in a program that cannot.

/// The error of a program without gradients: how to build one with them.
pub(super) fn missing() -> anyhow::Error {
    anyhow::anyhow!(
        "training needs gradients, and this program was built without them; build it with \
         cargo build --release --package invardiff-cli --features autodiff"
    )
}
