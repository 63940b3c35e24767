//! The size of the model to time.

use std::path::Path;

use anyhow::{Context, Result, bail};
use invardiff_models::{Canvas, DitConfig, FluxConfig};

/// The sizes of a model, and of its images.
#[derive(Clone, Debug)]
pub(super) enum Size {
    Dit(DitConfig),
    Flux(FluxConfig, Canvas),
}

impl Size {
    /// A published size by its name, or the sizes in a config.json. A FLUX image is square with a side of `side` pixels unless the
    /// name gives one.
    ///
    /// # Errors
    /// When there is no such name or file, or the file describes neither.
    pub(super) fn named(model: &str, side: usize, text_tokens: usize) -> Result<Self> {
        let path = Path::new(model);
        if path.extension().is_some_and(|end| end == "json") {
            let text = invardiff::files::settings(path).with_context(|| format!("--model {model}"))?;
            return Self::parse(&text, side, text_tokens).with_context(|| format!("--model {model}"));
        }
        if let Ok(config) = DitConfig::named(model) {
            return Ok(Self::Dit(config));
        }
        let (name, pixels) = match model.rsplit_once('-') {
            Some((name, pixels)) if pixels.chars().all(|c| c.is_ascii_digit()) => (name, pixels.parse()?),
            Some(_) | None => (model, side),
        };
        let Ok(config) = FluxConfig::named(name) else {
            bail!(
                "--model {model}: there are {}, {} (with -1024 or other pixels behind), or the path of a config.json",
                DitConfig::names().join(", "),
                FluxConfig::names().join(", ")
            );
        };
        let canvas =
            Canvas::from_pixels(pixels, pixels, text_tokens).with_context(|| format!("--model {model}"))?;
        Ok(Self::Flux(config, canvas))
    }

    /// Sizes from a config.json: diffusers' FLUX names its class, anything else is read as a DiT.
    fn parse(text: &str, side: usize, text_tokens: usize) -> Result<Self> {
        if text.contains("FluxTransformer2DModel") {
            let canvas = Canvas::from_pixels(side, side, text_tokens)?;
            return Ok(Self::Flux(FluxConfig::from_json(text)?, canvas));
        }
        Ok(Self::Dit(DitConfig::from_json(text)?))
    }

    /// Batch, heads, tokens and channels of a head of its self-attention, guidance included.
    pub(super) fn attention(&self) -> [usize; 4] {
        match self {
            Self::Dit(config) => {
                [2, config.num_heads, config.tokens(), config.hidden_size / config.num_heads]
            }
            Self::Flux(config, canvas) => {
                let tokens = canvas.image_tokens() + canvas.text_tokens;
                [1, config.num_attention_heads, tokens, config.attention_head_dim]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_sizes_have_their_attention() {
        let attention = |name: &str| Size::named(name, 1024, 512).unwrap().attention();
        assert_eq!(attention("dit-xl-2-256"), [2, 16, 256, 72]);
        assert_eq!(attention("dit-xl-2-512"), [2, 16, 1024, 72]);
        assert_eq!(attention("flux1-dev-1024"), [1, 24, 4608, 128]);
        assert_eq!(attention("flux1-schnell-512"), [1, 24, 1536, 128]);
        assert_eq!(attention("flux1-dev"), attention("flux1-dev-1024"));
    }

    #[test]
    fn what_is_no_size_is_named() {
        for name in ["dit-xxl-2-256", "flux1-dev-1000", "flux2-1024", "no.json"] {
            let message = format!("{:#}", Size::named(name, 1024, 512).unwrap_err());
            assert!(message.starts_with(&format!("--model {name}")), "{message}");
        }
    }
}
