//! A cache book as the file has it: layout, version and arrays.

use ndarray::Array2;
use serde_json::{Map, Value};

use crate::core::{Kind, PlanError};
use crate::formats::books::order::{IP_ATTN, rank};

/// The layout of a cache book: which keys hold which arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BookLayout {
    /// `step_cache_book`, `msa_cache_book`, `mlp_cache_book`.
    Dit,
    /// `step_cache_book`, `transformer_cache_book` {`attn`, `context_attn`, `ff`, `context_ff`, `ip_attn`},
    /// `single_transformer_cache_book` {`attn`, `mlp`}.
    Flux,
    /// `step_cache_bool` (`step_cache_book` in version 2) and `module_cache_book` with one array per kind: Wan2.1, and in
    /// version 2 HunyuanVideo.
    Wan,
    /// `layer_cache_book` with one array per kind, and the step gate of another method (MagCache) in
    /// `step_policy_artifacts.step_cache_book`. Version 2 only.
    Hybrid,
}

impl BookLayout {
    /// The layout's name, as in error messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dit => "DiT",
            Self::Flux => "FLUX",
            Self::Wan => "Wan",
            Self::Hybrid => "hybrid",
        }
    }

    /// The kinds that a book of this layout must have; empty where any kinds may stand.
    const fn required(self) -> &'static [Kind] {
        match self {
            Self::Dit => &[Kind::MSA, Kind::MLP],
            Self::Flux => &[
                Kind::ATTN,
                Kind::CONTEXT_ATTN,
                Kind::FF,
                Kind::CONTEXT_FF,
                Kind::SINGLE_ATTN,
                Kind::SINGLE_MLP,
            ],
            Self::Wan | Self::Hybrid => &[],
        }
    }

    /// The keys of a kind's array: its section, where arrays are grouped, and its key.
    pub(super) fn keys(self, kind: Kind) -> (Option<&'static str>, String) {
        match self {
            Self::Dit => (None, format!("{kind}_cache_book")),
            Self::Flux if kind == Kind::SINGLE_ATTN => (Some("single_transformer_cache_book"), "attn".into()),
            Self::Flux if kind == Kind::SINGLE_MLP => (Some("single_transformer_cache_book"), "mlp".into()),
            Self::Flux => (Some("transformer_cache_book"), kind.to_string()),
            Self::Wan => (Some("module_cache_book"), kind.to_string()),
            Self::Hybrid => {
                let alias = DOTTED.iter().find(|(_, known)| *known == kind);
                (Some("layer_cache_book"), alias.map_or_else(|| kind.to_string(), |(key, _)| (*key).into()))
            }
        }
    }

    /// The key of the step gate in a version.
    pub(super) const fn gate_key(self, version: BookVersion) -> &'static str {
        match (self, version) {
            (Self::Wan, BookVersion::V1) => "step_cache_bool",
            (Self::Dit | Self::Flux | Self::Hybrid, _) | (Self::Wan, BookVersion::V2) => "step_cache_book",
        }
    }
}

/// The keys of hybrid books and the kinds that they mean.
pub(super) const DOTTED: [(&str, Kind); 6] = [
    ("double.attn", Kind::ATTN),
    ("double.context_attn", Kind::CONTEXT_ATTN),
    ("double.ff", Kind::FF),
    ("double.context_ff", Kind::CONTEXT_FF),
    ("single.attn", Kind::SINGLE_ATTN),
    ("single.mlp", Kind::SINGLE_MLP),
];

/// The version of a cache book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BookVersion {
    /// Arrays only, as published with the paper.
    V1,
    /// `"cache_version": 2` (2026): arrays and free metadata.
    V2,
}

/// A cache book of the InvarDiff authors: a step gate `[steps]` and one array `[steps, layers]` per stream, `true` = reuse.
///
/// FLUX's `attn` and `context_attn` are two streams here, as in the file; a [`CachePlan`](crate::core::CachePlan) joins them.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorBook {
    pub(super) layout: BookLayout,
    pub(super) version: BookVersion,
    pub(super) gate: Vec<bool>,
    pub(super) streams: Vec<(Kind, Array2<bool>)>,
    pub(super) metadata: Map<String, Value>,
}

impl AuthorBook {
    /// A book from its parts. `metadata` are the other keys of a book of version 2.
    ///
    /// # Errors
    /// [`PlanError::TooFewSteps`] without steps, [`PlanError::Shape`] for an array with another number of rows,
    /// [`PlanError::MissingKind`] and [`PlanError::UnknownKind`] for kinds that do not fit the layout, and
    /// [`PlanError::Format`] for metadata or a hybrid book in version 1, and for a kind that is given twice.
    pub fn new(
        layout: BookLayout,
        version: BookVersion,
        gate: Vec<bool>,
        mut streams: Vec<(Kind, Array2<bool>)>,
        metadata: Map<String, Value>,
    ) -> Result<Self, PlanError> {
        let what = format!("a {} book", layout.name());
        if gate.is_empty() {
            return Err(PlanError::TooFewSteps { steps: 0, needed: 1 });
        }
        if version == BookVersion::V1 && (layout == BookLayout::Hybrid || !metadata.is_empty()) {
            let detail = "metadata and hybrid books need cache_version 2".into();
            return Err(PlanError::Format { what, detail });
        }
        for (kind, array) in &streams {
            if array.nrows() != gate.len() {
                let (expected, found) = (vec![gate.len(), array.ncols()], array.shape().to_vec());
                return Err(PlanError::Shape {
                    what: format!("{what}: {kind} [steps, layers]"),
                    expected,
                    found,
                });
            }
        }
        streams.sort_by_key(|(kind, _)| rank(*kind));
        if let Some(pair) = streams.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(PlanError::Format { what, detail: format!("kind '{}' stands twice", pair[0].0) });
        }
        let has = |kind: Kind| streams.iter().any(|(found, _)| *found == kind);
        if let Some(kind) = layout.required().iter().find(|kind| !has(**kind)) {
            return Err(PlanError::MissingKind { kind: *kind, what });
        }
        if let Some((kind, _)) = streams.iter().find(|(kind, _)| !layout.may_have(*kind)) {
            let known = layout.required().iter().map(Kind::as_str).collect::<Vec<_>>().join(", ");
            return Err(PlanError::UnknownKind { kind: *kind, model: what, known });
        }
        Ok(Self { layout, version, gate, streams, metadata })
    }

    /// The layout.
    pub const fn layout(&self) -> BookLayout {
        self.layout
    }

    /// The version.
    pub const fn version(&self) -> BookVersion {
        self.version
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.gate.len()
    }

    /// The step gate `[steps]`, `true` = skipped.
    pub fn gate(&self) -> &[bool] {
        &self.gate
    }

    /// The streams in order of execution, each with its array `[steps, layers]`.
    pub fn streams(&self) -> &[(Kind, Array2<bool>)] {
        &self.streams
    }

    /// The array of one stream, `[steps, layers]`.
    pub fn stream(&self, kind: Kind) -> Option<&Array2<bool>> {
        self.streams.iter().find(|(found, _)| *found == kind).map(|(_, array)| array)
    }

    /// The other keys of a book of version 2.
    pub const fn metadata(&self) -> &Map<String, Value> {
        &self.metadata
    }
}

impl BookLayout {
    fn may_have(self, kind: Kind) -> bool {
        match self {
            Self::Dit => self.required().contains(&kind),
            Self::Flux => self.required().contains(&kind) || kind == IP_ATTN,
            Self::Wan | Self::Hybrid => true,
        }
    }
}
