//! The reuse rules of a plan, as both formats hold them.

use std::collections::BTreeMap;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::core::{CachePlan, GateSite, Kind, PlanError, Provenance, ReuseRule, TimeAxis};
use crate::formats::groups::{SiteGroup, ungroup};

/// The gate's site, the rules by which values are made, and the axis of extrapolation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    gate_site: GateSite,
    gate: ReuseRule,
    modules: BTreeMap<Kind, ReuseRule>,
    axis: TimeAxis,
    times: Vec<f64>,
}

impl Rules {
    pub(super) fn of(plan: &CachePlan) -> Self {
        Self {
            gate_site: plan.gate_site(),
            gate: plan.gate_rule(),
            modules: plan.module_rules().clone(),
            axis: plan.axis(),
            times: plan.times().to_vec(),
        }
    }

    /// The plan made of all parts of a file.
    pub(super) fn plan(
        self,
        sites: &[SiteGroup],
        gate: Vec<bool>,
        reuse: Array2<bool>,
        provenance: Provenance,
    ) -> Result<CachePlan, PlanError> {
        check("rules.gate", self.gate)?;
        let mut plan =
            CachePlan::new(ungroup(sites)?, gate, reuse)?.with_gate_rule(self.gate_site, self.gate);
        for (kind, rule) in self.modules {
            check(&format!("rules.modules.{kind}"), rule)?;
            plan = plan.with_module_rule(kind, rule);
        }
        Ok(plan.with_times(self.axis, self.times)?.with_provenance(provenance))
    }
}

/// Refuses rules of weights in a plan that lists none.
///
/// # Errors
/// [`PlanError::Range`] naming the rule.
pub(super) fn check_rules(plan: &CachePlan) -> Result<(), PlanError> {
    let of_kind = |(kind, rule): (&Kind, &ReuseRule)| {
        let listed = plan.weights().keys().any(|site| site.kind == *kind);
        (*rule == ReuseRule::Weights && !listed).then(|| format!("rules.modules.{kind}"))
    };
    let gate =
        plan.gate_rule() == ReuseRule::Weights && !plan.weights().contains_key(&plan.gate_site().site());
    let found = gate.then(|| "rules.gate".to_owned());
    match found.or_else(|| plan.module_rules().iter().find_map(of_kind)) {
        None => Ok(()),
        Some(what) => {
            let (value, expected) = ("weights".into(), "weights listed for it, or another rule".into());
            Err(PlanError::Range { what, value, expected })
        }
    }
}

fn check(key: &str, rule: ReuseRule) -> Result<(), PlanError> {
    match rule {
        ReuseRule::Hold
        | ReuseRule::Extrapolate(1 | 2)
        | ReuseRule::Taylor(1..=ReuseRule::MAX_ORDER)
        | ReuseRule::Weights => Ok(()),
        ReuseRule::Extrapolate(order) => Err(PlanError::Range {
            what: key.into(),
            value: format!("order {order}"),
            expected: "1 or 2".into(),
        }),
        ReuseRule::Taylor(order) => Err(PlanError::Range {
            what: key.into(),
            value: format!("order {order}"),
            expected: "1 to 4".into(),
        }),
    }
}
