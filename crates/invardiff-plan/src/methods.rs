//! Other published methods, one module each: their settings and rules, what they measure, and the plans that they make.

pub mod baseline;
pub mod block_caching;
pub mod block_skip;
pub mod first_blocks;
pub mod fora;
pub mod magcache;
pub mod routers;
pub mod smoothcache;
pub mod spectrum;
pub mod taylorseer;
pub mod teacache;
mod threshold;
