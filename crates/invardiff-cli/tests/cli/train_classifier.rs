//! `invardiff train-classifier` on stripes, and `compare` by what it wrote.

use std::path::Path;

use crate::support::{error, json};

/// Writes the images and labels of one of the two parts: a bright row of stripes says the class, the rest is dark.
fn write(folder: &Path, name: &str, size: usize, count: usize) {
    let file = |kind: &str, dims: &[usize], bytes: &[u8]| {
        let mut all = vec![0, 0, 8, dims.len() as u8];
        all.extend(dims.iter().flat_map(|dim| (*dim as u32).to_be_bytes()));
        all.extend(bytes);
        std::fs::write(folder.join(format!("{name}-{kind}")), all).unwrap();
    };
    let pixel = |image: usize, row: usize, column: usize| {
        let stripe = row * 10 / size == image % 10;
        ((image * 13 + row * 7 + column * 5) % 60) as u8 + if stripe { 190 } else { 0 }
    };
    let all = (0..count).flat_map(|image| {
        (0..size).flat_map(move |row| (0..size).map(move |column| pixel(image, row, column)))
    });
    file("images-idx3-ubyte", &[count, size, size], &all.collect::<Vec<u8>>());
    file("labels-idx1-ubyte", &[count], &(0..count).map(|image| (image % 10) as u8).collect::<Vec<u8>>());
}

#[test]
fn a_classifier_is_trained_and_compare_sees_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "train", 28, 400);
    let train =
        ["train-classifier", "--data", ".", "--data-name", "stripes", "--epochs", "4", "--batch", "20"];
    assert!(error(folder, &train).contains("t10k-images-idx3-ubyte"));
    write(folder, "t10k", 28, 60);
    let found = json(folder, &[&train[..], &["--json"]].concat());
    let accuracy = found["facts"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9, "{found}");
    assert_eq!(found["facts"]["test_images"], 60);
    // Fewer real images lie farther from the data, and half of the data is not drawn.
    let real = found["facts"]["real"].as_array().unwrap();
    assert_eq!(real.len(), 4);
    assert!(real[0]["frechet"].as_f64().unwrap() > real[3]["frechet"].as_f64().unwrap(), "{real:?}");

    // The same network on the same data is the same.
    let again = ["train-classifier", "--data", ".", "--data-name", "stripes", "--json"];
    let again = [&again[..], &["--measure", "classifier.safetensors", "--out", "again.safetensors"]].concat();
    assert_eq!(json(folder, &again)["facts"], found["facts"]);

    // No clothes are stripes.
    let small = ["--num-inference-steps", "6", "--images", "10", "--converged-steps", "12", "--out", "study"];
    let by = ["compare", "--method", "uniform=3", "--classifier", "classifier.safetensors"];
    let study = json(folder, &[&by[..], &small, &["--json"]].concat());
    let point = &study["panels"][0]["lines"][0]["points"][0];
    assert!(point["accuracy"].as_f64().unwrap() <= 0.5, "{point}");
    assert!(point["frechet"].as_f64().unwrap() > real[0]["frechet"].as_f64().unwrap(), "{point}");
    let facts = study["facts"].to_string();
    assert!(facts.contains("of stripes, right on"), "{facts}");
    let page = std::fs::read_to_string(folder.join("study/study.html")).unwrap();
    assert!(page.contains("far too large with few images"));

    // A classifier of other images says so.
    write(folder, "train", 16, 40);
    write(folder, "t10k", 16, 20);
    json(folder, &[&train[..], &["--json"]].concat());
    let message = error(folder, &[&by[..], &small].concat());
    assert!(message.contains("--classifier") && message.contains("[images, 1, 16, 16]"), "{message}");
}
