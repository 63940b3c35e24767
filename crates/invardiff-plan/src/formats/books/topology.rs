//! The topology in a cache book: kinds, layers and their order, without sizes and FLOPs.

use crate::core::{Kind, Site, SiteSpec, StreamSpec, Topology};
use crate::formats::books::book::{AuthorBook, BookLayout};
use crate::formats::books::order::{IP_ATTN, rank};

impl AuthorBook {
    /// The sites of the book's model, derived from its arrays: enough to display and convert a plan. Sizes and FLOPs are 0,
    /// because a book does not have them.
    pub fn topology(&self) -> Topology {
        let mut groups: Vec<(usize, usize, Vec<Kind>)> = Vec::new();
        for (kind, array) in self.streams.iter().filter(|(kind, _)| self.is_site(*kind)) {
            let (sort, layers) = (rank(*kind).0, array.ncols());
            match groups.last_mut() {
                Some(group) if (group.0, group.1) == (sort, layers) => group.2.push(*kind),
                Some(_) | None => groups.push((sort, layers, vec![*kind])),
            }
        }
        let sites = groups
            .iter()
            .flat_map(|(_, layers, kinds)| {
                (0..*layers as u32)
                    .flat_map(move |layer| kinds.iter().map(move |kind| Site::new(*kind, layer)))
            })
            .map(|site| self.spec(site))
            .collect();
        Topology {
            model: format!("the model of a {} book", self.layout.name()),
            sites,
            trunk: SiteSpec::single(Site::TRUNK, 0, 0, 0.0),
            head_flops: 0.0,
            output_elements: 0,
        }
    }

    /// The streams of one site. FLUX's joint attention has two; the site is named after the image stream.
    pub(super) fn streams_of(&self, site: Kind) -> Vec<Kind> {
        match self.layout {
            BookLayout::Flux | BookLayout::Hybrid
                if site == Kind::ATTN && self.stream(Kind::CONTEXT_ATTN).is_some() =>
            {
                vec![Kind::ATTN, Kind::CONTEXT_ATTN]
            }
            BookLayout::Dit | BookLayout::Flux | BookLayout::Wan | BookLayout::Hybrid => vec![site],
        }
    }

    /// Whether a site is named after this stream.
    pub(super) fn is_site(&self, stream: Kind) -> bool {
        match self.layout {
            BookLayout::Flux | BookLayout::Hybrid => {
                stream != IP_ATTN && !(stream == Kind::CONTEXT_ATTN && self.stream(Kind::ATTN).is_some())
            }
            BookLayout::Dit | BookLayout::Wan => true,
        }
    }

    fn spec(&self, site: Site) -> SiteSpec {
        let stream = |name| StreamSpec { name, rows: 1, tokens: 0, dim: 0 };
        SiteSpec { site, streams: self.streams_of(site.kind).into_iter().map(stream).collect(), flops: 0.0 }
    }
}
