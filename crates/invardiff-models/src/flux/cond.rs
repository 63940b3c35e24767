//! The condition of a FLUX prediction: prompt, guidance scale and positions.

use burn::tensor::{DType, Tensor, TensorData};

use super::Flux;
use super::rope::Rope;

/// A batch of prompts with guidance scales and the positions of all tokens. Made by [`Flux::cond`] for the model's canvas.
#[derive(Clone, Debug)]
pub struct FluxCond {
    pub(crate) text: Tensor<3>,
    pub(crate) pooled: Tensor<2>,
    pub(crate) guidance: Option<Tensor<1>>,
    pub(crate) rope: Rope,
    pub(crate) image: FluxImage,
}

/// What a model is told of an image that it edits.
#[derive(Clone, Debug, Default)]
pub(crate) enum FluxImage {
    /// Nothing: it draws from the prompt alone.
    #[default]
    None,
    /// Further channels of each token, `[batch, image_tokens, in_channels - out_channels]`.
    Channels(Tensor<3>),
    /// Further tokens, `[batch, reference_tokens, in_channels]`.
    Tokens(Tensor<3>),
}

/// Why a condition does not fit the model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CondError {
    /// An embedding has the wrong shape.
    #[error("the {what} have shape {found:?}, expected {expected}")]
    Shape {
        /// Which embeddings.
        what: &'static str,
        /// Their shape.
        found: Vec<usize>,
        /// The expected shape.
        expected: String,
    },
    /// The image is missing, or given to a model that takes none.
    #[error("{model} {needs}")]
    Image {
        /// The model's name.
        model: String,
        /// What it expects.
        needs: String,
    },
    /// A guidance scale is missing, or given to a model that takes none.
    #[error("{model} {needs}")]
    Guidance {
        /// The model's name.
        model: String,
        /// What it expects.
        needs: String,
    },
}

impl FluxCond {
    /// The rotary tables for all tokens, those of the prompt first.
    pub fn rope(&self) -> &Rope {
        &self.rope
    }

    /// The noisy tokens with what goes in beside them.
    ///
    /// # Shapes
    /// - `x`: `[batch, image_tokens, out_channels]`
    /// - result: `[batch, image_tokens + reference_tokens, in_channels]`
    pub fn beside(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.image {
            FluxImage::None => x,
            FluxImage::Channels(channels) => Tensor::cat(vec![x, channels.clone()], 2),
            FluxImage::Tokens(tokens) => Tensor::cat(vec![x, tokens.clone()], 1),
        }
    }
}

impl Flux {
    /// The condition of a batch. `guidance` is the guidance scale of a model that embeds one, and `None` for other models.
    ///
    /// # Shapes
    /// - `text`: `[batch, text_tokens, joint_attention_dim]`, the prompt's token embeddings (T5)
    /// - `pooled`: `[batch, pooled_projection_dim]`, the pooled prompt embedding (CLIP)
    ///
    /// # Errors
    /// [`CondError::Shape`] when an embedding does not fit the model or its canvas, [`CondError::Guidance`] when the guidance
    /// scale is missing or not expected.
    pub fn cond(
        &self,
        text: Tensor<3>,
        pooled: Tensor<2>,
        guidance: Option<f32>,
    ) -> Result<FluxCond, CondError> {
        let [batch, ..] = text.dims();
        self.cond_by_row(text, pooled, guidance.map(|scale| vec![scale; batch]).as_deref())
    }

    /// [`Flux::cond`] with one guidance scale per row of the batch.
    ///
    /// # Errors
    /// As [`Flux::cond`]; also when scales and rows differ in number.
    pub fn cond_by_row(
        &self,
        text: Tensor<3>,
        pooled: Tensor<2>,
        guidance: Option<&[f32]>,
    ) -> Result<FluxCond, CondError> {
        self.cond_with_image(text, pooled, guidance, None)
    }

    /// [`Flux::cond_by_row`] with an image, for a model that fills in or has a reference ([`Flux::with_reference`]).
    ///
    /// # Shapes
    /// - `image`: `[batch, image_tokens, in_channels - out_channels]` where the model fills in: the packed latents of the masked image,
    ///   then the mask; `[batch, reference_tokens, in_channels]` for a reference image: its packed latents
    ///
    /// # Errors
    /// As [`Flux::cond_by_row`]; also when the image is missing, has another shape, or the model takes none.
    pub fn cond_with_image(
        &self,
        text: Tensor<3>,
        pooled: Tensor<2>,
        guidance: Option<&[f32]>,
        image: Option<Tensor<3>>,
    ) -> Result<FluxCond, CondError> {
        let (config, canvas) = (self.config(), self.canvas());
        let [batch, tokens, channels] = text.dims();
        if (tokens, channels) != (canvas.text_tokens, config.joint_attention_dim) {
            let expected = format!("[batch, {}, {}]", canvas.text_tokens, config.joint_attention_dim);
            let found = vec![batch, tokens, channels];
            return Err(CondError::Shape { what: "prompt embeddings", found, expected });
        }
        if pooled.dims() != [batch, config.pooled_projection_dim] {
            let expected = format!("[{batch}, {}]", config.pooled_projection_dim);
            let found = pooled.dims().to_vec();
            return Err(CondError::Shape { what: "pooled prompt embeddings", found, expected });
        }
        self.check_guidance(guidance, batch)?;
        let device = text.device();
        let guidance = guidance.map(|scales| {
            Tensor::from_data(TensorData::new(scales.to_vec(), [batch]), (&device, DType::F32))
        });
        let rope = Rope::new(&self.positions(), config.axes_dims_rope, &device);
        let (dtype, image) = (self.dtype(), self.image_of(image, batch)?);
        Ok(FluxCond { text: text.cast(dtype), pooled: pooled.cast(dtype), guidance, rope, image })
    }

    /// Positions of all tokens: those of the canvas, then those of a reference image, at (1, row, column).
    fn positions(&self) -> Vec<[f32; 3]> {
        let [rows, columns] = self.reference();
        let reference =
            (0..rows).flat_map(|row| (0..columns).map(move |column| [1.0, row as f32, column as f32]));
        self.canvas().positions().into_iter().chain(reference).collect()
    }

    fn image_of(&self, image: Option<Tensor<3>>, batch: usize) -> Result<FluxImage, CondError> {
        let (config, reference) = (self.config(), self.reference().iter().product::<usize>());
        let refuse = |needs: &str| CondError::Image { model: config.name(), needs: needs.to_owned() };
        let (expected, wrap): ([usize; 3], fn(Tensor<3>) -> FluxImage) = match (config.fills(), reference) {
            (false, 0) => {
                let none = image.is_none().then_some(FluxImage::None);
                return none.ok_or_else(|| refuse("draws from a prompt alone, but an image is given"));
            }
            (true, 0) => {
                let further = config.in_channels - config.out_channels;
                ([batch, self.canvas().image_tokens(), further], FluxImage::Channels)
            }
            (false, tokens) => ([batch, tokens, config.in_channels], FluxImage::Tokens),
            (true, _) => return Err(refuse("fills in a mask and takes no reference image")),
        };
        let image = image.ok_or_else(|| refuse("edits an image, but none is given"))?;
        if image.dims() != expected {
            let found = image.dims().to_vec();
            return Err(CondError::Shape {
                what: "tokens of the image",
                found,
                expected: format!("{expected:?}"),
            });
        }
        Ok(wrap(image.cast(self.dtype())))
    }

    fn check_guidance(&self, guidance: Option<&[f32]>, batch: usize) -> Result<(), CondError> {
        let needs = match (self.config().guidance_embeds, guidance) {
            (true, Some(scales)) if scales.len() == batch => return Ok(()),
            (false, None) => return Ok(()),
            (true, Some(scales)) => {
                format!("needs one guidance scale for each of the {batch} rows, found {}", scales.len())
            }
            (true, None) => "embeds a guidance scale, but none is given".to_owned(),
            (false, Some(_)) => "embeds no guidance scale, but one is given".to_owned(),
        };
        Err(CondError::Guidance { model: self.config().name(), needs })
    }
}
