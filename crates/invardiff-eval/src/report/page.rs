//! `report.html`: one page that needs nothing else.

mod sections;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::svg;
use super::{Drawings, Report};
use crate::EvalError;

/// Layout and type of the page.
const STYLE: &str = include_str!("page.css");

/// The browser itself refuses whatever would come from outside.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// A part of the page: the anchor, the heading and what is below it.
struct Section {
    anchor: &'static str,
    heading: &'static str,
    body: Markup,
}

pub(super) fn page(report: &Report, drawings: &Drawings) -> Result<Markup, EvalError> {
    let sections = [
        sections::results(report, drawings),
        sections::training(drawings),
        sections::plan(report, drawings),
        sections::pictures(report, drawings)?,
        sections::change(report, drawings),
        sections::cost(drawings),
        sections::settings(report),
        Some(sections::files(report, drawings)),
    ];
    let sections: Vec<Section> = sections.into_iter().flatten().collect();
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.title) }
                style { (PreEscaped(STYLE)) (PreEscaped(svg::STYLE)) }
            }
            body {
                header { (head(report, &sections)) }
                main {
                    @for section in &sections {
                        section id=(section.anchor) aria-labelledby=(format!("{}-heading", section.anchor)) {
                            h2 id=(format!("{}-heading", section.anchor)) { (section.heading) }
                            (section.body)
                        }
                    }
                }
            }
        }
    })
}

fn head(report: &Report, sections: &[Section]) -> Markup {
    html! {
        h1 { (report.title) }
        @if !report.subtitle.is_empty() { p.subtitle { (report.subtitle) } }
        @if !report.highlights.is_empty() {
            dl.highlights {
                @for highlight in &report.highlights {
                    div {
                        dt { (highlight.label) }
                        dd.value { (highlight.value) }
                        @if !highlight.detail.is_empty() { dd.detail { (highlight.detail) } }
                    }
                }
            }
        }
        @if !report.notes.is_empty() {
            aside.notes aria-label="Notes" { ul { @for note in &report.notes { li { (note) } } } }
        }
        nav aria-label="Sections" {
            @for section in sections { a href=(format!("#{}", section.anchor)) { (section.heading) } }
        }
    }
}
