//! `report.html`: one page that needs nothing else.

mod section;
mod sections;

pub(super) use section::Section;
pub(super) use sections::{figure, images, notes};

use crate::error::ReportError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::report::{Drawings, Highlight, Report};
use super::svg;

/// Layout and type of the page.
const STYLE: &str = include_str!("page.css");

/// What sorts tables, shows values under the pointer and lays two images over each other.
const SCRIPT: &str = include_str!("page/script.js");

/// The content security policy: the browser loads nothing from outside of the page and runs no other script than [`SCRIPT`].
fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    format!("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hash}'")
}

pub(super) fn page(report: &Report, drawings: &Drawings) -> Result<Markup, ReportError> {
    let sections = [
        sections::compared(report, drawings)?,
        sections::results(report, drawings),
        sections::training(drawings),
        sections::plan(report, drawings),
        sections::all_images(report, drawings)?,
        sections::change(report, drawings),
        sections::cost(drawings),
        sections::settings(report),
        sections::notes(&report.notes),
        Some(sections::files(report, drawings)),
    ];
    let sections: Vec<Section> = sections.into_iter().flatten().collect();
    let Report { title, subtitle, verdict, highlights, .. } = report;
    Ok(shell(title, &head(title, subtitle, verdict, highlights, &sections), &sections))
}

/// The whole page: head, title and sections.
pub(super) fn shell(title: &str, head: &Markup, sections: &[Section]) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(svg::STYLE)) }
            }
            body {
                header { (head) }
                main {
                    @for section in sections {
                        section id=(section.anchor) aria-labelledby=(format!("{}-heading", section.anchor)) {
                            h2 id=(format!("{}-heading", section.anchor)) { (section.heading) }
                            (section.body)
                        }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// The page's beginning: title, verdict, headline numbers, and links to the sections.
pub(super) fn head(
    title: &str,
    subtitle: &str,
    verdict: &str,
    highlights: &[Highlight],
    sections: &[Section],
) -> Markup {
    html! {
        h1 { (title) }
        @if !subtitle.is_empty() { p.subtitle { (subtitle) } }
        @if !verdict.is_empty() { p.verdict { (verdict) } }
        @if !highlights.is_empty() {
            dl.highlights {
                @for highlight in highlights {
                    div {
                        dt { (highlight.label) }
                        dd.value { (highlight.value) }
                        @if !highlight.detail.is_empty() { dd.detail { (highlight.detail) } }
                    }
                }
            }
        }
        nav aria-label="Sections" {
            @for section in sections { a href=(format!("#{}", section.anchor)) { (section.heading) } }
        }
    }
}
