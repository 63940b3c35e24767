//! The files: those of the review of reliability (F3 to F11), made small or made here.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::write::GzEncoder;
use invardiff_plan::least_error::SkipErrors;
use invardiff_plan::{GateSite, Site, SiteSpec, TimeAxis, Topology};
use serde_json::{Value, json};

use crate::tiny::{Sizes, write, write_dit, write_flux};

/// How a command ends.
pub(super) enum Ends {
    /// With exit code 1, one error that contains this, and nothing printed or written.
    Error(&'static str),
    /// With exit code 0, and this printed.
    Well(&'static str),
}

pub(super) struct Case {
    /// The review's number.
    pub(super) finding: &'static str,
    /// Makes the files, in an empty folder.
    pub(super) make: fn(&Path),
    /// The command in that folder.
    pub(super) args: &'static str,
    pub(super) ends: Ends,
}

/// A case.
const fn case(finding: &'static str, make: fn(&Path), args: &'static str, ends: Ends) -> Case {
    Case { finding, make, args, ends }
}

/// Draws an image of the model `m`.
const DRAW: &str = "generate --model m --class-labels 0 --num-inference-steps 2 --out o.png";
/// More images at once than there are addresses for.
const BATCH: &str =
    "generate --model emoji --class-labels 0 --images-per-class 4096 --batch-size 4096 --out o.png";
/// Draws one of the FLUX model `m`.
const PROMPT: &str = "generate --model m --prompt aaaaaaaaaa --height 32 --width 32 --num-inference-steps 2 \
                      --max-sequence-length 16 --out o.png";

pub(super) const CASES: &[Case] = &[
    case("F3", position_table, DRAW, Ends::Error("values of tokens x hidden_size")),
    case("F3", nothing, BATCH, Ends::Error("this run cannot fit: it takes 4.3")),
    case("F3", nothing, "calibrate --memory-limit 5MB --out o", Ends::Error("this run cannot fit: it takes")),
    case("F3", nothing, "compare --memory-limit 5MB --out o", Ends::Error("this run cannot fit: it takes")),
    case(
        "F4",
        tokenizer_that_multiplies,
        PROMPT,
        Ends::Error("10 steps one after another, expected at most 4"),
    ),
    case("F4", tokenizer_with_a_broken_map, PROMPT, Ends::Error("tokenizer.json")),
    case(
        "F5",
        long_mask,
        "plan show m.txt --model flux1-dev-1024",
        Ends::Error("steps is 200000, expected at most 10000"),
    ),
    case("F5", many_kinds, "plan show p.json", Ends::Error("kinds is 65536, expected at most 256")),
    case("F5", many_layers, "plan lint p.json", Ends::Well("the plan computes everything")),
    case("F5", many_objects, "plan show p.json", Ends::Error("larger than 4194304 bytes")),
    case("F5", more_objects, "plan show p.json", Ends::Error("larger than 8388608 bytes")),
    case("F6", long_atlas, "plan make a.atlas --compute-steps 3000 --out p.json", Ends::Well("p.json")),
    case("F6", wide_atlas, "plan make a.atlas --compute-steps 500 --out p.json", Ends::Well("p.json")),
    case("F8", escapes, "plan show p.json", Ends::Well("\\u{1b}]0;PWNED")),
    case(
        "F9",
        site_twice,
        "plan make a.atlas --compute-steps 3 --out p.json",
        Ends::Error("msa[0] stands twice"),
    ),
    case("F10", large_config, DRAW, Ends::Error("config.json: larger than 1048576 bytes")),
    case("F10", large_header, "generate --model m.safetensors --out o.png", Ends::Error("a header of")),
    case("F10", packed, "train-classifier --data . --epochs 1", Ends::Error("train-images-idx3-ubyte.gz")),
    case("F11", weights_that_are_nan, DRAW, Ends::Error("NaN")),
    case(
        "F11",
        strength_that_is_nan,
        "generate --model m --lora l.safetensors --class-labels 0 --out o.png",
        Ends::Error("l.safetensors"),
    ),
];

/// The embedded model needs no file.
fn nothing(_: &Path) {}

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// A model of 16.7 million positions of 65536 channels, in 350 bytes.
fn position_table(folder: &Path) {
    write_dit(&folder.join("m"));
    let path = folder.join("m/transformer/config.json");
    change(&path, |config| {
        for (key, value) in [
            ("sample_size", 4096),
            ("patch_size", 1),
            ("num_attention_heads", 64),
            ("attention_head_dim", 1024),
        ] {
            config[key] = value.into();
        }
    });
}

/// Changes a file of JSON.
fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// Ten replacements of one letter by ten make of ten letters 10^11.
fn tokenizer_that_multiplies(folder: &Path) {
    write_flux(&folder.join("m"), &Sizes::TINY);
    let step = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaa"});
    change(&folder.join("m/tokenizer_2/tokenizer.json"), |tokenizer| {
        tokenizer["normalizer"] = json!({"type": "Sequence", "normalizers": vec![step; 10]});
    });
}

/// A table that the library reads past.
fn tokenizer_with_a_broken_map(folder: &Path) {
    write_flux(&folder.join("m"), &Sizes::TINY);
    change(&folder.join("m/tokenizer_2/tokenizer.json"), |tokenizer| {
        tokenizer["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"});
    });
}

fn long_mask(folder: &Path) {
    write(folder, "m.txt", &vec!["1"; 200_000].join(","));
}

/// A plan of two steps with these kinds and layers.
fn plan(folder: &Path, kinds: usize, layers: usize) {
    let names: Vec<String> =
        if kinds == 1 { vec!["msa".into()] } else { (0..kinds).map(|kind| format!("k{kind}")).collect() };
    let row = ".".repeat(layers);
    let reuse: serde_json::Map<String, Value> =
        names.iter().map(|name| (name.clone(), json!([row, row]))).collect();
    let plan = json!({
        "format": "invardiff-plan", "version": 1, "sites": [{"kinds": names, "first": 0, "layers": layers}], "gate": "..",
        "reuse": reuse,
        "rules": {"gate_site": "trunk", "gate": "hold", "modules": {}, "axis": "step", "times": []},
        "provenance": {"method": "m", "tool": "t", "execution": null, "thresholds": [], "warm_up": null, "calibration": null, "notes": []},
    });
    write(folder, "p.json", &plan.to_string());
}

fn many_kinds(folder: &Path) {
    plan(folder, 1 << 16, 1);
}

fn many_layers(folder: &Path) {
    plan(folder, 1, 1 << 16);
}

/// Objects with one empty key, which as values of any kind take a hundred times their length.
fn objects(folder: &Path, name: &str, bytes: usize) {
    write(folder, name, &format!("{{\"a\":[{}]}}", vec!["{\"\":0}"; bytes / 7].join(",")));
}

fn many_objects(folder: &Path) {
    objects(folder, "p.json", (8 << 20) - 100);
}

fn more_objects(folder: &Path) {
    objects(folder, "p.json", 16 << 20);
}

fn escapes(folder: &Path) {
    plan(folder, 1, 1);
    let evil = "\u{1b}]0;PWNED\u{7}\u{1b}[2J\u{202e}gnp.exe";
    change(&folder.join("p.json"), |plan| {
        plan["provenance"]["tool"] = evil.into();
        plan["provenance"]["method"] = evil.into();
    });
}

fn atlas(folder: &Path, steps: usize, window: usize) {
    let spec = |site| SiteSpec::single(site, 2, 2, 1.0);
    let topology = Topology {
        model: "toy".into(),
        sites: vec![spec(Site::msa(0)), spec(Site::msa(1))],
        trunk: spec(Site::TRUNK),
        head_flops: 1.0,
        output_elements: 1,
    };
    let times = (0..steps).map(|step| step as f64).collect();
    let mut atlas = SkipErrors::new(topology, GateSite::Trunk, TimeAxis::Step, times, window).unwrap();
    atlas.add_run(&vec![0.25; atlas.entries().len()]).unwrap();
    atlas.write(folder.join("a.atlas")).unwrap();
}

fn long_atlas(folder: &Path) {
    atlas(folder, 4096, 1);
}

fn wide_atlas(folder: &Path) {
    atlas(folder, 1000, 8);
}

/// The second site's number, before that of its streams, becomes the first one's.
fn site_twice(folder: &Path) {
    atlas(folder, 4, 2);
    let path = folder.join("a.atlas");
    let mut bytes = fs::read(&path).unwrap();
    let second = bytes.windows(5).position(|window| window == b"msa\x01\x01").unwrap();
    bytes[second + 3] = 0;
    fs::write(path, bytes).unwrap();
}

fn large_config(folder: &Path) {
    write_dit(&folder.join("m"));
    objects(folder, "m/transformer/config.json", 40 << 20);
}

/// A safetensors file whose header is one shape of 45 million dimensions.
fn large_header(folder: &Path) {
    let header = format!(
        "{{\"x\":{{\"dtype\":\"F32\",\"shape\":[{}0],\"data_offsets\":[0,0]}}}}",
        "0,".repeat(45_000_000)
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    fs::write(folder.join("m.safetensors"), bytes).unwrap();
}

/// A GiB of zeros, packed into a megabyte, behind the header of as many images.
fn packed(folder: &Path) {
    let mut header = vec![0, 0, 8, 3];
    header.extend([1_u32 << 20, 32, 32].iter().flat_map(|dimension| dimension.to_be_bytes()));
    let file = fs::File::create(folder.join("train-images-idx3-ubyte.gz")).unwrap();
    let mut file = GzEncoder::new(file, flate2::Compression::fast());
    file.write_all(&header).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..1024 {
        file.write_all(&zeros).unwrap();
    }
    file.finish().unwrap();
}

fn weights_that_are_nan(folder: &Path) {
    write_dit(&folder.join("m"));
    let path = folder.join("m/transformer").join(WEIGHTS);
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

/// A LoRA file whose strength is no number.
fn strength_that_is_nan(folder: &Path) {
    write_dit(&folder.join("m"));
    let name = "transformer_blocks.0.attn1.to_q";
    let tensors = [
        (format!("{name}.lora_down.weight"), vec![1, 64], vec![0.1; 64]),
        (format!("{name}.lora_up.weight"), vec![64, 1], vec![0.1; 64]),
        (format!("{name}.alpha"), vec![], vec![f32::NAN]),
    ];
    let tensors = tensors.into_iter().map(|(name, shape, values)| (name, (shape, values))).collect();
    crate::tiny::write_tensors(&folder.join("l.safetensors"), &tensors);
}
