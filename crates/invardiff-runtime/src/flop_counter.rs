//! Counting what a run computes.

use std::collections::{BTreeMap, HashMap};

use invardiff_plan::{Site, Topology};

use crate::observe::Event;

/// FLOPs of one picture that a trajectory really computed, by the sites that it passed. For policies whose work is known only
/// afterwards; for a plan, the sum is that of [`invardiff_plan::Cost`].
///
/// What the trunk spends outside of its modules counts whole in every step that enters it, although a policy that leaves out
/// blocks saves their modulations too (0.2 % of a DiT-XL/2 step).
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
    /// Per step and site: how often it was passed, and how often computed.
    passed: BTreeMap<(usize, Site), [u32; 2]>,
}

impl FlopCounter {
    /// A meter for a model, at zero.
    pub fn new(topology: &Topology) -> Self {
        let modules = topology.sites.iter().map(|spec| (spec.site, spec.flops));
        let around = [(Site::TRUNK, topology.trunk.flops), (Site::OUTPUT, topology.head_flops)];
        let costs = modules.chain(around).collect();
        Self { costs, full: topology.full_flops(), passed: BTreeMap::new() }
    }

    /// Notes what an [`Observed`](crate::Observed) policy shows.
    pub fn look(&mut self, step: usize, site: Site, event: &Event<'_>) {
        let [passed, computed] = self.passed.entry((step, site)).or_default();
        match event {
            Event::Enter | Event::Recalled(_) => *passed += 1,
            Event::Computed(_) => *computed += 1,
        }
    }

    /// FLOPs of every step. Where guidance takes two passes, each counts half of a site.
    pub fn steps(&self) -> Vec<f64> {
        let count = self.passed.keys().map(|(step, _)| step + 1).max().unwrap_or(0);
        let mut steps = vec![0.0; count];
        for ((step, site), [passed, computed]) in &self.passed {
            let cost = self.costs.get(site).copied().unwrap_or(0.0);
            steps[*step] += cost * f64::from(*computed) / f64::from((*passed).max(1));
        }
        steps
    }

    /// The share of the work of `steps` full steps.
    pub fn compute_fraction(&self, steps: usize) -> f64 {
        self.steps().iter().sum::<f64>() / (self.full * steps as f64)
    }
}
