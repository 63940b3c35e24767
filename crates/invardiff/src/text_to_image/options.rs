//! How to draw from prompts.

use invardiff_models::{Canvas, FluxConfig};

use super::edit::EditImage;
use crate::dtype::Dtype;
use crate::error::{About, Error, Result};

/// How to draw from prompts. `None` is what was published with the model: FLUX.1-dev takes 28 steps, guidance 3.5 and 512
/// prompt tokens; FLUX.1-schnell 4 steps, no guidance and 256 prompt tokens.
///
/// With an image, FLUX.1-Kontext changes it by the prompt, and FLUX.1-Fill draws anew what its mask leaves open (by default 50 steps,
/// guidance 30).
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
    /// An image to edit: with a mask for a model that fills in, without one for FLUX.1-Kontext.
    pub image: Option<EditImage>,
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
            image: None,
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
    /// Rows and columns of a reference image in tokens; 0 without one.
    pub(super) reference: [usize; 2],
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
        let (steps, tokens) = match (config.fills(), config.guidance_embeds) {
            (true, _) => (50, 512),
            (false, true) => (28, 512),
            (false, false) => (4, 256),
        };
        let reference = self.reference(config)?;
        let canvas = Canvas::from_pixels(self.height, self.width, self.max_sequence_length.unwrap_or(tokens))
            .about("height, width and max_sequence_length")?;
        if !config.out_channels.is_multiple_of(4) {
            return Err(Error::Model(format!(
                "the model makes {} channels per token, expected four times those of the autoencoder",
                config.out_channels
            )));
        }
        let guidance_scale = match (config.guidance_embeds, self.guidance_scale) {
            (true, scale) => Some(scale.unwrap_or(if config.fills() { 30.0 } else { 3.5 })),
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
            reference,
            steps: self.num_inference_steps.unwrap_or(steps),
            guidance_scale,
            true_cfg_scale,
            dtype: self.dtype,
        })
    }

    /// Rows and columns of the reference image in tokens, once the image fits the model.
    fn reference(&self, config: &FluxConfig) -> Result<[usize; 2]> {
        let missing = |field, what: &str| {
            Err(Error::setting(field, format_args!("is missing: {} {what}", config.name())))
        };
        let Some(image) = &self.image else {
            if config.fills() {
                return missing("image", "fills in an image where a mask (mask_image) is white");
            }
            return Ok([0, 0]);
        };
        match (config.fills(), &image.mask) {
            (false, None) => Ok(image.grid()),
            (false, Some(_)) => Err(Error::setting(
                "mask_image",
                format_args!("is taken by FLUX.1-Fill; {} is no model that fills in", config.name()),
            )),
            (true, None) => missing("mask_image", "draws anew where it is white"),
            (true, Some(_)) if image.size() == (self.height, self.width) => Ok([0, 0]),
            (true, Some(_)) => {
                let (height, width) = image.size();
                let problem = format_args!(
                    "is {width} x {height} pixels and is filled in at that size; leave height and width out"
                );
                Err(Error::setting("image", problem))
            }
        }
    }
}

/// The model's name, with its kind: a plan for drawing is none for edits of a reference image.
pub(super) fn named(config: &FluxConfig, reference: [usize; 2]) -> String {
    let kind = if reference == [0, 0] { "" } else { "-kontext" };
    format!("{}{kind}", config.name())
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
    fn an_image_is_for_the_models_that_edit_one() {
        use ndarray::{Array2, Array3};

        let edit = |masked: bool| {
            let mask = masked.then(|| Array2::from_elem((32, 48), true));
            let image = Some(EditImage { image: Array3::zeros((3, 32, 48)), mask });
            TextToImageOptions { height: 32, width: 48, image, ..TextToImageOptions::default() }
        };
        let kontext = settle("flux1-dev", TextToImageOptions { height: 64, ..edit(false) }).unwrap();
        assert_eq!((kontext.reference, kontext.canvas.rows, kontext.steps), ([2, 3], 4, 28));
        let fill = settle("flux1-fill-dev", edit(true)).unwrap();
        assert_eq!((fill.reference, fill.steps, fill.guidance_scale), ([0, 0], 50, Some(30.0)));
        let message = |model: &str, options| with_causes(&settle(model, options).unwrap_err());
        let found = message("flux1-dev", edit(true));
        assert!(found.contains("mask_image is taken by FLUX.1-Fill; flux1-dev is no model"), "{found}");
        let found = message("flux1-fill-dev", edit(false));
        assert!(found.contains("mask_image is missing: flux1-fill-dev draws anew"), "{found}");
        let found = message("flux1-fill-dev", TextToImageOptions::default());
        assert!(found.contains("image is missing: flux1-fill-dev fills in an image"), "{found}");
        let found = message("flux1-fill-dev", TextToImageOptions { height: 64, ..edit(true) });
        assert!(found.contains("image is 48 x 32 pixels and is filled in at that size"), "{found}");
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
