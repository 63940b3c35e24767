//! Policies that decide while they run: TeaCache, First-Block Cache, DBCache and MagCache.

mod block_skip;
mod change;

pub use block_skip::{BlockSkip, BlockSkipStep, Decision};
pub use change::relative_change;
