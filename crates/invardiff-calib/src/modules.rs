//! Module reuse inside computed steps, planned by the error that it is measured to make.

use invardiff_plan::{CachePlan, Cost, Kind, Topology};
use invardiff_runtime::Sampler;

use crate::closed_loop::ClosedLoop;
use crate::error::CalibError;
use crate::session::SharedDenoiser;

/// How to search for modules to reuse.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModuleSearch {
    /// Into how many groups of neighbouring layers each kind is cut.
    pub groups: usize,
    /// How often everything that is left is measured again on top of what was taken.
    pub rounds: usize,
    /// FLOPs relative to the full run at which to stop.
    pub compute_fraction: f64,
}

impl ModuleSearch {
    /// A search that stops at this share of the full run's FLOPs: four groups of layers, measured again once.
    pub fn to(compute_fraction: f64) -> Self {
        Self { groups: 4, rounds: 2, compute_fraction }
    }

    /// The same with this [`ModuleSearch::groups`].
    #[must_use]
    pub fn with_groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// The same with this [`ModuleSearch::rounds`].
    #[must_use]
    pub fn with_rounds(self, rounds: usize) -> Self {
        Self { rounds, ..self }
    }
}

/// Neighbouring layers of one kind at one step.
#[derive(Clone, Debug)]
struct Candidate {
    step: usize,
    columns: Vec<usize>,
    flops: f64,
}

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> ClosedLoop<'_, D, M, S> {
    /// Adds module reuse to the computed steps of `plan` until it costs [`ModuleSearch::compute_fraction`] or nothing is
    /// left: greedy by measured error for each saved FLOP. Every candidate (a group of neighbouring layers of one kind at one
    /// step) is replayed on top of the plan; the best are taken until a round's share of the saving is reached; then those
    /// left are measured again, because errors interact.
    ///
    /// # Errors
    /// [`CalibError::Plan`] when the plan does not fit the model.
    pub fn reuse_modules(&self, plan: &CachePlan, search: &ModuleSearch) -> Result<CachePlan, CalibError> {
        let topology = self.session().model().topology();
        let mut plan = plan.clone();
        let mut left = candidates(&plan, &topology, search.groups);
        let phase = self.session().phase("pricing modules (replays)", search.rounds * left.len());
        let measure = |plan: &CachePlan| self.mean_error(plan).inspect(|_| phase.advance(1));
        let target = search.compute_fraction * Cost::of(&plan, &topology)?.full;
        for round in 0..search.rounds {
            let start = Cost::of(&plan, &topology)?.planned;
            if start <= target || left.is_empty() {
                break;
            }
            let stop = start - (start - target) / (search.rounds - round) as f64;
            let base = measure(&plan)?;
            let mut priced = Vec::with_capacity(left.len());
            for candidate in left.drain(..) {
                let mut with = plan.clone();
                candidate.take(&mut with);
                priced.push(((measure(&with)? - base).max(0.0) / candidate.flops, candidate));
            }
            priced.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            let mut planned = start;
            for (_, candidate) in priced {
                if planned > stop {
                    candidate.take(&mut plan);
                    planned -= candidate.flops;
                } else {
                    left.push(candidate);
                }
            }
        }
        Ok(plan)
    }
}

impl Candidate {
    fn take(&self, plan: &mut CachePlan) {
        for column in &self.columns {
            plan.reuse_module(self.step, *column);
        }
    }
}

/// Every group of layers at every computed step but the first and the last.
fn candidates(plan: &CachePlan, topology: &Topology, groups: usize) -> Vec<Candidate> {
    let computed: Vec<usize> = (0..plan.steps()).filter(|step| !plan.gate()[*step]).collect();
    let inner = computed.get(1..computed.len().saturating_sub(1)).unwrap_or_default();
    let mut all = Vec::new();
    for kind in topology.kinds() {
        let sites = of_kind(plan, kind);
        for chunk in sites.chunks(sites.len().div_ceil(groups.max(1)).max(1)) {
            let flops = |column: &usize| {
                topology.index(plan.sites()[*column]).map_or(0.0, |index| topology.sites[index].flops)
            };
            let saved: f64 = chunk.iter().map(flops).sum();
            let open = inner.iter().filter(|_| saved > 0.0);
            all.extend(open.map(|step| Candidate { step: *step, columns: chunk.to_vec(), flops: saved }));
        }
    }
    all
}

/// The columns of a kind, by layer.
fn of_kind(plan: &CachePlan, kind: Kind) -> Vec<usize> {
    let mut columns: Vec<usize> =
        (0..plan.sites().len()).filter(|column| plan.sites()[*column].kind == kind).collect();
    columns.sort_by_key(|column| plan.sites()[*column].layer);
    columns
}
