//! What a runtime does at one slot in one step.

/// One kept feature that a reuse reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    /// The step at which it was computed.
    pub step: usize,
    /// Its weight in the sum that stands in for the value.
    pub weight: f64,
    /// Whether this is its last read: it leaves the store.
    pub last: bool,
}

/// How a value is made from kept ones: the sum of `weight * feature`. [`ReuseRule::Hold`](crate::core::rule::ReuseRule::Hold) is one source of weight 1.
pub type Recipe = Vec<Source>;

/// What a runtime does at one slot in one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Run the module and keep nothing.
    Compute,
    /// Run the module and keep its value: a later step reads it.
    Keep,
    /// Run the module; what the model goes on with is the sum of the fresh value (the source of this very step) and kept
    /// ones. The fresh value itself is kept where a later step reads it.
    Blend {
        /// The sum. A source of this step is read once it is computed.
        recipe: Recipe,
        /// Whether a later step reads the fresh value.
        keep: bool,
    },
    /// Stand in for the module; everything read stays in the store.
    Reuse(Recipe),
    /// Stand in for the module; at least one source is read for the last time and is moved out.
    Take(Recipe),
    /// Not visited: it lies inside a skipped step.
    Idle,
}

impl Action {
    /// The recipe, where the action stands in for the module.
    pub fn recipe(&self) -> Option<&[Source]> {
        match self {
            Self::Reuse(recipe) | Self::Take(recipe) => Some(recipe),
            Self::Compute | Self::Keep | Self::Blend { .. } | Self::Idle => None,
        }
    }

    /// The values that are read here, whether the module is computed or not.
    pub fn sources(&self) -> &[Source] {
        match self {
            Self::Reuse(recipe) | Self::Take(recipe) | Self::Blend { recipe, .. } => recipe,
            Self::Compute | Self::Keep | Self::Idle => &[],
        }
    }

    /// Whether the fresh value goes into the store.
    pub fn keeps(&self) -> bool {
        match self {
            Self::Keep => true,
            Self::Blend { keep, .. } => *keep,
            Self::Compute | Self::Reuse(_) | Self::Take(_) | Self::Idle => false,
        }
    }
}
