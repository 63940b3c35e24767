//! Text encoders and autoencoders: what is wrong is found, and other sizes are checked as well.

use crate::copy::{Copy, shipped};

fn text() -> Copy {
    Copy::of(&shipped("invardiff-models", "text_tiny"))
}

fn names(copy: &Copy) -> Vec<String> {
    copy.failures().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_wrong_value_fails_its_own_check_alone() {
    for (folder, keys) in [
        ("text_tiny", &["t5.hidden1", "t5.last_hidden_state", "clip.hidden3", "clip.pooled"][..]),
        ("vae_sd_tiny", &["dec.mid", "dec.up1", "image", "latent_logvar"]),
        ("vae_flux_tiny", &["dec.conv_in", "latent_mean"]),
    ] {
        let copy = Copy::of(&shipped("invardiff-models", folder));
        copy.arrays("io.safetensors", |arrays| {
            for key in keys {
                arrays.value(key, 5, |value| value + 0.01);
            }
        });
        let mut found = names(&copy);
        found.sort_unstable();
        let mut expected = keys.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_wrong_weight_shows_from_its_block_on() {
    let copy = text();
    copy.arrays("t5.safetensors", |arrays| {
        arrays.value("encoder.block.1.layer.1.layer_norm.weight", 0, |value| value + 1.0);
    });
    copy.arrays("clip.safetensors", |arrays| {
        arrays.value("text_model.final_layer_norm.bias", 0, |value| value + 1.0);
    });
    let found = names(&copy);
    let expected =
        ["t5.hidden2", "t5.hidden3", "t5.last_hidden_state", "clip.last_hidden_state", "clip.pooled"];
    assert_eq!(found, expected);

    let copy = Copy::of(&shipped("invardiff-models", "vae_flux_tiny"));
    copy.arrays("diffusion_pytorch_model.safetensors", |arrays| {
        arrays.value("decoder.up_blocks.1.resnets.0.conv_shortcut.bias", 0, |value| value + 1.0);
    });
    assert_eq!(names(&copy), ["dec.up1", "dec.up2", "image"]);
}

#[test]
fn fewer_rows_blocks_and_encoders() {
    let copy = text();
    copy.manifest(|manifest| manifest["t5"]["num_layers"] = 2.into());
    copy.arrays("t5.safetensors", |arrays| arrays.retain(|key| !key.starts_with("encoder.block.2.")));
    std::fs::remove_file(copy.path().join("clip.safetensors")).unwrap();
    copy.arrays("io.safetensors", |arrays| {
        arrays.retain(|key| key.starts_with("t5.") && !["t5.hidden2", "t5.last_hidden_state"].contains(&key));
        for key in ["t5.ids", "t5.hidden0", "t5.hidden1", "t5.hidden3"] {
            arrays.cut(key, 0, 2, 1);
        }
    });
    assert_eq!(copy.fails("t5.hidden3"), "the model has 2 blocks");
    copy.arrays("io.safetensors", |arrays| arrays.retain(|key| key != "t5.hidden3"));
    assert_eq!(copy.failures(), []);
}

#[test]
fn one_direction_of_an_autoencoder() {
    for keep in [["z", "image"], ["x", "latent_mean"]] {
        let copy = Copy::of(&shipped("invardiff-models", "vae_sd_tiny"));
        copy.arrays("io.safetensors", |arrays| arrays.retain(|key| keep.contains(&key)));
        assert_eq!(copy.failures(), []);
        copy.arrays("io.safetensors", |arrays| arrays.retain(|key| key == keep[1]));
        assert_eq!(copy.fails("folder"), "it has nothing that could be compared");
    }
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let copy = text();
    copy.manifest(|manifest| manifest["clip"]["max_position_embeddings"] = 23.into());
    let note = copy.fails("folder");
    assert!(
        note.contains("clip.safetensors: ") && note.contains("position_embedding.weight, expected [23, 32]"),
        "{note}"
    );

    let copy = text();
    copy.arrays("io.safetensors", |arrays| {
        let (_, _, bytes) = arrays.0.get_mut("t5.ids").unwrap();
        bytes[..8].copy_from_slice(&99i64.to_le_bytes());
    });
    let note = copy.fails("folder");
    assert!(note.starts_with("t5.ids: token id 99 is outside of the model's vocabulary of 99"), "{note}");

    let copy = Copy::of(&shipped("invardiff-models", "vae_sd_tiny"));
    copy.arrays("io.safetensors", |arrays| arrays.cut("x", 2, 24, 22));
    let note = copy.fails("folder");
    assert!(
        note.contains("'x' has shape [1, 3, 22, 32]") && note.contains("multiples of 4 up to 512"),
        "{note}"
    );
}
