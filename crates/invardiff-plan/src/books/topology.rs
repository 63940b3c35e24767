//! What a book tells of its model: kinds, layers and their order, but no sizes and no FLOPs.

use super::{AuthorBook, BookLayout, IP_ATTN};
use crate::{Kind, Site, SiteSpec, StreamSpec, Topology};

/// Kinds in order of execution, one list a sort of block: all layers of the first list run before those of the second.
const BLOCKS: [&[Kind]; 2] = [
    &[
        Kind::MSA,
        Kind::MLP,
        Kind::ATTN,
        Kind::CONTEXT_ATTN,
        IP_ATTN,
        Kind::FF,
        Kind::CONTEXT_FF,
        Kind::new("self_attn"),
        Kind::new("cross_attn"),
        Kind::new("ffn"),
        Kind::new("double.img_attn"),
        Kind::new("double.txt_attn"),
        Kind::new("double.img_mlp"),
        Kind::new("double.txt_mlp"),
    ],
    &[Kind::SINGLE_ATTN, Kind::SINGLE_MLP, Kind::new("single.attn"), Kind::new("single.mlp")],
];

/// A kind's place in the order of execution: the sort of block, the place in it, and for unknown kinds the name.
pub(super) fn rank(kind: Kind) -> (usize, usize, Kind) {
    let place = |block: &&[Kind]| block.iter().position(|known| *known == kind);
    let found = BLOCKS.iter().enumerate().find_map(|(sort, block)| place(block).map(|place| (sort, place)));
    let (sort, place) = found.unwrap_or((BLOCKS.len(), 0));
    (sort, place, kind)
}

impl AuthorBook {
    /// The sites of the book's model, derived from the arrays: enough to draw and convert a plan. Sizes and FLOPs are 0
    /// because a book does not say them.
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

    /// Streams that stand at one site: the joint attention of FLUX has two, named by its image stream.
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

    /// Whether a stream names a site, rather than being the second stream of one or another name for it.
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
