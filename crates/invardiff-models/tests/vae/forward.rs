//! Both autoencoders against stored numbers.

use burn::tensor::{DType, Tensor};
use invardiff_models::{AutoencoderKl, DecoderStage, VaeConfig};

use crate::fixture::{Dump, bits, data, device, difference, largest, manifest, within};

const FOLDERS: [&str; 2] = ["vae_sd_tiny", "vae_flux_tiny"];
/// One forward in f32.
const TOLERANCE: f32 = 1e-5;
/// The same inside of the decoder, where values are larger: a fraction of the largest one.
const OF_LARGEST: f32 = 3e-6;

fn load(folder: &str) -> (AutoencoderKl, Dump) {
    (AutoencoderKl::load(data(folder), &device()).unwrap(), Dump::open(&data(folder).join("io.safetensors")))
}

#[test]
fn every_stage_of_decoding_is_repeated() {
    for folder in FOLDERS {
        let (vae, io) = load(folder);
        println!("{folder}: f32 differs from f64 by {:.1e}", manifest(folder, "max_abs_fp32_vs_fp64"));
        let mut seen = Vec::new();
        let image = vae.decode_with(io.tensor("z"), |stage, value| {
            let key = match stage {
                DecoderStage::ConvIn => "dec.conv_in".to_owned(),
                DecoderStage::Mid => "dec.mid".to_owned(),
                DecoderStage::Up(index) => format!("dec.up{index}"),
            };
            let expected: Tensor<4> = io.tensor(&key);
            let tolerance = TOLERANCE.max(OF_LARGEST * largest(expected.clone()));
            within(&format!("{folder} {key}"), difference(value.clone(), expected), tolerance);
            seen.push(stage);
        });
        assert_eq!(seen.len(), 5);
        within(&format!("{folder} image"), difference(image.clone(), io.tensor("image")), TOLERANCE);
        assert_eq!(bits(vae.decode(io.tensor("z"))), bits(image));
    }
}

#[test]
fn encoding_is_repeated() {
    for folder in FOLDERS {
        let (vae, io) = load(folder);
        let latents = vae.encode(io.tensor("x"));
        within(&format!("{folder} mean"), difference(latents.mean, io.tensor("latent_mean")), TOLERANCE);
        let found = latents.log_variance;
        within(&format!("{folder} log variance"), difference(found, io.tensor("latent_logvar")), TOLERANCE);
    }
}

#[test]
fn latents_are_scaled_as_configured_and_back() {
    for (folder, scaling, shift) in [("vae_sd_tiny", 0.18215, 0.0), ("vae_flux_tiny", 0.3611, 0.1159)] {
        let (vae, io) = load(folder);
        let z: Tensor<4> = io.tensor("z");
        let by_hand = (z.clone() - shift) * scaling;
        within("scaled", difference(vae.scale(z.clone()), by_hand), 1e-7);
        within("and back", difference(vae.unscale(vae.scale(z.clone())), z), 1e-6);
    }
}

/// Half precision stays near: the images' values reach 3.
#[test]
fn half_precision_is_near() {
    for folder in FOLDERS {
        let (_, io) = load(folder);
        for (dtype, tolerance) in [(DType::BF16, 0.15), (DType::F16, 0.02)] {
            let vae = AutoencoderKl::load_as(data(folder), dtype, &device()).unwrap();
            let image = vae.decode(io.tensor("z"));
            assert_eq!((vae.dtype(), image.dtype()), (dtype, DType::F32));
            within(folder, difference(image, io.tensor("image")), tolerance);
        }
    }
}

#[test]
fn random_weights_are_the_same_each_time_and_of_unit_scale() {
    let config = VaeConfig {
        block_out_channels: vec![8, 16],
        norm_num_groups: 4,
        latent_channels: 2,
        mid_block_add_attention: false,
        ..VaeConfig::flux()
    };
    let make = |seed| AutoencoderKl::random(&config, seed, DType::F32, &device()).unwrap();
    let z = Tensor::<4>::ones([1, 2, 4, 6], &device());
    let image = make(1).decode(z.clone());
    assert_eq!(image.dims(), [1, 3, 8, 12]);
    assert_eq!(bits(image.clone()), bits(make(1).decode(z.clone())));
    assert!(difference(image.clone(), make(2).decode(z)) > 0.1);
    assert!((0.2..10.0).contains(&largest(image.clone())), "{}", largest(image.clone()));
    assert_eq!(make(1).encode(image).mean.dims(), [1, 2, 4, 6]);
    let odd = VaeConfig { norm_num_groups: 3, ..config };
    let error = AutoencoderKl::random(&odd, 1, DType::F32, &device()).unwrap_err().to_string();
    assert_eq!(error, "'block_out_channels' is [8, 16], expected multiples of norm_num_groups 3");
}
