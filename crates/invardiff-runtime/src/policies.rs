//! Policies that decide while they run: `TeaCache`, First-Block Cache, `MagCache`.

mod bypass;
mod change;

pub use bypass::{Bypass, BypassStep, Decision};
pub use change::relative_change;
