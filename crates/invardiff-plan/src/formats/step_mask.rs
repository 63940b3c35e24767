//! Step masks as other tools write them: `1,0,0,1`, 1 = compute, or, in Golden Path's strings, 1 = cached.

use std::fmt;

use crate::core::{CachePlan, PlanError, Provenance, Topology};
use crate::encoding::BOM;
use crate::formats::limits;

/// A step gate in the text form `1,0,0,1`. The text has 1 for a computed step; [`StepMask::gate`] has `true` for a skipped one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepMask(Vec<bool>);

/// What a 1 (or `True`) in the text of a mask means. The text does not say it itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MaskOnes {
    /// The step is computed: the step computation masks of cache-dit, SGLang and stable-diffusion.cpp.
    #[default]
    Compute,
    /// The step is cached: the strings of Golden Path (arXiv 2609.39343).
    Cached,
}

/// What may stand around a mask: brackets, quotes, white space.
fn is_around(c: char) -> bool {
    c.is_whitespace() || "[](){}\"'`".contains(c) || c == BOM
}

const SEPARATORS: [char; 3] = [',', ';', '|'];

/// What may stand before a mask: the mark in names of cache-dit, and how Python prints arrays.
const PREFIXES: [&str; 4] = ["SCM", "scm", "tensor", "array"];

impl StepMask {
    /// The mask of a step gate `[steps]`, `true` = skipped.
    pub const fn new(gate: Vec<bool>) -> Self {
        Self(gate)
    }

    /// Reads `1,0,0,1`, 1 = compute: digits or `True` and `False`, separated by commas, semicolons, bars, white space or line ends;
    /// without commas also packed (`1001`, `SCM1001`). Brackets, quotes and a separator at the end are allowed. `what` names the
    /// source in errors.
    ///
    /// # Errors
    /// [`PlanError::Format`] for an entry that is not 0 or 1, [`PlanError::TooFewSteps`] for an empty mask,
    /// [`PlanError::Range`] for one of more than [`STEP_LIMIT`](crate::formats::STEP_LIMIT) steps.
    pub fn parse(text: &str, what: &str) -> Result<Self, PlanError> {
        Self::parse_as(text, what, MaskOnes::Compute)
    }

    /// [`StepMask::parse`] where a 1 means what `ones` says.
    ///
    /// # Errors
    /// As [`StepMask::parse`].
    pub fn parse_as(text: &str, what: &str, ones: MaskOnes) -> Result<Self, PlanError> {
        let mut gate = Vec::new();
        let inner = within(text);
        let separated = inner.contains(SEPARATORS);
        let mut parts = inner.split(SEPARATORS).map(|part| part.trim_matches(is_around)).peekable();
        while let Some(part) = parts.next() {
            if part.is_empty() && parts.peek().is_some() {
                return Err(bad(gate.len(), "", what));
            }
            for word in part.split(is_around).filter(|word| !word.is_empty()) {
                let packed = !separated && word.bytes().all(|byte| matches!(byte, b'0' | b'1'));
                match entry(word) {
                    Some(one) => gate.push(one),
                    None if packed => gate.extend(word.bytes().map(|byte| byte == b'1')),
                    None => return Err(bad(gate.len(), word, what)),
                }
            }
        }
        limits::steps(gate.len())?;
        if gate.is_empty() {
            return Err(PlanError::TooFewSteps { steps: 0, needed: 1 });
        }
        let mask = Self(gate);
        Ok(if ones == MaskOnes::Compute { mask.flipped() } else { mask })
    }

    /// Whether a text begins like a mask, so that an error in it should be told as one of a mask.
    pub(crate) fn begins_in(text: &str) -> bool {
        let inner = within(text);
        let word = inner.split(|c| SEPARATORS.contains(&c) || is_around(c)).next().unwrap_or_default();
        entry(word).is_some() || !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'0' | b'1'))
    }

    /// The mask with computed and skipped steps exchanged.
    fn flipped(self) -> Self {
        Self(self.0.into_iter().map(|one| !one).collect())
    }

    /// The step gate `[steps]`, `true` = skipped.
    pub fn gate(&self) -> &[bool] {
        &self.0
    }

    /// The text in which a 1 means what `ones` says: separated by commas for computed steps, as stable-diffusion.cpp reads it, and
    /// packed for cached ones, as Golden Path writes it.
    pub fn text(&self, ones: MaskOnes) -> String {
        match ones {
            MaskOnes::Compute => self.to_string(),
            MaskOnes::Cached => self.0.iter().map(|skip| if *skip { '1' } else { '0' }).collect(),
        }
    }

    /// The plan for a model that skips these steps and reuses no module.
    pub fn plan(&self, topology: &Topology) -> CachePlan {
        let provenance = Provenance { method: "step-mask".into(), ..Provenance::default() };
        CachePlan::gate_only(topology, self.0.clone()).with_provenance(provenance)
    }
}

/// A mask without what stands around it.
fn within(text: &str) -> &str {
    let text = text.trim_matches(is_around);
    let named = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
    named.unwrap_or(text).trim_matches(is_around)
}

/// Whether an entry is a 1.
fn entry(word: &str) -> Option<bool> {
    match word {
        "1" => Some(true),
        "0" => Some(false),
        _ if word.eq_ignore_ascii_case("true") => Some(true),
        _ if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn bad(step: usize, word: &str, what: &str) -> PlanError {
    let word: String = word.chars().take(20).collect();
    let detail = format!("entry {step} of the step mask is '{word}', expected 0 or 1 (or True or False)");
    PlanError::Format { what: what.into(), detail }
}

impl fmt::Display for StepMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, skip) in self.0.iter().enumerate() {
            let comma = if step == 0 { "" } else { "," };
            write!(f, "{comma}{}", u8::from(!skip))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_read_with_any_separator_and_printed() {
        for text in [
            "1,0,0,1",
            " [1, 0,0 ,1]\n",
            "1\n0\n0\n1\n",
            "1,0,0,1,",
            "1,\r\n0,\r\n0,\r\n1\r\n",
            "1,0\n0,1\n",
            "1 0 0 1",
            "1001",
            "10 01\n",
            "SCM1001",
            "\"1,0,0,1\"",
            "[\"1\", \"0\", \"0\", \"1\"]",
            "1;0;0;1",
            "1|0|0|1",
            "[True, False, False, True]",
            "true false false true",
            "tensor([1, 0, 0, 1])",
            "\u{feff}1,0,0,1",
        ] {
            let mask = StepMask::parse(text, "--mask").unwrap();
            assert_eq!(mask.gate(), [false, true, true, false], "{text}");
            assert_eq!(mask.to_string(), "1,0,0,1");
            assert!(StepMask::begins_in(text), "{text}");
        }
    }

    #[test]
    fn a_one_may_mean_a_cached_step() {
        let mask = StepMask::parse_as("0110", "golden.txt", MaskOnes::Cached).unwrap();
        assert_eq!(mask, StepMask::parse("1,0,0,1", "scm.txt").unwrap());
        assert_eq!(mask.text(MaskOnes::Cached), "0110");
        assert_eq!(mask.text(MaskOnes::Compute), "1,0,0,1");
    }

    #[test]
    fn what_is_no_mask_is_refused_by_entry() {
        let message = |text: &str| StepMask::parse(text, "m.txt").unwrap_err().to_string();
        assert!(message("1,0,2").contains("m.txt: entry 2 of the step mask is '2', expected 0 or 1"));
        assert!(message("1,,0").contains("entry 1 of the step mask is ''"));
        // A list of the computed steps is no mask.
        assert!(message("[0, 1, 10, 11]").contains("entry 2 of the step mask is '10'"));
        assert!(message("[]").contains("0 steps"));
        assert!(message("hello").contains("entry 0"));
        assert!(!StepMask::begins_in("hello") && !StepMask::begins_in(""));
        assert!(message(&"1".repeat(10_001)).contains("10000"));
    }
}
