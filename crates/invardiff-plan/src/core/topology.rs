//! Which sites a model has, in the order in which one forward visits them, with shapes and costs.

use serde::{Deserialize, Serialize};

use crate::core::error::PlanError;
use crate::core::site::{Kind, Site};

/// One tensor at a site. FLUX joint attention has two: `attn` and `context_attn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSpec {
    /// Name under which change rates of this tensor are booked.
    pub name: Kind,
    /// Batch rows that one picture takes: 1, or 2 under batched guidance.
    pub rows: usize,
    /// Tokens of one batch row.
    pub tokens: usize,
    /// Channels.
    pub dim: usize,
}

impl StreamSpec {
    /// Elements of one picture.
    pub const fn elements(&self) -> usize {
        self.rows * self.tokens * self.dim
    }
}

/// One site with its tensors and its cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteSpec {
    /// The place.
    pub site: Site,
    /// The tensors that stand there; at least one.
    pub streams: Vec<StreamSpec>,
    /// FLOPs of one picture that a reuse saves.
    pub flops: f64,
}

impl SiteSpec {
    /// A site with one tensor named as its kind.
    pub fn single(site: Site, tokens: usize, dim: usize, flops: f64) -> Self {
        Self { site, streams: vec![StreamSpec { name: site.kind, rows: 1, tokens, dim }], flops }
    }

    /// Elements of one picture over all streams.
    pub fn elements(&self) -> usize {
        self.streams.iter().map(StreamSpec::elements).sum()
    }
}

/// What a model can cache: its module sites in order of execution, and the trunk around them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// The model's name, e.g. `dit-xl-2-256`.
    pub model: String,
    /// Module sites in the order in which one forward visits them.
    pub sites: Vec<SiteSpec>,
    /// The hidden state that leaves the last block; `flops` is what a computed step spends in the trunk outside of the
    /// module sites (patch embedding, modulations).
    pub trunk: SiteSpec,
    /// FLOPs of one picture that no reuse of the trunk saves (time embedding, final layer).
    pub head_flops: f64,
    /// Elements of the network's output after guidance, for one picture.
    pub output_elements: usize,
}

impl Topology {
    /// The same model with `branches` batch rows a picture: what batched guidance (2) makes of it.
    pub fn batched(mut self, branches: usize) -> Self {
        for spec in self.sites.iter_mut().chain(std::iter::once(&mut self.trunk)) {
            spec.flops *= branches as f64;
            for stream in &mut spec.streams {
                stream.rows *= branches;
            }
        }
        self.head_flops *= branches as f64;
        self
    }

    /// Kinds in order of first appearance.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for spec in &self.sites {
            if !kinds.contains(&spec.site.kind) {
                kinds.push(spec.site.kind);
            }
        }
        kinds
    }

    /// Streams as (name, kind of their site), in order of first appearance: the tables of a calibration.
    pub fn streams(&self) -> Vec<(Kind, Kind)> {
        let mut streams = Vec::new();
        for spec in &self.sites {
            for stream in &spec.streams {
                if !streams.contains(&(stream.name, spec.site.kind)) {
                    streams.push((stream.name, spec.site.kind));
                }
            }
        }
        streams
    }

    /// How many layers have this kind.
    pub fn layers(&self, kind: Kind) -> usize {
        self.sites.iter().filter(|spec| spec.site.kind == kind).count()
    }

    /// Index of a site among the module sites.
    pub fn index(&self, site: Site) -> Option<usize> {
        self.sites.iter().position(|spec| spec.site == site)
    }

    /// The kind as one of this model's.
    ///
    /// # Errors
    /// [`PlanError::UnknownKind`] with the kinds that there are.
    pub fn require(&self, kind: Kind) -> Result<Kind, PlanError> {
        let kinds = self.kinds();
        if kinds.contains(&kind) {
            return Ok(kind);
        }
        let known = kinds.iter().map(Kind::as_str).collect::<Vec<_>>().join(", ");
        Err(PlanError::UnknownKind { kind, model: self.model.clone(), known })
    }

    /// FLOPs of one picture in one full forward.
    pub fn full_flops(&self) -> f64 {
        self.sites.iter().map(|spec| spec.flops).sum::<f64>() + self.trunk.flops + self.head_flops
    }
}
