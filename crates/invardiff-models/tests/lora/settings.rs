//! The settings of the training in a file's header, as the diffusers library writes them.

use std::collections::HashMap;
use std::path::Path;

use invardiff_models::{Flux, LoadError, LoadOptions, Loaded, Lora};
use safetensors::tensor::TensorView;
use serde_json::json;

use crate::fixture::{Dump, bits, data, device};
use crate::make::{Case, Pair, Style, dump, flux_out, options};

const FILE: &str = "diffusion_pytorch_model.safetensors";

fn pairs(alphas: [Option<f32>; 2]) -> [Pair; 2] {
    [Pair::new("transformer_blocks.0.attn.to_q", 4, alphas[0]), Pair::new("proj_out", 4, alphas[1])]
}

/// A LoRA file with settings in its header.
fn write(path: &Path, dump: &Dump, settings: &str) {
    let views = dump.0.iter().map(|(key, stored)| {
        (key, TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes).unwrap())
    });
    let remarks = HashMap::from([("lora_adapter_metadata".to_owned(), settings.to_owned())]);
    std::fs::write(path, safetensors::serialize(views, Some(remarks)).unwrap()).unwrap();
}

fn load(case: &Case, options: &LoadOptions) -> Result<Loaded<Flux>, LoadError> {
    Flux::load_with(&case.weights, options, &device())
}

/// Alphas in the header do what the same alphas do beside the pairs.
#[test]
fn alphas_may_stand_in_the_header() {
    let weights = Dump::open(&data("flux_tiny").join(FILE));
    let case = Case::new(&weights, "flux_tiny", "config.json", FILE);
    let bare = dump(&pairs([None, None]), &weights, Style::Peft);
    for (settings, alphas) in [
        (json!({"transformer.r": 4, "transformer.lora_alpha": 12}), [12.0, 12.0]),
        (json!({"transformer.lora_alpha": 12, "transformer.alpha_pattern": {"attn.to_q": 2.0}}), [2.0, 12.0]),
        // Divided by the root of the rank, 2, in place of the rank, 4.
        (json!({"transformer.lora_alpha": 3, "transformer.use_rslora": true}), [6.0, 6.0]),
        (json!({"text_encoder.lora_alpha": 3}), [4.0, 4.0]),
    ] {
        let path = case.folder.path().join("header.safetensors");
        write(&path, &bare, &settings.to_string());
        let found = flux_out(&case.weights, &options(&[Lora::new(&path, 1.0)]));
        let beside = dump(&pairs(alphas.map(Some)), &weights, Style::Peft);
        let beside = case.lora("beside.safetensors", &beside, 1.0);
        assert_eq!(bits(found), bits(flux_out(&case.weights, &options(&[beside]))), "{settings}");
    }
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let weights = Dump::open(&data("flux_tiny").join(FILE));
    let case = Case::new(&weights, "flux_tiny", "config.json", FILE);
    let bare = dump(&pairs([None, None]), &weights, Style::Peft);
    for (settings, says) in [
        ("{", "'lora_adapter_metadata' in the header: EOF"),
        (r#"{"transformer.lora_alpha": "8"}"#, "lora_alpha is \"8\", expected a number"),
        (r#"{"transformer.alpha_pattern": {"to_k": 8}}"#, "the pattern 'to_k' is the name of no layer"),
        (r#"{"transformer.alpha_pattern": {"o_q": 8}}"#, "the pattern 'o_q' is the name of no layer"),
    ] {
        let path = case.folder.path().join("header.safetensors");
        write(&path, &bare, settings);
        let message = load(&case, &options(&[Lora::new(&path, 1.0)])).unwrap_err().to_string();
        assert!(message.contains("header.safetensors: ") && message.contains(says), "{message}");
    }
}
