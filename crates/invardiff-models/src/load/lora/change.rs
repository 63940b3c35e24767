//! The change of one layer, as stored in a LoRA file.

use std::ops::Range;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::keys::{Owner, Parts, Role};
use super::settings::Settings;
use crate::load::checkpoint::Checkpoint;
use crate::load::error::LoadError;

/// The change of one layer: its keys in the file, and its factors.
#[derive(Clone, Debug)]
pub(super) struct Change {
    parts: Parts,
    /// The factor of the product of a pair, at strength 1.
    factor: f32,
}

impl Change {
    /// The change of a layer, and its strength in words.
    pub(super) fn new(
        owner: Owner,
        parts: &Parts,
        checkpoint: &Checkpoint,
        settings: &Settings,
    ) -> Result<(Self, String), LoadError> {
        let refuse = |detail| LoadError::Format { file: checkpoint.file.clone(), detail };
        let length = |role: Role, axis: usize| {
            let shape = parts.keys.get(&role).and_then(|key| checkpoint.shape(key));
            shape.and_then(|shape| shape.get(axis)).copied()
        };
        let rank = length(Role::Down, 0).or_else(|| length(Role::Hada1B, 0));
        let rank = rank.or_else(|| length(Role::Kron2B, 0)).or_else(|| length(Role::Kron1B, 0));
        let own = parts.keys.get(&Role::Alpha).map(|key| checkpoint.read(key)).transpose()?;
        let own = own.and_then(|data| data.iter::<f32>().next());
        let (factor, strength) = match rank {
            Some(rank) => settings.factor(owner, &parts.name, rank as f32, own).map_err(refuse)?,
            // Whole differences, and Kronecker products of whole matrices, are not scaled.
            None => (1.0, "as stored".to_owned()),
        };
        Ok((Self { parts: parts.clone(), factor }, strength))
    }

    /// Whether direction and magnitude of the weight are changed separately (DoRA, Liu et al. 2024).
    pub(super) fn is_dora(&self) -> bool {
        self.parts.keys.contains_key(&Role::Magnitude)
    }

    /// Some rows and columns of the change of the weight, times `scale`; `None` if the weight does not change.
    ///
    /// # Shapes
    /// - result: `[rows.len(), columns.len()]`
    pub(super) fn weight(
        &self,
        file: &Checkpoint,
        scale: f32,
        [rows, columns]: [Range<usize>; 2],
        device: &Device,
    ) -> Result<Option<Tensor<2>>, LoadError> {
        let read = |role: Role| self.read(file, role, device);
        let mut sum = None;
        let mut add = |change: Tensor<2>| {
            let sum = &mut sum;
            *sum = Some(match sum.take() {
                None => change,
                Some(other) => other + change,
            });
        };
        let cut = |whole: Tensor<2>| {
            whole.narrow(0, rows.start, rows.len()).narrow(1, columns.start, columns.len())
        };
        if let (Some(up), Some(down)) = (read(Role::Up)?, read(Role::Down)?) {
            let up = up.narrow(0, rows.start, rows.len());
            let down = down.narrow(1, columns.start, columns.len());
            add(up.matmul(down) * (scale * self.factor));
        }
        let hada = [Role::Hada1A, Role::Hada1B, Role::Hada2A, Role::Hada2B].map(read);
        if let [Some(a1), Some(b1), Some(a2), Some(b2)] = all(hada)? {
            add(cut(a1.matmul(b1) * a2.matmul(b2)) * (scale * self.factor));
        }
        let one = self.factor_of(file, [Role::Kron1, Role::Kron1A, Role::Kron1B], device)?;
        let two = self.factor_of(file, [Role::Kron2, Role::Kron2A, Role::Kron2B], device)?;
        if let (Some(one), Some(two)) = (one, two) {
            add(cut(kronecker(one, two)) * (scale * self.factor));
        }
        if let Some(diff) = read(Role::Diff)? {
            add(cut(diff) * scale);
        }
        Ok(sum)
    }

    /// Some of the change of the bias, or of the scale of a norm, times `scale`; `None` if it does not change.
    ///
    /// # Shapes
    /// - result: `[range.len()]`
    pub(super) fn vector(
        &self,
        file: &Checkpoint,
        is_bias: bool,
        scale: f32,
        range: Range<usize>,
        device: &Device,
    ) -> Result<Option<Tensor<1>>, LoadError> {
        let read = |role: Role, factor: f32| {
            let values = self.read(file, role, device)?;
            Ok::<_, LoadError>(values.map(|values| {
                let [rows, columns] = values.dims();
                values.reshape([rows * columns]).narrow(0, range.start, range.len()) * factor
            }))
        };
        if !is_bias {
            return read(Role::Diff, scale);
        }
        let (diff, up) = (read(Role::DiffBias, scale)?, read(Role::UpBias, scale * self.factor)?);
        Ok(match (diff, up) {
            (Some(diff), Some(up)) => Some(diff + up),
            (diff, up) => diff.or(up),
        })
    }

    /// The magnitudes of DoRA, `[count]`.
    pub(super) fn magnitudes(&self, file: &Checkpoint, device: &Device) -> Result<Tensor<1>, LoadError> {
        let values = self.read(file, Role::Magnitude, device)?.expect("asked for DoRA alone");
        let [rows, columns] = values.dims();
        Ok(values.reshape([rows * columns]))
    }

    /// One factor of a Kronecker product: whole, or a product.
    fn factor_of(
        &self,
        file: &Checkpoint,
        [whole, a, b]: [Role; 3],
        device: &Device,
    ) -> Result<Option<Tensor<2>>, LoadError> {
        if let Some(whole) = self.read(file, whole, device)? {
            return Ok(Some(whole));
        }
        Ok(match (self.read(file, a, device)?, self.read(file, b, device)?) {
            (Some(a), Some(b)) => Some(a.matmul(b)),
            _ => None,
        })
    }

    /// A tensor as an f32 matrix; all axes after the first are merged into one.
    fn read(&self, file: &Checkpoint, role: Role, device: &Device) -> Result<Option<Tensor<2>>, LoadError> {
        let Some(key) = self.parts.keys.get(&role) else { return Ok(None) };
        let data = file.read(key)?;
        let shape = data.shape().to_vec();
        let size = [shape.first().copied().unwrap_or(1), shape.iter().skip(1).product::<usize>()];
        let data = TensorData::from_bytes_vec(data.as_bytes().to_vec(), size, data.dtype());
        Ok(Some(Tensor::from_data(data.convert_dtype(DType::F32), (device, DType::F32))))
    }
}

fn all<T, const N: usize>(values: [Result<Option<T>, LoadError>; N]) -> Result<[Option<T>; N], LoadError> {
    let values = values.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(values.try_into().unwrap_or_else(|_| unreachable!("as many as before")))
}

/// The Kronecker product.
///
/// # Shapes
/// - `a`: `[m, n]`, `b`: `[p, q]`
/// - result: `[m * p, n * q]`
fn kronecker(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let ([m, n], [p, q]) = (a.dims(), b.dims());
    (a.reshape([m, 1, n, 1]) * b.reshape([1, p, 1, q])).reshape([m * p, n * q])
}
