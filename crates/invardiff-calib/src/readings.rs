//! Measured numbers that are still on the device.

use burn::tensor::{DType, Tensor};

/// What was measured along one trajectory, `N` numbers at a time, each with a label. Everything stays on the device until
/// [`Readings::read`]: a forward never waits for a transfer.
pub(crate) struct Readings<L, const N: usize> {
    labels: Vec<L>,
    values: Vec<Tensor<1>>,
}

impl<L, const N: usize> Readings<L, N> {
    /// No readings.
    pub(crate) const fn new() -> Self {
        Self { labels: Vec::new(), values: Vec::new() }
    }

    /// Adds a reading.
    ///
    /// # Shapes
    /// - `value`: `[N]`
    pub(crate) fn push(&mut self, label: L, value: Tensor<1>) {
        self.labels.push(label);
        self.values.push(value.cast(DType::F32));
    }

    /// All readings in order, in one transfer.
    pub(crate) fn read(self) -> Vec<(L, [f32; N])> {
        if self.labels.is_empty() {
            return Vec::new();
        }
        let values: Vec<f32> = Tensor::cat(self.values, 0).into_data().iter().collect();
        let chunks = values.chunks_exact(N).map(|chunk| std::array::from_fn(|index| chunk[index]));
        self.labels.into_iter().zip(chunks).collect()
    }
}
