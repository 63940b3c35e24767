//! Merging LoRA files into weights.

use std::ops::Range;

use burn::tensor::{DType, Tensor, TensorData};

use super::keys::flat;
use super::targets::matrix;
use super::{Opened, Pair};
use crate::load::error::LoadError;
use crate::load::layout::KeyLayout;
use crate::load::source::Source;
use crate::load::weights::Reader;
use crate::nn::Weights;

/// Reads the weights of a checked file and adds the changes of LoRA files, in f32 and one weight at a time.
pub(in crate::load) struct Merged<'a> {
    pub(in crate::load) reader: Reader<'a>,
    pub(in crate::load) loras: &'a [Opened],
    /// Where a layout stores a weight that the model asks for.
    pub(in crate::load) layouts: &'a dyn Fn(KeyLayout, &str) -> Source,
}

impl Weights for Merged<'_> {
    type Error = LoadError;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, LoadError> {
        let Some(size) = matrix(key, &shape).filter(|_| !self.loras.is_empty()) else {
            return self.reader.tensor(key, shape);
        };
        let mut changes = Vec::new();
        for lora in self.loras {
            for layout in KeyLayout::ALL {
                changes.extend(self.change(lora, &(self.layouts)(layout, key), size)?);
            }
        }
        if changes.is_empty() {
            return self.reader.tensor(key, shape);
        }
        let exact = self.reader.in_f32().tensor(key, shape)?;
        let sum = changes.into_iter().fold(exact, |sum, change| sum + change.reshape(shape));
        Ok(sum.cast(self.reader.dtype))
    }
}

impl Merged<'_> {
    /// The change of a weight with this source, if the file has one.
    ///
    /// # Shapes
    /// - result: `[rows, columns]`
    fn change(
        &self,
        lora: &Opened,
        source: &Source,
        [rows, columns]: [usize; 2],
    ) -> Result<Option<Tensor<2>>, LoadError> {
        let pair = |key: &str| lora.pairs.get(&flat(key.strip_suffix(".weight")?));
        match source {
            Source::Key(key) => {
                pair(key).map(|pair| self.product(lora, pair, 0..rows, 0..columns)).transpose()
            }
            Source::Swapped(key) => {
                let swap = |change: Tensor<2>| {
                    let half = rows / 2;
                    Tensor::cat(vec![change.clone().narrow(0, half, half), change.narrow(0, 0, half)], 0)
                };
                Ok(pair(key).map(|pair| self.product(lora, pair, 0..rows, 0..columns)).transpose()?.map(swap))
            }
            Source::Part { key, axis, start, .. } => {
                let (rows, columns) = match axis {
                    0 => (*start..start + rows, 0..columns),
                    _ => (0..rows, *start..start + columns),
                };
                pair(key).map(|pair| self.product(lora, pair, rows, columns)).transpose()
            }
            Source::Rows(keys) => {
                let part = rows / keys.len();
                if keys.iter().all(|key| pair(key).is_none()) {
                    return Ok(None);
                }
                let each = keys.iter().map(|key| match pair(key) {
                    Some(pair) => self.product(lora, pair, 0..part, 0..columns),
                    None => Ok(Tensor::zeros([part, columns], (self.reader.device, DType::F32))),
                });
                Ok(Some(Tensor::cat(each.collect::<Result<_, _>>()?, 0)))
            }
            Source::Copies(_) | Source::Pointwise(_) | Source::Positions(_) => Ok(None),
        }
    }

    /// Rows and columns of a pair's scaled product.
    fn product(
        &self,
        lora: &Opened,
        pair: &Pair,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<Tensor<2>, LoadError> {
        let read = |key: &str| {
            let data = lora.checkpoint.read(key)?;
            let (bytes, shape, dtype) = (data.as_bytes().to_vec(), data.shape(), data.dtype());
            let size = [shape[0], shape[1..].iter().product()];
            let data = TensorData::from_bytes_vec(bytes, size, dtype).convert_dtype(DType::F32);
            Ok::<Tensor<2>, LoadError>(Tensor::from_data(data, (self.reader.device, DType::F32)))
        };
        let up = read(&pair.up)?.narrow(0, rows.start, rows.len());
        let down = read(&pair.down)?.narrow(1, columns.start, columns.len());
        Ok(up.matmul(down) * pair.factor)
    }
}
