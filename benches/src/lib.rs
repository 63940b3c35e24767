//! What the benches measure with, beside criterion: two subjects in turns, and the ratio of what they take.
//!
//! Criterion measures one subject after the other. On a machine that does other things too, what lies between the two is
//! then more than what differs between them. [`Turns`] runs both in every round, so that load hits both.

mod growth;
mod ratio;
mod turns;

pub use growth::{Point, exponent_table};
pub use ratio::Ratio;
pub use turns::Turns;
