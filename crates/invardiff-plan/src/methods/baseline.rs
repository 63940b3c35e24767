//! Baseline plans without any measurement, which a measured plan has to beat.

use crate::core::{CachePlan, PlanError, Site, SplitMix64, Topology};

/// The step gate `[steps]` (`true` = skipped) that computes `computed` evenly spread steps, the first one among them.
///
/// # Errors
/// [`PlanError::Range`] when `computed` is not in `1 ..= steps`.
pub fn uniform_gate(steps: usize, computed: usize) -> Result<Vec<bool>, PlanError> {
    if computed == 0 || computed > steps {
        return Err(PlanError::Range {
            what: "the number of computed steps".into(),
            value: computed.to_string(),
            expected: format!("1 to {steps}"),
        });
    }
    let mut gate = vec![true; steps];
    for index in 0..computed {
        gate[index * steps / computed] = false;
    }
    Ok(gate)
}

/// A plan with as many skipped steps and as many reused modules as `like`, at random places drawn from `seed`. The first step
/// and every step after a skipped one are computed whole, as in every published plan.
///
/// Where the drawn gate leaves fewer places than `like` has reused modules, all places are reused.
///
/// # Errors
/// As [`CachePlan::new`], for a topology that names a site twice.
pub fn random_plan(topology: &Topology, like: &CachePlan, seed: u64) -> Result<CachePlan, PlanError> {
    let mut draw = SplitMix64::seeded(seed);
    let steps = like.steps();
    let mut gate = vec![false; steps];
    let mut free: Vec<usize> = (1..steps).collect();
    for _ in 0..like.skipped_steps() {
        gate[free.swap_remove(draw.below(free.len()))] = true;
    }
    let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    let open = (1..steps).filter(|step| !gate[*step] && !gate[step - 1]);
    let mut places: Vec<(usize, usize)> =
        open.flat_map(|step| (0..sites.len()).map(move |site| (step, site))).collect();
    let mut reuse = ndarray::Array2::from_elem((steps, sites.len()), false);
    for _ in 0..like.reused_modules().min(places.len()) {
        reuse[places.swap_remove(draw.below(places.len()))] = true;
    }
    let mut plan = CachePlan::new(sites, gate, reuse)?;
    plan.provenance.method = format!("random-{seed}");
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::SiteSpec;

    fn topology() -> Topology {
        let spec = |site| SiteSpec::single(site, 4, 2, 1.0);
        Topology {
            model: "toy".into(),
            sites: (0..3).flat_map(|layer| [spec(Site::msa(layer)), spec(Site::mlp(layer))]).collect(),
            trunk: spec(Site::TRUNK),
            head_flops: 1.0,
            output_elements: 8,
        }
    }

    #[test]
    fn uniform_gates_compute_what_was_asked_and_spread_it() {
        for computed in 1..=50 {
            let gate = uniform_gate(50, computed).unwrap();
            let kept: Vec<usize> = (0..50).filter(|step| !gate[*step]).collect();
            assert_eq!((kept.len(), kept[0]), (computed, 0));
            let gaps: Vec<usize> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
            if let (Some(least), Some(most)) = (gaps.iter().min(), gaps.iter().max()) {
                assert!(most - least <= 1, "{computed}: {gaps:?}");
            }
        }
        assert!(uniform_gate(50, 0).is_err());
        assert!(uniform_gate(50, 51).is_err());
    }

    #[test]
    fn random_plans_have_the_counts_and_can_run() {
        let mut gate = vec![false; 12];
        gate[3] = true;
        gate[4] = true;
        let mut reuse = ndarray::Array2::from_elem((12, 6), false);
        reuse[[7, 1]] = true;
        reuse[[8, 2]] = true;
        let sites = topology().sites.iter().map(|spec| spec.site).collect();
        let like = CachePlan::new(sites, gate, reuse).unwrap();
        for seed in 0..50 {
            let plan = random_plan(&topology(), &like, seed).unwrap();
            assert_eq!((plan.skipped_steps(), plan.reused_modules()), (2, 2));
            plan.schedule(&topology()).unwrap();
        }
        let gates: std::collections::HashSet<Vec<bool>> =
            (0..50).map(|seed| random_plan(&topology(), &like, seed).unwrap().gate().to_vec()).collect();
        assert!(gates.len() > 10);
    }
}
