//! Flags of models that draw prompts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use invardiff::units::parse_bytes;
use invardiff::{Dtype, parse_lora};
use invardiff_models::Lora;
use invardiff_plan::files;

/// What models of prompts are asked.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Models that draw prompts (FLUX)")]
pub struct PromptFlags {
    /// What to draw; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub prompt: Vec<String>,
    /// A file of prompts, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompts: Option<PathBuf>,
    /// What not to draw; every step then takes two forwards
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,
    /// How far to go away from the negative prompt; by default 4
    #[arg(long, value_name = "SCALE", requires = "negative_prompt")]
    pub true_cfg_scale: Option<f32>,
    /// Rows of the image in pixels, a multiple of 16; by default the plan's, or 1024
    #[arg(long, value_name = "PIXELS")]
    pub height: Option<usize>,
    /// Columns of the image in pixels, a multiple of 16; by default the plan's, or 1024
    #[arg(long, value_name = "PIXELS")]
    pub width: Option<usize>,
    /// Tokens of a prompt for T5; by default 512 for FLUX.1-dev, 256 for FLUX.1-schnell
    #[arg(long, value_name = "TOKENS")]
    pub max_sequence_length: Option<usize>,
    /// The type of weights and features, also of a DiT; by default the plan's, or f32
    #[arg(long, value_parser = crate::args::dtype(), help_heading = None)]
    pub dtype: Option<Dtype>,
    /// A LoRA file (safetensors) that is added to the weights, at strength 1 or another one; may be repeated. A plan fits
    /// the weights that it was made with: calibrate with the same files
    #[arg(long, value_name = "FILE[:STRENGTH]", value_parser = parse_lora, help_heading = None)]
    pub lora: Vec<Lora>,
    /// The autoencoder that makes images of latents, a path or the id of a repository on a hub; by default the one beside
    /// the model
    #[arg(long, value_name = "MODEL", help_heading = None)]
    pub vae: Option<String>,
    /// Memory that may be taken, such as 24GB; by default what the system has available
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, help_heading = None)]
    pub memory_limit: Option<u64>,
}

impl PromptFlags {
    /// A flag that was given and that only such a model understands.
    pub(super) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--prompt", !self.prompt.is_empty()),
            ("--prompts", self.prompts.is_some()),
            ("--negative-prompt", self.negative_prompt.is_some()),
            ("--height", self.height.is_some()),
            ("--width", self.width.is_some()),
            ("--max-sequence-length", self.max_sequence_length.is_some()),
        ];
        flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// The prompts: those of the flags, the lines of the file that are not empty, or `usual`.
    ///
    /// # Errors
    /// When there is none, or the file cannot be read.
    pub fn prompts(&self, usual: &[&str]) -> Result<Vec<String>> {
        let prompts = match &self.prompts {
            Some(path) => lines(path)?,
            None if self.prompt.is_empty() => usual.iter().map(|&prompt| prompt.to_owned()).collect(),
            None => self.prompt.clone(),
        };
        ensure!(
            !prompts.is_empty(),
            "--prompt is missing: say what to draw, or give --prompts FILE with one a line"
        );
        Ok(prompts)
    }
}

/// The most bytes of a file of prompts (16 MiB).
const LONGEST: usize = 16 << 20;

fn lines(path: &Path) -> Result<Vec<String>> {
    let name = || format!("--prompts {}", path.display());
    let text = files::read_text(path, LONGEST).with_context(name)?;
    let prompts: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    ensure!(!prompts.is_empty(), "{}: the file has no prompt; write one a line", name());
    Ok(prompts)
}
