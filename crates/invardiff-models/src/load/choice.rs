//! Which files of a folder hold a model's weights, by their names alone: for folders that are not on this machine yet.

use super::family::Family;
use super::outline::TRANSFORMERS;
use super::places::{NoWeights, Places};
use super::shards;
use crate::{AutoencoderKl, ClipText, T5Encoder};

/// The part of a pipeline that weights are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightsOf {
    /// A diffusion transformer: DiT or FLUX.
    Transformer,
    /// The CLIP text model of FLUX.
    Clip,
    /// The T5 encoder of FLUX.
    T5,
    /// The autoencoder.
    Autoencoder,
}

impl WeightsOf {
    fn places(self) -> Places {
        match self {
            Self::Transformer => TRANSFORMERS,
            Self::Clip => ClipText::PLACES,
            Self::T5 => T5Encoder::PLACES,
            Self::Autoencoder => AutoencoderKl::PLACES,
        }
    }
}

/// Those of a folder's files that the loaders would read for a part: one file, all shards, or an index and its shards. The choice is
/// the loaders' own, by the names in the folder.
///
/// # Errors
/// [`NoWeights`] when none is read, several could be meant, or a shard is missing.
pub fn weight_files(part: WeightsOf, names: &[&str]) -> Result<Vec<String>, NoWeights> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let chosen = part.places().pick(&names, &[])?;
    let Some((before, behind)) = shards::of_index(&chosen).or_else(|| numbered(&chosen)) else {
        return Ok(vec![chosen]);
    };
    let shards: Vec<(&String, usize, usize)> = names
        .iter()
        .filter_map(|name| {
            let (stem, ending, number, count) = shards::parts(name)?;
            (stem == before && ending == behind).then_some((name, number, count))
        })
        .collect();
    let count = shards.iter().map(|(.., count)| *count).max().unwrap_or(1);
    let mut found: Vec<String> = Vec::new();
    for number in 1..=count {
        match shards.iter().find(|shard| shard.1 == number && shard.2 == count) {
            Some((name, ..)) => found.push((*name).clone()),
            None => return Err(NoWeights::Shard { name: chosen, number, count }),
        }
    }
    if shards::is_index(chosen.as_ref()) {
        found.push(chosen);
    }
    Ok(found)
}

/// What stands before and after the numbers in the name of a shard.
fn numbered(name: &str) -> Option<(String, String)> {
    shards::parts(name).map(|(before, behind, ..)| (before.to_owned(), behind.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_or_all_of_its_shards_are_chosen() {
        let chosen = |names: &[&str]| weight_files(WeightsOf::Transformer, names).unwrap();
        let own = "diffusion_pytorch_model.safetensors";
        assert_eq!(chosen(&[own, "diffusion_pytorch_model.fp16.safetensors", "README.md"]), [own]);
        assert_eq!(
            chosen(&["config.json", "diffusion_pytorch_model.fp16.bin"]),
            ["diffusion_pytorch_model.fp16.bin"]
        );
        assert_eq!(chosen(&["ae.safetensors", "mine.gguf"]), ["mine.gguf"]);
        let shards = ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"]
            .map(|name| name.replacen('m', "diffusion_pytorch_model.bf16", 1));
        let index = "diffusion_pytorch_model.safetensors.index.bf16.json";
        let all = [shards[0].as_str(), &shards[1], index];
        assert_eq!(chosen(&all), all);
        assert_eq!(chosen(&all[..2]), all[..2]);
        let missing = weight_files(WeightsOf::Transformer, &[all[0], index]).unwrap_err().to_string();
        assert!(
            missing.contains("shard 2 of 2 of diffusion_pytorch_model.safetensors.index.bf16.json"),
            "{missing}"
        );
    }

    #[test]
    fn several_files_that_are_alike_are_named() {
        let error = weight_files(WeightsOf::Transformer, &["a-Q8_0.gguf", "b-Q4_0.gguf", "vae.safetensors"]);
        let Err(NoWeights::Several(names)) = error else { panic!("{error:?}") };
        assert_eq!(names, ["a-Q8_0.gguf", "b-Q4_0.gguf"]);
        assert!(matches!(weight_files(WeightsOf::T5, &["spiece.model"]), Err(NoWeights::Nothing(_))));
    }
}
