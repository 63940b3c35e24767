//! Merging against adding by hand.

use burn::tensor::{DType, Tensor};
use invardiff_models::{Dit, Flux, LoadOptions};

use crate::fixture::{Dump, bits, data, device, difference, largest, within};
use crate::make::{Case, Pair, Style, added, dit_out, dump, flux_out, options};

/// Of the largest output: both add in f32 or better and round once.
const TOLERANCE: f32 = 1e-6;

/// Every kind of map of a FLUX in diffusers' names; of fused ones a part alone.
fn flux_diffusers() -> Vec<Pair> {
    vec![
        Pair::new("x_embedder", 2, None),
        Pair::new("time_text_embed.timestep_embedder.linear_2", 1, Some(3.0)),
        Pair::new("transformer_blocks.0.attn.to_q", 4, Some(2.0)),
        Pair::new("transformer_blocks.0.attn.add_v_proj", 3, None),
        Pair::new("transformer_blocks.1.attn.to_out.0", 2, None),
        Pair::new("transformer_blocks.1.ff.net.0.proj", 2, Some(4.0)),
        Pair::new("transformer_blocks.1.ff_context.net.2", 2, None),
        Pair::new("transformer_blocks.0.norm1_context.linear", 2, None),
        Pair::new("single_transformer_blocks.0.attn.to_k", 2, None),
        Pair::new("single_transformer_blocks.1.proj_mlp", 2, Some(1.0)),
        Pair::new("single_transformer_blocks.2.proj_out", 3, None),
        Pair::new("norm_out.linear", 2, None),
        Pair::new("proj_out", 2, None),
    ]
}

/// The same for the authors' names, whose maps are fused.
fn flux_original() -> Vec<Pair> {
    vec![
        Pair::new("img_in", 2, None),
        Pair::new("double_blocks.0.img_attn.qkv", 4, Some(2.0)),
        Pair::new("double_blocks.1.txt_attn.proj", 2, None),
        Pair::new("double_blocks.1.img_mlp.0", 2, Some(4.0)),
        Pair::new("double_blocks.0.txt_mod.lin", 2, None),
        Pair::new("single_blocks.0.linear1", 3, Some(6.0)),
        Pair::new("single_blocks.2.linear2", 3, None),
        Pair::new("final_layer.adaLN_modulation.1", 2, None),
        Pair::new("final_layer.linear", 2, None),
    ]
}

const FLUX_FILES: [&str; 2] = ["diffusion_pytorch_model.safetensors", "bfl.safetensors"];

/// How far merging is from adding by hand, of the largest output, for the output of a model.
fn held<const D: usize>(what: &str, plain: &Tensor<D>, merged: Tensor<D>, by_hand: Tensor<D>) {
    let most = largest(by_hand.clone());
    assert!(difference(by_hand.clone(), plain.clone()) > 0.02 * most, "{what}: the change is not seen");
    within(what, difference(merged, by_hand) / most, TOLERANCE);
}

#[test]
fn flux_in_both_layouts_and_all_styles() {
    for (file, pairs) in FLUX_FILES.into_iter().zip([flux_diffusers(), flux_original()]) {
        let weights = Dump::open(&data("flux_tiny").join(file));
        let case = Case::new(&weights, "flux_tiny", "config.json", file);
        let plain = flux_out(&case.weights, &LoadOptions::default());
        let by_hand = Case::new(&added(&weights, &pairs, 0.8), "flux_tiny", "config.json", file);
        let by_hand = flux_out(&by_hand.weights, &LoadOptions::default());
        for (name, style) in [("peft", Style::Peft), ("kohya", Style::Kohya), ("dotted", Style::Dotted)] {
            let lora = case.lora("lora.safetensors", &dump(&pairs, &weights, style), 0.8);
            let merged = flux_out(&case.weights, &options(&[lora]));
            held(&format!("{file}, {name}"), &plain, merged, by_hand.clone());
        }
    }
}

/// A file in one layout's names changes weights in the other's alike.
#[test]
fn flux_takes_names_of_the_other_layout() {
    let [diffusers, original] = FLUX_FILES.map(|file| Dump::open(&data("flux_tiny").join(file)));
    for (pairs, of, other, file) in [
        (flux_diffusers(), &diffusers, &original, FLUX_FILES[1]),
        (flux_original(), &original, &diffusers, FLUX_FILES[0]),
    ] {
        let lora = dump(&pairs, of, Style::Peft);
        let case = Case::new(other, "flux_tiny", "config.json", file);
        let merged = flux_out(&case.weights, &options(&[case.lora("lora.safetensors", &lora, 1.0)]));
        let own_file = FLUX_FILES.into_iter().find(|name| *name != file).unwrap();
        let by_hand = Case::new(&added(of, &pairs, 1.0), "flux_tiny", "config.json", own_file);
        let by_hand = flux_out(&by_hand.weights, &LoadOptions::default());
        held(file, &flux_out(&case.weights, &LoadOptions::default()), merged, by_hand);
    }
}

#[test]
fn dit_in_both_layouts_and_styles() {
    let original = [
        Pair::new("x_embedder.proj", 2, None),
        Pair::new("t_embedder.mlp.0", 2, None),
        Pair::new("blocks.0.attn.qkv", 4, Some(2.0)),
        Pair::new("blocks.3.attn.proj", 2, None),
        Pair::new("blocks.1.mlp.fc1", 2, Some(4.0)),
        Pair::new("blocks.2.adaLN_modulation.1", 1, None),
        Pair::new("final_layer.linear", 2, None),
    ];
    let diffusers = [
        Pair::new("pos_embed.proj", 2, None),
        Pair::new("transformer_blocks.0.attn1.to_q", 4, Some(2.0)),
        Pair::new("transformer_blocks.0.attn1.to_v", 1, None),
        Pair::new("transformer_blocks.3.attn1.to_out.0", 2, None),
        Pair::new("transformer_blocks.1.ff.net.2", 2, Some(4.0)),
        Pair::new("transformer_blocks.2.norm1.linear", 1, None),
        Pair::new("proj_out_2", 2, None),
    ];
    for (from, config, file, pairs) in [
        ("dit_tiny", "manifest.json", "weights.safetensors", original),
        ("dit_tiny_diffusers", "config.json", "diffusion_pytorch_model.safetensors", diffusers),
    ] {
        let weights = Dump::open(&data(from).join(file));
        let case = Case::new(&weights, from, config, file);
        let plain = dit_out(&case.weights, &LoadOptions::default());
        let by_hand = Case::new(&added(&weights, &pairs, -0.5), from, config, file);
        let by_hand = dit_out(&by_hand.weights, &LoadOptions::default());
        for style in [Style::Peft, Style::Kohya] {
            let lora = case.lora("lora.safetensors", &dump(&pairs, &weights, style), -0.5);
            held(from, &plain, dit_out(&case.weights, &options(&[lora])), by_hand.clone());
        }
    }
}

#[test]
fn several_files_add_up() {
    let file = FLUX_FILES[0];
    let weights = Dump::open(&data("flux_tiny").join(file));
    let case = Case::new(&weights, "flux_tiny", "config.json", file);
    let (first, second) = (flux_diffusers(), vec![flux_diffusers().swap_remove(2).seeded(99)]);
    let loras = [
        case.lora("first.safetensors", &dump(&first, &weights, Style::Peft), 0.5),
        case.lora("second.safetensors", &dump(&second, &weights, Style::Kohya), 2.0),
    ];
    let by_hand = added(&added(&weights, &first, 0.5), &second, 2.0);
    let by_hand = Case::new(&by_hand, "flux_tiny", "config.json", file);
    let plain = flux_out(&case.weights, &options(&loras[..1]));
    let by_hand = flux_out(&by_hand.weights, &LoadOptions::default());
    held("two files", &plain, flux_out(&case.weights, &options(&loras)), by_hand);
    // Of no strength, nothing changes but the hash.
    let none = options(&[case.lora("first.safetensors", &dump(&first, &weights, Style::Peft), 0.0)]);
    let unchanged = flux_out(&case.weights, &LoadOptions::default());
    assert_eq!(bits(flux_out(&case.weights, &none)), bits(unchanged));
}

/// Weights of half precision are changed before they are rounded.
#[test]
fn the_sum_is_rounded_once() {
    let (file, pairs) = (FLUX_FILES[1], flux_original());
    let weights = Dump::open(&data("flux_tiny").join(file));
    let case = Case::new(&weights, "flux_tiny", "config.json", file);
    let lora = case.lora("lora.safetensors", &dump(&pairs, &weights, Style::Kohya), 1.0);
    let by_hand = Case::new(&added(&weights, &pairs, 1.0), "flux_tiny", "config.json", file);
    let half = |loras: &[invardiff_models::Lora]| options(loras).with_dtype(DType::BF16);
    let merged = flux_out(&case.weights, &half(&[lora]));
    let by_hand = flux_out(&by_hand.weights, &half(&[]));
    // One unit in the last place of a few weights at most, where f32 and f64 round apart.
    within("bf16", difference(merged, by_hand.clone()) / largest(by_hand), 2e-3);
}

/// A plan says which weights it was made for: they are others with every file and every strength.
#[test]
fn the_hash_tells_files_and_strengths() {
    let (file, device) = (FLUX_FILES[0], device());
    let weights = Dump::open(&data("flux_tiny").join(file));
    let case = Case::new(&weights, "flux_tiny", "config.json", file);
    let one = dump(&flux_diffusers(), &weights, Style::Peft);
    let two = dump(&flux_diffusers()[..3], &weights, Style::Peft);
    let hash = |loras: &[invardiff_models::Lora]| {
        let loaded = Flux::load_with(&case.weights, &options(loras), &device).unwrap();
        assert_eq!(loaded.file.as_deref(), Some(case.weights.as_path()));
        loaded.sha256
    };
    let plain = hash(&[]);
    assert_eq!(plain, Flux::load(&case.weights, &device).unwrap().sha256);
    let (a, b) = (case.lora("a.safetensors", &one, 1.0), case.lora("b.safetensors", &two, 1.0));
    let weaker = invardiff_models::Lora::new(&a.path, 0.5);
    let all = [
        plain,
        hash(std::slice::from_ref(&a)),
        hash(&[weaker]),
        hash(std::slice::from_ref(&b)),
        hash(&[a.clone(), b]),
    ];
    for (i, one) in all.iter().enumerate() {
        assert!(one.len() == 64 && !all[..i].contains(one), "{all:?}");
    }
    assert_eq!(hash(&[a]), all[1]);

    let weights = Dump::open(&data("dit_tiny").join("weights.safetensors"));
    let case = Case::new(&weights, "dit_tiny", "manifest.json", "weights.safetensors");
    let lora = dump(&[Pair::new("blocks.0.attn.qkv", 1, None)], &weights, Style::Kohya);
    let lora = case.lora("lora.safetensors", &lora, 1.0);
    let merged = Dit::load_with(&case.weights, &options(&[lora]), &device).unwrap();
    assert_ne!(merged.sha256, Dit::load(&case.weights, &device).unwrap().sha256);
}
