//! What a classifier is for, and what parameters that takes.

use invardiff_plan::core::SplitMix64;
use serde::{Deserialize, Serialize};

/// Images and classes of a [`Classifier`](crate::Classifier).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierShape {
    /// Channels of an image.
    pub channels: usize,
    /// Rows and columns of an image.
    pub size: usize,
    /// Number of classes.
    pub classes: usize,
}

/// Channels after each convolution.
const CHANNELS: [usize; 4] = [16, 32, 64, 64];
/// Rows and columns of a kernel.
const KERNEL: usize = 3;

impl ClassifierShape {
    /// Features that the last layer reads: few, so that a covariance needs few images.
    pub const FEATURES: usize = 32;
    /// Strides of the convolutions.
    pub(super) const STRIDES: [usize; 4] = [2, 1, 2, 2];

    /// Names and shapes of all parameters, in order: kernels `[out, in, 3, 3]`, matrices `[in, out]`, biases `[out]`.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let side = Self::STRIDES.iter().fold(self.size, |side, stride| side.div_ceil(*stride));
        let mut parameters = Vec::new();
        let mut push = |name: &str, weight: Vec<usize>, bias: usize| {
            parameters.push((format!("{name}.weight"), weight));
            parameters.push((format!("{name}.bias"), vec![bias]));
        };
        let mut before = self.channels;
        for (number, channels) in CHANNELS.into_iter().enumerate() {
            push(&format!("conv.{number}"), vec![channels, before, KERNEL, KERNEL], channels);
            before = channels;
        }
        push("features", vec![before * side * side, Self::FEATURES], Self::FEATURES);
        push("classes", vec![Self::FEATURES, self.classes], self.classes);
        parameters
    }

    /// Number of parameters.
    #[allow(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.parameters().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Parameters to start a training with: weights uniform in `+- sqrt(6 / inputs)` (He et al. 2015), biases 0.
    pub fn initial(&self, seed: u64) -> Vec<f32> {
        let mut draws = SplitMix64::seeded(seed);
        let mut values = Vec::with_capacity(self.len());
        for (_, shape) in self.parameters() {
            let inputs = match shape.as_slice() {
                [_] => None,
                [inputs, _] => Some(*inputs),
                [_, rest @ ..] => Some(rest.iter().product()),
                [] => unreachable!("no parameter is a scalar"),
            };
            let bound = inputs.map_or(0.0, |inputs| (6.0 / inputs as f64).sqrt());
            let length = shape.iter().product::<usize>();
            values.extend((0..length).map(|_| ((draws.unit() * 2.0 - 1.0) * bound) as f32));
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_fit_the_images() {
        let shape = ClassifierShape { channels: 1, size: 28, classes: 10 };
        let parameters = shape.parameters();
        assert_eq!(parameters.len(), 12);
        assert_eq!(parameters[0], ("conv.0.weight".to_owned(), vec![16, 1, 3, 3]));
        // 28, 14, 14, 7 and 4 rows.
        assert_eq!(parameters[8], ("features.weight".to_owned(), vec![64 * 4 * 4, 32]));
        assert_eq!(shape.len(), 160 + 4640 + 18496 + 36928 + 32800 + 330);
        let values = shape.initial(1);
        assert_eq!(values.len(), shape.len());
        assert!(values[..144].iter().all(|value| value.abs() <= (6.0_f32 / 9.0).sqrt()));
        assert!(values[144..160].iter().all(|value| *value == 0.0));
        assert_ne!(values, shape.initial(2));
    }
}
