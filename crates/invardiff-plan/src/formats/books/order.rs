//! The order of execution of the kinds in cache books.

use crate::core::Kind;

/// FLUX's image-prompt attention. The authors' files repeat the array of `attn` under this name.
pub(super) const IP_ATTN: Kind = Kind::new("ip_attn");

/// Kinds in order of execution, one list per type of block. All layers of the first list run before those of the second.
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

/// A kind's place in the order of execution: the type of block, the place in it, and the name for kinds unknown here.
pub(super) fn rank(kind: Kind) -> (usize, usize, Kind) {
    let place = |block: &&[Kind]| block.iter().position(|known| *known == kind);
    let found = BLOCKS.iter().enumerate().find_map(|(sort, block)| place(block).map(|place| (sort, place)));
    let (sort, place) = found.unwrap_or((BLOCKS.len(), 0));
    (sort, place, kind)
}
