//! Text encoders, their loaders and their tokenizers against stored numbers, laws and bad files.

mod bad_files;
mod clip_tokenizer;
mod encoders;
#[expect(dead_code, reason = "shared with the tests of DiT, which use all of it")]
#[path = "../dit/fixture.rs"]
mod fixture;
mod folders;
mod t5_tokenizer;
mod tiny;
