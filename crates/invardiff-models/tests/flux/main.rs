//! The FLUX transformer and its loader against stored numbers, laws and bad files.

mod bad_files;
mod blocks;
mod edit;
#[expect(dead_code, reason = "shared with the tests of DiT, which use all of it")]
#[path = "../dit/fixture.rs"]
mod fixture;
mod forward;
mod laws;
mod layouts;
mod outline;
#[path = "../dit/seam.rs"]
mod seam;
mod shards;
mod tiny;
mod trajectory;
