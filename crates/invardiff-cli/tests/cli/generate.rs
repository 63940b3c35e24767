//! `invardiff generate`.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;

use crate::support::{data, error, fashion_plan, json, names, run, stdout, write_fashion_plan};

const FEW: [&str; 3] = ["generate", "--num-inference-steps", "4"];

/// The text chunks of a PNG, by keyword, and its width and height.
fn png(path: &Path) -> (BTreeMap<String, String>, u32, u32) {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let reader = png::Decoder::new(file).read_info().unwrap();
    let info = reader.info();
    assert!(info.utf8_text.is_empty());
    let text = info.uncompressed_latin1_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.text.clone()));
    (text.collect(), info.width, info.height)
}

/// The samples in a file, one an image.
fn samples(path: &Path) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("samples").unwrap();
    let values: Vec<f32> =
        tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    values.chunks(values.len() / tensor.shape()[0]).map(<[f32]>::to_vec).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_png_says_what_made_it_and_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let args = ["--class-labels", "3,boot,0-1", "--seed", "7", "--images-per-class", "2", "--json"];
    let found = json(here, &[&FEW[..], &args, &["--out", "a.png"]].concat());
    assert_eq!(
        (&found["file"], &found["images"], &found["plan"]),
        (&"a.png".into(), &8.into(), &"none".into())
    );
    assert_eq!(found["class_labels"], serde_json::json!([3, 9, 0, 1]));
    assert!(found["seconds"].as_f64().unwrap() > 0.0 && found["predicted_speedup"].is_null());
    let (text, width, height) = png(&here.join("a.png"));
    // Four columns and two rows of 28 pixels, enlarged by a whole factor, with margins and a line of labels.
    let scale = width / (4 * 28);
    assert!(scale >= 2 && width < 4 * 28 * (scale + 1), "{width}x{height}");
    assert!((2 * 28 * scale..4 * 28 * scale).contains(&height), "{width}x{height}");
    let expected = [
        ("Software", concat!("invardiff ", env!("CARGO_PKG_VERSION"))),
        ("batch_size", "5"),
        ("class_labels", "[3,9,0,1]"),
        ("dtype", "f32"),
        ("eta", "0.0"),
        ("guidance_scale", "2.0"),
        ("images_per_class", "2"),
        ("model", "fashion"),
        ("num_inference_steps", "4"),
        ("plan", "none"),
        ("plan_forced", "[]"),
        ("sampler", "ddim"),
        ("seed", "7"),
        ("weights_sha256", found["weights_sha256"].as_str().unwrap()),
    ];
    assert_eq!(text, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    stdout(here, &[&FEW[..], &args, &["--out", "b.png"]].concat());
    assert_eq!(std::fs::read(here.join("a.png")).unwrap(), std::fs::read(here.join("b.png")).unwrap());
    assert_eq!(names(here), ["a.png", "b.png"]);
}

#[test]
fn a_plan_brings_its_steps_and_guidance_and_changes_the_images() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write_fashion_plan(here);
    let found = json(
        here,
        &["generate", "--plan", "plan.json", "--class-labels", "3,5", "--out", "p.safetensors", "--json"],
    );
    assert_eq!((&found["num_inference_steps"], &found["guidance_scale"]), (&4.into(), &2.0.into()));
    assert_eq!(
        (&found["skipped_steps"], &found["plan"]),
        (&1.into(), &fashion_plan().fingerprint().unwrap().into())
    );
    assert_eq!(found["peak_cache_bytes"], 2 * 2 * 49 * 128 * 4);
    let speedup = found["predicted_speedup"].as_f64().unwrap();
    assert!((1.3..1.4).contains(&speedup) && (speedup * 100.0).fract() == 0.0, "{speedup}");
    stdout(here, &[&FEW[..], &["--class-labels", "3,5", "--out", "full.safetensors"]].concat());
    let (cached, full) = (samples(&here.join("p.safetensors")), samples(&here.join("full.safetensors")));
    let difference = largest_difference(&cached[0], &full[0]);
    assert!(difference > 1e-3, "the plan changed nothing ({difference})");
    let line = stdout(here, &["generate", "--plan", "plan.json", "--class-labels", "3", "--out", "p.png"]);
    assert!(line.contains("1 of 4 steps skipped, predicted speed-up 1.3"), "{line}");
}

#[test]
fn a_image_is_of_its_seed_whatever_else_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for eta in ["0", "0.6"] {
        let draw = |labels: &str, seed: &str, batch: &str, out: &str| {
            let args =
                ["--class-labels", labels, "--seed", seed, "--batch-size", batch, "--eta", eta, "--out", out];
            stdout(here, &[&FEW[..], &args].concat());
            samples(&here.join(out))
        };
        let (together, alone) =
            (draw("0-3", "5", "3", "a.safetensors"), draw("2", "7", "1", "b.safetensors"));
        // Sums are rounded in another order for another batch size; one image at a time with eta.
        let tolerance = if eta == "0" { 1e-3 } else { 0.0 };
        let difference = largest_difference(&together[2], &alone[0]);
        assert!(difference <= tolerance, "eta {eta}: {difference}");
        assert!(largest_difference(&together[1], &alone[0]) > 0.1);
    }
}

#[test]
fn a_plan_for_another_run_is_refused_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write_fashion_plan(here);
    let cases = [
        (["--guidance-scale", "3"], "guidance_scale is 2 in the plan and 3 here"),
        (["--model", "emoji"], "model is fashion in the plan and emoji here"),
        (["--sampler", "dpm-solver++"], "sampler is ddim in the plan and dpm-solver++ here"),
    ];
    for (flags, reason) in cases {
        let args =
            [&["generate", "--plan", "plan.json", "--class-labels", "1", "--out", "g.png"], &flags[..]]
                .concat();
        let message = error(here, &args);
        assert!(message.contains("--plan plan.json") && message.contains(reason), "{message}");
        assert!(message.contains("--force"), "{message}");
        assert_eq!(names(here), ["plan.json"], "{flags:?} left something");
        let text = stdout(here, &[&args[..], &["--force"]].concat());
        assert!(text.contains(&format!("note: forced although {reason}")), "{text}");
        let (chunks, ..) = png(&here.join("g.png"));
        assert!(chunks["plan_forced"].contains(reason), "{chunks:?}");
        assert_eq!(chunks["plan"], fashion_plan().fingerprint().unwrap());
        std::fs::remove_file(here.join("g.png")).unwrap();
    }
}

#[test]
fn what_cannot_run_is_refused_in_one_line_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write_fashion_plan(here);
    let plan = std::fs::read(here.join("plan.json")).unwrap();
    std::fs::write(here.join("cut.json"), &plan[..plan.len() * 2 / 3]).unwrap();
    let book = data(
        "invardiff-plan/tests/data/reference-plans/dit-xl-2-256/cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json",
    );
    let cases: [(&[&str], &str); 16] = [
        (&["--plan", "none.json", "--out", "g.png"], "none.json: No such file"),
        (&["--plan", "cut.json", "--out", "g.png"], "cut.json: not a JSON object"),
        (&["--plan", &book, "--out", "g.png"], "msa [steps, layers] has shape [50, 28], expected [50, 8]"),
        (
            &["--plan", "plan.json", "--num-inference-steps", "5", "--out", "g.png"],
            "the plan has 4 steps and cannot be stretched",
        ),
        (
            &["--plan", "plan.json", "--num-inference-steps", "5", "--force", "--out", "g.png"],
            "not by force either",
        ),
        (
            &["--plan", "plan.json", "--eta", "0.5", "--out", "g.png"],
            "draws fresh noise at every step (eta = 0.5)",
        ),
        (
            &["--plan", "plan.json", "--eta", "0.5", "--force", "--out", "g.png"],
            "neither calibrated nor replayed",
        ),
        (&["--eta", "2", "--out", "g.png"], "eta is 2"),
        (
            &["--eta", "0.5", "--sampler", "dpm-solver++", "--out", "g.png"],
            "dpm-solver++ and unipc draw no noise",
        ),
        (
            &["--class-labels", "0,10", "--out", "g.png"],
            "class label 10 is out of range; the model has classes 0 to 9",
        ),
        (&["--class-labels", "hat", "--out", "g.png"], "'hat' is no class of the model"),
        (&["--seed", "18446744073709551615", "--out", "g.png"], "--seed 18446744073709551615 is too large"),
        (&["--model", "none.pt", "--out", "g.png"], "--model none.pt: there is no such file"),
        (&["--out", "g.jpg"], "--out g.jpg: expected a name that ends in .png or .safetensors"),
        (&["--out", "nowhere/g.png"], "cannot write nowhere/g.png: there is no folder nowhere"),
        (&["--out", "cut.json/g.png"], "cannot write cut.json/g.png"),
    ];
    for (args, expected) in cases {
        let message = error(here, &[&["generate"], args].concat());
        assert!(message.contains(expected), "{args:?}: {message}");
        assert_eq!(names(here), ["cut.json", "plan.json"], "{args:?} left something");
    }
}

#[test]
fn latents_are_written_as_safetensors_and_not_as_images() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let model = data("invardiff-models/tests/data/dit_tiny");
    let args = [&FEW[..], &["--model", &model, "--class-labels", "3,none", "--seed", "2", "--out"]].concat();
    // The memory table comes first, as for every model in files.
    let refused = run(here, &[&args[..], &["g.png"]].concat());
    let said = String::from_utf8_lossy(&refused.stderr);
    let message = said.lines().last().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        message.starts_with("error: --out g.png") && message.contains("are latents, not images"),
        "{said}"
    );
    stdout(here, &[&args[..], &["g.safetensors"]].concat());
    let bytes = std::fs::read(here.join("g.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let facts: serde_json::Value =
        serde_json::from_str(&metadata.metadata().as_ref().unwrap()["invardiff"]).unwrap();
    assert_eq!(
        (&facts["model"], &facts["class_labels"]),
        (&"dit-4x64-p2-8x8x4".into(), &serde_json::json!([3, 10]))
    );
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("samples").unwrap().shape(), [2, 4, 8, 8]);
    assert_eq!(file.tensor("seeds").unwrap().data(), [2u64.to_le_bytes(), 3u64.to_le_bytes()].concat());
    assert!(samples(&here.join("g.safetensors")).iter().flatten().all(|value| value.is_finite()));
}
