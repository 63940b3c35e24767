//! Parity with a dump: which module is the first to differ.

use std::collections::HashMap;

use burn::tensor::{DType, Tensor};
use invardiff_runtime::{Executor, Feature, Site};

/// How far a computed value is from its expected one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Where.
    pub site: Site,
    /// Which of the site's tensors, from 0.
    pub stream: usize,
    /// Largest absolute difference; infinite where the shapes differ.
    pub max_abs: f32,
    /// Largest absolute expected value.
    pub largest: f32,
}

/// The executor of one step that compares every site with a dump and goes on **with the dump**: an error does not spread,
/// so every module is judged alone. A site without a dump is computed and left alone.
///
/// Reads values back at every site: for tests, not for sampling.
#[derive(Debug, Default)]
pub struct Golden {
    expected: HashMap<Site, Vec<Tensor<3>>>,
    /// What was compared so far, in order.
    pub differences: Vec<Difference>,
}

impl Golden {
    /// Compares with nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects these tensors at `site`.
    pub fn expect(mut self, site: Site, tensors: Vec<Tensor<3>>) -> Self {
        self.expected.insert(site, tensors);
        self
    }
}

impl Executor for Golden {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        let Some(expected) = self.expected.get(&site) else {
            return fresh;
        };
        for (stream, (fresh, expected)) in fresh.iter().zip(expected).enumerate() {
            let largest = largest(expected.clone());
            let max_abs = if fresh.dims() == expected.dims() {
                largest_difference(fresh.clone(), expected.clone())
            } else {
                f32::INFINITY
            };
            self.differences.push(Difference { site, stream, max_abs, largest });
        }
        expected.clone().try_into().unwrap_or(fresh)
    }
}

fn largest(x: Tensor<3>) -> f32 {
    x.cast(DType::F32).abs().max().into_scalar()
}

fn largest_difference(a: Tensor<3>, b: Tensor<3>) -> f32 {
    largest(a.cast(DType::F32) - b.cast(DType::F32))
}
