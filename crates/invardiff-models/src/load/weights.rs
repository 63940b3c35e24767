//! A checkpoint as the source of a model's weights: checked first, then read.

use std::collections::HashSet;
use std::convert::Infallible;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::checkpoint::Checkpoint;
use super::layout::{KeyLayout, Source};
use super::{FoundTensor, KeyProblems, LoadError, Misshapen};
use crate::dit::{DitConfig, Weights, position_table};

/// Compares the keys of a file with those that a model asks for. Gives zeros that take no memory.
pub(crate) struct Survey<'a> {
    checkpoint: &'a Checkpoint,
    layout: KeyLayout,
    depth: usize,
    device: &'a Device,
    used: HashSet<String>,
    problems: KeyProblems,
}

impl<'a> Survey<'a> {
    pub(crate) fn new(
        checkpoint: &'a Checkpoint,
        layout: KeyLayout,
        depth: usize,
        device: &'a Device,
    ) -> Self {
        Self { checkpoint, layout, depth, device, used: HashSet::new(), problems: KeyProblems::default() }
    }

    /// What does not fit, with the keys that nothing asked for.
    pub(crate) fn finish(mut self) -> KeyProblems {
        self.problems.unused = self
            .checkpoint
            .keys()
            .filter(|key| !self.used.contains(*key))
            .map(|key| FoundTensor {
                key: key.to_owned(),
                shape: self.checkpoint.shape(key).unwrap_or(&[]).into(),
            })
            .collect();
        self.problems
    }

    fn check(&mut self, key: String, expected: Vec<usize>) {
        match self.checkpoint.shape(&key) {
            None => self.problems.missing.push(FoundTensor { key, shape: expected }),
            Some(found) => {
                if found != expected {
                    let (key, found) = (key.clone(), found.to_vec());
                    self.problems.misshapen.push(Misshapen { key, expected, found });
                }
                if let Some(dtype) = self.checkpoint.dtype(&key).filter(|dtype| !dtype.is_float()) {
                    self.problems.not_float.push((key.clone(), dtype.name().to_owned()));
                }
                self.used.insert(key);
            }
        }
    }
}

impl Weights for Survey<'_> {
    type Error = Infallible;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Infallible> {
        match self.layout.source(key, self.depth) {
            Source::Key(key) => self.check(key, shape.into()),
            Source::Rows(keys) => {
                let mut rows = shape;
                rows[0] /= keys.len();
                for key in keys {
                    self.check(key, rows.into());
                }
            }
            Source::Copies(keys) => {
                for key in keys {
                    self.check(key, shape.into());
                }
            }
            Source::Positions => {}
        }
        Ok(Tensor::<D>::zeros([1; D], self.device).expand(shape))
    }
}

/// Reads the weights of a surveyed file, casting them.
pub(crate) struct Reader<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) layout: KeyLayout,
    pub(crate) config: &'a DitConfig,
    pub(crate) dtype: DType,
    pub(crate) device: &'a Device,
}

impl Reader<'_> {
    fn read<const D: usize>(&self, key: &str) -> Result<Tensor<D>, LoadError> {
        let data = self.checkpoint.read(key)?.convert_dtype(self.dtype);
        Ok(Tensor::from_data(data, (self.device, self.dtype)))
    }

    fn read_copies<const D: usize>(&self, keys: &[String]) -> Result<Tensor<D>, LoadError> {
        let first = self.checkpoint.read(&keys[0])?;
        for key in &keys[1..] {
            if self.checkpoint.read(key)?.as_bytes() != first.as_bytes() {
                let (file, key, first) = (self.checkpoint.file.clone(), key.clone(), keys[0].clone());
                return Err(LoadError::Copies { file, key, first });
            }
        }
        Ok(Tensor::from_data(first.convert_dtype(self.dtype), (self.device, self.dtype)))
    }
}

impl Weights for Reader<'_> {
    type Error = LoadError;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, LoadError> {
        match self.layout.source(key, self.config.depth) {
            Source::Key(key) => self.read(&key),
            Source::Rows(keys) => {
                let rows = keys.iter().map(|key| self.read(key)).collect::<Result<_, _>>()?;
                Ok(Tensor::cat(rows, 0))
            }
            Source::Copies(keys) => self.read_copies(&keys),
            Source::Positions => {
                let data = TensorData::new(position_table(self.config), shape).convert_dtype(self.dtype);
                Ok(Tensor::from_data(data, (self.device, self.dtype)))
            }
        }
    }
}
