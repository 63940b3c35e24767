//! Which files of a repository are needed.

use super::listing::File;

/// The folders of a diffusers pipeline that are read here.
const FOLDERS: [&str; 7] =
    ["transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"];

/// Names that libraries give to weights, without what tells shards apart.
const WEIGHTS: [&str; 3] = ["diffusion_pytorch_model", "model", "pytorch_model"];

/// The files to fetch: configurations and tokenizers, and weights in safetensors, where a folder has them, otherwise in
/// PyTorch's format. Half-precision copies, other frameworks' weights and images are left alone, and so is the single file
/// of a model that is there as a diffusers folder.
pub(super) fn wanted(files: &[File]) -> Vec<&File> {
    let pipeline = files.iter().any(|file| file.name == "model_index.json");
    let within = |file: &&File| {
        file.size != Some(0)
            && match file.name.split_once('/') {
                Some((folder, name)) => {
                    FOLDERS.contains(&folder) && (config(name) || weights(name).is_some())
                }
                None if pipeline => file.name == "model_index.json",
                None => config(&file.name) || single(&file.name).is_some(),
            }
    };
    let kept: Vec<&File> = files.iter().filter(within).collect();
    // Of two formats in one folder, the first.
    let format = |file: &File| match file.name.split_once('/') {
        Some((_, name)) => weights(name),
        None => single(&file.name),
    };
    let folder = |file: &File| file.name.split_once('/').map_or("", |(folder, _)| folder).to_owned();
    let other = |file: &File| {
        format(file) == Some(Format::PyTorch)
            && kept.iter().any(|one| folder(one) == folder(file) && format(one) == Some(Format::Safetensors))
    };
    kept.iter().copied().filter(|file| !other(file)).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Safetensors,
    PyTorch,
}

/// Settings, vocabularies, and the index of shards.
fn config(name: &str) -> bool {
    let index = name.strip_suffix(".safetensors.index.json").or_else(|| name.strip_suffix(".bin.index.json"));
    match index {
        Some(stem) => WEIGHTS.contains(&stem),
        None => name.strip_suffix(".json").is_some() || name == "merges.txt" || name == "vocab.txt",
    }
}

/// Weights of a component: `model.safetensors`, `diffusion_pytorch_model-00001-of-00003.safetensors`, ..
fn weights(name: &str) -> Option<Format> {
    let (stem, format) = match name.strip_suffix(".safetensors") {
        Some(stem) => (stem, Format::Safetensors),
        None => (name.strip_suffix(".bin")?, Format::PyTorch),
    };
    let known = WEIGHTS
        .iter()
        .any(|known| stem.strip_prefix(known).is_some_and(|rest| rest.is_empty() || shard(rest)));
    known.then_some(format)
}

/// `-00001-of-00003`
fn shard(rest: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    rest.strip_prefix('-')
        .and_then(|rest| rest.split_once("-of-"))
        .is_some_and(|(part, of)| number(part) && number(of))
}

/// Weights beside each other, outside of any folder.
fn single(name: &str) -> Option<Format> {
    match name.rsplit_once('.')?.1 {
        "safetensors" => Some(Format::Safetensors),
        "pt" | "pth" | "bin" => Some(Format::PyTorch),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted_of(names: &[&str]) -> Vec<String> {
        let files: Vec<File> = names.iter().map(|name| File::named(name)).collect();
        wanted(&files).into_iter().map(|file| file.name.clone()).collect()
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
        assert_eq!(wanted_of(&[&kept[..], &left[..]].concat()), kept);
    }

    #[test]
    fn without_safetensors_the_other_format_is_taken() {
        let names =
            ["model_index.json", "transformer/config.json", "transformer/diffusion_pytorch_model.bin"];
        assert_eq!(wanted_of(&names), names);
    }

    #[test]
    fn without_a_pipeline_the_weights_outside_of_folders_are_taken() {
        let names = [
            "flux1-dev.safetensors",
            "ae.safetensors",
            "ema.pt",
            "notes.txt",
            "text_encoder/model.safetensors",
        ];
        assert_eq!(wanted_of(&names), [names[0], names[1], names[4]]);
        assert_eq!(wanted_of(&["DiT-XL-2-256x256.pt", "README.md"]), ["DiT-XL-2-256x256.pt"]);
        assert!(wanted_of(&["README.md", "data/a.parquet"]).is_empty());
    }
}
