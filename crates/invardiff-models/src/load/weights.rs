//! A checkpoint as the source of a model's weights: checked first, then read.

use std::collections::HashSet;
use std::convert::Infallible;
use std::ops::Range;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::checkpoint::Checkpoint;
use super::error::{FoundTensor, KeyProblems, LoadError, Misshapen};
use super::source::Source;
use crate::dit::position_table;
use crate::nn::Weights;

/// Compares the keys of a file with those that a model asks for. Gives the model zeros that take no memory.
pub(crate) struct Survey<'a> {
    checkpoint: &'a Checkpoint,
    source: &'a dyn Fn(&str) -> Source,
    device: &'a Device,
    asked: HashSet<String>,
    problems: KeyProblems,
}

impl<'a> Survey<'a> {
    /// `source` tells where the file stores a weight that the model asks for.
    pub(crate) fn new(
        checkpoint: &'a Checkpoint,
        source: &'a dyn Fn(&str) -> Source,
        device: &'a Device,
    ) -> Self {
        Self { checkpoint, source, device, asked: HashSet::new(), problems: KeyProblems::default() }
    }

    /// Everything that does not fit, including keys that the model did not ask for.
    pub(crate) fn finish(mut self) -> KeyProblems {
        self.problems.unused = self
            .checkpoint
            .keys()
            .filter(|key| !self.asked.contains(*key))
            .map(|key| FoundTensor {
                key: key.to_owned(),
                shape: self.checkpoint.shape(key).unwrap_or(&[]).into(),
            })
            .collect();
        self.problems
    }

    fn check(&mut self, key: String, expected: Vec<usize>) {
        if !self.asked.insert(key.clone()) {
            return;
        }
        match self.checkpoint.shape(&key) {
            None => self.problems.missing.push(FoundTensor { key, shape: expected }),
            Some(found) => {
                if found != expected {
                    let (key, found) = (key.clone(), found.to_vec());
                    self.problems.misshapen.push(Misshapen { key, expected, found });
                }
                if let Some(name) = self.checkpoint.not_float(&key) {
                    self.problems.not_float.push((key, name.to_owned()));
                }
            }
        }
    }
}

impl Weights for Survey<'_> {
    type Error = Infallible;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Infallible> {
        match (self.source)(key) {
            Source::Key(key) | Source::Swapped(key) => self.check(key, shape.into()),
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
            Source::Part { key, axis, whole, .. } => {
                let mut uncut = shape;
                uncut[axis] = whole;
                self.check(key, uncut.into());
            }
            Source::Pointwise(key) => self.check(key, [&shape[..], &[1, 1]].concat()),
            Source::Positions(_) => {}
        }
        Ok(Tensor::<D>::zeros([1; D], self.device).expand(shape))
    }
}

/// Reads and casts the weights of a file that a [`Survey`] has checked.
pub(crate) struct Reader<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) source: &'a dyn Fn(&str) -> Source,
    pub(crate) dtype: DType,
    pub(crate) device: &'a Device,
}

impl Reader<'_> {
    /// The same weights in f32.
    pub(crate) fn in_f32(&self) -> Reader<'_> {
        Reader { dtype: DType::F32, ..*self }
    }

    fn give<const D: usize>(&self, key: &str, data: TensorData) -> Result<Tensor<D>, LoadError> {
        let data = self.checkpoint.cast(key, data, self.dtype)?;
        Ok(Tensor::from_data(data, (self.device, self.dtype)))
    }

    fn read<const D: usize>(&self, key: &str) -> Result<Tensor<D>, LoadError> {
        self.give(key, self.checkpoint.read(key)?)
    }

    /// Casts a weight that was changed in f32.
    pub(crate) fn finish<const D: usize>(
        &self,
        key: &str,
        weight: Tensor<D>,
    ) -> Result<Tensor<D>, LoadError> {
        match self.dtype {
            DType::F32 => Ok(weight),
            DType::F16 => self.give(key, weight.into_data()),
            dtype => Ok(weight.cast(dtype)),
        }
    }

    /// The whole stored matrix that a weight of the model is a part of, in f32.
    pub(crate) fn stored(&self, key: &str) -> Result<Tensor<2>, LoadError> {
        match (self.source)(key) {
            Source::Part { key, .. } | Source::Key(key) => self.in_f32().read(&key),
            _ => Err(LoadError::Format {
                file: self.checkpoint.file.clone(),
                detail: format!("'{key}' is not stored as a matrix"),
            }),
        }
    }

    fn read_copies<const D: usize>(&self, keys: &[String]) -> Result<Tensor<D>, LoadError> {
        let first = self.checkpoint.read(&keys[0])?;
        for key in &keys[1..] {
            if self.checkpoint.read(key)?.as_bytes() != first.as_bytes() {
                let (file, key, first) = (self.checkpoint.file.clone(), key.clone(), keys[0].clone());
                return Err(LoadError::Copies { file, key, first });
            }
        }
        self.give(&keys[0], first)
    }

    /// The weight that the model calls `key`.
    pub(crate) fn tensor_of<const D: usize>(
        &self,
        key: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, LoadError> {
        match (self.source)(key) {
            Source::Key(key) => self.read(&key),
            Source::Rows(keys) => {
                let rows = keys.iter().map(|key| self.read(key)).collect::<Result<_, _>>()?;
                Ok(Tensor::cat(rows, 0))
            }
            Source::Copies(keys) => self.read_copies(&keys),
            Source::Part { key, axis, start, .. } => {
                self.give(&key, cut(&self.checkpoint.read(&key)?, axis, start..start + shape[axis]))
            }
            Source::Swapped(key) => {
                let data = self.checkpoint.read(&key)?;
                let (rows, half) = (shape[0], shape[0] / 2);
                let halves = [half..rows, 0..half].map(|range| self.give(&key, cut(&data, 0, range)));
                let halves = halves.into_iter().collect::<Result<_, _>>()?;
                Ok(Tensor::cat(halves, 0))
            }
            Source::Pointwise(key) => Ok(self.read::<4>(&key)?.reshape(shape)),
            Source::Positions(config) => self.give(key, TensorData::new(position_table(&config), shape)),
        }
    }
}

impl Weights for Reader<'_> {
    type Error = LoadError;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, LoadError> {
        self.tensor_of(key, shape)
    }
}

/// The slice `range` of `data` along `axis`.
fn cut(data: &TensorData, axis: usize, range: Range<usize>) -> TensorData {
    let (mut shape, dtype) = (data.shape().to_vec(), data.dtype());
    let stride = shape[axis + 1..].iter().product::<usize>() * dtype.size();
    let mut bytes = Vec::with_capacity(data.as_bytes().len() / shape[axis] * range.len());
    for slab in data.as_bytes().chunks_exact(shape[axis] * stride) {
        bytes.extend_from_slice(&slab[range.start * stride..range.end * stride]);
    }
    shape[axis] = range.len();
    TensorData::from_bytes_vec(bytes, shape, dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_cut_along_either_axis() {
        let data = TensorData::new((0..12).map(|i| i as f32).collect(), [3, 4]);
        let values = |axis, range| cut(&data, axis, range).try_into_vec_as::<f32>().unwrap();
        assert_eq!(values(0, 1..3), [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
        assert_eq!(values(1, 1..3), [1.0, 2.0, 5.0, 6.0, 9.0, 10.0]);
        assert_eq!(cut(&data, 1, 1..3).shape().to_vec(), [3, 2]);
    }
}
