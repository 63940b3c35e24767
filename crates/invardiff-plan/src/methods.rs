//! Other methods than InvarDiff's, each a module: what it measures, its rule, and the plan that it makes.

pub mod baseline;
pub mod block_caching;
pub mod block_skip;
pub mod first_blocks;
pub mod fora;
pub mod magcache;
pub mod routers;
pub mod smoothcache;
pub mod taylorseer;
pub mod teacache;
mod threshold;
