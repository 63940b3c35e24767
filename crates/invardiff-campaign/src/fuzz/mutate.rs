//! Inputs made of seeds by small changes.

use invardiff_plan::core::SplitMix64;
use serde_json::Value;

/// Numbers at the ends of what types hold, and texts that are none.
const NUMBERS: [&str; 24] = [
    "0",
    "-0",
    "-1",
    "1",
    "2",
    "3",
    "255",
    "256",
    "65535",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e309",
    "-1e-400",
    "NaN",
    "Infinity",
    "0.5",
    "1E5",
    "00",
];

/// Values of JSON that readers may not expect.
const WORDS: [&str; 16] = [
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "[[]]",
    "\"\\u0000\"",
    "\"\\u202e\"",
    "[null]",
    "{\"\":0}",
    "\"..##\"",
    "[1,0]",
    "\"trunk\"",
    "\"../x\"",
    "{\"extrapolate\":200}",
    "{\"taylor\":255}",
];

/// Characters that mean something to one reader or another.
const CHARACTERS: [char; 10] = ['.', '#', 'x', '\0', '\u{202e}', '\u{1b}', '"', '\\', '9', '/'];

/// The most bytes of an input that is kept to be changed further.
const LONGEST: usize = 4096;
/// The most inputs that are kept.
const MOST: usize = 2000;

/// Makes inputs: a seed, or an input that was kept, with one to six changes. The same seed number gives the same inputs, as long as
/// the same ones are kept.
#[derive(Clone, Debug)]
pub struct Mutator {
    random: SplitMix64,
    seeds: Vec<Vec<u8>>,
    kept: Vec<Vec<u8>>,
}

impl Mutator {
    /// A mutator of these seeds; without any, of the empty input.
    pub fn new(mut seeds: Vec<Vec<u8>>, seed: u64) -> Self {
        if seeds.is_empty() {
            seeds.push(Vec::new());
        }
        Self { random: SplitMix64::seeded(seed), seeds, kept: Vec::new() }
    }

    /// The next input.
    pub fn input(&mut self) -> Vec<u8> {
        let of_kept = !self.kept.is_empty() && self.random.below(2) == 0;
        let pool = if of_kept { &self.kept } else { &self.seeds };
        let mut input = pool[self.random.below(pool.len())].clone();
        if self.random.below(3) == 0
            && let Ok(mut value) = serde_json::from_slice::<Value>(&input)
        {
            change_value(&mut value, &mut self.random, 0);
            return value.to_string().into_bytes();
        }
        let changes = 1 + self.random.below(2) * self.random.below(6);
        for _ in 0..changes {
            self.change(&mut input);
        }
        input
    }

    /// Keeps an input to be changed further.
    pub fn keep(&mut self, input: &[u8]) {
        if input.len() > LONGEST || self.random.below(20) > 0 {
            return;
        }
        if self.kept.len() < MOST {
            self.kept.push(input.to_vec());
        } else {
            let place = self.random.below(MOST);
            self.kept[place] = input.to_vec();
        }
    }

    /// One change of the bytes.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        let random = &mut self.random;
        if bytes.is_empty() {
            bytes.push(random.bits() as u8);
            return;
        }
        let place = random.below(bytes.len());
        let end = |length: usize, bytes: &[u8]| (place + length).min(bytes.len());
        match random.below(12) {
            0 | 1 => bytes[place] ^= 1 << random.below(8),
            2 => bytes[place] = random.bits() as u8,
            3 => bytes[place] = [0, 1, 0x7f, 0x80, 0xff, 250, 251, 252, 253, b'"'][random.below(10)],
            4 => bytes.truncate(place),
            5 => drop(bytes.splice(place..place, random.bits().to_le_bytes())),
            6 => drop(bytes.drain(place..end(random.below(32), bytes))),
            7 => {
                let copy = bytes[place..end(random.below(64), bytes)].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            8 => {
                let other = &self.seeds[random.below(self.seeds.len())];
                bytes.truncate(place);
                bytes.extend(&other[random.below(other.len())..]);
            }
            9 => number(bytes, place, NUMBERS[random.below(NUMBERS.len())]),
            10 => length(bytes, place, random),
            _ => {
                let word = WORDS[random.below(WORDS.len())];
                bytes.splice(place..place, word.bytes());
            }
        }
    }
}

/// Replaces the next run of digits.
fn number(bytes: &mut Vec<u8>, from: usize, by: &str) {
    let digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes[from..].iter().position(digit).map(|at| from + at) else { return };
    let end = bytes[start..].iter().position(|byte| !digit(byte)).map_or(bytes.len(), |at| start + at);
    bytes.splice(start..end, by.bytes());
}

/// A length or number as bincode and safetensors write one, of an extreme value.
fn length(bytes: &mut Vec<u8>, place: usize, random: &mut SplitMix64) {
    let (marker, count) = [(251, 2), (252, 4), (253, 8), (254, 16)][random.below(4)];
    let fill = [0xff, 0x7f, 0x01, 0x00, 0x80][random.below(5)];
    let value = std::iter::once(marker).chain(std::iter::repeat_n(fill, count));
    bytes.splice(place..=place, value);
}

/// One change somewhere in a value of JSON.
fn change_value(value: &mut Value, random: &mut SplitMix64, depth: usize) {
    let here = random.below(3) == 0 || depth > 6;
    match value {
        Value::Object(map) if !map.is_empty() && !here => {
            let keys: Vec<String> = map.keys().cloned().collect();
            let (key, other) = (&keys[random.below(keys.len())], &keys[random.below(keys.len())]);
            match random.below(10) {
                0 => drop(map.remove(key)),
                1 => {
                    let moved = map.remove(key).unwrap_or_default();
                    map.insert(format!("{key}x"), moved);
                }
                2 => drop(map.insert(key.clone(), map[other].clone())),
                _ => change_value(&mut map[key], random, depth + 1),
            }
        }
        Value::Array(items) if !items.is_empty() && !here => {
            let place = random.below(items.len());
            match random.below(8) {
                0 => drop(items.remove(place)),
                1 => items.insert(place, items[place].clone()),
                2 => items.truncate(place),
                3 => {
                    let copies = std::iter::repeat_n(items[place].clone(), random.below(40));
                    items.extend(copies);
                }
                _ => change_value(&mut items[place], random, depth + 1),
            }
        }
        Value::String(text) if !text.is_empty() && !here => change_text(text, random),
        _ => {
            let pool: &[&str] = if random.below(2) == 0 { &WORDS } else { &NUMBERS };
            *value = serde_json::from_str(pool[random.below(pool.len())]).unwrap_or(Value::Null);
        }
    }
}

fn change_text(text: &mut String, random: &mut SplitMix64) {
    let mut letters: Vec<char> = text.chars().collect();
    let place = random.below(letters.len());
    match random.below(5) {
        0 => drop(letters.remove(place)),
        1 => letters[place] = CHARACTERS[random.below(CHARACTERS.len())],
        2 => letters.insert(place, letters[place]),
        3 => letters = letters.repeat(1 + random.below(20)),
        _ => letters.truncate(place),
    }
    *text = letters.into_iter().collect();
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn inputs_repeat_and_differ_from_each_other() {
        let inputs = |seed| {
            let mut mutator = Mutator::new(vec![b"{\"steps\": [1, 0, 12]}".to_vec()], seed);
            (0..1000)
                .map(|_| {
                    let input = mutator.input();
                    mutator.keep(&input);
                    input
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
        let different: HashSet<_> = inputs(7).into_iter().collect();
        assert!(different.len() > 700, "{}", different.len());
    }

    #[test]
    fn no_seed_and_an_empty_seed_are_enough() {
        for seeds in [Vec::new(), vec![Vec::new()]] {
            let mut mutator = Mutator::new(seeds, 0);
            assert!((0..1000).any(|_| !mutator.input().is_empty()));
        }
    }
}
