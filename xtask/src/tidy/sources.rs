//! What must not lie or stand in a file.

use super::finding::Finding;
use crate::files::File;

/// The largest file that may be tracked.
const MAX_BYTES: u64 = 20_000_000;

/// The most lines of a source file. Tests and examples may be longer.
const MAX_LINES: usize = 400;

/// Macros that mark unfinished work or leftovers.
const LEFTOVERS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// First parts of paths that exist on one machine only.
const MACHINE_FOLDERS: [&str; 5] = ["work", "root", "home", "tmp", "Users"];

/// Checks sizes, lengths, leftovers, ignored tests and machine paths.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    files.iter().flat_map(of_file).collect()
}

fn of_file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.bytes > MAX_BYTES {
        let what = format!("has {} bytes, at most {MAX_BYTES} are tracked", file.bytes);
        findings.push(Finding::new(&file.path, what));
    }
    let source = file.text_of("rs");
    let lines = source.map_or(0, |text| text.lines().count());
    if lines > MAX_LINES && is_crate_source(&file.path) {
        findings.push(Finding::new(&file.path, format!("has {lines} lines, at most {MAX_LINES}: split it")));
    }
    for (number, line) in file.text.iter().flat_map(|text| text.lines()).enumerate() {
        let place = || format!("{}:{}", file.path, number + 1);
        findings.extend(in_text(line).map(|what| Finding::new(place(), what)));
        if source.is_some() {
            findings.extend(in_source(line).map(|what| Finding::new(place(), what)));
        }
    }
    findings
}

fn is_crate_source(path: &str) -> bool {
    let mut parts = path.split('/');
    match parts.next() {
        Some("crates") => parts.nth(1) == Some("src"),
        Some("xtask") => parts.next() == Some("src"),
        _ => false,
    }
}

fn in_source(line: &str) -> Option<String> {
    if let Some(name) = LEFTOVERS.iter().find(|name| calls(line, name)) {
        return Some(format!("{name}! is unfinished work or a leftover"));
    }
    line.contains(concat!("#[", "ignore]"))
        .then(|| "an ignored test needs a reason: #[ignore = \"..\"]".into())
}

/// Whether the line calls the macro `name`.
fn calls(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(start, _)| {
        let part_of_a_name =
            line[..start].chars().next_back().is_some_and(|before| before.is_alphanumeric() || before == '_');
        let after = line[start + name.len()..].strip_prefix('!');
        !part_of_a_name && after.is_some_and(|after| after.starts_with(['(', '[', '{']))
    })
}

fn in_text(line: &str) -> Option<String> {
    let folder = MACHINE_FOLDERS.iter().find(|folder| {
        let path = format!("/{folder}/");
        line.match_indices(&path).any(|(start, _)| {
            let before = line[..start].chars().next_back();
            !before.is_some_and(|before| before.is_alphanumeric() || "._-/}~*$".contains(before))
        })
    })?;
    Some(format!("a path below /{folder} exists on one machine only"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        of_file(&File { path: path.into(), bytes: text.len() as u64, text: Some(text.into()) }).len()
    }

    #[test]
    fn a_large_file_is_found() {
        let file = |bytes| File { path: "a.bin".into(), bytes, text: None };
        assert!(of_file(&file(MAX_BYTES)).is_empty());
        assert_eq!(of_file(&file(MAX_BYTES + 1)).len(), 1);
    }

    #[test]
    fn a_long_source_is_found_but_not_a_long_test() {
        let text = "//\n".repeat(MAX_LINES + 1);
        assert_eq!(found("crates/invardiff/src/a/b.rs", &text), 1);
        assert_eq!(found("xtask/src/b.rs", &text), 1);
        assert_eq!(found("crates/invardiff/tests/b.rs", &text), 0);
        assert_eq!(found("crates/invardiff/src/b.rs", &"//\n".repeat(MAX_LINES)), 0);
    }

    #[test]
    fn leftovers_are_found_in_sources_only() {
        for name in LEFTOVERS {
            assert_eq!(found("a.rs", &format!("    {name}!(x)")), 1);
            assert_eq!(found("a.rs", &format!("    std::{name}!{{}}")), 1);
            assert_eq!(found("a.md", &format!("    {name}!(x)")), 0);
            assert_eq!(found("a.rs", &format!("    my_{name}!(x); {name}(x)")), 0);
        }
    }

    #[test]
    fn an_ignored_test_needs_a_reason() {
        let bare = ["#[", "ignore]"].concat();
        assert_eq!(found("a.rs", &bare), 1);
        assert_eq!(found("a.rs", "#[ignore = \"needs 40 GB\"]"), 0);
    }

    #[test]
    fn machine_paths_are_found_in_any_text() {
        for folder in MACHINE_FOLDERS {
            for start in ["", "a = \"", "see ("] {
                assert_eq!(found("a.toml", &format!("{start}/{folder}/x")), 1, "{start}/{folder}");
            }
            assert_eq!(found("a.toml", &format!("https://x.org/{folder}/x, ./{folder}/x, {folder}/x")), 0);
        }
    }
}
