//! How scales and shifts are trained.

/// How scales and shifts are trained, and what they are compared on afterwards.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScaleShiftOptions {
    /// Iterations in all, each of one batch of trajectories.
    pub iterations: usize,
    /// Trajectories of an iteration.
    pub batch_size: usize,
    /// Learning rate of AdamW.
    pub learning_rate: f64,
    /// Seed of the subjects and the noise.
    pub seed: u64,
    /// Held-out images of the report.
    pub images: usize,
    /// Whether to go on from the state beside the plan.
    pub resume: bool,
}

impl Default for ScaleShiftOptions {
    fn default() -> Self {
        Self { iterations: 80, batch_size: 4, learning_rate: 1e-3, seed: 0, images: 20, resume: false }
    }
}
