//! A part of a page.

use maud::Markup;

/// A part of the page: the anchor, the heading and what is below it.
pub(crate) struct Section {
    pub(crate) anchor: String,
    pub(crate) heading: String,
    pub(crate) body: Markup,
}

impl Section {
    pub(crate) fn new(anchor: &str, heading: &str, body: Markup) -> Self {
        Self { anchor: anchor.to_owned(), heading: heading.to_owned(), body }
    }
}
