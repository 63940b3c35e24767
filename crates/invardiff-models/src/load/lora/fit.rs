//! Whether a LoRA file fits a model.

use std::collections::BTreeMap;

use super::keys::{Layers, Owner, Parts, Role};
use super::targets::Targets;
use crate::load::checkpoint::Checkpoint;
use crate::load::error::{FoundTensor, KeyProblems, Misshapen};

/// How many lines of one kind are shown.
pub(super) const SHOWN: usize = 4;

/// Words in the keys of LoRA kinds that cannot be merged, with the message for each.
const FAMILIES: [(&str, &str); 14] = [
    (".oft_", "OFT, which is not merged here"),
    (".boft_", "BOFT, which is not merged here"),
    (".ia3_", "IA3, which is not merged here"),
    (".on_input", "IA3, which is not merged here"),
    (".vera_lambda", "VeRA, which is not merged here: its matrices are not in the file"),
    (".lora_E", "AdaLoRA, which is not merged here"),
    (".ranknum", "AdaLoRA, which is not merged here"),
    (".lora_mid", "a Tucker decomposition of convolutions, which is not merged here"),
    (".hada_t", "a Tucker decomposition of convolutions, which is not merged here"),
    (".lokr_t2", "a Tucker decomposition of convolutions, which is not merged here"),
    (".a1.", "GLoRA, which is not merged here"),
    (".b1.", "GLoRA, which is not merged here"),
    (".set_weight", "whole weights, which are not merged here"),
    ("embedding", "embeddings of new words (textual inversion), which are not merged here"),
];

/// Everything that does not fit.
pub(super) fn problems(
    checkpoint: &Checkpoint,
    layers: &Layers,
    strange: Vec<String>,
    targets: &Targets,
    owner: Owner,
) -> KeyProblems {
    let mut problems = KeyProblems::default();
    let mut absent = Vec::new();
    let mut controls = 0;
    for ((of, flat), parts) in layers {
        if *of != owner {
            continue;
        }
        let (matrix, vector) = (targets.get(flat), targets.vector(flat));
        if matrix.is_none() && vector.is_none() {
            absent.push(parts.name.as_str());
        } else if is_control(checkpoint, parts, matrix) {
            controls += 1;
        } else {
            fits(checkpoint, parts, matrix, vector, &mut problems);
        }
    }
    problems.families = families(checkpoint, strange);
    if let Some(first) = absent.first() {
        problems.families.push(format!(
            "{} layers that the model does not have, such as {first}: the LoRA was made for another model or size",
            absent.len()
        ));
    }
    if controls > 0 {
        problems.families.push(format!(
            "{controls} layer takes twice the channels of the model's: this is a control LoRA, which needs an image beside the \
             prompt and is not supported; take a LoRA of style or subject"
        ));
    }
    if layers.is_empty() && problems.families.is_empty() {
        problems.families.push("there is nothing of a LoRA in the file".into());
    }
    problems
}

/// One line for each kind of keys that are not understood, with a count.
fn families(checkpoint: &Checkpoint, strange: Vec<String>) -> Vec<String> {
    let mut counts = BTreeMap::<String, (usize, String)>::new();
    for key in strange {
        let family = FAMILIES.iter().find(|(word, _)| key.contains(word));
        let scales = checkpoint.shape(&key).is_some_and(|shape| shape.len() == 1)
            && key.rsplit('.').next() == Some("scale");
        let what = match family {
            Some((_, what)) => (*what).to_owned(),
            None if scales => "whole scales of norms, as control LoRAs have: not merged here".to_owned(),
            None => "not known here".to_owned(),
        };
        let entry = counts.entry(what).or_insert((0, key));
        entry.0 += 1;
    }
    let lines =
        counts.into_iter().map(|(what, (count, key))| format!("{count} tensors such as {key}: {what}"));
    lines.collect()
}

/// Whether the layer reads twice as many channels as the model's.
fn is_control(checkpoint: &Checkpoint, parts: &Parts, matrix: Option<[usize; 2]>) -> bool {
    let down = parts.keys.get(&Role::Down).and_then(|key| checkpoint.shape(key));
    match (down, matrix) {
        (Some([_, columns]), Some([_, expected])) => *columns == 2 * expected,
        _ => false,
    }
}

fn fits(
    checkpoint: &Checkpoint,
    parts: &Parts,
    matrix: Option<[usize; 2]>,
    vector: Option<usize>,
    problems: &mut KeyProblems,
) {
    let shape = |role: Role| parts.keys.get(&role).and_then(|key| checkpoint.shape(key));
    let mut expect = |role: Role, expected: Vec<usize>| {
        let Some(key) = parts.keys.get(&role).cloned() else {
            return;
        };
        let found = checkpoint.shape(&key).unwrap_or(&[]).to_vec();
        if !same_matrix(&found, &expected) {
            problems.misshapen.push(Misshapen { key, expected, found });
        } else if let Some(name) = checkpoint.not_float(&key) {
            problems.not_float.push((key, name.to_owned()));
        }
    };
    let rank = shape(Role::Down).and_then(|shape| shape.first()).copied().unwrap_or(1).max(1);
    expect(Role::Alpha, Vec::new());
    if let Some([rows, columns]) = matrix {
        expect(Role::Down, vec![rank, columns]);
        expect(Role::Up, vec![rows, rank]);
        expect(Role::Diff, vec![rows, columns]);
        for [a, b] in [[Role::Hada1A, Role::Hada1B], [Role::Hada2A, Role::Hada2B]] {
            let rank = shape(b).and_then(|shape| shape.first()).copied().unwrap_or(1);
            expect(a, vec![rows, rank]);
            expect(b, vec![rank, columns]);
        }
    } else if let Some(length) = vector {
        expect(Role::Diff, vec![length]);
    }
    if let Some(length) = vector.or(matrix.map(|[rows, _]| rows)) {
        expect(Role::UpBias, vec![length]);
        expect(Role::DiffBias, vec![length]);
    }
    missing(checkpoint, parts, matrix, problems);
}

/// Pairs of matrices of which one is missing.
fn missing(checkpoint: &Checkpoint, parts: &Parts, matrix: Option<[usize; 2]>, problems: &mut KeyProblems) {
    let [rows, columns] = matrix.unwrap_or([0, 0]);
    let lacks = |has: Role, lacks: Role| parts.keys.contains_key(&has) && !parts.keys.contains_key(&lacks);
    for (has, half, [from, to]) in [
        (Role::Down, Role::Up, ["A", "B"]),
        (Role::Up, Role::Down, ["B", "A"]),
        (Role::Hada1A, Role::Hada1B, ["w1_a", "w1_b"]),
        (Role::Hada2A, Role::Hada2B, ["w2_a", "w2_b"]),
        (Role::Kron1A, Role::Kron1B, ["w1_a", "w1_b"]),
        (Role::Kron2A, Role::Kron2B, ["w2_a", "w2_b"]),
    ] {
        if lacks(has, half) {
            let key = &parts.keys[&has];
            let rank = checkpoint.shape(key).map_or(1, |shape| match has {
                Role::Down => shape[0],
                _ => shape.get(1).copied().unwrap_or(1),
            });
            let shape = if half == Role::Up { vec![rows, rank] } else { vec![rank, columns] };
            let named = |key: &str| {
                let pairs = [("down", "up"), ("up", "down")];
                let other = pairs.into_iter().find(|(one, _)| key.contains(&format!("{one}.weight")));
                match other {
                    Some((one, other)) => key.replace(&format!("{one}.weight"), &format!("{other}.weight")),
                    None => key.replacen(&format!("_{from}"), &format!("_{to}"), 1),
                }
            };
            problems.missing.push(FoundTensor { key: named(key), shape });
        }
    }
}

/// Whether a tensor has the expected number of rows, and of values per row. (Convolutions have more axes, and a single number
/// may have one.)
fn same_matrix(found: &[usize], expected: &[usize]) -> bool {
    match expected {
        [] => found.iter().product::<usize>() == 1,
        [rows, rest @ ..] => {
            found.first() == Some(rows)
                && found[1..].iter().product::<usize>() == rest.iter().product::<usize>()
        }
    }
}
