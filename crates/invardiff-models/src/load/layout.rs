//! The naming of weights in files.

use super::checkpoint::Checkpoint;

/// The naming of a model's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLayout {
    /// The state dict of the model's authors.
    Original,
    /// The model in the diffusers or transformers library: `DiTTransformer2DModel` (earlier `Transformer2DModel`),
    /// `FluxTransformer2DModel`, `AutoencoderKL`, `T5EncoderModel`, `CLIPTextModel`.
    Diffusers,
}

impl KeyLayout {
    pub(crate) const ALL: [Self; 2] = [Self::Original, Self::Diffusers];

    /// The layout of a file, recognised by one key per layout, and the section that the weights are in.
    pub(crate) fn detect(
        checkpoint: &Checkpoint,
        signature: impl Fn(Self) -> &'static str,
        sections: &[&'static str],
    ) -> Option<(Self, Option<&'static str>)> {
        let sections = std::iter::once(None).chain(sections.iter().copied().map(Some));
        sections.into_iter().find_map(|section| {
            let found = Self::ALL.into_iter().find(|layout| {
                let key = section.map_or_else(
                    || signature(*layout).to_owned(),
                    |section| format!("{section}.{}", signature(*layout)),
                );
                checkpoint.shape(&key).is_some()
            });
            found.map(|layout| (layout, section))
        })
    }
}

/// What a checkpoint lacks that has the keys of neither layout.
pub(crate) fn lacks(signature: impl Fn(KeyLayout) -> &'static str) -> String {
    let [original, diffusers] = KeyLayout::ALL.map(signature);
    format!("it has neither '{original}' (original) nor '{diffusers}' (diffusers)")
}
