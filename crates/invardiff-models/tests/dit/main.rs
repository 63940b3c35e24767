//! DiT and its loader against stored numbers, laws and bad files.

mod bad_files;
mod blocks;
mod ddim;
mod fixture;
mod forward;
mod laws;
mod layouts;
mod seam;
mod torch;
