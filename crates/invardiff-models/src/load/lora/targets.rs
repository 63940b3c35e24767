//! The layers of a model that a LoRA file can change.

use std::collections::BTreeMap;
use std::convert::Infallible;

use burn::tensor::{Device, Tensor};

use super::keys::flat;
use crate::load::layout::KeyLayout;
use crate::load::source::Source;
use crate::nn::Weights;

/// The layers of a model, under its own names and those of every layout. Building the model collects them.
pub(in crate::load) struct Targets<'a> {
    source: &'a dyn Fn(KeyLayout, &str) -> Source,
    device: &'a Device,
    /// Rows and columns of a matrix, by its flat name.
    sizes: BTreeMap<String, [usize; 2]>,
    /// Lengths of biases and of the scales of norms, by the flat name of their layer.
    vectors: BTreeMap<String, usize>,
}

impl<'a> Targets<'a> {
    /// `source` tells where a layout stores a weight that the model asks for.
    pub(in crate::load) fn new(source: &'a dyn Fn(KeyLayout, &str) -> Source, device: &'a Device) -> Self {
        Self { source, device, sizes: BTreeMap::new(), vectors: BTreeMap::new() }
    }

    /// Rows and columns of a layer's weight.
    pub(super) fn get(&self, flat: &str) -> Option<[usize; 2]> {
        self.sizes.get(flat).copied()
    }

    /// The length of a layer's bias or scale.
    pub(super) fn vector(&self, flat: &str) -> Option<usize> {
        self.vectors.get(flat).copied()
    }

    fn add(&mut self, key: &str, size: [usize; 2]) {
        if let Some(name) = key.strip_suffix(".weight") {
            self.sizes.insert(flat(name), size);
        }
    }

    fn add_vector(&mut self, key: &str, length: usize) {
        if let Some((name, _)) = key.rsplit_once('.') {
            self.vectors.insert(flat(name), length);
        }
    }

    fn matrix(&mut self, source: Source, [rows, columns]: [usize; 2]) {
        match source {
            Source::Key(key) | Source::Swapped(key) => self.add(&key, [rows, columns]),
            Source::Rows(keys) => {
                for key in &keys {
                    self.add(key, [rows / keys.len(), columns]);
                }
            }
            Source::Part { key, axis: 0, whole, .. } => self.add(&key, [whole, columns]),
            Source::Part { key, whole, .. } => self.add(&key, [rows, whole]),
            // Copies would all have to change in the same way; the other sources are not linear layers of these models.
            Source::Copies(_) | Source::Pointwise(_) | Source::Positions(_) => {}
        }
    }

    fn stretch(&mut self, source: Source, length: usize) {
        match source {
            Source::Key(key) | Source::Swapped(key) => self.add_vector(&key, length),
            Source::Rows(keys) => {
                for key in &keys {
                    self.add_vector(key, length / keys.len());
                }
            }
            Source::Part { key, whole, .. } => self.add_vector(&key, whole),
            Source::Copies(_) | Source::Pointwise(_) | Source::Positions(_) => {}
        }
    }
}

impl Weights for Targets<'_> {
    type Error = Infallible;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Infallible> {
        let own = Source::Key(key.to_owned());
        let stored = KeyLayout::ALL.map(|layout| (self.source)(layout, key));
        for source in std::iter::once(own).chain(stored) {
            match (matrix(key, &shape), shape.len()) {
                (Some(size), _) => self.matrix(source, size),
                (None, 1) => self.stretch(source, shape[0]),
                (None, _) => {}
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
