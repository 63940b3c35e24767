//! Links in the documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::finding::Finding;
use crate::files::File;

/// Checks that every relative link of every Markdown file leads to a file or folder, and its `#part` to a heading.
pub(super) fn check(root: &Path, files: &[File]) -> Vec<Finding> {
    let pages: BTreeMap<&str, Page> =
        files.iter().filter_map(|file| Some((file.path.as_str(), Page::read(file.text_of("md")?)))).collect();
    let mut findings = Vec::new();
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| !is_outside(link)) {
            let (target, part) = link.split_once('#').map_or((link.as_str(), None), |(a, b)| (a, Some(b)));
            match resolve(path, target) {
                Some(to) if pages.contains_key(to.as_str()) || root.join(&to).exists() => {
                    let page = pages.get(to.as_str());
                    if let (Some(part), Some(page)) = (part, page)
                        && !page.headings.contains(part)
                    {
                        findings.push(Finding::new(*path, format!("{to} has no heading #{part}")));
                    }
                }
                Some(to) => {
                    findings.push(Finding::new(*path, format!("links to {to}, which does not exist")));
                }
                None => {
                    findings.push(Finding::new(*path, format!("links to {link}, outside of the workspace")));
                }
            }
        }
    }
    findings
}

fn is_outside(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

/// `target` seen from the page at `from`, relative to the root; `None` where it leaves the workspace.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: PathBuf = Path::new(from).parent()?.to_owned();
    for component in Path::new(target).components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !parts.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.to_string_lossy().replace('\\', "/"))
}

/// What a Markdown file links to, and what can be linked to in it.
#[derive(Debug, Default)]
struct Page {
    links: Vec<String>,
    headings: BTreeSet<String>,
}

impl Page {
    fn read(text: &str) -> Self {
        let (mut page, mut heading) = (Self::default(), None::<String>);
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.headings.extend(heading.take().map(|text| anchor(&text)));
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), bytes: text.len() as u64, text: Some(text.into()) }
    }

    fn found(text: &str) -> usize {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let other = file("xtask/other.md", "# Two `words`, here\n");
        check(root, &[file("xtask/page.md", text), other]).len()
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        assert_eq!(
            found("[a](Cargo.toml) [b](../Cargo.toml) [c](https://x.org/y) [d](src) ![e](./src/main.rs)"),
            0
        );
        assert_eq!(found("# Own part\n[a](#own-part) [b](other.md) [c](other.md#two-words-here)"), 0);
        assert_eq!(found("```\n[a](missing.md)\n```\n`[a](missing.md)`"), 0);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        assert_eq!(found("[a](missing.md)"), 1);
        assert_eq!(found("[a](#missing) [b](other.md#missing)"), 2);
        assert_eq!(found("[a][b]\n\n[b]: src/missing.rs"), 1);
        assert_eq!(found("[a](../../outside.md) [b](/Cargo.toml)"), 2);
    }

    #[test]
    fn anchors_are_githubs() {
        assert_eq!(anchor("Two `words`, here"), "two-words-here");
        let page = Page::read("## 1. A *heading* with `code`\n");
        assert!(page.headings.contains("1-a-heading-with-code"));
    }
}
