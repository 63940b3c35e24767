//! Class labels, checked against the model.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::Dit;

/// A class label out of the model's range.
#[derive(Debug, thiserror::Error)]
#[error("class label {label} is out of range: the model has classes 0 to {}, and {classes} for none", classes - 1)]
pub struct LabelError {
    /// The label as given.
    pub label: usize,
    /// The number of classes.
    pub classes: usize,
}

impl Dit {
    /// The labels as a tensor `[batch]`, each one checked.
    ///
    /// # Errors
    /// [`LabelError`] names the first label above `num_classes`.
    pub fn labels(&self, labels: &[usize], device: &Device) -> Result<Tensor<1, Int>, LabelError> {
        let classes = self.config().num_classes;
        if let Some(label) = labels.iter().copied().find(|label| *label > classes) {
            return Err(LabelError { label, classes });
        }
        let values: Vec<u32> = labels.iter().map(|label| *label as u32).collect();
        Ok(Tensor::from_data(TensorData::new(values, [labels.len()]), device))
    }

    /// The null class repeated `batch` times, `[batch]`.
    pub fn null_labels(&self, batch: usize, device: &Device) -> Tensor<1, Int> {
        let values = vec![self.config().num_classes as u32; batch];
        Tensor::from_data(TensorData::new(values, [batch]), device)
    }
}
