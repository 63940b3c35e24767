//! The way through the blocks.

use crate::feature::Feature;

/// Which block of the trunk comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number in order of execution, from 0, whatever its kind.
    pub index: usize,
    /// How many blocks the trunk has.
    pub count: usize,
}

/// What becomes of a block.
#[derive(Clone, Debug)]
pub enum BlockAction<const N: usize> {
    /// It is computed.
    Compute,
    /// It is left out: the hidden state stays as it is.
    Skip,
    /// It is left out, and this is the hidden state from here on.
    Replace(Feature<N>),
}
