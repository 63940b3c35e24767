//! Files as people have them: quantised weights, training files, LoRA dialects, and files that are no weights.

mod files;
#[expect(dead_code, reason = "shared with the tests of DiT, which use all of it")]
#[path = "../dit/fixture.rs"]
mod fixture;
mod formulas;
mod lora;
mod quantised;
mod sections;
mod tiny;
