//! Flags of the model, the prompts and the device, and opening what they ask for.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use invardiff::units::parse_bytes;
use invardiff::{Dtype, PipelineWork, PromptRequest, RunRequest, parse_lora};
use invardiff_models::Lora;

use crate::args::DeviceArg;
use crate::progress::Bars;

/// What models of prompts are asked.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Models that draw prompts (FLUX)")]
pub(crate) struct PromptFlags {
    /// What to draw; may be repeated
    #[arg(long, value_name = "TEXT")]
    prompt: Vec<String>,
    /// A file of prompts, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    prompts: Option<PathBuf>,
    /// What not to draw; every step then takes two forwards
    #[arg(long, value_name = "TEXT")]
    pub(crate) negative_prompt: Option<String>,
    /// How far to go away from the negative prompt; by default 4
    #[arg(long, value_name = "SCALE", requires = "negative_prompt")]
    true_cfg_scale: Option<f32>,
    /// Rows of the image in pixels, a multiple of 16; by default the plan's, or 1024
    #[arg(long, value_name = "PIXELS")]
    height: Option<usize>,
    /// Columns of the image in pixels, a multiple of 16; by default the plan's, or 1024
    #[arg(long, value_name = "PIXELS")]
    width: Option<usize>,
    /// An image to edit (PNG, sides multiples of 16): FLUX.1-Kontext changes it by the prompt, FLUX.1-Fill draws anew what
    /// --mask-image leaves open; the result is as large, unless --height and --width say otherwise
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Where FLUX.1-Fill draws anew: a PNG as large as the image, white there and black elsewhere
    #[arg(long, value_name = "FILE", requires = "image")]
    mask_image: Option<PathBuf>,
    /// Tokens of a prompt for T5; by default 512 for FLUX.1-dev, 256 for FLUX.1-schnell
    #[arg(long, value_name = "TOKENS")]
    max_sequence_length: Option<usize>,
    /// The type of weights and features, also of a DiT; by default the plan's, or f32
    #[arg(long, value_parser = crate::args::dtype(), help_heading = None)]
    dtype: Option<Dtype>,
    /// A LoRA file (safetensors) that is added to the weights, at strength 1 or another one; may be repeated. A plan fits
    /// the weights that it was made with: calibrate with the same files
    #[arg(long, value_name = "FILE[:STRENGTH]", value_parser = parse_lora, help_heading = None)]
    lora: Vec<Lora>,
    /// The autoencoder that makes images of latents, a path or the id of a repository on a hub; by default the one beside
    /// the model
    #[arg(long, value_name = "MODEL", help_heading = None)]
    vae: Option<String>,
    /// The section of a training file to read, such as ema or model; by default the averaged weights, or the only ones
    #[arg(long, value_name = "NAME", help_heading = None)]
    section: Option<String>,
    /// Memory that may be taken, such as 24GB; by default what the system has available
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, help_heading = None)]
    memory_limit: Option<u64>,
}

impl PromptFlags {
    /// A request with these flags; model, plan and sampling are left open.
    pub(crate) fn request(&self) -> RunRequest {
        let mut prompts = PromptRequest::default();
        prompts.prompt.clone_from(&self.prompt);
        prompts.prompts.clone_from(&self.prompts);
        prompts.negative_prompt.clone_from(&self.negative_prompt);
        prompts.true_cfg_scale = self.true_cfg_scale;
        prompts.height = self.height;
        prompts.width = self.width;
        prompts.max_sequence_length = self.max_sequence_length;
        prompts.image.clone_from(&self.image);
        prompts.mask_image.clone_from(&self.mask_image);
        let mut request = RunRequest::default();
        request.dtype = self.dtype;
        request.lora.clone_from(&self.lora);
        request.vae.clone_from(&self.vae);
        request.section.clone_from(&self.section);
        request.memory_limit = self.memory_limit;
        request.prompts = prompts;
        request
    }
}

/// The number of steps that a flag asks for.
pub(crate) fn steps(flag: Option<u32>) -> Option<usize> {
    flag.map(|steps| steps as usize)
}

/// Finds the model, opens its pipeline on the device and does the work on it.
///
/// # Errors
/// When the model or the device cannot be opened, a flag does not fit them, or the work fails.
pub(crate) fn work<W>(request: &RunRequest, device: DeviceArg, work: W) -> Result<ExitCode>
where
    W: PipelineWork<Output = Result<ExitCode>>,
{
    let bars = Bars::default();
    let (resolved, device) = (request.resolve(&bars)?, device.open()?);
    resolved.work(request, &device, &bars, work)?
}
