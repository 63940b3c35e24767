//! LoRA files merged while weights are loaded, against the same changes made to the weights by hand.

mod bad_files;
#[expect(dead_code, reason = "shared with the tests of DiT, which use all of it")]
#[path = "../dit/fixture.rs"]
mod fixture;
mod make;
mod merging;
mod settings;
