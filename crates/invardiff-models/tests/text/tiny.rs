//! The stored tiny encoders.

use std::path::{Path, PathBuf};

use burn::tensor::{Int, Tensor, TensorData};
use invardiff_models::{ClipConfig, ClipText, T5Config, T5Encoder};

use crate::fixture::{Dump, data, device};

pub(crate) fn file(name: &str) -> PathBuf {
    data("text_tiny").join(name)
}

pub(crate) fn read(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

pub(crate) fn t5() -> T5Encoder {
    let config = T5Config::from_json(&read("t5_config.json")).unwrap();
    T5Encoder::from_bytes(&bytes("t5.safetensors"), &config, &device()).unwrap()
}

pub(crate) fn clip_config() -> ClipConfig {
    ClipConfig::from_json(&read("clip_config.json")).unwrap()
}

pub(crate) fn clip() -> ClipText {
    ClipText::from_bytes(&bytes("clip.safetensors"), &clip_config(), &device()).unwrap()
}

/// The stored inputs and results.
pub(crate) fn io() -> Dump {
    Dump::open(&file("io.safetensors"))
}

/// The stored ids of a key.
pub(crate) fn ids(dump: &Dump, key: &str) -> Tensor<2, Int> {
    let shape = dump.0[key].shape.clone();
    Tensor::from_data(TensorData::new(dump.ints(key), shape), &device())
}

/// A folder with a configuration and, under another name, weights.
pub(crate) fn write_folder(folder: &Path, config: &str, weights: &str, dump: &Dump) {
    std::fs::write(folder.join("config.json"), config).unwrap();
    dump.write(&folder.join(weights));
}
