//! What version 2 of both formats says besides version 1: weights, times and how they were found.

use serde::{Deserialize, Serialize};

use crate::core::{CachePlan, FitRecord, PlanError, SiteWeights, TimeGrid};

/// The added part. A plan without any of it is written as version 1, so that older programs read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FittedPart {
    weights: Vec<SiteWeights>,
    grid: Option<TimeGrid>,
    fit: Option<FitRecord>,
}

impl FittedPart {
    /// What the plan has of it.
    pub(super) fn of(plan: &CachePlan) -> Option<Self> {
        let weights = plan
            .weights()
            .iter()
            .map(|(site, rows)| SiteWeights { site: *site, rows: rows.clone() })
            .collect::<Vec<_>>();
        let part = Self { weights, grid: plan.grid().cloned(), fit: plan.fit().cloned() };
        (!part.weights.is_empty() || part.grid.is_some() || part.fit.is_some()).then_some(part)
    }

    /// The plan with this part, checked.
    pub(super) fn on(self, mut plan: CachePlan) -> Result<CachePlan, PlanError> {
        for SiteWeights { site, rows } in self.weights {
            plan = plan.with_weights(site, rows)?;
        }
        if let Some(grid) = self.grid {
            plan = plan.with_grid(grid)?;
        }
        match self.fit {
            Some(fit) => plan.with_fit(fit),
            None => Ok(plan),
        }
    }
}
