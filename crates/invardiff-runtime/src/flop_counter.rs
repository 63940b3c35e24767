//! Counting the FLOPs that a run computes.

use std::collections::{BTreeMap, HashMap};

use invardiff_plan::{Site, Topology};

use crate::observe::Event;

/// Counts the FLOPs per image that a trajectory computes, from the sites that it visits. It is meant for policies that decide
/// while they run; for a plan, the sum equals [`invardiff_plan::Cost`].
///
/// The FLOPs of the trunk outside of its modules are counted in every step that enters it, although a policy that skips blocks
/// saves their modulations too (0.2 % of a DiT-XL/2 step).
///
/// ```
/// # use invardiff_runtime::{Denoiser, FlopCounter, Full, Observed, Sampler, sample};
/// # fn run<M: Denoiser<4>, S: Sampler<4>>(model: &M, sampler: &S, noise: burn::tensor::Tensor<4>, cond: &M::Cond) {
/// let mut counter = FlopCounter::new(&model.topology());
/// let mut policy = Observed::new(Full, |step, site, event| counter.look(step, site, &event));
/// sample(model, sampler, &mut policy, noise, cond);
/// assert_eq!(counter.compute_fraction(sampler.steps()), 1.0);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FlopCounter {
    costs: HashMap<Site, f64>,
    full: f64,
    /// Per step and site: how often it was visited, and how often computed.
    passed: BTreeMap<(usize, Site), [u32; 2]>,
}

impl FlopCounter {
    /// A counter for a model, at zero.
    pub fn new(topology: &Topology) -> Self {
        let modules = topology.sites.iter().map(|spec| (spec.site, spec.flops));
        let around = [(Site::TRUNK, topology.trunk.flops), (Site::OUTPUT, topology.head_flops)];
        let costs = modules.chain(around).collect();
        Self { costs, full: topology.full_flops(), passed: BTreeMap::new() }
    }

    /// Counts an event of an [`Observed`](crate::Observed) policy.
    pub fn look(&mut self, step: usize, site: Site, event: &Event<'_>) {
        let [passed, computed] = self.passed.entry((step, site)).or_default();
        match event {
            Event::Enter | Event::Recalled(_) => *passed += 1,
            Event::Computed(_) => *computed += 1,
        }
    }

    /// FLOPs per image of each step, `[steps]`. Under guidance in two passes, each pass counts half of a site's FLOPs.
    pub fn steps(&self) -> Vec<f64> {
        let count = self.passed.keys().map(|(step, _)| step + 1).max().unwrap_or(0);
        let mut steps = vec![0.0; count];
        for ((step, site), [passed, computed]) in &self.passed {
            let cost = self.costs.get(site).copied().unwrap_or(0.0);
            steps[*step] += cost * f64::from(*computed) / f64::from((*passed).max(1));
        }
        steps
    }

    /// The FLOPs counted so far divided by those of `steps` full steps.
    pub fn compute_fraction(&self, steps: usize) -> f64 {
        self.steps().iter().sum::<f64>() / (self.full * steps as f64)
    }
}
