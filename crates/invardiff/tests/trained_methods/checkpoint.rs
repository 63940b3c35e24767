//! Learning-to-Cache checkpoints in the published layout, with made-up values.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use invardiff_plan::core::SplitMix64;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Writes what `torch.save` would: a zip with a pickle of `{"routers": {"I.prob": tensor, ..}, "opt": {}}` and one file of
/// values a tensor.
pub(crate) fn write(path: &Path, probs: &BTreeMap<usize, Vec<f32>>) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut put = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("ckpt/{name}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    let mut pickle = [b"\x80\x02}".to_vec(), text("routers"), b"}".to_vec()].concat();
    for (index, values) in probs {
        let entry = [text(&format!("{index}.prob")), tensor(*index, values.len()), b"s".to_vec()];
        pickle.extend(entry.concat());
    }
    pickle.extend([b"s".to_vec(), text("opt"), b"}s.".to_vec()].concat());
    put("data.pkl", &pickle);
    put("byteorder", b"little");
    for (index, values) in probs {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        put(&format!("data/{index}"), &bytes);
    }
    put("version", b"3\n");
    zip.finish().unwrap();
}

/// A pickled string.
fn text(value: &str) -> Vec<u8> {
    [b"X", (value.len() as u32).to_le_bytes().as_slice(), value.as_bytes()].concat()
}

/// A pickled vector of `length` f32 numbers, whose values are in the file `key`.
fn tensor(key: usize, length: usize) -> Vec<u8> {
    let size = [b'M', length as u8, (length >> 8) as u8];
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(&key.to_string()),
        text("cpu"),
        size.to_vec(),
        b"tQK\0".to_vec(),
        size.to_vec(),
        b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

/// Logits in a seeded order of which `above_nine` are above 0.9 after the sigmoid and `above_half` above 0.5. Odd indices
/// are allocated and never used; whatever stands there must not count.
pub(crate) fn synthetic(steps: usize, above_nine: usize, above_half: usize) -> BTreeMap<usize, Vec<f32>> {
    let count = steps / 2 * 56;
    let mut logits: Vec<f32> = (0..count)
        .map(|place| match place {
            place if place < above_nine => 2.5,
            place if place < above_half => 1.0,
            _ => -1.0,
        })
        .collect();
    let mut draws = SplitMix64::seeded(steps as u64);
    for place in (1..count).rev() {
        logits.swap(place, draws.below(place + 1));
    }
    let row = |index: usize| match index % 2 {
        0 => logits[index * 28..index * 28 + 56].to_vec(),
        _ => vec![9.0; 56],
    };
    (0..steps).map(|index| (index, row(index))).collect()
}
