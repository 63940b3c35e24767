//! The same weights under all names that files have for them, and files that do not fit.

use std::path::{Path, PathBuf};

use invardiff_models::{AutoencoderKl, LoadError, VaeConfig};
use tempfile::TempDir;

use crate::fixture::{Dump, Stored, bits, data, device};

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

fn whole(folder: &str) -> Dump {
    Dump::open(&data(folder).join(WEIGHTS))
}

fn config(folder: &str) -> String {
    std::fs::read_to_string(data(folder).join("config.json")).unwrap()
}

/// The bits of the decoded image and of the encoded mean.
fn results(vae: &AutoencoderKl, folder: &str) -> [Vec<u32>; 2] {
    let io = Dump::open(&data(folder).join("io.safetensors"));
    [bits(vae.decode(io.tensor("z"))), bits(vae.encode(io.tensor("x")).mean)]
}

fn write(dump: &Dump, config: &str, name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let path = folder.path().join(name);
    dump.write(&path);
    (folder, path)
}

fn renamed(dump: &Dump, rename: impl Fn(&str) -> String) -> Dump {
    Dump(dump.0.iter().map(|(key, stored)| (rename(key), stored.clone())).collect())
}

#[test]
fn attention_had_other_names() {
    for folder in ["vae_sd_tiny", "vae_flux_tiny"] {
        let older = renamed(&whole(folder), |key| {
            [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")]
                .iter()
                .fold(key.to_owned(), |key, (new, old)| key.replace(new, old))
        });
        assert!(older.0.contains_key("decoder.mid_block.attentions.0.proj_attn.bias"));
        let (_folder, path) = write(&older, &config(folder), WEIGHTS);
        let [older, newer] = [path, data(folder)].map(|path| AutoencoderKl::load(path, &device()).unwrap());
        assert_eq!(results(&older, folder), results(&newer, folder));
    }
}

/// The names of the authors' code, spelled for the tiny model: three resolutions, one block each in the encoder.
fn original(key: &str) -> String {
    let pairs = [
        ("encoder.down_blocks.", "encoder.down."),
        ("decoder.up_blocks.0.", "decoder.up.2."),
        ("decoder.up_blocks.1.", "decoder.up.1."),
        ("decoder.up_blocks.2.", "decoder.up.0."),
        ("mid_block.resnets.0.", "mid.block_1."),
        ("mid_block.resnets.1.", "mid.block_2."),
        ("mid_block.attentions.0.group_norm.", "mid.attn_1.norm."),
        ("mid_block.attentions.0.to_q.", "mid.attn_1.q."),
        ("mid_block.attentions.0.to_k.", "mid.attn_1.k."),
        ("mid_block.attentions.0.to_v.", "mid.attn_1.v."),
        ("mid_block.attentions.0.to_out.0.", "mid.attn_1.proj_out."),
        (".resnets.", ".block."),
        (".conv_shortcut.", ".nin_shortcut."),
        (".downsamplers.0.", ".downsample."),
        (".upsamplers.0.", ".upsample."),
        (".conv_norm_out.", ".norm_out."),
    ];
    pairs.iter().fold(key.to_owned(), |key, (from, to)| key.replace(from, to))
}

/// The weights in the original layout, where the maps of attention are convolutions.
fn authors(folder: &str) -> Dump {
    let mut dump = renamed(&whole(folder), original);
    for (key, stored) in &mut dump.0 {
        if key.contains("attn_1") && stored.shape.len() == 2 {
            stored.shape.extend([1, 1]);
        }
    }
    assert!(!dump.0.keys().any(|key| key.contains("blocks") || key.contains("resnets")));
    dump
}

#[test]
fn the_original_layout_is_the_same() {
    for folder in ["vae_sd_tiny", "vae_flux_tiny"] {
        let dump = authors(folder);
        let expected = results(&AutoencoderKl::load(data(folder), &device()).unwrap(), folder);
        let (parent, path) = write(&dump, &config(folder), "ae.safetensors");
        for path in [&path, parent.path()] {
            assert_eq!(results(&AutoencoderKl::load(path, &device()).unwrap(), folder), expected);
        }
        // Beside a transformer's configuration, its own is a file of its name.
        std::fs::write(parent.path().join("config.json"), r#"{"_class_name": "FluxTransformer2DModel"}"#)
            .unwrap();
        let message = AutoencoderKl::load(&path, &device()).unwrap_err().to_string();
        assert!(message.contains("it is no published autoencoder"), "{message}");
        std::fs::write(parent.path().join("ae.json"), config(folder)).unwrap();
        assert_eq!(results(&AutoencoderKl::load(&path, &device()).unwrap(), folder), expected);

        let within = renamed(&dump, |key| format!("first_stage_model.{key}"));
        let (_folder, path) = write(&within, &config(folder), "v1.safetensors");
        assert_eq!(results(&AutoencoderKl::load(path, &device()).unwrap(), folder), expected);
    }
}

#[test]
fn a_pipeline_s_folder_has_it_below() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("vae");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(below.join("config.json"), config("vae_sd_tiny")).unwrap();
    whole("vae_sd_tiny").write(&below.join(WEIGHTS));
    let found = AutoencoderKl::load(folder.path(), &device()).unwrap();
    let direct = AutoencoderKl::load(data("vae_sd_tiny"), &device()).unwrap();
    assert_eq!(results(&found, "vae_sd_tiny"), results(&direct, "vae_sd_tiny"));
}

#[test]
fn all_keys_that_are_wrong_are_in_one_error() {
    let mut dump = authors("vae_sd_tiny");
    dump.0.remove("decoder.up.0.block.1.conv2.weight").unwrap();
    dump.0.insert("decoder.mid.attn_1.q.weight".into(), Stored::zeros(&[32, 32, 3, 3]));
    dump.0.insert("encoder.down.2.downsample.conv.weight".into(), Stored::zeros(&[32, 32, 3, 3]));
    let (_folder, path) = write(&dump, &config("vae_sd_tiny"), "ae.safetensors");
    let error = AutoencoderKl::load(path, &device()).unwrap_err();
    let message = error.to_string();
    let LoadError::Keys { problems, .. } = error else { panic!("{message}") };
    assert_eq!((problems.missing.len(), problems.misshapen.len(), problems.unused.len()), (1, 1, 1));
    for line in [
        "ae.safetensors: the weights do not fit vae-4x16-32-32\n",
        "\n  missing: decoder.up.0.block.1.conv2.weight, expected [16, 16, 3, 3]",
        "\n  unused: encoder.down.2.downsample.conv.weight, found [32, 32, 3, 3]",
        "\n  misshapen: decoder.mid.attn_1.q.weight, expected [32, 32, 1, 1], found [32, 32, 3, 3]",
    ] {
        assert!(message.contains(line), "{line:?} is not in\n{message}");
    }
}

#[test]
fn weights_of_something_else_are_refused() {
    let message = AutoencoderKl::load(data("dit_tiny").join("weights.safetensors"), &device()).unwrap_err();
    assert!(
        message.to_string().contains("no KL autoencoder: these are the weights of a DiT; it has neither"),
        "{message}"
    );
    let (folder, path) = write(&whole("vae_flux_tiny"), "{}", WEIGHTS);
    let refusal = |path: &Path| AutoencoderKl::load(path, &device()).unwrap_err().to_string();
    let message = refusal(&path);
    assert!(
        message.contains("config.json: no AutoencoderKL configuration: missing field `in_channels`"),
        "{message}"
    );
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    let message = refusal(&path);
    assert!(
        message.contains("with 16 latent channels and 32 to 16 channels it is no published"),
        "{message}"
    );
}

#[test]
fn configurations_are_checked() {
    let changed = |key: &str, value: serde_json::Value| {
        let mut document: serde_json::Value = serde_json::from_str(&config("vae_flux_tiny")).unwrap();
        document[key] = value;
        VaeConfig::from_json(&document.to_string()).unwrap_err().to_string()
    };
    for (key, value, says) in [
        ("act_fn", "relu".into(), "'act_fn' is relu, expected silu"),
        (
            "norm_num_groups",
            "8".into(),
            "no AutoencoderKL configuration: norm_num_groups: invalid type: string \"8\"",
        ),
        (
            "norm_num_groups",
            5.into(),
            "'block_out_channels' is [16, 16, 32], expected multiples of norm_num_groups 5",
        ),
        ("scaling_factor", 0.into(), "'scaling_factor' is 0, expected more than 0"),
        (
            "_class_name",
            "AutoencoderTiny".into(),
            "no AutoencoderKL configuration: _class_name: unknown variant",
        ),
        ("down_block_types", vec!["DownEncoderBlock2D"].into(), "'down_block_types' is"),
    ] {
        let message = changed(key, value);
        assert!(message.starts_with(says), "{message}");
    }
    for config in [VaeConfig::flux(), VaeConfig::stable_diffusion()] {
        config.validate().unwrap();
        assert_eq!(config.factor(), 8);
        assert_eq!(VaeConfig::from_json(&serde_json::to_string(&config).unwrap()).unwrap(), config);
    }
    assert_eq!(VaeConfig::flux().name(), "vae-16x128-256-512-512");
}
