//! The readers of weights, configurations and tokenizers in `invardiff-models`.

use std::cell::LazyCell;
use std::sync::LazyLock;

use burn::tensor::Device;
use invardiff_models::{
    Architecture, ClipConfig, ClipTokenizer, Dit, DitConfig, Flux, FluxConfig, LoadError, T5Config,
    T5Tokenizer, VaeConfig, read_tensors,
};
use safetensors::tensor::{Dtype, TensorView};

use super::scratch::Scratch;

thread_local! {
    static WEIGHTS: LazyCell<Scratch> = LazyCell::new(|| Scratch::new("model.safetensors"));
    static TOKENIZER: LazyCell<Scratch> = LazyCell::new(|| Scratch::new("tokenizer.json"));
    static CONFIG: LazyCell<Scratch> = LazyCell::new(config_beside_weights);
}

/// The sizes of a model of two blocks.
fn tiny() -> DitConfig {
    DitConfig {
        input_size: 4,
        patch_size: 2,
        in_channels: 1,
        hidden_size: 8,
        depth: 2,
        num_heads: 2,
        num_classes: 2,
        ..DitConfig::default()
    }
}

/// The bytes of a safetensors file with these weights, as small numbers.
fn file(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let values: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, shape)| {
            (0..shape.iter().product()).flat_map(|n: usize| ((n % 7) as f32 * 0.1).to_le_bytes()).collect()
        })
        .collect();
    let views = tensors.iter().zip(&values).map(|((name, shape), bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("the bytes fill the shape"))
    });
    safetensors::serialize(views, None).expect("it is written")
}

/// The weights of [`tiny`]: the loader itself says what it misses.
static DIT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut tensors = vec![("x_embedder.proj.weight".to_owned(), vec![8, 1, 2, 2])];
    if let Err(LoadError::Keys { problems, .. }) = Dit::from_bytes(&file(&tensors), &tiny(), &Device::flex())
    {
        tensors.extend(problems.missing.into_iter().map(|tensor| (tensor.key, tensor.shape)));
    }
    file(&tensors)
});

fn config_beside_weights() -> Scratch {
    let scratch = Scratch::new("config.json");
    std::fs::write(scratch.folder().join("model.safetensors"), &*DIT).expect("the weights can be written");
    scratch
}

/// The weights that the seeds of [`weights`] are made of.
pub fn tiny_weights() -> &'static [u8] {
    &DIT
}

/// A file of weights: names, shapes and types in its header, and what the loaders make of them.
pub fn weights(input: &[u8]) -> bool {
    WEIGHTS.with(|scratch| {
        let path = scratch.with(input);
        let known = Architecture::of(path).is_ok();
        let _ = (
            Dit::outline(path).map(|outline| outline.elements),
            Flux::outline(path).map(|outline| outline.elements),
        );
        let _ = Dit::from_bytes(input, &tiny(), &Device::flex());
        read_tensors(path).is_ok() || known
    })
}

/// A `config.json`, read as each model's, and beside weights.
pub fn configs(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let dit = DitConfig::from_json(text);
    if let Ok(config) = &dit {
        let _ = (config.name(), config.topology().full_flops(), config.noise_schedule().is_ok());
        let _ = Dit::from_bytes(&DIT, config, &Device::flex());
    }
    let known = FluxConfig::from_json(text).is_ok() | ClipConfig::from_json(text).is_ok();
    let known = known | T5Config::from_json(text).is_ok() | VaeConfig::from_json(text).is_ok();
    CONFIG.with(|scratch| {
        let folder = scratch.with(input).parent().expect("the file has a folder");
        let _ = (Dit::outline(folder).is_ok(), Flux::outline(folder).is_ok());
    });
    dit.is_ok() | known
}

/// A `tokenizer.json`, and prompts under it.
pub fn tokenizers(input: &[u8]) -> bool {
    TOKENIZER.with(|scratch| {
        let path = scratch.with(input);
        let prompts = ["", "aaaaaaaaaa", "A red panda, \u{202e}\u{0} \u{1f43c} naïve"];
        let t5 = T5Tokenizer::load(path, 16);
        let clip = ClipTokenizer::load(path);
        for prompt in prompts {
            if let Ok(tokenizer) = &t5 {
                let encoded = tokenizer.encode(prompt);
                assert!(encoded.is_err() || encoded.is_ok_and(|encoded| encoded.ids.len() == 16));
            }
            if let Ok(tokenizer) = &clip {
                let _ = tokenizer.encode(prompt);
            }
        }
        t5.is_ok() | clip.is_ok()
    })
}
