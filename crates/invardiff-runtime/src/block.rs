//! The blocks of the trunk, and whether they are computed.

use crate::feature::Feature;

/// A block of the trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its index in order of execution, from 0, over blocks of all kinds.
    pub index: usize,
    /// The number of blocks in the trunk.
    pub count: usize,
}

/// What a model does with a block.
#[derive(Clone, Debug)]
pub enum BlockAction<const N: usize> {
    /// Compute it.
    Compute,
    /// Leave it out; the hidden state does not change.
    Skip,
    /// Leave it out and continue with this hidden state.
    Replace(Feature<N>),
}
