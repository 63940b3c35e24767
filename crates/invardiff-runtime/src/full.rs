//! Full computation.

use invardiff_plan::Site;

use crate::executor::{Executor, Policy};
use crate::feature::Feature;

/// Computes every module at every step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Full;

impl Executor for Full {
    #[inline]
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    #[inline]
    fn settle<const N: usize>(&mut self, _: Site, fresh: Feature<N>) -> Feature<N> {
        fresh
    }
}

impl Policy for Full {
    type Step<'a> = Self;

    fn step(&mut self, _: usize) -> Self {
        Self
    }
}
