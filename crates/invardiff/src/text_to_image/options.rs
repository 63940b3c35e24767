//! How to draw from prompts.

use invardiff_models::{Canvas, FluxConfig};

use crate::dtype::Dtype;
use crate::error::{About, Error, Result};

/// How to draw from prompts. `None` is what was published with the model: FLUX.1-dev takes 28 steps, guidance 3.5 and 512
/// prompt tokens; FLUX.1-schnell 4 steps, no guidance and 256 prompt tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TextToImageOptions {
    /// Rows of the image in pixels, a multiple of 16.
    pub height: usize,
    /// Columns of the image in pixels, a multiple of 16.
    pub width: usize,
    /// Steps of the sampler.
    pub num_inference_steps: Option<usize>,
    /// The guidance scale that the network is told; schnell is told none.
    pub guidance_scale: Option<f32>,
    /// What the images should not be. Every step then takes two forwards.
    pub negative_prompt: Option<String>,
    /// How far to go away from the negative prompt; by default 4.
    pub true_cfg_scale: Option<f32>,
    /// Tokens of a prompt for T5.
    pub max_sequence_length: Option<usize>,
    /// The type of weights and features. The text encoders are kept in bf16 where this is f16.
    pub dtype: Dtype,
}

impl Default for TextToImageOptions {
    /// 1024 x 1024 in f32, and the rest as published.
    fn default() -> Self {
        Self {
            height: 1024,
            width: 1024,
            num_inference_steps: None,
            guidance_scale: None,
            negative_prompt: None,
            true_cfg_scale: None,
            max_sequence_length: None,
            dtype: Dtype::F32,
        }
    }
}

/// What the options come to for a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) canvas: Canvas,
    pub(super) steps: usize,
    /// What the network is told.
    pub(super) guidance_scale: Option<f32>,
    /// The scale between the two passes.
    pub(super) true_cfg_scale: Option<f32>,
    pub(super) dtype: Dtype,
}

/// The scale of true guidance where none is given: that of PuLID's demonstration, which brought it to FLUX.
const TRUE_CFG_SCALE: f32 = 4.0;

impl TextToImageOptions {
    /// Checks the options against a model.
    ///
    /// # Errors
    /// Names the field, its value and what is expected.
    pub(super) fn settle(&self, config: &FluxConfig) -> Result<Settled> {
        let (steps, tokens) = if config.guidance_embeds { (28, 512) } else { (4, 256) };
        let canvas = Canvas::from_pixels(self.height, self.width, self.max_sequence_length.unwrap_or(tokens))
            .about("height, width and max_sequence_length")?;
        if !config.in_channels.is_multiple_of(4) {
            return Err(Error::Model(format!(
                "the model takes {} channels per token, expected four times those of the autoencoder",
                config.in_channels
            )));
        }
        let guidance_scale = match (config.guidance_embeds, self.guidance_scale) {
            (true, scale) => Some(scale.unwrap_or(3.5)),
            // One is no guidance, which is what such a model does.
            (false, None | Some(1.0 | 0.0)) => None,
            (false, Some(scale)) => {
                let problem = format_args!(
                    "{scale}: {} is told no guidance scale; leave it out, or guide by a negative prompt (negative_prompt, \
                     true_cfg_scale)",
                    config.name()
                );
                return Err(Error::setting("guidance_scale", problem));
            }
        };
        for (field, scale) in [("guidance_scale", guidance_scale), ("true_cfg_scale", self.true_cfg_scale)] {
            if let Some(scale) = scale.filter(|scale| !scale.is_finite()) {
                return Err(Error::setting(field, format_args!("is {scale}, expected a finite number")));
            }
        }
        if self.true_cfg_scale.is_some() && self.negative_prompt.is_none() {
            let problem =
                "is how far to go away from a negative prompt, and there is none; it may be empty (\"\")";
            return Err(Error::setting("true_cfg_scale", problem));
        }
        let true_cfg_scale =
            self.negative_prompt.as_ref().map(|_| self.true_cfg_scale.unwrap_or(TRUE_CFG_SCALE));
        Ok(Settled {
            height: self.height,
            width: self.width,
            canvas,
            steps: self.num_inference_steps.unwrap_or(steps),
            guidance_scale,
            true_cfg_scale,
            dtype: self.dtype,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::with_causes;

    fn settle(model: &str, options: TextToImageOptions) -> Result<Settled> {
        options.settle(&FluxConfig::named(model).unwrap())
    }

    #[test]
    fn what_is_left_open_is_as_published() {
        let dev = settle("flux1-dev", TextToImageOptions::default()).unwrap();
        assert_eq!((dev.steps, dev.guidance_scale, dev.canvas), (28, Some(3.5), Canvas::default()));
        assert_eq!(dev.true_cfg_scale, None);
        let schnell = settle("flux1-schnell", TextToImageOptions::default()).unwrap();
        assert_eq!((schnell.steps, schnell.guidance_scale, schnell.canvas.text_tokens), (4, None, 256));
        let negative =
            TextToImageOptions { negative_prompt: Some(String::new()), ..TextToImageOptions::default() };
        assert_eq!(settle("flux1-schnell", negative).unwrap().true_cfg_scale, Some(4.0));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message =
            |model: &str, options: TextToImageOptions| with_causes(&settle(model, options).unwrap_err());
        let default = TextToImageOptions::default;
        let found = message("flux1-dev", TextToImageOptions { height: 1000, ..default() });
        assert!(found.contains("'height' is 1000, expected a multiple of 16"), "{found}");
        let found = message("flux1-dev", TextToImageOptions { max_sequence_length: Some(9999), ..default() });
        assert!(found.contains("'text_tokens' is 9999"), "{found}");
        let found = message("flux1-schnell", TextToImageOptions { guidance_scale: Some(3.5), ..default() });
        assert!(found.contains("guidance_scale 3.5: flux1-schnell is told no guidance scale"), "{found}");
        let found = message("flux1-dev", TextToImageOptions { true_cfg_scale: Some(2.0), ..default() });
        assert!(found.contains("away from a negative prompt, and there is none"), "{found}");
        let found = message("flux1-dev", TextToImageOptions { guidance_scale: Some(f32::NAN), ..default() });
        assert!(found.contains("guidance_scale is NaN"), "{found}");
    }
}
