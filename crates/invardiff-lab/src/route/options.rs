//! How routers are trained.

use invardiff_calib::RouterSettings;

use crate::error::{Error, Result};

/// How routers are trained, and what they are compared on afterwards.
///
/// ```
/// use invardiff_lab::route::RouterOptions;
///
/// let mut options = RouterOptions::default();
/// options.lambda = 1e-4;
/// assert_eq!((options.iterations, options.batch_size), (600, 4));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouterOptions {
    /// Iterations in all, each of one router.
    pub iterations: usize,
    /// Examples of an iteration.
    pub batch_size: usize,
    /// How many images the model draws itself to be trained on, where no examples are given.
    pub drawn_examples: usize,
    /// Price of a computed module; published are 1e-6 to 5e-6 for latents of DiT-XL/2.
    pub lambda: f64,
    /// Learning rate of AdamW.
    pub learning_rate: f64,
    /// The threshold at which weights are cut in the blend, with the gradient of the uncut ones.
    pub straight_through: Option<f32>,
    /// Share of examples that are trained without their class, 0 to 1.
    pub label_dropout: f64,
    /// The threshold at which the plan and the report cut the routers.
    pub threshold: f32,
    /// Seed of the routers, the examples and the noise.
    pub seed: u64,
    /// Held-out images of the report.
    pub images: usize,
    /// Whether to go on from the folder's state.
    pub resume: bool,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self {
            iterations: 600,
            batch_size: 4,
            drawn_examples: 64,
            lambda: 5e-5,
            learning_rate: 0.1,
            straight_through: None,
            label_dropout: 0.1,
            threshold: 0.5,
            seed: 0,
            images: 20,
            resume: false,
        }
    }
}

impl RouterOptions {
    /// Refuses shares out of their range.
    pub(super) fn check(&self) -> Result<()> {
        if (0.0..=1.0).contains(&self.label_dropout) {
            return Ok(());
        }
        let problem = format!("is {}, expected a number from 0 to 1", self.label_dropout);
        Err(Error::setting("label_dropout", problem))
    }

    /// The settings of the training itself.
    pub(super) fn settings(&self) -> RouterSettings {
        RouterSettings {
            lambda: self.lambda,
            learning_rate: self.learning_rate,
            straight_through: self.straight_through,
            seed: self.seed,
            ..RouterSettings::default()
        }
    }
}
