//! Files that do not fit are refused whole, with everything that is wrong named at once.

use invardiff_models::{Flux, LoadError};
use safetensors::Dtype;

use crate::fixture::{Dump, Stored, data, device};
use crate::make::{Case, Pair, Style, dump, options};

const FILE: &str = "diffusion_pytorch_model.safetensors";

fn refused(scale: f32, change: impl FnOnce(&mut Dump)) -> LoadError {
    let weights = Dump::open(&data("flux_tiny").join(FILE));
    let case = Case::new(&weights, "flux_tiny", "config.json", FILE);
    let pairs = [
        Pair::new("transformer_blocks.0.attn.to_q", 2, Some(2.0)),
        Pair::new("single_transformer_blocks.0.proj_mlp", 2, None),
        Pair::new("proj_out", 2, None),
    ];
    let mut lora = dump(&pairs, &weights, Style::Peft);
    change(&mut lora);
    let lora = case.lora("style.safetensors", &lora, scale);
    Flux::load_with(&case.weights, &options(&[lora]), &device()).unwrap_err()
}

#[test]
fn all_that_is_wrong_is_in_one_error() {
    let error = refused(1.0, |lora| {
        lora.0.insert(
            "transformer.transformer_blocks.9.attn.to_q.lora_A.weight".into(),
            Stored::zeros(&[2, 48]),
        );
        lora.0.insert("lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha".into(), Stored::zeros(&[]));
        lora.0.insert("transformer.proj_out.oft_blocks".into(), Stored::zeros(&[64]));
        lora.0.insert(
            "transformer.transformer_blocks.0.attn.to_q.lora_B.weight".into(),
            Stored::zeros(&[48, 3]),
        );
        lora.0.remove("transformer.single_transformer_blocks.0.proj_mlp.lora_B.weight").unwrap();
        let count = Stored { dtype: Dtype::I64, shape: vec![2, 48], bytes: vec![0; 768] };
        lora.0.insert("transformer.proj_out.lora_A.weight".into(), count);
        lora.0.insert("transformer.proj_out.alpha".into(), Stored::zeros(&[2]));
    });
    let message = error.to_string();
    let LoadError::Keys { file, problems, .. } = error else { panic!("{message}") };
    assert!(file.ends_with("style.safetensors"), "{file}");
    let counts =
        (problems.unused.len(), problems.misshapen.len(), problems.missing.len(), problems.not_float.len());
    assert_eq!(counts, (0, 2, 1, 1), "{message}");
    for line in [
        "style.safetensors: the weights do not fit flux-2+3x48\n",
        "\n  missing: transformer.single_transformer_blocks.0.proj_mlp.lora_B.weight, expected [192, 2]\n",
        "\n  misshapen: transformer.transformer_blocks.0.attn.to_q.lora_B.weight, expected [48, 2], found [48, 3]\n",
        "\n  misshapen: transformer.proj_out.alpha, expected [], found [2]\n",
        "\n  not a float: transformer.proj_out.lora_A.weight, found elements of type i64",
        "\n  1 tensors such as transformer.proj_out.oft_blocks: OFT, which is not merged here\n",
        "\n  1 layers that the model does not have, such as transformer_blocks.9.attn.to_q: the LoRA was made for another",
    ] {
        assert!(message.contains(line), "{line:?} is not in\n{message}");
    }
}

/// One map under two names would be changed twice.
#[test]
fn a_map_is_changed_once() {
    let message = refused(1.0, |lora| {
        lora.0.insert("lora_unet_proj_out.lora_down.weight".into(), Stored::zeros(&[2, 48]));
    });
    let message = message.to_string();
    assert!(message.contains("\n  1 tensors such as "), "{message}");
}

#[test]
fn a_strength_that_is_no_number_is_refused() {
    let message = refused(f32::NAN, |_| {}).to_string();
    assert!(message.ends_with("style.safetensors: a strength of NaN cannot be added"), "{message}");
}

#[test]
fn what_is_no_file_is_named() {
    let weights = Dump::open(&data("flux_tiny").join(FILE));
    let case = Case::new(&weights, "flux_tiny", "config.json", FILE);
    let lora = invardiff_models::Lora::new(case.folder.path().join("none.safetensors"), 1.0);
    let message = Flux::load_with(&case.weights, &options(&[lora]), &device()).unwrap_err().to_string();
    assert!(message.contains("none.safetensors: there is no such file"), "{message}");
}
