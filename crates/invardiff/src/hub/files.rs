//! Which files of a repository are needed: decided from their names, before the first byte is fetched.

use invardiff_models::{NoWeights, WeightsOf, weight_files};

/// The folders of a diffusers pipeline that hold weights which are read here.
const PARTS: [(&str, WeightsOf); 4] = [
    ("transformer", WeightsOf::Transformer),
    ("vae", WeightsOf::Autoencoder),
    ("text_encoder", WeightsOf::Clip),
    ("text_encoder_2", WeightsOf::T5),
];

/// Its folders of settings and vocabularies, and what of a vocabulary is enough.
const SETTINGS: [(&str, &[&[&str]]); 3] = [
    ("tokenizer", &[&["tokenizer.json"], &["vocab.json", "merges.txt"]]),
    ("tokenizer_2", &[&["tokenizer.json"]]),
    ("scheduler", &[]),
];

/// The file that says what a diffusers folder is.
const INDEX: &str = "model_index.json";

/// The original autoencoder of FLUX, which stands beside a transformer.
const AUTOENCODER: &str = "ae.safetensors";

/// The files to fetch of those in a repository, which are all that is read: of a diffusers folder the settings, the vocabularies
/// and of each part the weights that the loaders choose; of any other repository its transformer, or autoencoder, and the parts
/// beside it. `file` is the weights' file that was asked for by name.
///
/// # Errors
/// Why the repository cannot be read, and what it has: a part without weights, several single files, a vocabulary that is not read.
pub(super) fn wanted(names: &[&str], file: Option<&str>) -> Result<Vec<String>, String> {
    let repository = Names(names);
    let mut wanted = match file {
        Some(file) => repository.named(file)?,
        None if names.contains(&INDEX) => {
            let mut wanted = vec![INDEX.to_owned()];
            if !repository.has("transformer") {
                return Err(format!(
                    "it has {INDEX} and no folder transformer, which holds the weights that are read"
                ));
            }
            wanted.extend(repository.parts(&PARTS)?);
            wanted
        }
        None => repository.single()?,
    };
    let alone = file.is_some_and(|file| file.contains('/'));
    if !alone {
        wanted.extend(repository.settings()?);
    }
    wanted.sort_unstable();
    wanted.dedup();
    Ok(wanted)
}

/// The names of a repository's files that are not empty.
struct Names<'a>(&'a [&'a str]);

impl Names<'_> {
    /// The names in a folder, without it; of the repository's own folder for `""`.
    fn within(&self, folder: &str) -> Vec<&str> {
        let inside = |name: &&'_ str| match name.split_once('/') {
            Some((parent, rest)) => parent == folder && !rest.contains('/'),
            None => folder.is_empty(),
        };
        let own = self.0.iter().copied().filter(inside);
        own.map(|name| name.rsplit_once('/').map_or(name, |(_, name)| name)).collect()
    }

    fn has(&self, folder: &str) -> bool {
        !self.within(folder).is_empty()
    }

    /// The configuration and the weights of each part that is there.
    fn parts(&self, parts: &[(&str, WeightsOf)]) -> Result<Vec<String>, String> {
        let mut wanted = Vec::new();
        for (folder, part) in parts.iter().filter(|(folder, _)| self.has(folder)) {
            let names = self.within(folder);
            let weights = weight_files(*part, &names).map_err(|error| format!("in {folder}: {error}"))?;
            let configs = names.iter().filter(|name| is_config(name)).map(|name| (*name).to_owned());
            wanted.extend(weights.into_iter().chain(configs).map(|name| format!("{folder}/{name}")));
        }
        Ok(wanted)
    }

    /// Settings and vocabularies.
    fn settings(&self) -> Result<Vec<String>, String> {
        let mut wanted = Vec::new();
        for (folder, enough) in SETTINGS.iter().filter(|(folder, _)| self.has(folder)) {
            let names = self.within(folder);
            let whole = |files: &&&[&str]| files.iter().all(|file| names.contains(file));
            if !enough.is_empty() && !enough.iter().any(|files| whole(&files)) {
                let enough: Vec<String> = enough.iter().map(|files| files.join(" with ")).collect();
                return Err(format!(
                    "in {folder}: the tokenizer is read from {}, and there is {}; save it with a current version of the \
                     transformers library (AutoTokenizer .. save_pretrained)",
                    enough.join(" or "),
                    names.join(", ")
                ));
            }
            let read = names.iter().filter(|name| is_config(name) || is_vocabulary(name));
            wanted.extend(read.map(|name| format!("{folder}/{name}")));
        }
        Ok(wanted)
    }

    /// A transformer's file, or an autoencoder's, and what stands beside it.
    fn single(&self) -> Result<Vec<String>, String> {
        let own = self.within("");
        let weights = match weight_files(WeightsOf::Transformer, &own) {
            Ok(weights) => weights,
            Err(NoWeights::Nothing(why)) => match weight_files(WeightsOf::Autoencoder, &own) {
                Ok(weights) => weights,
                Err(_) if self.has("transformer") => self.parts(&PARTS[..1])?,
                Err(_) => return Err(why),
            },
            Err(NoWeights::Several(names)) => {
                return Err(format!(
                    "it has several files of weights, and one must be named (owner/name:FILE): {}",
                    names.join(", ")
                ));
            }
            Err(error) => return Err(error.to_string()),
        };
        Ok(self.beside(weights))
    }

    /// The file of this name, which is read by itself.
    fn named(&self, file: &str) -> Result<Vec<String>, String> {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let own = self.within(folder);
        if !own.contains(&name) {
            let weights: Vec<&str> =
                self.0.iter().copied().filter(|name| is_weights(name)).take(SHOWN).collect();
            return Err(format!("it has no file {file}; its weights are {}", weights.join(", ")));
        }
        if !is_weights(name) {
            return Err(format!("{file} is no file of weights (.safetensors, .gguf, .bin, .pt)"));
        }
        if folder.is_empty() {
            return Ok(self.beside(vec![file.to_owned()]));
        }
        let configs = own.iter().filter(|name| is_config(name)).map(|name| format!("{folder}/{name}"));
        Ok(configs.chain([file.to_owned()]).collect())
    }

    /// Weights at the top of the repository with the parts beside them, as far as they can be read.
    fn beside(&self, weights: Vec<String>) -> Vec<String> {
        let own = self.within("");
        let mut wanted: Vec<String> =
            own.iter().filter(|name| is_config(name)).map(|name| (*name).to_owned()).collect();
        wanted.extend(weights);
        wanted.extend(own.contains(&AUTOENCODER).then(|| AUTOENCODER.to_owned()));
        for part in &PARTS[1..] {
            wanted.extend(self.parts(std::slice::from_ref(part)).unwrap_or_default());
        }
        wanted
    }
}

/// How many names a message lists.
const SHOWN: usize = 12;

/// Settings, but no index of shards.
fn is_config(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ending == "json") && !name.contains(".index.")
}

fn is_vocabulary(name: &str) -> bool {
    matches!(name, "merges.txt" | "vocab.txt")
}

fn is_weights(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ["safetensors", "gguf", "bin", "pt", "pth", "ckpt"].contains(&ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(names: &[&str], file: Option<&str>) -> String {
        wanted(names, file).unwrap_err()
    }

    #[test]
    fn of_a_pipeline_its_parts_are_taken_and_no_copies() {
        let kept = [
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "text_encoder/model.safetensors",
            "text_encoder_2/model-00001-of-00002.safetensors",
            "text_encoder_2/model-00002-of-00002.safetensors",
            "text_encoder_2/model.safetensors.index.json",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "tokenizer_2/tokenizer.json",
            "transformer/diffusion_pytorch_model-00001-of-00003.safetensors",
            "transformer/diffusion_pytorch_model-00002-of-00003.safetensors",
            "transformer/diffusion_pytorch_model-00003-of-00003.safetensors",
            "transformer/diffusion_pytorch_model.safetensors.index.json",
            "vae/diffusion_pytorch_model.safetensors",
        ];
        let left = [
            "README.md",
            "flux1-dev.safetensors",
            "ae.safetensors",
            "dev_grid.jpg",
            "safety_checker/model.safetensors",
            "text_encoder/model.fp16.safetensors",
            "text_encoder/flax_model.msgpack",
            "text_encoder_2/model.fp16-00001-of-00002.safetensors",
            "text_encoder_2/model.fp16.safetensors.index.json",
            "tokenizer_2/spiece.model",
            "vae/diffusion_pytorch_model.bin",
        ];
        assert_eq!(wanted(&[&kept[..], &left[..]].concat(), None).unwrap(), kept);
    }

    #[test]
    fn other_formats_and_variants_are_taken_where_there_is_nothing_else() {
        for weights in
            ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.safetensors", "mine-Q8_0.gguf"]
        {
            let weights = format!("transformer/{weights}");
            let names = ["model_index.json", "transformer/config.json", &weights];
            assert_eq!(wanted(&names, None).unwrap(), names);
        }
        let both = ["model_index.json", "transformer/diffusion_pytorch_model.bin", "transformer/model.onnx"];
        assert_eq!(wanted(&both, None).unwrap(), both[..2]);
    }

    #[test]
    fn without_a_pipeline_one_transformer_and_what_is_beside_it_are_taken() {
        let names = [
            "ae.safetensors",
            "flux1-dev-fp8.safetensors",
            "flux1-dev.safetensors",
            "notes.txt",
            "text_encoder/config.json",
            "text_encoder/model.safetensors",
        ];
        assert_eq!(wanted(&names, None).unwrap(), [names[0], names[2], names[4], names[5]]);
        assert_eq!(wanted(&["DiT-XL-2-256x256.pt", "README.md"], None).unwrap(), ["DiT-XL-2-256x256.pt"]);
        let vae = ["config.json", "diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"];
        assert_eq!(wanted(&vae, None).unwrap(), [vae[0], vae[2]]);
        assert_eq!(wanted(&["ae.safetensors"], None).unwrap(), ["ae.safetensors"]);
        let inside = ["transformer/config.json", "transformer/diffusion_pytorch_model.safetensors"];
        assert_eq!(wanted(&inside, None).unwrap(), inside);
    }

    /// A repository of single files has more than one machine holds.
    #[test]
    fn several_single_files_are_asked_about() {
        let names = ["flux-Q4_0.gguf", "flux-Q8_0.gguf", "old/flux-Q8_0.gguf", "README.md", "config.json"];
        let message = refusal(&names, None);
        assert!(message.contains("(owner/name:FILE): flux-Q4_0.gguf, flux-Q8_0.gguf"), "{message}");
        assert_eq!(wanted(&names, Some("flux-Q8_0.gguf")).unwrap(), ["config.json", "flux-Q8_0.gguf"]);
        assert_eq!(wanted(&names, Some("old/flux-Q8_0.gguf")).unwrap(), ["old/flux-Q8_0.gguf"]);
        let message = refusal(&names, Some("flux.gguf"));
        assert!(message.contains("no file flux.gguf; its weights are flux-Q4_0.gguf, "), "{message}");
        assert!(refusal(&names, Some("README.md")).contains("no file of weights"));
    }

    #[test]
    fn what_cannot_be_read_is_told_before_it_is_fetched() {
        let base = ["model_index.json", "transformer/diffusion_pytorch_model.safetensors"];
        for (more, expected) in [
            (
                "tokenizer_2/spiece.model",
                "in tokenizer_2: the tokenizer is read from tokenizer.json, and there is spiece.model",
            ),
            ("tokenizer/vocab.json", "tokenizer.json or vocab.json with merges.txt"),
            (
                "text_encoder_2/flax_model.msgpack",
                "in text_encoder_2: the folder has none of model.safetensors",
            ),
            ("text_encoder_2/model-00001-of-00002.safetensors", "shard 2 of 2"),
        ] {
            let message = refusal(&[&base[..], &[more]].concat(), None);
            assert!(message.contains(expected), "{message}");
        }
        assert!(refusal(&["model_index.json", "vae/x.safetensors"], None).contains("no folder transformer"));
        let nothing = refusal(&["README.md", "data/a.parquet"], None);
        assert!(nothing.contains("it has README.md"), "{nothing}");
    }
}
