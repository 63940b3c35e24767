//! The autoencoder and its loader against stored numbers, laws and bad files.

#[expect(dead_code, reason = "shared with the tests of DiT, which use all of it")]
#[path = "../dit/fixture.rs"]
mod fixture;
mod forward;
mod layouts;
mod tiling;
