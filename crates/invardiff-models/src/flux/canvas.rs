//! The size of an image and its prompt, in tokens.

use crate::config::{ConfigError, require};

/// Pixels along one side of a packed latent token: the autoencoder divides by 8, packing by 2.
pub(crate) const PIXELS: usize = 16;

/// The size of an image and its prompt, in tokens. FLUX runs at any size; costs and positions depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Canvas {
    /// Rows of packed latent tokens.
    pub rows: usize,
    /// Columns of packed latent tokens.
    pub columns: usize,
    /// Tokens of the prompt.
    pub text_tokens: usize,
}

impl Default for Canvas {
    /// 1024 x 1024 pixels and 512 prompt tokens.
    fn default() -> Self {
        Self { rows: 64, columns: 64, text_tokens: 512 }
    }
}

impl Canvas {
    /// The canvas of an image given in pixels.
    ///
    /// # Errors
    /// [`ConfigError::Field`] when a side is not a multiple of 16 from 16 to 16384, or there are more than 4096 prompt tokens.
    pub fn from_pixels(height: usize, width: usize, text_tokens: usize) -> Result<Self, ConfigError> {
        for (field, value) in [("height", height), ("width", width)] {
            let fits = (1..=16_384).contains(&value) && value.is_multiple_of(PIXELS);
            require(fits, field, &value, || format!("a multiple of {PIXELS} from {PIXELS} to 16384"))?;
        }
        require(text_tokens <= 4096, "text_tokens", &text_tokens, || "at most 4096".into())?;
        Ok(Self { rows: height / PIXELS, columns: width / PIXELS, text_tokens })
    }

    /// Packed latent tokens of the image.
    pub fn image_tokens(&self) -> usize {
        self.rows * self.columns
    }

    /// Positions of all tokens, prompt first: prompt tokens at the origin, image tokens at (0, row, column).
    pub fn positions(&self) -> Vec<[f32; 3]> {
        let text = std::iter::repeat_n([0.0; 3], self.text_tokens);
        let image = (0..self.rows).flat_map(|row| {
            let columns = 0..self.columns;
            columns.map(move |column| [0.0, row as f32, column as f32])
        });
        text.chain(image).collect()
    }

    /// The image size in pixels (one number if it is square, otherwise `height x width`), and the number of prompt tokens
    /// unless it is 512: `1024`, `768x1360`, `1024-t256`.
    pub(crate) fn name(&self) -> String {
        let (height, width) = (self.rows * PIXELS, self.columns * PIXELS);
        let image = if height == width { height.to_string() } else { format!("{height}x{width}") };
        match self.text_tokens {
            512 => image,
            tokens => format!("{image}-t{tokens}"),
        }
    }
}
