//! PyTorch files: the plain state dict, and the same inside of a training checkpoint.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use invardiff_models::{Dit, LoadError};
use invardiff_runtime::Full;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::fixture::{Dump, bits, data, device};

/// A pickled string.
fn text(value: &str) -> Vec<u8> {
    [b"X", (value.len() as u32).to_le_bytes().as_slice(), value.as_bytes()].concat()
}

/// The pickle of `{key: state_dict, ..., "epoch": 7}` from the pickle of a state dict.
fn checkpoint(state_dict: &[u8], keys: &[&str]) -> Vec<u8> {
    let body = state_dict.strip_prefix(b"\x80\x02").and_then(|rest| rest.strip_suffix(b".")).unwrap();
    let mut pickle = b"\x80\x02}".to_vec();
    for key in keys {
        pickle.extend([text(key), body.to_vec(), b"s".to_vec()].concat());
    }
    pickle.extend([text("epoch"), b"K\x07s.".to_vec()].concat());
    pickle
}

/// Copies a PyTorch file, its pickle changed.
fn copy(from: &Path, to: &Path, change: impl Fn(&[u8]) -> Vec<u8>) {
    let mut archive = ZipArchive::new(File::open(from).unwrap()).unwrap();
    let mut writer = ZipWriter::new(File::create(to).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let (name, mut bytes) = (entry.name().unwrap().into_owned(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        writer.start_file(&name, options).unwrap();
        let bytes = if name.ends_with("data.pkl") { change(&bytes) } else { bytes };
        writer.write_all(&bytes).unwrap();
    }
    writer.finish().unwrap();
}

fn output(dit: &Dit) -> Vec<u32> {
    let dump = Dump::open(&data("dit_tiny/forward.safetensors"));
    bits(dit.forward(&mut Full, dump.tensor("x"), dump.times("t"), dump.labels("y")))
}

#[test]
fn a_state_dict_is_the_safetensors_file() {
    let torch = Dit::load(data("dit_tiny/weights.pt"), &device()).unwrap();
    let safe = Dit::load(data("dit_tiny/weights.safetensors"), &device()).unwrap();
    assert_eq!(torch.section, None);
    assert_ne!(torch.sha256, safe.sha256, "the hash is the file's");
    assert_eq!(output(&torch.model), output(&safe.model));
}

#[test]
fn a_training_checkpoint_gives_its_averaged_weights() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(data("dit_tiny/manifest.json"), folder.path().join("manifest.json")).unwrap();
    let plain = Dit::load(data("dit_tiny/weights.pt"), &device()).unwrap();
    for (keys, section) in [
        (&["ema"][..], "ema"),
        (&["model", "ema", "opt"], "ema"),
        (&["model"], "model"),
        (&["state_dict"], "state_dict"),
    ] {
        let path = folder.path().join("checkpoint.pt");
        copy(&data("dit_tiny/weights.pt"), &path, |pickle| checkpoint(pickle, keys));
        let loaded = Dit::load(&path, &device()).unwrap();
        assert_eq!(loaded.section.as_deref(), Some(section), "{keys:?}");
        assert_eq!(output(&loaded.model), output(&plain.model), "{keys:?}");
    }
}

#[test]
fn a_damaged_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pt");
    let bytes = std::fs::read(data("dit_tiny/weights.pt")).unwrap();
    for length in [0, 1, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = Dit::load(&path, &device()).unwrap_err();
        assert!(matches!(error, LoadError::Format { .. }), "{length} bytes: {error}");
        assert!(error.to_string().contains("weights.pt: no whole PyTorch file"), "{error}");
    }
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 0x55;
    std::fs::write(&path, &flipped).unwrap();
    std::fs::copy(data("dit_tiny/manifest.json"), folder.path().join("manifest.json")).unwrap();
    let error = Dit::load(&path, &device()).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "a flipped byte fails its checksum: {error}");
}
