//! An executor that compares every module with stored values.

use std::collections::HashMap;

use burn::tensor::{DType, Tensor};
use invardiff_runtime::{Executor, Feature, Site};

/// The difference between a computed value and its expected one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The site of the value.
    pub site: Site,
    /// Index of the tensor within the site.
    pub stream: usize,
    /// Largest absolute difference; infinite if the shapes differ.
    pub max_abs: f32,
    /// Largest absolute expected value.
    pub largest: f32,
}

/// The executor of one step that compares every site with stored values and continues **with the stored values**: errors do
/// not accumulate, so every module is tested separately. Sites without stored values are computed normally.
///
/// Reads values back to the host at every site: for tests, not for sampling.
#[derive(Debug, Default)]
pub struct Golden {
    expected: HashMap<Site, Vec<Tensor<3>>>,
    /// The differences so far, in order of execution.
    pub differences: Vec<Difference>,
}

impl Golden {
    /// An executor without expected values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the expected tensors of `site`.
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
