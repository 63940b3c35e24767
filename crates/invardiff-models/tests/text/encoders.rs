//! Both encoders against stored numbers.

use burn::tensor::{DType, Tensor};
use invardiff_models::{ClipActivation, ClipConfig, ClipText, IdsError, T5Config, T5Encoder};

use crate::fixture::{bits, device, difference, largest, values, within};
use crate::tiny::{bytes, clip, clip_config, ids, io, t5};

/// One forward in f32.
const TOLERANCE: f32 = 1e-5;

#[test]
fn t5_repeats_every_hidden_state() {
    let (t5, io) = (t5(), io());
    let ids = ids(&io, "t5.ids");
    let mut seen = 0;
    let out = t5.forward_with(ids.clone(), |index, hidden| {
        let key = format!("t5.hidden{index}");
        within(&key, difference(hidden.clone(), io.tensor(&key)), TOLERANCE);
        seen += 1;
    });
    assert_eq!(seen, 3);
    within("t5 out", difference(out.clone(), io.tensor("t5.last_hidden_state")), TOLERANCE);
    assert_eq!(bits(t5.forward(ids)), bits(out));
}

#[test]
fn t5_takes_rows_one_by_one() {
    let (t5, io) = (t5(), io());
    let ids = ids(&io, "t5.ids");
    let whole = t5.forward(ids.clone());
    for row in 0..2 {
        let alone = t5.forward(ids.clone().narrow(0, row, 1));
        within("row", difference(alone, whole.clone().narrow(0, row, 1)), 1e-6);
    }
}

#[test]
fn clip_repeats_every_hidden_state() {
    let (clip, io) = (clip(), io());
    let ids = ids(&io, "clip.ids");
    let mut seen = 0;
    let out = clip.forward_with(ids, |index, hidden| {
        let key = format!("clip.hidden{index}");
        within(&key, difference(hidden.clone(), io.tensor(&key)), TOLERANCE);
        seen += 1;
    });
    assert_eq!(seen, 4);
    within("clip hidden", difference(out.hidden, io.tensor("clip.last_hidden_state")), TOLERANCE);
    within("clip pooled", difference(out.pooled, io.tensor("clip.pooled")), TOLERANCE);
}

/// What follows a token changes nothing about it.
#[test]
fn clip_is_causal() {
    let clip = clip();
    let hidden = |ids: &[u32]| clip.forward(clip.ids(&[ids]).unwrap()).hidden.narrow(1, 0, 3);
    assert_eq!(bits(hidden(&[97, 4, 5, 6, 98])), bits(hidden(&[97, 4, 5, 98, 98])));
}

/// The row of `hidden` that `pooled` is.
fn place(clip: &ClipText, ids: &[u32]) -> usize {
    let out = clip.forward(clip.ids(&[ids]).unwrap());
    let pooled = values(out.pooled);
    let is = |i: &usize| values(out.hidden.clone().narrow(1, *i, 1)) == pooled;
    let places: Vec<usize> = (0..ids.len()).filter(is).collect();
    assert_eq!(places.len(), 1, "{places:?}");
    places[0]
}

#[test]
fn clip_pools_the_first_end() {
    let old = clip();
    assert_eq!(old.config().eos_token_id, 2);
    assert_eq!(place(&old, &[97, 5, 98, 7, 98, 98]), 2, "of the highest ids the first");
    assert_eq!(place(&old, &[3, 2, 5, 7, 4, 1]), 3, "the id 2 is none");
    let config = ClipConfig { eos_token_id: 40, ..clip_config() };
    let new = ClipText::from_bytes(&bytes("clip.safetensors"), &config, &device()).unwrap();
    assert_eq!(place(&new, &[97, 5, 98, 40, 7, 40]), 3);
    assert_eq!(place(&new, &[97, 5, 98, 41, 7, 6]), 0, "without an end, the beginning");
    let rows: [&[u32]; 2] = [&[97, 5, 40, 98], &[97, 40, 5, 98]];
    let out = new.forward(new.ids(&rows).unwrap());
    for (row, end) in [(0, 2), (1, 1)] {
        let expected = out.hidden.clone().narrow(0, row, 1).narrow(1, end, 1);
        assert_eq!(values(out.pooled.clone().narrow(0, row, 1)), values(expected));
    }
}

/// The exact GELU against the quick one: near, and not the same.
#[test]
fn clip_has_two_activations() {
    let (quick, io) = (clip(), io());
    let config = ClipConfig { hidden_act: ClipActivation::Gelu, ..clip_config() };
    let exact = ClipText::from_bytes(&bytes("clip.safetensors"), &config, &device()).unwrap();
    let [a, b] = [&quick, &exact].map(|clip| clip.forward(ids(&io, "clip.ids")).hidden);
    let difference = difference(a, b);
    assert!((1e-4..0.2).contains(&difference), "{difference}");
}

/// Half precision stays near: the stored values reach 4 (T5) and 3 (CLIP); bf16 has 8 bits, f16 has 11.
#[test]
fn half_precision_is_near() {
    let (io, device) = (io(), device());
    let folder = tempfile::tempdir().unwrap();
    for (name, config, weights) in
        [("t5", "t5_config.json", "t5.safetensors"), ("clip", "clip_config.json", "clip.safetensors")]
    {
        let to = folder.path().join(name);
        std::fs::create_dir(&to).unwrap();
        std::fs::copy(crate::tiny::file(config), to.join("config.json")).unwrap();
        std::fs::copy(crate::tiny::file(weights), to.join("model.safetensors")).unwrap();
    }
    for (dtype, tolerance) in [(DType::BF16, 0.15), (DType::F16, 0.02)] {
        let t5 = T5Encoder::load_as(folder.path().join("t5"), dtype, &device).unwrap();
        assert_eq!(t5.dtype(), dtype);
        let out = t5.forward(ids(&io, "t5.ids"));
        assert_eq!(out.dtype(), dtype);
        within("t5", difference(out.cast(DType::F32), io.tensor("t5.last_hidden_state")), tolerance);
        let clip = ClipText::load_as(folder.path().join("clip"), dtype, &device).unwrap();
        let pooled: Tensor<2> = clip.forward(ids(&io, "clip.ids")).pooled;
        assert_eq!((clip.dtype(), pooled.dtype()), (dtype, dtype));
        within("clip", difference(pooled.cast(DType::F32), io.tensor("clip.pooled")), tolerance);
    }
}

#[test]
fn ids_are_checked() {
    let (t5, clip) = (t5(), clip());
    assert_eq!(t5.ids(&[]).unwrap_err(), IdsError::Empty);
    assert_eq!(t5.ids(&[&[]]).unwrap_err(), IdsError::Empty);
    assert_eq!(t5.ids(&[&[1, 2], &[1]]).unwrap_err(), IdsError::Length { row: 1, found: 1, expected: 2 });
    let unknown = t5.ids(&[&[98, 99]]).unwrap_err();
    assert_eq!(unknown, IdsError::Vocabulary { id: 99, vocab_size: 99 });
    assert!(unknown.to_string().contains("tokenizer and model do not belong together"), "{unknown}");
    assert_eq!(clip.ids(&[&[1; 25]]).unwrap_err(), IdsError::TooLong { tokens: 25, positions: 24 });
    assert_eq!(t5.ids(&[&[1; 25]]).unwrap().dims(), [1, 25]);
}

#[test]
fn random_encoders_are_the_same_each_time_and_of_unit_scale() {
    let device = device();
    let config =
        T5Config { num_layers: 2, d_model: 64, vocab_size: 50, ..crate::tiny::t5().config().clone() };
    let make = |seed| T5Encoder::random(&config, seed, DType::F32, &device).unwrap();
    let out = |t5: T5Encoder| t5.forward(t5.ids(&[&[1, 7, 49, 0]]).unwrap());
    assert_eq!(bits(out(make(1))), bits(out(make(1))));
    assert!(difference(out(make(1)), out(make(2))) > 0.1);
    let most = largest(out(make(1)));
    assert!((0.5..10.0).contains(&most), "{most}");
    let clip = ClipText::random(&clip_config(), 3, DType::F32, &device).unwrap();
    let most = largest(clip.forward(clip.ids(&[&[97, 5, 98]]).unwrap()).pooled);
    assert!((0.5..10.0).contains(&most), "{most}");
    let wide = T5Config { num_heads: 0, ..config };
    let error = T5Encoder::random(&wide, 1, DType::F32, &device).unwrap_err().to_string();
    assert_eq!(error, "'num_heads' is 0, expected 1 to 1024");
}
