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
        let rope = Rope::new(&canvas.positions(), config.axes_dims_rope, &device);
        let dtype = self.dtype();
        Ok(FluxCond { text: text.cast(dtype), pooled: pooled.cast(dtype), guidance, rope })
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
