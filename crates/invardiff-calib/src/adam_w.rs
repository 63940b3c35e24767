//! AdamW on the host, for the few numbers that are trained here.

/// AdamW (Loshchilov and Hutter 2019, algorithm 2; Adam of Kingma and Ba 2015 with decoupled weight decay):
///
/// ```text
/// m = b1 m + (1 - b1) g                 v = b2 v + (1 - b2) g^2
/// p = p - lr (wd p + (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps))
/// ```
///
/// burn's own optimiser needs another cargo feature; here only vectors of some hundred numbers are trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// `lr`.
    pub learning_rate: f64,
    /// `b1` and `b2`.
    pub betas: [f64; 2],
    /// `eps`.
    pub epsilon: f64,
    /// `wd`.
    pub weight_decay: f64,
}

impl AdamW {
    /// The usual settings (betas 0.9 and 0.999, epsilon 1e-8) without weight decay.
    pub const fn new(learning_rate: f64) -> Self {
        Self { learning_rate, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 }
    }

    /// One update of `values` in place.
    ///
    /// # Panics
    /// When the slices and the moments are not of one length.
    pub fn update(&self, moments: &mut Moments, values: &mut [f32], gradient: &[f32]) {
        let length = values.len();
        assert!(length == gradient.len() && length == moments.first.len() && length == moments.second.len());
        moments.updates += 1;
        let [b1, b2] = self.betas;
        let corrections = self.betas.map(|beta| 1.0 - beta.powf(moments.updates as f64));
        for (index, value) in values.iter_mut().enumerate() {
            let (g, p) = (f64::from(gradient[index]), f64::from(*value));
            let m = b1 * f64::from(moments.first[index]) + (1.0 - b1) * g;
            let v = b2 * f64::from(moments.second[index]) + (1.0 - b2) * g * g;
            (moments.first[index], moments.second[index]) = (m as f32, v as f32);
            let step = (m / corrections[0]) / ((v / corrections[1]).sqrt() + self.epsilon);
            *value = (p - self.learning_rate * (self.weight_decay * p + step)) as f32;
        }
    }
}

/// What AdamW remembers of one vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Running mean of the gradient.
    pub first: Vec<f32>,
    /// Running mean of its square.
    pub second: Vec<f32>,
    /// Updates so far.
    pub updates: u64,
}

impl Moments {
    /// Before the first update.
    pub fn zeros(length: usize) -> Self {
        Self { first: vec![0.0; length], second: vec![0.0; length], updates: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PyTorch's `AdamW([1., -2.], lr=0.1, weight_decay=0.5)` on gradients (3, -1), (0, 4), by hand in f64.
    #[test]
    fn two_updates_are_those_of_the_formula() {
        let optimiser = AdamW { weight_decay: 0.5, ..AdamW::new(0.1) };
        let (mut moments, mut values) = (Moments::zeros(2), [1.0, -2.0]);
        optimiser.update(&mut moments, &mut values, &[3.0, -1.0]);
        // The first step is lr * sign(g) apart from eps, after a decay of 5 %.
        for (found, expected) in values.iter().zip([0.85, -1.8]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
        optimiser.update(&mut moments, &mut values, &[0.0, 4.0]);
        let step = |m: f64, v: f64| (m / 0.19) / (v / 0.001_999).sqrt();
        let first = 0.95 * 0.85 - 0.1 * step(0.27, 0.999 * 0.009);
        let second = 0.95 * -1.8 - 0.1 * step(0.31, 0.999 * 0.001 + 0.016);
        assert!((f64::from(values[0]) - first).abs() < 1e-6, "{} {first}", values[0]);
        assert!((f64::from(values[1]) - second).abs() < 1e-6, "{} {second}", values[1]);
        assert_eq!(moments.updates, 2);
    }
}
