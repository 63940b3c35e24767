//! The sites of a model in order of execution, with shapes and FLOPs.

use serde::{Deserialize, Serialize};

use crate::core::error::PlanError;
use crate::core::site::{Kind, Site};

/// One tensor at a site, of shape `[rows, tokens, dim]` per image. FLUX joint attention has two: `attn` and `context_attn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSpec {
    /// The stream's name; change rates are recorded under it.
    pub name: Kind,
    /// Batch rows per image: 1, or 2 under batched guidance.
    pub rows: usize,
    /// Tokens per batch row.
    pub tokens: usize,
    /// Channels.
    pub dim: usize,
}

impl StreamSpec {
    /// Elements per image: `rows * tokens * dim`.
    pub const fn elements(&self) -> usize {
        self.rows * self.tokens * self.dim
    }
}

/// A site with the tensors that it outputs and the FLOPs that computing it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteSpec {
    /// Which site it is.
    pub site: Site,
    /// The tensors at the site, at least one.
    pub streams: Vec<StreamSpec>,
    /// FLOPs per image that a reuse saves.
    pub flops: f64,
}

impl SiteSpec {
    /// A site with a single tensor `[1, tokens, dim]`, named like the site's kind.
    pub fn single(site: Site, tokens: usize, dim: usize, flops: f64) -> Self {
        Self { site, streams: vec![StreamSpec { name: site.kind, rows: 1, tokens, dim }], flops }
    }

    /// Elements per image, over all streams.
    pub fn elements(&self) -> usize {
        self.streams.iter().map(StreamSpec::elements).sum()
    }
}

/// All sites of a model: its modules in order of execution, and the trunk around them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// The model's name, e.g. `dit-xl-2-256`.
    pub model: String,
    /// Module sites, in the order in which a forward visits them.
    pub sites: Vec<SiteSpec>,
    /// The hidden state after the last block. Its `flops` are those of the trunk outside of the module sites (patch
    /// embedding, modulations), per computed step.
    pub trunk: SiteSpec,
    /// FLOPs per image outside of the trunk (time embedding, final layer): a skipped step still spends them.
    pub head_flops: f64,
    /// Elements per image of the network's output after guidance.
    pub output_elements: usize,
}

impl Topology {
    /// The same model with `branches` batch rows per image instead of one: 2 for batched guidance.
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

    /// The kinds of modules, in order of first appearance.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for spec in &self.sites {
            if !kinds.contains(&spec.site.kind) {
                kinds.push(spec.site.kind);
            }
        }
        kinds
    }

    /// The streams as (name, kind of its site), in order of first appearance. A calibration has one table per stream.
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

    /// The number of sites of this kind.
    pub fn layers(&self, kind: Kind) -> usize {
        self.sites.iter().filter(|spec| spec.site.kind == kind).count()
    }

    /// The index of a site in [`Topology::sites`]; `None` where the model does not have it.
    pub fn index(&self, site: Site) -> Option<usize> {
        self.sites.iter().position(|spec| spec.site == site)
    }

    /// Returns `kind`, checked to be one of this model's.
    ///
    /// # Errors
    /// [`PlanError::UnknownKind`] listing the model's kinds, where it is not.
    pub fn require(&self, kind: Kind) -> Result<Kind, PlanError> {
        let kinds = self.kinds();
        if kinds.contains(&kind) {
            return Ok(kind);
        }
        let known = kinds.iter().map(Kind::as_str).collect::<Vec<_>>().join(", ");
        Err(PlanError::UnknownKind { kind, model: self.model.clone(), known })
    }

    /// FLOPs per image of one forward that computes everything.
    pub fn full_flops(&self) -> f64 {
        self.sites.iter().map(|spec| spec.flops).sum::<f64>() + self.trunk.flops + self.head_flops
    }
}
