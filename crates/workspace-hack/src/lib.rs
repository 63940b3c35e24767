//! Nothing but a manifest: see `Cargo.toml` for why.
