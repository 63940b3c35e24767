//! The parts of a pipeline on this machine, in any public layout.

mod scheduler;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use invardiff_models::{Architecture, Lora};
use invardiff_runtime::Progress;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::locate::locate_with;

pub use scheduler::{FlowShift, SchedulerConfig};

/// Where the parts of a pipeline are. Nothing of their weights is read yet.
///
/// Layouts: a diffusers folder (`model_index.json`), or a transformer's file or folder with the other parts beside it under
/// the names that they have there, and the original autoencoder `ae.safetensors`.
#[derive(Clone, Debug)]
pub struct Pretrained {
    /// As it was asked for.
    pub name: String,
    /// What draws.
    pub architecture: Architecture,
    /// What the pipeline's folder says that it does with an image; `None` where nothing says so.
    pub edits: Option<bool>,
    /// The transformer's file or folder.
    pub transformer: PathBuf,
    /// The autoencoder's file or folder.
    pub autoencoder: Option<PathBuf>,
    /// The settings of the sampler.
    pub scheduler: Option<SchedulerConfig>,
    /// The text encoders.
    pub text: Option<TextParts>,
    /// Names of a DiT's classes by number, several separated by commas (`id2label`); empty where the folder has none.
    pub class_names: BTreeMap<usize, String>,
    /// The section of a training file to read, such as `ema`; the averaged weights, or the only ones, unless it is put here.
    pub section: Option<String>,
    /// LoRA files whose changes are added to the transformer's weights; none, unless they are put here.
    pub loras: Vec<Lora>,
}

/// Where the text encoders of FLUX and their tokenizers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextParts {
    /// CLIP, which gives the pooled prompt.
    pub clip: PathBuf,
    /// Its tokenizer.
    pub clip_tokenizer: PathBuf,
    /// T5, which gives the prompt's tokens.
    pub t5: PathBuf,
    /// Its tokenizer.
    pub t5_tokenizer: PathBuf,
}

/// The file that says what a diffusers folder is.
const INDEX: &str = "model_index.json";
/// The original autoencoder of FLUX.
const ORIGINAL_AUTOENCODER: &str = "ae.safetensors";

#[derive(Deserialize)]
struct Index {
    #[serde(rename = "_class_name")]
    class_name: String,
    /// Of DiT: the names of a class, separated by commas, by its number as text.
    #[serde(default)]
    id2label: BTreeMap<usize, String>,
}

impl Pretrained {
    /// The parts at a path, or in a repository of a hub.
    ///
    /// # Errors
    /// When there is no such model, it cannot be fetched, or a part is missing or unknown; names the file or folder.
    pub fn open(model: &str) -> Result<Self> {
        Self::open_with(model, &())
    }

    /// [`Pretrained::open`], telling `progress` of what is fetched from a hub.
    ///
    /// # Errors
    /// As [`Pretrained::open`].
    pub fn open_with(model: &str, progress: &dyn Progress) -> Result<Self> {
        Self::find(&locate_with(model, progress)?, model)
    }

    /// The parts at a path; `name` is what it was asked for by.
    ///
    /// # Errors
    /// As [`Pretrained::open`].
    pub(crate) fn find(path: &Path, name: &str) -> Result<Self> {
        if path.join(INDEX).is_file() {
            return Self::pipeline(path, name);
        }
        let architecture = Architecture::of(path)?;
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
        Ok(Self {
            name: name.to_owned(),
            architecture,
            edits: None,
            transformer: path.to_owned(),
            autoencoder: autoencoder(folder),
            scheduler: scheduler::read(folder)?,
            text: TextParts::find(folder).ok(),
            class_names: BTreeMap::new(),
            section: None,
            loras: Vec::new(),
        })
    }

    /// A diffusers folder.
    fn pipeline(folder: &Path, name: &str) -> Result<Self> {
        let index = folder.join(INDEX);
        let text = crate::files::settings(&index)?;
        let Index { class_name, id2label } = serde_json::from_str(&text).map_err(|source| Error::Json {
            place: format!("{}: no index of a pipeline", index.display()),
            source,
        })?;
        let architecture = match class_name.as_str() {
            "DiTPipeline" => (Architecture::Dit, None),
            // Variations of an image with the weights of the plain pipeline: prompts alone work.
            "FluxPipeline" | "FluxImg2ImgPipeline" | "FluxInpaintPipeline" => {
                (Architecture::Flux, Some(false))
            }
            "FluxKontextPipeline" | "FluxKontextInpaintPipeline" => (Architecture::Flux, None),
            "FluxFillPipeline" => (Architecture::Flux, Some(true)),
            "FluxPriorReduxPipeline" => {
                let problem = "it is FLUX.1-Redux, an adapter that makes prompts of images and draws nothing; it is not supported";
                return Err(Error::file(&index, problem));
            }
            other => {
                let problem = format_args!(
                    "the pipeline is a {other}; there are DiTPipeline, FluxPipeline, FluxKontextPipeline and FluxFillPipeline here"
                );
                return Err(Error::file(&index, problem));
            }
        };
        let (architecture, edits) = architecture;
        let transformer = folder.join("transformer");
        if !transformer.is_dir() {
            return Err(Error::file(folder, "the folder transformer is missing"));
        }
        let text = match architecture {
            Architecture::Flux => Some(TextParts::find(folder)?),
            Architecture::Dit => None,
        };
        Ok(Self {
            name: name.to_owned(),
            architecture,
            edits,
            transformer,
            autoencoder: autoencoder(folder),
            scheduler: scheduler::read(folder)?,
            text,
            class_names: id2label,
            section: None,
            loras: Vec::new(),
        })
    }

    /// Refuses a model of the other kind.
    ///
    /// # Errors
    /// Says what the model is and what takes it.
    pub fn expect(&self, architecture: Architecture) -> Result<()> {
        match (self.architecture, architecture) {
            (Architecture::Dit, Architecture::Dit) | (Architecture::Flux, Architecture::Flux) => Ok(()),
            (Architecture::Dit, Architecture::Flux) => Err(Error::Model(format!(
                "{} is a DiT, which draws classes and takes no prompt; a FLUX transformer is expected here",
                self.name
            ))),
            (Architecture::Flux, Architecture::Dit) => Err(Error::Model(format!(
                "{} is a FLUX transformer, which draws prompts and knows no classes; a DiT is expected here",
                self.name
            ))),
        }
    }
}

impl Pretrained {
    /// Refuses an image for weights that were not trained to edit one, as far as the folder says so.
    ///
    /// # Errors
    /// [`Error::Setting`] of the image.
    pub(crate) fn expect_edit(&self, has_image: bool) -> Result<()> {
        match self.edits {
            Some(false) if has_image => Err(Error::setting(
                "image",
                format_args!(
                    "is taken by FLUX.1-Kontext and FLUX.1-Fill; {} draws from prompts alone (model_index.json)",
                    self.name
                ),
            )),
            _ => Ok(()),
        }
    }
}

fn autoencoder(folder: &Path) -> Option<PathBuf> {
    let found = [folder.join("vae"), folder.join(ORIGINAL_AUTOENCODER)];
    found.into_iter().find(|path| path.exists())
}

impl TextParts {
    /// The text encoders in a diffusers folder, or beside an original transformer.
    ///
    /// # Errors
    /// Lists the folders that are missing.
    pub fn find(folder: &Path) -> Result<Self> {
        let names = ["text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"];
        let missing: Vec<&str> = names.into_iter().filter(|name| !folder.join(name).is_dir()).collect();
        if !missing.is_empty() {
            let missing = match missing.as_slice() {
                [one] => format!("the folder {one} is"),
                several => format!("the folders {} are", several.join(", ")),
            };
            let problem = format_args!(
                "{missing} missing; FLUX reads prompts with CLIP (text_encoder, tokenizer) and T5 (text_encoder_2, \
                 tokenizer_2)"
            );
            return Err(Error::file(folder, problem));
        }
        let [clip, clip_tokenizer, t5, t5_tokenizer] = names.map(|name| folder.join(name));
        Ok(Self { clip, clip_tokenizer, t5, t5_tokenizer })
    }
}
