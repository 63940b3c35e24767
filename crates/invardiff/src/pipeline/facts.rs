//! What a plan and a report say of a model, and what it is asked for.

use invardiff_plan::RunSpec;
use invardiff_plan::two_phase::Variant;

use crate::dtype::Dtype;

/// What a plan and a report say of a model and its run.
pub trait ModelFacts {
    /// The model's name, as plans and reports use it.
    fn name(&self) -> &str;

    /// SHA-256 of the weights, hexadecimal.
    fn weights_sha256(&self) -> &str;

    /// The guidance scale; `None` without guidance.
    fn guidance_scale(&self) -> Option<f32>;

    /// The element type of weights and kept features.
    fn dtype(&self) -> Dtype;

    /// Forwards of a step: 2 where guidance takes two passes, each with features of its own. A schedule's peak is then an
    /// upper bound of what is kept.
    fn passes(&self) -> usize {
        1
    }

    /// Whose boundary rules a calibration of this model follows.
    fn variant(&self) -> Variant;

    /// What a plan for this pipeline must have been made for.
    fn execution(&self) -> RunSpec;
}

/// What images are asked for by: the classes of a model, or the prompts that it was opened with.
pub trait Subjects {
    /// What an image is asked for by: a class, a prompt.
    type Subject: Clone + Send + Sync;

    /// The subject of image `index`, where none is named: classes or prompts in turn.
    fn subject(&self, index: usize) -> Self::Subject;

    /// What a model that was trained to do without a subject is asked then: the null class of guidance. `None` where there
    /// is no such subject.
    fn null_subject(&self) -> Option<Self::Subject>;

    /// The class that a subject is, where it is one.
    fn class(&self, subject: &Self::Subject) -> Option<usize>;

    /// A subject in words.
    fn describe(&self, subject: &Self::Subject) -> String;

    /// Images to draw at once where nothing is said.
    fn default_batch(&self) -> usize;
}
