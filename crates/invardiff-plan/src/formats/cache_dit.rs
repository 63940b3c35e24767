//! Configurations of cache-dit (vipshop/cache-dit, `load_configs`): YAML or JSON with a `steps_computation_mask`, 1 = compute.

use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::{Yaml, YamlLoader};

use crate::core::PlanError;
use crate::formats::step_mask::StepMask;

/// The most bytes of a configuration that is read, and the deepest nesting in it: real ones have 1 KB and three levels.
const LIMITS: (usize, usize) = (1 << 16, 16);

/// Keys that only such configurations have.
pub(super) const KEYS: [&str; 5] = [
    "cache_config",
    "steps_computation_mask",
    "Fn_compute_blocks",
    "Bn_compute_blocks",
    "residual_diff_threshold",
];

const MASK: &str = "steps_computation_mask";

/// cache-dit's masks by name for 28 steps: steps that are computed and cached in turns.
const POLICIES: [(&str, &[usize], &[usize]); 4] = [
    ("slow", &[8, 3, 3, 2, 1, 1], &[1, 2, 2, 2, 3]),
    ("medium", &[6, 2, 2, 2, 2, 1], &[1, 3, 3, 3, 3]),
    ("fast", &[6, 1, 1, 1, 1, 1], &[1, 3, 4, 5, 4]),
    ("ultra", &[4, 1, 1, 1, 1], &[2, 5, 6, 7]),
];

/// The number of steps that these masks are for.
const POLICY_STEPS: i64 = 28;

/// Whether a text looks like a configuration of cache-dit: one of its lines begins with a key of one.
pub(super) fn is_config(text: &str) -> bool {
    let is_key = |line: &str| {
        let line = line.trim_start_matches(|c: char| c.is_whitespace() || "{\"'".contains(c));
        KEYS.iter().any(|key| {
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
        })
    };
    text.lines().any(is_key)
}

impl StepMask {
    /// The mask in a configuration of cache-dit, YAML or JSON: a list of 0 and 1 (1 = compute), a text of these digits, or, for 28
    /// steps, the name of one of cache-dit's masks (`slow`, `medium`, `fast`, `ultra`). What else the configuration says of its
    /// cache is about steps that a plan skips whole, and is not read.
    ///
    /// # Errors
    /// [`PlanError::Format`] for text that is no such configuration, or has no mask that says for every step what is done.
    pub fn from_cache_dit(text: &str, what: &str) -> Result<Self, PlanError> {
        let wrong = |detail: String| PlanError::Format { what: what.into(), detail };
        check(text).map_err(wrong)?;
        let documents =
            YamlLoader::load_from_str(text).map_err(|error| wrong(format!("no YAML: {error}")))?;
        let Some(root) = documents.first() else { return Err(wrong("it has no YAML document".into())) };
        let config = &root["cache_config"];
        let config = if config.is_badvalue() { root } else { config };
        match &config[MASK] {
            Yaml::Array(entries) => {
                let words: Vec<String> = entries.iter().map(word).collect();
                Self::parse(&words.join(","), what)
            }
            Yaml::String(name) if Self::begins_in(name) => Self::parse(name, what),
            Yaml::String(name) => named(name, &config["num_inference_steps"]).map_err(wrong),
            Yaml::BadValue | Yaml::Null => Err(wrong(format!(
                "the cache-dit configuration has no {MASK}, so it decides while sampling which steps are cached and is no \
                 plan; add the mask as a list of 1 (compute) and 0, one entry a step"
            ))),
            other => Err(wrong(format!("{MASK} is {}, expected a list of 0 and 1", word(other)))),
        }
    }

    /// The configuration of cache-dit with this mask, as YAML; the masked steps are always cached (`static`).
    pub fn to_cache_dit(&self) -> String {
        let mask: Vec<&str> = self.gate().iter().map(|skip| if *skip { "0" } else { "1" }).collect();
        format!(
            "# cache_dit.enable_cache(pipe, **cache_dit.load_configs(\"this file\")); 1 = compute\n\
             cache_config:\n  num_inference_steps: {}\n  max_warmup_steps: 0\n  {MASK}: [{}]\n  \
             steps_computation_policy: static\n",
            mask.len(),
            mask.join(", ")
        )
    }
}

/// Refuses what could ask for much memory or stack: long texts, deep nesting, and aliases, which repeat what they stand for.
fn check(text: &str) -> Result<(), String> {
    let (length, deepest) = LIMITS;
    if text.len() > length {
        return Err(format!("a cache-dit configuration of more than {length} bytes"));
    }
    let (mut parser, mut depth) = (Parser::new_from_str(text), 0_usize);
    loop {
        match parser.next_token().map_err(|error| format!("no YAML: {error}"))?.0 {
            Event::StreamEnd => return Ok(()),
            Event::Alias(_) => return Err("it has a YAML alias (*name), which is not read".into()),
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > deepest {
            return Err(format!("its YAML is more than {deepest} levels deep"));
        }
    }
}

/// A value in few characters.
fn word(value: &Yaml) -> String {
    match value {
        Yaml::Integer(number) => number.to_string(),
        Yaml::Boolean(one) => one.to_string(),
        Yaml::Real(text) | Yaml::String(text) => text.chars().take(20).collect(),
        Yaml::Array(_) => "a list".into(),
        Yaml::Hash(_) => "an object".into(),
        Yaml::Alias(_) | Yaml::Null | Yaml::BadValue => "nothing".into(),
    }
}

/// A mask that cache-dit knows by name.
fn named(name: &str, steps: &Yaml) -> Result<StepMask, String> {
    let short: String = name.chars().take(20).collect();
    let known = POLICIES.iter().find(|(policy, ..)| *policy == name);
    let (Some((_, compute, cache)), Some(POLICY_STEPS)) = (known, steps.as_i64()) else {
        return Err(format!(
            "{MASK} is '{short}': masks by name are known for num_inference_steps {POLICY_STEPS} (slow, medium, fast, ultra); \
             write the list that cache_dit.steps_mask returns for your steps"
        ));
    };
    let mut gate = Vec::new();
    for (at, computed) in compute.iter().enumerate() {
        gate.extend(std::iter::repeat_n(false, *computed));
        gate.extend(std::iter::repeat_n(true, cache.get(at).copied().unwrap_or(0)));
    }
    Ok(StepMask::new(gate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        StepMask::from_cache_dit(text, "c.yaml").unwrap_err().to_string()
    }

    #[test]
    fn the_mask_is_read_in_every_form() {
        let expected = StepMask::parse("1,0,0,1", "").unwrap();
        for text in [
            "cache_config:\n  max_warmup_steps: 8\n  steps_computation_mask: [1, 0, 0, 1]\nparallelism_config:\n  tp_size: 2\n",
            "cache_config:\n  steps_computation_mask:\n    - 1\n    - 0\n    - 0\n    - 1\n",
            "steps_computation_mask: [true, false, false, true]\nFn_compute_blocks: 1\n",
            "cache_config:\n  steps_computation_mask: \"1001\"\n",
            "{\"cache_config\": {\"steps_computation_mask\": [1, 0, 0, 1]}}",
        ] {
            assert!(is_config(text), "{text}");
            assert_eq!(StepMask::from_cache_dit(text, "c.yaml").unwrap(), expected, "{text}");
        }
        assert!(!is_config("1,0,1\n") && !is_config("{\"attn\": [1, 0]}"));
    }

    /// The numbers of computed steps that cache-dit's documentation gives for 28 steps.
    #[test]
    fn masks_by_name_compute_as_many_steps_as_documented() {
        for (name, computed) in [("slow", 18), ("medium", 15), ("fast", 11), ("ultra", 8)] {
            let text =
                format!("cache_config:\n  num_inference_steps: 28\n  steps_computation_mask: {name}\n");
            let mask = StepMask::from_cache_dit(&text, "c.yaml").unwrap();
            assert_eq!(mask.gate().len(), 28);
            assert_eq!(mask.gate().iter().filter(|skip| !**skip).count(), computed, "{name}");
        }
        let message = refusal("cache_config:\n  num_inference_steps: 50\n  steps_computation_mask: fast\n");
        assert!(message.contains("'fast': masks by name are known for num_inference_steps 28"), "{message}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mask = StepMask::parse("1,1,0,1,0", "").unwrap();
        let text = mask.to_cache_dit();
        assert!(text.contains("  num_inference_steps: 5\n") && text.contains("[1, 1, 0, 1, 0]"), "{text}");
        assert_eq!(StepMask::from_cache_dit(&text, "c.yaml").unwrap(), mask);
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        assert!(refusal("cache_config:\n  Fn_compute_blocks: 1\n").contains("decides while sampling"));
        assert!(refusal("steps_computation_mask: [1, 2]\n").contains("entry 1 of the step mask is '2'"));
        assert!(refusal("steps_computation_mask: {a: 1}\n").contains("is an object, expected a list"));
        assert!(refusal("a: &x [1]\nb: *x\n").contains("a YAML alias"));
        assert!(refusal(&"[".repeat(20)).contains("more than 16 levels deep"));
        assert!(refusal(&"[".repeat(60_000)).contains("c.yaml: "));
        assert!(refusal("a: [1, 0").contains("no YAML"));
        assert!(refusal(&" ".repeat(70_000)).contains("more than 65536 bytes"));
    }
}
