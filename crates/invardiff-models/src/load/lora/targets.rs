//! The layers of a model that a LoRA file can change.

use std::collections::BTreeMap;
use std::convert::Infallible;

use burn::tensor::{Device, Tensor};

use super::keys::flat;
use crate::load::layout::KeyLayout;
use crate::load::source::Source;
use crate::nn::Weights;

/// The linear layers of a model under the names of every layout; building the model lists them.
pub(in crate::load) struct Targets<'a> {
    source: &'a dyn Fn(KeyLayout, &str) -> Source,
    device: &'a Device,
    /// Rows and columns of a layer, by its flat name.
    sizes: BTreeMap<String, [usize; 2]>,
}

impl<'a> Targets<'a> {
    /// `source` tells where a layout stores a weight that the model asks for.
    pub(in crate::load) fn new(source: &'a dyn Fn(KeyLayout, &str) -> Source, device: &'a Device) -> Self {
        Self { source, device, sizes: BTreeMap::new() }
    }

    pub(super) fn get(&self, flat: &str) -> Option<[usize; 2]> {
        self.sizes.get(flat).copied()
    }

    fn add(&mut self, key: &str, size: [usize; 2]) {
        if let Some(name) = key.strip_suffix(".weight") {
            self.sizes.insert(flat(name), size);
        }
    }
}

impl Weights for Targets<'_> {
    type Error = Infallible;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Infallible> {
        if let Some(size) = matrix(key, &shape) {
            let [rows, columns] = size;
            for layout in KeyLayout::ALL {
                match (self.source)(layout, key) {
                    Source::Key(key) | Source::Swapped(key) => self.add(&key, size),
                    Source::Rows(keys) => {
                        let rows = rows / keys.len();
                        for key in &keys {
                            self.add(key, [rows, columns]);
                        }
                    }
                    Source::Part { key, axis: 0, whole, .. } => self.add(&key, [whole, columns]),
                    Source::Part { key, whole, .. } => self.add(&key, [rows, whole]),
                    // Copies would have to change alike, and the rest are no linear layers of these models.
                    Source::Copies(_) | Source::Pointwise(_) | Source::Positions(_) => {}
                }
            }
        }
        Ok(Tensor::<D>::zeros([1; D], self.device).expand(shape))
    }
}

/// Rows and columns of a weight that is a matrix; the columns of a convolution are all values of its window.
pub(super) fn matrix(key: &str, shape: &[usize]) -> Option<[usize; 2]> {
    match shape {
        [rows, rest @ ..] if !rest.is_empty() && key.ends_with(".weight") => {
            Some([*rows, rest.iter().product()])
        }
        _ => None,
    }
}
