//! Merging LoRA files into weights.

use std::ops::Range;

use burn::tensor::{DType, Tensor};

use super::Opened;
use super::change::Change;
use super::keys::flat;
use super::targets::matrix;
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
        if self.loras.is_empty() {
            return self.reader.tensor_of(key, shape);
        }
        let sum = match (matrix(key, &shape), D) {
            (Some(size), _) => {
                let exact = |reader: &Reader<'_>| Ok(reader.tensor_of(key, shape)?.reshape(size));
                self.changed(key, size, &exact)?.map(|sum| sum.reshape(shape))
            }
            (None, 1) => self.changed_vector(key, shape[0])?.map(|sum| sum.reshape(shape)),
            (None, _) => None,
        };
        match sum {
            None => self.reader.tensor_of(key, shape),
            Some(sum) => self.reader.finish(key, sum),
        }
    }
}

impl Merged<'_> {
    /// The sources of a weight under every name that a LoRA file may have for it.
    fn sources(&self, key: &str) -> Vec<Source> {
        let mut sources = vec![Source::Key(key.to_owned())];
        for layout in KeyLayout::ALL {
            let source = (self.layouts)(layout, key);
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }

    /// A weight with all changes in f32; `None` if nothing changes it.
    ///
    /// # Shapes
    /// - result: `[rows, columns]`
    fn changed(
        &self,
        key: &str,
        size: [usize; 2],
        exact: &dyn Fn(&Reader<'_>) -> Result<Tensor<2>, LoadError>,
    ) -> Result<Option<Tensor<2>>, LoadError> {
        let sources = self.sources(key);
        let touched = self
            .loras
            .iter()
            .any(|lora| sources.iter().flat_map(names).any(|name| lora.changes.contains_key(&name)));
        if !touched {
            return Ok(None);
        }
        let exact = exact(&self.reader.in_f32())?;
        let mut sum: Option<Tensor<2>> = None;
        for lora in self.loras {
            for source in &sources {
                if let Some(change) = self.change(lora, key, source, size, &exact)? {
                    sum = Some(sum.unwrap_or_else(|| exact.clone()) + change);
                }
            }
        }
        Ok(sum)
    }

    /// The change of a weight with this source, if the file has one. `weight` is the weight before any change.
    ///
    /// # Shapes
    /// - `weight`, result: `[rows, columns]`
    fn change(
        &self,
        lora: &Opened,
        weight_key: &str,
        source: &Source,
        [rows, columns]: [usize; 2],
        weight: &Tensor<2>,
    ) -> Result<Option<Tensor<2>>, LoadError> {
        let find = |key: &str| lora.changes.get(&flat(key.strip_suffix(".weight")?));
        let swap = |x: Tensor<2>| {
            let half = rows / 2;
            Tensor::cat(vec![x.clone().narrow(0, half, half), x.narrow(0, 0, half)], 0)
        };
        match source {
            Source::Key(key) => match find(key) {
                Some(change) => self.piece(lora, change, [0..rows, 0..columns], weight, None),
                None => Ok(None),
            },
            Source::Swapped(key) => match find(key) {
                Some(change) => {
                    let weight = swap(weight.clone());
                    Ok(self.piece(lora, change, [0..rows, 0..columns], &weight, None)?.map(swap))
                }
                None => Ok(None),
            },
            Source::Part { key, axis, start, whole } => match (find(key), axis) {
                (Some(change), 0) => {
                    self.piece(lora, change, [*start..start + rows, 0..columns], weight, None)
                }
                (Some(change), _) => {
                    let ranges = [0..rows, *start..start + columns];
                    self.piece(lora, change, ranges, weight, Some((weight_key, *whole)))
                }
                (None, _) => Ok(None),
            },
            Source::Rows(keys) => {
                let part = rows / keys.len();
                if keys.iter().all(|key| find(key).is_none()) {
                    return Ok(None);
                }
                let each = keys.iter().enumerate().map(|(i, key)| {
                    let weight = weight.clone().narrow(0, i * part, part);
                    let change = match find(key) {
                        Some(change) => self.piece(lora, change, [0..part, 0..columns], &weight, None)?,
                        None => None,
                    };
                    Ok(change
                        .unwrap_or_else(|| Tensor::zeros([part, columns], (self.reader.device, DType::F32))))
                });
                Ok(Some(Tensor::cat(each.collect::<Result<_, LoadError>>()?, 0)))
            }
            Source::Copies(_) | Source::Pointwise(_) | Source::Positions(_) => Ok(None),
        }
    }

    /// Some rows and columns of a layer's change. `weight` holds the same rows and columns of the weight. If they are only some of the stored
    /// matrix's columns, `wide` is the model's name of the weight and the number of columns of that matrix.
    fn piece(
        &self,
        lora: &Opened,
        change: &Change,
        ranges: [Range<usize>; 2],
        weight: &Tensor<2>,
        wide: Option<(&str, usize)>,
    ) -> Result<Option<Tensor<2>>, LoadError> {
        let (file, device) = (&lora.checkpoint, self.reader.device);
        if !change.is_dora() {
            return change.weight(file, lora.scale, ranges, device);
        }
        let [rows, columns] = ranges.clone();
        let Some(full) = change.weight(file, 1.0, ranges, device)? else { return Ok(None) };
        let magnitudes = change.magnitudes(file, device)?;
        let [count] = magnitudes.dims();
        // Each row has its magnitude: the norm is that of the row's whole direction.
        let direction = weight.clone() + full;
        let whole = match wide {
            None => direction.clone(),
            Some((key, columns)) => {
                let stored: Tensor<2> = self.reader.stored(key)?;
                let change = change.weight(file, 1.0, [rows.clone(), 0..columns], device)?;
                stored + change.expect("as for some of the columns")
            }
        };
        if rows.end > count || count == columns.len() && count != rows.len() {
            return Err(LoadError::Format {
                file: file.file.clone(),
                detail: format!(
                    "DoRA with {count} magnitudes, one per input, is merged for none of these layers: export it with one \
                     magnitude per output, or as a plain LoRA"
                ),
            });
        }
        let norm = whole.square().sum_dim(1).sqrt();
        let magnitudes = magnitudes.narrow(0, rows.start, rows.len()).reshape([rows.len(), 1]);
        let changed = direction * (magnitudes / norm);
        Ok(Some((changed - weight.clone()) * lora.scale))
    }

    /// A bias or the scale of a norm with all changes in f32; `None` if nothing changes it.
    fn changed_vector(&self, key: &str, length: usize) -> Result<Option<Tensor<1>>, LoadError> {
        let mut sum: Option<Tensor<1>> = None;
        for lora in self.loras {
            for source in self.sources(key) {
                if let Some(change) = self.vector(lora, &source, length)? {
                    let before = match sum.take() {
                        Some(sum) => sum,
                        None => self.reader.in_f32().tensor_of(key, [length])?,
                    };
                    sum = Some(before + change);
                }
            }
        }
        Ok(sum)
    }

    fn vector(&self, lora: &Opened, source: &Source, length: usize) -> Result<Option<Tensor<1>>, LoadError> {
        let device = self.reader.device;
        let piece = |key: &str, range: Range<usize>| {
            let Some((stem, field)) = key.rsplit_once('.') else { return Ok(None) };
            match lora.changes.get(&flat(stem)) {
                Some(change) => change.vector(&lora.checkpoint, field == "bias", lora.scale, range, device),
                None => Ok(None),
            }
        };
        match source {
            Source::Key(key) => piece(key, 0..length),
            Source::Swapped(key) => Ok(piece(key, 0..length)?.map(|x| {
                let half = length / 2;
                Tensor::cat(vec![x.clone().narrow(0, half, half), x.narrow(0, 0, half)], 0)
            })),
            Source::Part { key, start, .. } => piece(key, *start..start + length),
            Source::Rows(keys) => {
                let part = length / keys.len();
                let pieces = keys.iter().map(|key| piece(key, 0..part)).collect::<Result<Vec<_>, _>>()?;
                if pieces.iter().all(Option::is_none) {
                    return Ok(None);
                }
                let zeros = || Tensor::zeros([part], (device, DType::F32));
                let pieces = pieces.into_iter().map(|piece| piece.unwrap_or_else(zeros)).collect();
                Ok(Some(Tensor::cat(pieces, 0)))
            }
            Source::Copies(_) | Source::Pointwise(_) | Source::Positions(_) => Ok(None),
        }
    }
}

/// The flat names of the layers that a source reads.
fn names(source: &Source) -> Vec<String> {
    let keys: &[String] = match source {
        Source::Key(key) | Source::Swapped(key) | Source::Part { key, .. } => std::slice::from_ref(key),
        Source::Rows(keys) => keys,
        Source::Copies(_) | Source::Pointwise(_) | Source::Positions(_) => &[],
    };
    keys.iter().filter_map(|key| Some(flat(key.strip_suffix(".weight")?))).collect()
}
