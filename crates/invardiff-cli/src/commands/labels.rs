//! Class labels as text: numbers, ranges and names.

use anyhow::{Result, bail, ensure};
use invardiff_models::DitConfig;

/// The most class labels that one command takes.
const MOST: usize = 100_000;

/// The classes that `text` lists: numbers, ranges such as `0-9`, names that the model gives them, and `none` for the null
/// class of guidance.
///
/// # Errors
/// Names the entry that is not a class of the model.
pub(crate) fn parse(text: &str, config: &DitConfig) -> Result<Vec<usize>> {
    let mut labels = Vec::new();
    for entry in text.split(',').map(str::trim) {
        let (first, last) = one(entry, config)?;
        ensure!(labels.len() + (last - first) < MOST, "--class-labels: more than {MOST} labels");
        labels.extend(first..=last);
    }
    Ok(labels)
}

/// The first and last class of an entry.
fn one(entry: &str, config: &DitConfig) -> Result<(usize, usize)> {
    match named(entry, config)[..] {
        [] => {}
        [label] => return Ok((label, label)),
        ref several => {
            let numbers: Vec<String> = several.iter().map(usize::to_string).collect();
            bail!(
                "--class-labels: '{entry}' is the name of classes {}; write the number",
                numbers.join(" and ")
            );
        }
    }
    if entry.eq_ignore_ascii_case("none") {
        return Ok((config.num_classes, config.num_classes));
    }
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let (first, last) = match entry.split_once('-') {
        Some((first, last)) => (number(first), number(last)),
        None => (number(entry), number(entry)),
    };
    let (Some(first), Some(last)) = (first, last) else {
        bail!(
            "--class-labels: '{entry}' is no class of the model; {}{}",
            known(config),
            alike(entry, config)
        );
    };
    ensure!(first <= last, "--class-labels: the range {entry} is empty; write the smaller number first");
    ensure!(
        last < config.num_classes,
        "--class-labels: class label {last} is out of range; {}",
        known(config)
    );
    Ok((first, last))
}

/// The classes that a name means: a class may have several, separated by commas, as those of ImageNet have.
fn named(entry: &str, config: &DitConfig) -> Vec<usize> {
    let is_named = |names: &str| {
        names.eq_ignore_ascii_case(entry)
            || names.split(',').any(|name| name.trim().eq_ignore_ascii_case(entry))
    };
    let classes = config.class_names.iter().enumerate();
    classes.filter(|(_, names)| is_named(names)).map(|(label, _)| label).collect()
}

/// How many names a message shows.
const SHOWN: usize = 5;

/// Names of classes that have the entry in them, as the end of a sentence.
fn alike(entry: &str, config: &DitConfig) -> String {
    let entry = entry.to_lowercase();
    let names = config.class_names.iter().flat_map(|names| names.split(',')).map(str::trim);
    let alike: Vec<&str> =
        names.filter(|name| !entry.is_empty() && name.to_lowercase().contains(&entry)).take(SHOWN).collect();
    if alike.is_empty() { String::new() } else { format!("; names like it are {}", alike.join(", ")) }
}

/// The classes in words.
fn known(config: &DitConfig) -> String {
    let range = format!("the model has classes 0 to {}, and 'none'", config.num_classes - 1);
    let names = &config.class_names;
    if names.is_empty() || names.len() > 32 { range } else { format!("{range}: {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> DitConfig {
        let mut config = DitConfig { in_channels: 3, input_size: 8, ..DitConfig::default() };
        config.num_classes = 4;
        config.class_names = ["coat", "t-shirt", "fruit/veg", "bag"].map(str::to_owned).to_vec();
        config
    }

    #[test]
    fn numbers_ranges_and_names_are_read() {
        let parse = |text: &str| parse(text, &config()).unwrap();
        assert_eq!(parse("3,1"), [3, 1]);
        assert_eq!(parse("0-2, 3"), [0, 1, 2, 3]);
        assert_eq!(parse("Coat,t-shirt,fruit/veg,none"), [0, 1, 2, 4]);
    }

    /// Names as `model_index.json` of DiT has them.
    #[test]
    fn a_class_may_have_several_names() {
        let names = ["golden retriever", "crane", "tench, Tinca tinca", "crane"];
        let config = DitConfig { class_names: names.map(str::to_owned).to_vec(), ..config() };
        assert_eq!(parse("Golden Retriever, tinca tinca,tench", &config).unwrap(), [0, 2, 2]);
        let message = |text: &str| parse(text, &config).unwrap_err().to_string();
        assert!(message("crane").contains("'crane' is the name of classes 1 and 3; write the number"));
        let found = message("retriever");
        assert!(found.ends_with("; names like it are golden retriever"), "{found}");
    }

    #[test]
    fn what_is_no_class_is_named() {
        let message = |text: &str| parse(text, &config()).unwrap_err().to_string();
        assert!(message("4").contains("class label 4 is out of range; the model has classes 0 to 3"));
        assert!(message("0-99999999999").contains("99999999999 is out of range"));
        assert!(message("1,hat").contains("'hat' is no class"));
        assert!(message("2-1").contains("the range 2-1 is empty"));
        assert!(message("").contains("'' is no class"));
        assert!(message("-1").contains("'-1' is no class"));
        let all = vec!["0-3"; 30_000].join(",");
        assert!(message(&all).contains("more than 100000"));
    }
}
